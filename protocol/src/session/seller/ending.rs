//! A buyer's word that it is done with a grant. It may come long after the grant's session: from a process that found the grant in its journal, under a
//! price list that holds no more, or for a grant that was never presented here.
//!
//! What was signed counts as it does in a session, by the same rules and against the same debts. Nothing is served for it, and no grant that is in use
//! loses its place to one that ends.

use super::{Effect, Remembered, Seller, SellerEvent, Tab};
use crate::{
    ids::GrantId,
    record::{grant::Grant, receipt::Receipt, tariff::Tariff},
    reject::Reject,
    sealed::{Sealed, Trust},
    session::{exposure::Exposure, frame::Ending, moment::Moment},
};

/// An [`Ending`] whose signatures were checked.
#[derive(Debug, Clone)]
pub struct EndedGrant {
    grant: Sealed<Grant>,
    tariff: Sealed<Tariff>,
    receipt: Option<Sealed<Receipt>>,
}

impl EndedGrant {
    /// Checks the signatures of what an ending encloses.
    ///
    /// # Errors
    /// The buyer's fault.
    pub fn verify(ending: Ending, trust: &Trust) -> Result<Self, Reject> {
        Ok(Self {
            grant: ending.grant.verify(trust)?,
            tariff: ending.tariff.verify(trust)?,
            receipt: ending
                .receipt
                .map(|receipt| receipt.verify(trust))
                .transpose()?,
        })
    }

    /// The grant.
    pub fn grant(&self) -> &Sealed<Grant> {
        &self.grant
    }

    /// The price list that it names.
    pub fn tariff(&self) -> &Sealed<Tariff> {
        &self.tariff
    }
}

impl Seller {
    /// Takes what a buyer that is done with a grant has signed last under it, and gives the highest receipt that is held then. The same again changes
    /// nothing; an older one neither: the buyer goes on from what it is given. What the journal says of the grant comes from `remembered`.
    ///
    /// # Errors
    /// In this order: the session is over; the grant or the price list names somebody or something else; nothing can be settled any more; the receipt
    /// does not follow.
    pub fn handle_ending(
        &mut self,
        ended: EndedGrant,
        remembered: impl FnOnce(&Grant) -> Remembered,
        exposure: &mut Exposure,
        now: Moment,
    ) -> Result<Option<Sealed<Receipt>>, Reject> {
        self.require_not_closed()?;
        self.require_own(&ended)?;
        if now.time >= ended.grant.settle_until {
            return Err(Reject::GRANT_EXPIRED);
        }
        let EndedGrant {
            grant,
            tariff,
            receipt,
        } = ended;
        let id = grant.id;
        let news = receipt.as_ref();
        if self.is_resting(id) && news.is_some_and(|receipt| self.is_news_of_resting(receipt)) {
            self.recall(id, remembered, now)?;
        } else if !self.is_resting(id) && self.tab(id).is_none() {
            let remembered = remembered(&grant);
            let tab = Tab::new(grant, tariff, remembered);
            return self.end_unknown(tab, receipt, exposure, now);
        }
        if let Some(receipt) = receipt.filter(|receipt| is_news(self.held_of(id), receipt)) {
            self.take_receipt(receipt, None, exposure, now)?;
        }
        Ok(self.held_of(id).cloned())
    }

    /// Of a grant that this session does not know, or no more.
    fn end_unknown(
        &mut self,
        mut tab: Tab,
        receipt: Option<Sealed<Receipt>>,
        exposure: &mut Exposure,
        now: Moment,
    ) -> Result<Option<Sealed<Receipt>>, Reject> {
        if let Some(receipt) = receipt.filter(|receipt| is_news(tab.receipt.as_ref(), receipt)) {
            let effect = tab.honour(exposure, &self.terms.account, &receipt)?;
            if let Effect::Honoured { passes } = effect {
                for (rule, count) in passes {
                    self.grow_pass(tab.rule(rule).cloned(), tab.id(), count, now);
                }
                self.events.push_back(SellerEvent::Honoured(receipt));
            }
            if tab.is_final() {
                self.events.push_back(SellerEvent::Final(tab.id()));
            }
        }
        Ok(tab.receipt)
    }

    fn require_own(&self, ended: &EndedGrant) -> Result<(), Reject> {
        let (own, grant, tariff) = (&self.terms.passport, &ended.grant, &ended.tariff);
        let is_ours = grant.seller == own.account
            && grant.seller_key == own.device
            && grant.buyer == self.terms.account
            && grant.buyer_key == self.terms.buyer
            && grant.site == self.terms.site;
        let is_its_list = tariff.device == own.device
            && tariff.site == grant.site
            && tariff.tariff_hash() == grant.tariff
            && tariff.rules.len() == grant.quotas.len();
        if is_ours && is_its_list {
            Ok(())
        } else {
            Err(Reject::GRANT_NOT_FOR_US)
        }
    }

    /// The highest receipt of a grant that this session knows.
    fn held_of(&self, id: GrantId) -> Option<&Sealed<Receipt>> {
        let resting = self.resting.iter().map(|one| &one.tab);
        let tab = self.tabs.iter().chain(resting).find(|tab| tab.id() == id);
        tab.and_then(|tab| tab.receipt.as_ref())
    }
}

/// Nothing is news after a final receipt: who signed another is shown the one that stands.
fn is_news(held: Option<&Sealed<Receipt>>, shown: &Receipt) -> bool {
    held.is_none_or(|held| !held.is_final && shown.sequence > held.sequence)
}
