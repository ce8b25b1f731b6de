//! What was bought by the request is had again while its grant is open: without a budget, an agreement or the anchor.

use std::sync::Arc;

use madang_protocol::ids::GrantId;

use super::{BuyError, Buying, Paid, Seller, granting::Left};
use crate::store::StoreRead;

impl Buying {
    /// A session under a grant that is in hand; `None` where there is no such grant. Nothing is asked of the anchor, and what may be signed for is as
    /// agreed, or nothing.
    ///
    /// # Errors
    /// The seller cannot be reached, or refuses the grant.
    pub async fn again(&self, seller: &Seller<'_>) -> Result<Option<Paid>, BuyError> {
        // Nobody has a session with every seller whose price was looked at.
        if self.in_use_with(seller).is_none() && !self.has_in_hand(seller)? {
            return Ok(None);
        }
        let purchase = self.purchase(seller)?;
        let _setup = purchase.setup.lock().await;
        let session = self.joined(&purchase).await?;
        let wanted = match self.in_use_with(seller) {
            Some(grant) => Some(grant),
            None => self.present_again(&purchase, seller.tariff, Left::Nothing)?,
        };
        let Some(wanted) = wanted else {
            return Ok(None);
        };
        self.accepted(&purchase, wanted).await?;
        Ok(Some(Paid::new(Arc::clone(&purchase), session)))
    }

    /// The grant that a session with `seller` uses at these prices.
    fn in_use_with(&self, seller: &Seller<'_>) -> Option<GrantId> {
        let hash = seller.tariff.tariff_hash();
        let purchases = self.purchases();
        let mut own = purchases.iter().filter(|purchase| {
            purchase.seller == seller.device
                && purchase.site == *seller.site
                && !purchase.is_closed()
        });
        own.find_map(|purchase| purchase.grant_in_use())
            .filter(|(_, tariff)| *tariff == hash)
            .map(|(grant, _)| grant)
    }

    /// Whether a process before this one has left a grant of `seller`'s at these prices.
    fn has_in_hand(&self, seller: &Seller<'_>) -> Result<bool, StoreRead> {
        let (hash, now) = (seller.tariff.tariff_hash(), self.0.parts.clock.now());
        let mut last = None;
        loop {
            let (page, next) = self.0.parts.store.grants_open_after(last)?;
            let is_here = page.iter().any(|row| {
                let grant = row.grant.claims();
                grant.seller_key == seller.device
                    && grant.site == *seller.site
                    && grant.tariff == hash
                    && now < grant.spend_until
            });
            if is_here || next.is_none() {
                return Ok(is_here);
            }
            last = next;
        }
    }
}
