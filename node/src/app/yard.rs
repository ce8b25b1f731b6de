//! What faces others: the directory, the personal web server, buying and selling, and the proxy for this PC's browsers. One task owns them all, so that
//! they end in the right order: first what accepts, then what is open is paid and handed in, then what others lean on.

use std::{sync::Arc, time::Duration};

use madang_protocol::amount::Currency;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Node, Published};
use crate::{
    config::{Budgets, Selling as SellingPolicy},
    control::ShopOf,
    fetch::Fetcher,
    mesh::{
        Protocol,
        directory::{Directory, Prepared},
    },
    pay::{Buying, BuyingParts, Selling, SellingParts, Wallet},
    proxy::{Listeners, Proxy},
    server::{Server, ServerParts, own_way},
    store::NodeStore,
    web::{Pool, PoolLimits},
};

/// How long open sessions may take to be ended politely.
const GOODBYE_WITHIN: Duration = Duration::from_millis(1_500);

/// Everything that faces others, not yet started.
pub(super) struct Yard {
    pub(super) directory: Prepared,
    pub(super) store: Arc<NodeStore>,
    pub(super) listeners: Option<(Listeners, Currency)>,
    pub(super) budgets: Budgets,
    pub(super) selling: SellingPolicy,
}

impl Yard {
    /// Runs until `stop`; ends early when a part fails, which the log names.
    pub(super) async fn run(self, node: Arc<Node>, stop: CancellationToken) {
        if let Err(error) = self.work(&node, &stop).await {
            tracing::error!(%error, "the node cannot face others");
        }
    }

    async fn work(
        self,
        node: &Arc<Node>,
        stop: &CancellationToken,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut running = self.directory.start(node.mesh.clone()).await?;
        let directory = running.directory();
        let http = node.mesh.accept(Protocol::Http).await?;
        let sessions = node.mesh.accept(Protocol::Session).await?;
        let store = Arc::clone(&self.store);
        let wallet = Wallet::new(Arc::clone(&store), node.clock.clone(), self.budgets);
        let buying = Buying::new(BuyingParts {
            key: node.key.clone(),
            clock: node.clock.clone(),
            standing: node.standing.clone(),
            store: Arc::clone(&store),
            broker: node.client.clone(),
            keeper: Arc::clone(&node.keeper),
            wallet: wallet.clone(),
            mesh: node.mesh.clone(),
            directory: directory.clone(),
        });
        let selling = Selling::new(SellingParts {
            key: node.key.clone(),
            clock: node.clock.clone(),
            standing: node.standing.clone(),
            store: Arc::clone(&store),
            broker: node.client.clone(),
            policy: self.selling,
        })?;
        let (own, from_owner) = own_way();
        let pool = Pool::with_own(node.mesh.clone(), Some(own), PoolLimits::default());
        let fetcher = Fetcher::new(
            directory.clone(),
            pool,
            Some(buying.clone()),
            node.standing.clone(),
            node.clock.clone(),
        );
        let shop = ShopOf {
            fetch: fetcher.clone(),
            consents: wallet.clone(),
        };
        if node.directory.set(directory.clone()).is_err() || node.shop.set(Arc::new(shop)).is_err()
        {
            return Err("the node was started twice".into());
        }
        let server = Server::new(ServerParts {
            published: node.published.clone(),
            directory: directory.clone(),
            selling: selling.clone(),
            counters: node.counters.clone(),
        });
        let proxy = self
            .listeners
            .map(|(listeners, currency)| Proxy::new(listeners, currency, fetcher, wallet))
            .transpose()?;
        let proxied = async {
            match proxy {
                Some(proxy) => proxy.run(stop.clone()).await,
                None => stop.cancelled().await,
            }
        };
        // What accepts ends by itself when it is asked to; what stands behind it is dropped once the last is said.
        let facing = async {
            tokio::join!(
                server.run(http, sessions, stop.clone()),
                server.serve_owner(
                    node.mesh.peer_id(),
                    node.standing.clone(),
                    from_owner,
                    stop.clone()
                ),
                proxied,
                announce(node.published.clone(), &directory, stop)
            );
            buying.shutdown(GOODBYE_WITHIN).await;
            if let Ok(Err(error)) = tokio::time::timeout(GOODBYE_WITHIN, selling.settle_now()).await
            {
                tracing::debug!(%error, "receipts are handed in at the next start");
            }
        };
        tokio::select! {
            () = facing => {}
            () = buying.run() => {}
            () = selling.run() => {}
            () = running.failed() => return Err("the directory ended".into()),
        }
        running.shutdown().await;
        store.close();
        Ok(())
    }
}

/// Announces what is published, whenever it changes.
async fn announce(
    mut published: watch::Receiver<Arc<Published>>,
    directory: &Directory,
    stop: &CancellationToken,
) {
    loop {
        let announcements = published
            .borrow_and_update()
            .sites
            .iter()
            .map(|site| site.announcement.clone())
            .collect();
        if directory.announce(announcements).await.is_err() {
            stop.cancelled().await;
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = published.changed() => if changed.is_err() {
                stop.cancelled().await;
                return;
            },
        }
    }
}
