//! Who takes part, each as a daemon of its own would run: the provider's anchor, the seller's node and the buyer's.

use std::{
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use data_encoding::BASE32_NOPAD;
use madang::{
    app::{self, Admission, Node, Overrides},
    broker::{AnchorAddress, EndpointOptions},
    config::{Config, Raw},
    home::Home,
    join::Joining,
    store::NodeStore,
};
use madang_anchor::{
    app as anchor,
    config::{Config as AnchorConfig, raw::RawConfig},
    home::Home as AnchorHome,
    operator::{
        answer::{Answer, Money},
        command::{AccountAdd, Class, Command},
        ledger::{LedgerAnswer, LedgerCommand},
    },
};
use madang_protocol::{amount::Amount, ids::RequestId, name::Handle, record::request::Secret};
use tokio::{
    task::spawn_blocking,
    time::{sleep, timeout},
};

/// The provider's share of what a subscriber sells, in basis points.
pub(super) const COMMISSION_BP: u16 = 500;
/// What the state takes, within the price.
pub(super) const TAX_RATE: &str = "10%";
/// Everything here happens on one machine.
const PATIENCE: Duration = Duration::from_secs(30);
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The provider.
pub(super) struct Anchor {
    running: anchor::Running,
}

impl Anchor {
    /// Starts an anchor whose hub is `hub`, with the store that is built in, in `folder`.
    pub(super) async fn start(folder: &Path, hub: &str) -> Result<Self> {
        let raw = RawConfig {
            listen: Some(prefer(8440)?.to_string()),
            name: Some("Madang demo".into()),
            currency: Some("KRW".into()),
            tax_rate: Some(TAX_RATE.into()),
            tax_mode: Some("inclusive".into()),
            hub: Some(vec![hub.into()]),
            ..RawConfig::default()
        };
        let config = AnchorConfig::check(AnchorHome::new(folder), raw)?;
        let app = anchor::App::build(config)
            .await
            .context("start the anchor")?;
        Ok(Self {
            running: app.spawn(),
        })
    }

    /// What nodes join by.
    pub(super) fn url(&self) -> String {
        self.running.url()
    }

    /// Waits until the hub has said where it listens: from then on, whoever signs in is told where to enter the mesh.
    pub(super) async fn has_hub(&self) -> Result<()> {
        let broker = self.running.broker();
        let waiting = async {
            while broker.descriptor().bootstrap.is_empty() {
                sleep(ASK_EVERY).await;
            }
        };
        timeout(PATIENCE, waiting).await.context("wait for the hub")
    }

    /// Adds the account, unless there is one; gives the password of a new one.
    pub(super) async fn subscribe(&self, handle: &str) -> Result<Option<String>> {
        let handle: Handle = handle.parse()?;
        let show = Command::AccountShow {
            handle: handle.clone(),
        };
        if self.tell(show).await.is_ok() {
            return Ok(None);
        }
        let mut octets = [0; 15];
        getrandom::fill(&mut octets)?;
        let password = BASE32_NOPAD.encode(&octets);
        let add = AccountAdd {
            handle,
            class: Class::Person,
            commission_bp: COMMISSION_BP,
            credit_limit: Amount::ZERO,
            password: Secret(password.clone()),
        };
        self.tell(Command::AccountAdd(add))
            .await
            .context("add an account")?;
        Ok(Some(password))
    }

    /// Books money that came in. Under the same number it moves once, however often it is said.
    pub(super) async fn top_up(&self, handle: &str, amount: Amount, number: u8) -> Result<()> {
        let command = Command::AccountTopup {
            handle: handle.parse()?,
            amount,
            request: RequestId([number; 16]),
        };
        self.tell(command).await.context("top up the wallet")?;
        Ok(())
    }

    /// What stands on an account.
    pub(super) async fn money(&self, handle: &str) -> Result<Money> {
        let handle = handle.parse()?;
        let Answer::Account(account) = self.tell(Command::AccountShow { handle }).await? else {
            bail!("the operator's desk shows something else than the account");
        };
        Ok(account.money)
    }

    /// Walks the books; says what was looked at.
    pub(super) async fn check(&self) -> Result<String> {
        let audited = self.tell(Command::Ledger(LedgerCommand::Audit)).await?;
        let Answer::Ledger(LedgerAnswer::Holds { summary }) = audited else {
            bail!("the books do not balance");
        };
        Ok(summary)
    }

    /// Ends politely.
    pub(super) async fn stop(self) -> Result<()> {
        self.running.shutdown().await.context("stop the anchor")
    }

    async fn tell(&self, command: Command) -> Result<Answer> {
        let desk = self.running.desk().clone();
        Ok(spawn_blocking(move || desk.execute(command)).await??)
    }
}

/// A subscriber's PC.
pub(super) struct Pc {
    running: app::Running,
}

impl Pc {
    /// Joins the network of `anchor` with the first start, then runs the node of `folder` as `raw` says. It is admitted when this returns.
    pub(super) async fn start(
        folder: PathBuf,
        anchor: &str,
        who: (&str, Option<String>),
        raw: Raw,
    ) -> Result<Self> {
        let home = Home::at(folder);
        let (handle, password) = who;
        if let Some(password) = password {
            let address = AnchorAddress::parse(anchor, false)?;
            let joining =
                Joining::describe(home.clone(), address, &EndpointOptions::default()).await?;
            joining
                .enrol(handle.parse()?, Secret(password), format!("{handle}'s PC"))
                .await
                .context("join the network")?;
        }
        let config = Config::check(&raw, home.path())?;
        let overrides = Overrides {
            // The anchor's port may be another one than when it was joined.
            anchor: Some(AnchorAddress::parse(anchor, false)?),
            ..Overrides::default()
        };
        let running = app::App::build(home, config, overrides)?.spawn();
        let mut admission = running.node().admission.clone();
        let admitted = admission.wait_for(|state| *state == Admission::Admitted);
        timeout(PATIENCE, admitted)
            .await
            .context("wait for the anchor to admit the node")??;
        Ok(Self { running })
    }

    /// The node.
    pub(super) fn node(&self) -> &Arc<Node> {
        self.running.node()
    }

    /// What it keeps of its receipts.
    pub(super) fn store(&self) -> &NodeStore {
        &self.running.node().store
    }

    /// The network's currency.
    pub(super) fn currency(&self) -> String {
        let standing = self.running.node().standing.borrow();
        standing.descriptor.currency.to_string()
    }

    /// Where the local proxy and the consent page are.
    pub(super) fn proxy(&self) -> Result<(SocketAddr, SocketAddr)> {
        let addresses = self.running.addresses();
        let both = addresses.proxy.zip(addresses.console);
        both.context("find the local proxy")
    }

    /// Ends politely.
    pub(super) async fn stop(self) {
        self.running.shutdown().await;
    }
}

/// `port` of loopback where it is free, or else any other.
pub(super) fn prefer(port: u16) -> Result<SocketAddr> {
    let loopback = |port| TcpListener::bind(("127.0.0.1", port));
    let listener = loopback(port)
        .or_else(|_| loopback(0))
        .context("find a free port")?;
    Ok(listener.local_addr()?)
}
