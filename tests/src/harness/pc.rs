//! [`Pc`]: a subscriber's PC, with the node that runs on it.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use madang::{
    app::{Admission, App, Node, Overrides, Running},
    broker::{AnchorAddress, EndpointOptions},
    config::{Config, Raw, RawMesh, RawProxy, RawSelling, RawSite},
    control::Shop,
    fetch::{Agreement, FetchError, Paying, Quote},
    home::Home,
    join::Joining,
    store::NodeStore,
    web::Body,
};
use madang_protocol::{
    amount::Amount,
    record::{receipt::Receipt, request::Secret},
};
use tokio::time::timeout;

use super::{eventually, world::PATIENCE};

/// Grants that are looked at.
const GRANTS_MAX: usize = 1_000;

/// A subscriber's PC.
pub struct Pc {
    home: Home,
    anchor: String,
    raw: Raw,
    running: Option<Running>,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Got {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Pc {
    pub(super) async fn join(
        home: PathBuf,
        anchor: &str,
        handle: &str,
        password: String,
        raw: Raw,
    ) -> Result<Self> {
        let home = Home::at(home);
        let address = AnchorAddress::parse(anchor, false)?;
        let joining = Joining::describe(home.clone(), address, &EndpointOptions::default()).await?;
        joining
            .enrol(handle.parse()?, Secret(password), "a PC".into())
            .await?;
        let mut pc = Self {
            home,
            anchor: anchor.to_owned(),
            raw: on_loopback(raw),
            running: None,
        };
        pc.up().await?;
        pc.admitted().await?;
        Ok(pc)
    }

    pub(super) async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().await;
        }
    }

    /// Nothing more is said or written from here on.
    pub(super) async fn die(&mut self) -> Result<()> {
        drop(self.running.take());
        let store = self.home.join("journal");
        eventually("what died lets go of its store", || async {
            NodeStore::open(&store).is_ok_and(|(store, _)| {
                store.close();
                true
            })
        })
        .await
    }

    pub(super) async fn resume(&mut self, change: impl FnOnce(&mut Raw)) -> Result<()> {
        change(&mut self.raw);
        self.up().await
    }

    async fn up(&mut self) -> Result<()> {
        let config = Config::check(&self.raw, self.home.path())?;
        let overrides = Overrides {
            anchor: Some(AnchorAddress::parse(&self.anchor, false)?),
            ..Overrides::default()
        };
        let running = App::build(self.home.clone(), config, overrides)?.spawn();
        let node = Arc::clone(running.node());
        self.running = Some(running);
        eventually("the node can fetch", || async { node.shop.get().is_some() }).await
    }

    async fn admitted(&self) -> Result<()> {
        let mut admission = self.node().admission.clone();
        let admitted = admission.wait_for(|state| *state == Admission::Admitted);
        timeout(PATIENCE, admitted)
            .await
            .context("wait for admission")??;
        Ok(())
    }

    /// The node.
    ///
    /// # Panics
    /// While it is stopped.
    pub fn node(&self) -> &Arc<Node> {
        self.running.as_ref().expect("a node that runs").node()
    }

    /// Sends a request as the owner's browser would by its owner's hand; the body is not read yet.
    ///
    /// # Errors
    /// What the fetcher says.
    pub async fn open(
        &self,
        site: &str,
        request: Request<Body>,
    ) -> Result<Response<Body>, FetchError> {
        let site = site.parse().expect("the name of a site");
        self.shop().fetch(site, request, Paying::AsAgreed).await
    }

    /// Fetches a page and reads it to its end.
    ///
    /// # Errors
    /// What the fetcher says, or why the body broke off.
    pub async fn get(&self, site: &str, path: &str) -> Result<Got> {
        read(self.open(site, get(path)).await?).await
    }

    /// Waits until a site is found and answers; gives what it says.
    ///
    /// # Errors
    /// It is not found in time.
    pub async fn find(&self, site: &str, path: &str) -> Result<Got> {
        let found = std::cell::RefCell::new(None);
        let is_found = || async {
            match self.get(site, path).await {
                Ok(got) => found.replace(Some(got)).is_none(),
                Err(_) => false,
            }
        };
        eventually("the site is found", is_found).await?;
        found.take().context("find the site")
    }

    /// What `path` costs.
    ///
    /// # Errors
    /// It costs nothing, was agreed to, or the site does not answer.
    pub async fn quote(&self, site: &str, path: &str) -> Result<Quote> {
        let answer = self
            .shop()
            .fetch(site.parse()?, get(path), Paying::FreeOnly)
            .await;
        match answer {
            Err(FetchError::NotAgreed(quote) | FetchError::TariffChanged(quote)) => Ok(*quote),
            Err(error) => Err(error).context("ask for the price"),
            Ok(response) => bail!(
                "{site}{path} answers {} without being paid",
                response.status()
            ),
        }
    }

    /// Agrees to pay `site` at most `budget` at its prices of now; `pass` buys the pass of the rule that holds for `path`.
    ///
    /// # Errors
    /// There is no price, or the agreement cannot be kept.
    pub async fn agree(&self, site: &str, path: &str, budget: Amount, pass: bool) -> Result<Quote> {
        let quote = self.quote(site, path).await?;
        let agreement = Agreement::to(&quote, budget, pass, &self.shop().standing());
        self.shop()
            .agree(agreement)
            .await
            .context("agree to the price")?;
        Ok(quote)
    }

    /// Where its node keeps everything.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The highest receipt of each grant that this node has signed.
    ///
    /// # Errors
    /// The store's.
    pub fn signed(&self) -> Result<Vec<Receipt>> {
        let store = &self.node().store;
        let mut receipts = Vec::new();
        for row in store.grants(GRANTS_MAX)? {
            let signed = store.signed(row.grant.claims().id)?;
            receipts.extend(signed.map(|receipt| receipt.claims().clone()));
        }
        Ok(receipts)
    }

    fn shop(&self) -> &Arc<dyn Shop> {
        self.node().shop.get().expect("a node that can fetch")
    }
}

/// A request for `path`.
///
/// # Panics
/// When `path` is none.
pub fn get(path: &str) -> Request<Body> {
    let nothing = Empty::new().map_err(|never| match never {}).boxed_unsync();
    Request::get(path).body(nothing).expect("a path")
}

/// Reads an answer to its end.
///
/// # Errors
/// The body breaks off.
pub async fn read(response: Response<Body>) -> Result<Got> {
    let (head, body) = response.into_parts();
    Ok(Got {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.context("read the body")?.to_bytes(),
    })
}

/// A site of a folder with these prices.
pub fn folder(folder: impl Into<PathBuf>, prices: &[&str]) -> RawSite {
    RawSite {
        folder: Some(folder.into()),
        prices: Some(prices.iter().map(ToString::to_string).collect()),
        ..RawSite::default()
    }
}

/// A node that serves `site`.
pub fn serving(site: RawSite) -> Raw {
    Raw {
        site: vec![site],
        ..Raw::default()
    }
}

fn on_loopback(raw: Raw) -> Raw {
    let any = || Some("127.0.0.1:0".to_owned());
    let listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"];
    Raw {
        mesh: RawMesh {
            listen: Some(listen.map(str::to_owned).to_vec()),
            ..raw.mesh
        },
        proxy: RawProxy {
            listen: any(),
            console: any(),
            ..raw.proxy
        },
        selling: RawSelling {
            settle_every: Some("100 ms".into()),
            ..raw.selling
        },
        ..raw
    }
}
