//! Which of the grants that a session knows is in use, and which make way for others.
//!
//! A buyer's process that dies leaves its grants behind, and may never come back to them. They must not keep the next one out: the one presented longest
//! ago under which nothing is open or owed rests. It keeps its counts for as long as the journal may lag behind, and is recalled when the buyer
//! presents it again or signs under it; after that the journal says the same.

use std::time::Instant;

use super::{RESTING_MAX, Remembered, Seller, TABS_MAX, Tab, WRITTEN_WITHIN};
use crate::{
    ids::GrantId,
    record::{grant::Grant, receipt::Receipt},
    reject::Reject,
    session::moment::Moment,
    time::UnixMillis,
};

/// A grant that has made way.
#[derive(Debug, Clone)]
pub(super) struct Resting {
    pub(super) tab: Tab,
    since: Instant,
}

impl Seller {
    /// The grant that new responses fall under.
    pub(super) fn current(&self) -> Option<&Tab> {
        let hash = self.tariff_hash;
        let at = self.in_use(|tab| !tab.is_final() && tab.grant.tariff == hash)?;
        self.tabs.get(at)
    }

    /// Where the grant is that new responses fall under now.
    pub(super) fn usable(&self, now: UnixMillis) -> Result<usize, Reject> {
        let hash = self.tariff_hash;
        if let Some(at) = self.in_use(|tab| tab.is_open_at(now) && tab.grant.tariff == hash) {
            return Ok(at);
        }
        match self.tabs.last() {
            None => Err(Reject::PAYMENT_REQUIRED),
            Some(tab) if tab.grant.tariff != hash => Err(Reject::TARIFF_CHANGED),
            Some(tab) if tab.is_final() => Err(Reject::PAYMENT_REQUIRED),
            Some(_) => Err(Reject::GRANT_EXPIRED),
        }
    }

    /// Of the grants that fit, the one that the buyer uses: it presented this one last, and a successor only takes over from a grant that it knows
    /// once that one is final. What it has not presented since it came is of a process that died, unless the buyer has only just come.
    fn in_use(&self, fits: impl Fn(&Tab) -> bool) -> Option<usize> {
        let last_of = |counts: &dyn Fn(&Tab) -> bool| {
            let waits = |tab: &Tab| {
                let before = tab.grant.predecessor;
                before.is_some_and(|id| self.tab(id).is_some_and(counts))
            };
            self.tabs.iter().rposition(|tab| counts(tab) && !waits(tab))
        };
        last_of(&|tab| fits(tab) && tab.is_presented).or_else(|| last_of(&fits))
    }

    /// Makes place for one more grant, with what rests.
    ///
    /// # Errors
    /// [`Reject::BUSY`] where something is open or owed under each, or too many have made way just now.
    pub(super) fn make_place(&mut self, now: Moment) -> Result<(), Reject> {
        if self.tabs.len() < TABS_MAX {
            return Ok(());
        }
        let is_idle = |tab: &Tab| {
            let is_open = self.responses.values().any(|one| one.grant == tab.id());
            !is_open && tab.is_settled()
        };
        let at = self.tabs.iter().position(is_idle).ok_or(Reject::BUSY)?;
        if self.resting.len() >= RESTING_MAX {
            let is_written = self.resting.front().is_some_and(|one| {
                now.instant.saturating_duration_since(one.since) >= WRITTEN_WITHIN
            });
            if !is_written {
                return Err(Reject::BUSY);
            }
            self.resting.pop_front();
        }
        let mut tab = self.tabs.remove(at);
        tab.rest();
        self.resting.push_back(Resting {
            tab,
            since: now.instant,
        });
        Ok(())
    }

    /// Whether `grant` has made way and its counts are still here.
    pub(super) fn is_resting(&self, grant: GrantId) -> bool {
        self.resting.iter().any(|one| one.tab.id() == grant)
    }

    /// Whether `receipt` is of a grant that rests, and newer than what was honoured.
    pub(super) fn is_news_of_resting(&self, receipt: &Receipt) -> bool {
        self.resting.iter().any(|one| {
            let known = one.tab.receipt.as_ref().map_or(0, |known| known.sequence);
            one.tab.id() == receipt.grant && receipt.sequence > known
        })
    }

    /// A grant that has made way is wanted again.
    ///
    /// # Errors
    /// [`Reject::BUSY`] where no other can make way for it.
    pub(super) fn recall(
        &mut self,
        grant: GrantId,
        remembered: impl FnOnce(&Grant) -> Remembered,
        now: Moment,
    ) -> Result<(), Reject> {
        let at = self.resting.iter().position(|one| one.tab.id() == grant);
        let at = at.ok_or(Reject::GRANT_UNKNOWN)?;
        let one = self.resting.remove(at);
        let mut one = one.ok_or(Reject::GRANT_UNKNOWN)?;
        self.drop_finished();
        if let Err(reject) = self.make_place(now) {
            self.resting.insert(at, one);
            return Err(reject);
        }
        one.tab.wake(remembered(&one.tab.grant));
        // Signed for is not presented: whether the buyer goes on with it, it says by presenting it.
        one.tab.is_presented = false;
        self.tabs.push(one.tab);
        Ok(())
    }
}
