//! Passes of this node's own account: found before anything is paid, and fetched from the anchor once they are bought.
//!
//! A pass covers what it was bought for without a budget, an agreement, a grant or the anchor. It is known by the issuer's word, or, until that has come,
//! by this node's own receipt: the seller has the same receipt, and honours it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use madang_protocol::{name::SiteName, record::tariff::Tariff, reject::Reject, sealed::Sealed};

use super::{BuyError, Buying, Paid, Seller, granting::Left, purchase::Purchase};
use crate::{
    broker::BrokerError,
    standing::StandingError,
    store::{BoughtRow, Event, StoreError, StoreRead},
};

/// Between two tries to fetch a pass that was bought: the first, and the longest.
const FETCH_FIRST: Duration = Duration::from_secs(1);
const FETCH_LAST: Duration = Duration::from_secs(10 * 60);

/// A pass could not be fetched now; it is tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchPassError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Standing(#[from] StandingError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Buying {
    /// Whether a pass that is in hand covers `rule` of `tariff` at `site`.
    pub(super) fn has_pass(
        &self,
        site: &SiteName,
        tariff: &Sealed<Tariff>,
        rule: usize,
    ) -> Result<bool, StoreRead> {
        let Some(priced) = tariff.rules.get(rule) else {
            return Ok(false);
        };
        let now = self.0.parts.clock.now();
        let is_issued = self
            .0
            .parts
            .standing
            .borrow()
            .has_pass(site, &priced.pattern, now);
        if is_issued {
            return Ok(true);
        }
        let bought = self.bought(site, &priced.pattern)?;
        Ok(bought.is_some_and(|bought| now < bought.pass.until))
    }

    /// The pass for `pattern` of `site` that this node signed for last.
    pub(super) fn bought(
        &self,
        site: &SiteName,
        pattern: &str,
    ) -> Result<Option<BoughtRow>, StoreRead> {
        let standing = self.0.parts.standing.borrow();
        let account = standing.passport.as_ref().map(|passport| passport.account);
        drop(standing);
        match account {
            Some(account) => self.0.parts.store.pass_bought(account, site, pattern),
            None => Ok(None),
        }
    }

    /// A session with `seller` in which a pass that is in hand is shown. Nothing is counted in it, and nothing signed for.
    pub(super) async fn ready_by_pass(&self, seller: &Seller<'_>) -> Result<Paid, BuyError> {
        let purchase = self.purchase(seller)?;
        let _setup = purchase.setup.lock().await;
        let session = self.joined(&purchase).await?;
        Ok(Paid::by_pass(Arc::clone(&purchase), session))
    }

    /// The seller asks for payment of what a pass covers: it does not know the pass yet. Shows it again, in whatever form there is.
    ///
    /// # Errors
    /// The seller cannot be reached.
    pub async fn show_pass(&self, seller: &Seller<'_>) -> Result<(), BuyError> {
        let purchase = self.purchase(seller)?;
        let _setup = purchase.setup.lock().await;
        // The receipt that bought it may have been lost with this node's or the seller's memory.
        if purchase.grant_in_use().is_none()
            && let Some(grant) = self.present_again(&purchase, seller.tariff, Left::Nothing)?
        {
            self.accepted(&purchase, grant).await?;
        }
        // Or another device of the site's, or of this account's, has sold or bought it.
        match self.fetch_passes_of(seller.site).await {
            Ok(0) => {}
            Ok(_) => purchase.lost(),
            Err(error) => {
                tracing::debug!(%error, site = %seller.site, "fetch the passes of a site")
            }
        }
        Ok(())
    }

    /// Another device of the account's may have bought one: asks the anchor, if it is there.
    pub(super) async fn look_for_pass(&self, site: &SiteName) {
        if let Err(error) = self.fetch_passes_of(site).await {
            tracing::debug!(%error, %site, "fetch the passes of a site");
        }
    }

    /// Buys the pass of `rule`, unless another session has done so meanwhile.
    pub(super) fn buy_pass_once(
        &self,
        seller: &Seller<'_>,
        purchase: &Purchase,
        rule: usize,
    ) -> Result<(), Reject> {
        let _one_at_a_time = self.0.buying_pass.lock();
        match self.has_pass(seller.site, seller.tariff, rule) {
            Ok(true) => Ok(()),
            Ok(false) => {
                purchase.buy_pass(rule)?;
                self.0.pass_bought.notify_one();
                Ok(())
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "read the passes");
                Err(Reject::STORE_FAILED)
            }
        }
    }

    /// Fetches the issuer's word for passes that were bought, for as long as the node runs: soon, and then ever less often, since it is the seller
    /// who settles them.
    pub(super) async fn follow_passes(&self) {
        let mut pause = FETCH_FIRST;
        loop {
            let is_done = match self.fetch_passes().await {
                Ok(is_done) => is_done,
                Err(error) => {
                    tracing::info!(%error, "bought passes are fetched later");
                    false
                }
            };
            let bought = self.0.pass_bought.notified();
            let is_new = if is_done {
                bought.await;
                true
            } else {
                tokio::time::timeout(pause, bought).await.is_ok()
            };
            pause = if is_new {
                FETCH_FIRST
            } else {
                (2 * pause).min(FETCH_LAST)
            };
        }
    }

    /// Whether none is left to be fetched.
    async fn fetch_passes(&self) -> Result<bool, FetchPassError> {
        let store = &self.0.parts.store;
        let bought = store.passes_to_fetch().map_err(StoreError::from)?;
        let now = self.0.parts.clock.now();
        let sites: BTreeSet<&SiteName> = bought.iter().map(|row| &row.pass.site).collect();
        for site in sites {
            self.fetch_passes_of(site).await?;
        }
        let standing = self.0.parts.standing.borrow().clone();
        let known = bought
            .iter()
            .map(|row| &row.pass)
            .filter(|pass| now >= pass.until || standing.has_pass(&pass.site, &pass.pattern, now));
        let known: Vec<Event> = known.cloned().map(Event::PassKnown).collect();
        if !known.is_empty() {
            store.record_durably(&known).await?;
        }
        Ok(known.len() == bought.len())
    }

    /// Fetches the account's passes for one site, and keeps them; how many there are.
    async fn fetch_passes_of(&self, site: &SiteName) -> Result<usize, FetchPassError> {
        let parts = &self.0.parts;
        let passes = parts.broker.passes(site).await?;
        let number = passes.len();
        parts.keeper.take_passes(passes, parts.clock.now())?;
        Ok(number)
    }
}
