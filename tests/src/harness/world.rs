//! [`World`]: an anchor and the nodes of its subscribers, each built as its daemon builds it, in one process on loopback. Anchor and nodes can be
//! stopped and started again on what they have kept.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use madang::config::Raw;
use madang_anchor::{
    app::{App, Running},
    broker::service::Broker,
    config::{Config, raw::RawConfig},
    home::Home,
    operator::command::{AccountAdd, Class, Command},
};
use madang_protocol::{
    amount::Amount,
    broker::{BillLine, Side, Wallet},
    ids::{AccountId, RequestId},
    name::Handle,
    record::request::Secret,
};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::Pc;

/// The tax within each price, or on top of it, in basis points.
pub const TAX_BP: u64 = 1_000;
/// The provider's share of what is left, in basis points.
pub const COMMISSION_BP: u16 = 500;
/// The subscriber by whose devices the others enter the mesh.
pub const HUB: &str = "alice";
/// What is awaited on one machine comes well within this, also on a slow one.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Lines of a bill that are looked at.
const LINES_MAX: usize = 1_000;

/// An anchor and its subscribers.
pub struct World {
    folder: TempDir,
    anchor: Option<Running>,
    address: SocketAddr,
    tax_mode: &'static str,
    accounts: BTreeMap<String, Subscriber>,
    top_ups: u8,
    pcs: BTreeMap<String, Pc>,
}

struct Subscriber {
    password: String,
    paid_in: Amount,
}

impl World {
    /// An anchor without subscribers: won, 10 % tax within the price, 5 % commission.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn start() -> Result<Self> {
        Self::start_with("inclusive").await
    }

    /// As [`World::start`], but the tax comes on top of the price.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn start_with_tax_on_top() -> Result<Self> {
        Self::start_with("exclusive").await
    }

    async fn start_with(tax_mode: &'static str) -> Result<Self> {
        let folder = TempDir::new().context("make a folder")?;
        let any: SocketAddr = "127.0.0.1:0".parse()?;
        let anchor = start_anchor(folder.path(), any, tax_mode).await?;
        Ok(Self {
            tax_mode,
            address: anchor.address(),
            anchor: Some(anchor),
            folder,
            accounts: BTreeMap::new(),
            top_ups: 0,
            pcs: BTreeMap::new(),
        })
    }

    /// Starts a node as `raw` says, and a new subscriber where there is none of that name. `alice/laptop` is a second device of `alice`.
    /// Everything listens on loopback, on ports that the system chooses.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn join(&mut self, name: &str, raw: Raw) -> Result<&Pc> {
        let handle = handle_of(name).to_owned();
        if !self.accounts.contains_key(&handle) {
            self.subscribe(&handle).await?;
        }
        let folder = self.folder.path().join(name.replace('/', "-"));
        let password = self.accounts[&handle].password.clone();
        let url = self.anchor()?.url();
        let pc = Pc::join(folder, &url, &handle, password, raw).await?;
        if handle == HUB {
            let broker = self.broker()?;
            eventually("the hub stands in the descriptor", || async {
                !broker.descriptor().bootstrap.is_empty()
            })
            .await?;
        }
        self.pcs.insert(name.to_owned(), pc);
        self.pc(name)
    }

    /// A running node.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn pc(&self, name: &str) -> Result<&Pc> {
        self.pcs
            .get(name)
            .with_context(|| format!("find the node {name}"))
    }

    /// Stops a node politely; [`World::resume`] starts it again.
    ///
    /// # Errors
    /// There is none of that name.
    pub async fn stop(&mut self, name: &str) -> Result<()> {
        let pc = self
            .pcs
            .get_mut(name)
            .with_context(|| format!("find the node {name}"))?;
        pc.stop().await;
        Ok(())
    }

    /// A node dies with everything open; [`World::resume`] starts it again on what it has written.
    ///
    /// # Errors
    /// There is none of that name, or it does not die.
    pub async fn kill(&mut self, name: &str) -> Result<()> {
        let pc = self
            .pcs
            .get_mut(name)
            .with_context(|| format!("find the node {name}"))?;
        pc.die().await
    }

    /// Starts a stopped node on what it has kept, after `change` to its configuration.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn resume(&mut self, name: &str, change: impl FnOnce(&mut Raw)) -> Result<()> {
        let pc = self
            .pcs
            .get_mut(name)
            .with_context(|| format!("find the node {name}"))?;
        pc.resume(change).await
    }

    /// Books money that came in.
    ///
    /// # Errors
    /// The anchor is stopped, or refuses.
    pub async fn top_up(&mut self, handle: &str, amount: Amount) -> Result<()> {
        self.top_ups += 1;
        let command = Command::AccountTopup {
            handle: handle.parse()?,
            amount,
            request: RequestId([self.top_ups; 16]),
        };
        self.tell(command).await?;
        let subscriber = self
            .accounts
            .get_mut(handle)
            .context("find the subscriber")?;
        subscriber.paid_in = subscriber.paid_in.saturating_add(amount);
        Ok(())
    }

    /// Stops the anchor politely.
    ///
    /// # Errors
    /// It is stopped, or its store cannot be closed.
    pub async fn stop_anchor(&mut self) -> Result<()> {
        let anchor = self.anchor.take().context("the anchor is stopped")?;
        anchor.shutdown().await.context("stop the anchor")
    }

    /// Starts the anchor again at its address, on what it has kept.
    ///
    /// # Errors
    /// What kept it from starting.
    pub async fn resume_anchor(&mut self) -> Result<()> {
        self.anchor = Some(start_anchor(self.folder.path(), self.address, self.tax_mode).await?);
        Ok(())
    }

    /// What stands on an account.
    ///
    /// # Errors
    /// The anchor is stopped, or does not know the account.
    pub fn wallet(&self, handle: &str) -> Result<Wallet> {
        let store = self.broker()?.store().clone();
        Ok(store.wallet(self.account(handle)?)?)
    }

    /// The lines of an account's bill, the newest first.
    ///
    /// # Errors
    /// The anchor is stopped, or does not know the account.
    pub fn bill(&self, handle: &str) -> Result<Vec<BillLine>> {
        let store = self.broker()?.store().clone();
        Ok(store.bill(self.account(handle)?, None, LINES_MAX)?.lines)
    }

    /// What an account has bought, as settled.
    ///
    /// # Errors
    /// As [`World::bill`].
    pub fn bought(&self, handle: &str) -> Result<Vec<BillLine>> {
        let lines = self.bill(handle)?.into_iter();
        Ok(lines.filter(|line| line.side == Side::Purchase).collect())
    }

    /// Waits until `done` is true of what `handle` has bought.
    ///
    /// # Errors
    /// It does not come true in time.
    pub async fn settled(
        &self,
        handle: &str,
        done: impl Fn(&[BillLine]) -> bool,
    ) -> Result<Vec<BillLine>> {
        let is_done = || async { self.bought(handle).is_ok_and(|lines| done(&lines)) };
        let outcome = eventually("the purchases are settled", is_done).await;
        let lines = self.bought(handle)?;
        outcome.with_context(|| format!("the bill of {handle} is {lines:#?}"))?;
        Ok(lines)
    }

    /// Checks that no money came from nowhere and none was lost: the ledger's own invariants, and beside them each wallet against what was paid in
    /// and billed, and what buyers paid against what sellers, the provider and the state have.
    ///
    /// # Errors
    /// It does not.
    pub fn check_money(&self) -> Result<()> {
        self.broker()?
            .store()
            .verify_all()
            .context("verify the ledger")?;
        let (mut paid, mut divided) = (0, 0);
        for (handle, subscriber) in &self.accounts {
            let (wallet, lines) = (self.wallet(handle)?, self.bill(handle)?);
            let [mut debit, mut earned] = [0, 0];
            for line in &lines {
                let parts = line.earned.micros() + line.commission.micros() + line.tax.micros();
                ensure!(
                    parts == line.debit.micros(),
                    "a line is not divided whole: {line:?}"
                );
                match line.side {
                    Side::Purchase => debit += line.debit.micros(),
                    Side::Sale => {
                        earned += line.earned.micros();
                        divided += parts;
                    }
                }
            }
            paid += debit;
            let left = wallet.posted.micros() + debit;
            ensure!(
                left == subscriber.paid_in.micros() + wallet.owed.micros(),
                "the wallet of {handle} has {wallet:?}"
            );
            ensure!(
                earned == wallet.earned.micros(),
                "{handle} has earned {wallet:?}"
            );
        }
        ensure!(
            paid == divided,
            "buyers paid {paid}, and {divided} was divided"
        );
        Ok(())
    }

    /// The account of `handle`.
    ///
    /// # Errors
    /// The anchor is stopped, or does not know it.
    pub fn account(&self, handle: &str) -> Result<AccountId> {
        let handle: Handle = handle.parse()?;
        let account = self.broker()?.store().account_by_handle(&handle)?;
        Ok(account.context("find the account")?.id)
    }

    fn anchor(&self) -> Result<&Running> {
        self.anchor.as_ref().context("the anchor is stopped")
    }

    fn broker(&self) -> Result<Arc<Broker>> {
        Ok(Arc::clone(self.anchor()?.broker()))
    }

    async fn subscribe(&mut self, handle: &str) -> Result<()> {
        let password = format!("the long password of {handle}");
        let add = AccountAdd {
            handle: handle.parse()?,
            class: Class::Person,
            commission_bp: COMMISSION_BP,
            credit_limit: Amount::ZERO,
            password: Secret(password.clone()),
        };
        self.tell(Command::AccountAdd(add)).await?;
        let subscriber = Subscriber {
            password,
            paid_in: Amount::ZERO,
        };
        self.accounts.insert(handle.to_owned(), subscriber);
        Ok(())
    }

    async fn tell(&self, command: Command) -> Result<()> {
        let desk = self.anchor()?.desk().clone();
        spawn_blocking(move || desk.execute(command)).await??;
        Ok(())
    }
}

/// Waits until `is_so`.
///
/// # Errors
/// It does not become so within [`PATIENCE`].
pub async fn eventually<F: Future<Output = bool>>(
    what: &str,
    mut is_so: impl FnMut() -> F,
) -> Result<()> {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, looking).await;
    outcome.with_context(|| format!("wait until {what}"))
}

async fn start_anchor(folder: &Path, address: SocketAddr, tax_mode: &str) -> Result<Running> {
    let raw = RawConfig {
        listen: Some(address.to_string()),
        tax_rate: Some("10%".into()),
        tax_mode: Some(tax_mode.into()),
        hub: Some(vec![HUB.into()]),
        ..RawConfig::default()
    };
    let config = Config::check(Home::new(folder.join("anchor")), raw)?;
    Ok(App::build(config)
        .await
        .context("start the anchor")?
        .spawn())
}

fn handle_of(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}
