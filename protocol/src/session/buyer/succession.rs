//! How grants follow each other, and what waits for the next one because it may be free under it.
//!
//! The anchor gives a quota's free use out in slices, one with each grant. Where the slice of the grant in use is used up and the price list's quota is
//! larger, the buyer asks for a successor once, and holds back what would cost something: octets that have come are not counted, requests not signed
//! for, time not accepted. The seller waits for receipts meanwhile, as it does for any buyer, and no longer than it would anyway. Held back is
//! nothing for longer than [`SUCCESSOR_WITHIN`], nor where a successor found nothing left.

use std::time::{Duration, Instant};

use super::{
    Buyer, BuyerEvent, FORMER_MAX,
    tab::{Successor, Tab, Unit},
};
use crate::{
    ids::GrantId,
    reject::Reject,
    session::{frame::RuleTime, moment::Moment},
};

/// What may be free under a successor waits this long for it, less than any seller waits for a receipt; then it is paid under the grant in use.
pub(super) const SUCCESSOR_WITHIN: Duration = Duration::from_secs(5);
/// When a successor was not to be had, another is asked for after this long: the anchor may be back, or the wallet filled.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl Buyer {
    /// There is no successor of `grant` now: what waited for it is paid under the grant in use.
    pub fn handle_no_successor(&mut self, grant: GrantId, now: Moment) {
        if self.current.as_ref().map(Tab::id) == Some(grant) {
            self.give_up_successor(now);
        }
    }

    pub(super) fn give_up_successor(&mut self, now: Moment) {
        if let Some(tab) = &mut self.current {
            tab.successor = Successor::NotToBeHad(now.instant);
        }
        if let Err(reject) = self.go_on(now) {
            self.stop(reject);
        }
        self.look_for_used_up(now);
    }

    /// Until when something waits for a successor.
    pub(super) fn successor_awaited_until(&self) -> Option<Instant> {
        let tab = self.current.as_ref()?;
        let is_waited_for = tab.holds_octets() || !self.to_pay.is_empty();
        match tab.successor {
            Successor::Asked(since) if is_waited_for => Some(since + SUCCESSOR_WITHIN),
            Successor::Asked(_) | Successor::Unasked | Successor::NotToBeHad(_) => None,
        }
    }

    /// Whether what would cost something under `grant` waits for a successor under which it may be free. Asks for that successor.
    pub(super) fn waits_for_free(
        &mut self,
        grant: GrantId,
        rule: usize,
        unit: Unit,
        now: Moment,
    ) -> bool {
        let may_be_free = self.current.as_ref().is_some_and(|tab| {
            tab.id() == grant && tab.may_be_followed_by_free(rule, unit, now.time)
        });
        if !may_be_free {
            return false;
        }
        self.ask_successor(now);
        let tab = self.current.as_ref();
        tab.is_some_and(|tab| tab.awaits_successor(SUCCESSOR_WITHIN, now.instant))
    }

    /// Counts octets that have come under `grant`, as far as its amount and the budget allow; holds back what may be free under a successor. Gives how
    /// many were counted, and how many held back.
    pub(super) fn count_or_hold(
        &mut self,
        grant: GrantId,
        rule: usize,
        octets: u64,
        now: Moment,
    ) -> (u64, u64) {
        let Some(tab) = self.tabs().find(|tab| tab.id() == grant) else {
            return (0, 0);
        };
        let (limit, signed_for) = (self.limit_of(tab), tab.amount());
        let costs_more = tab.octets_within(rule, signed_for) < octets;
        let holds = costs_more && self.waits_for_free(grant, rule, Unit::Octets, now);
        let limit = if holds { signed_for.min(limit) } else { limit };
        let Some(tab) = self.tab_mut(grant) else {
            return (0, 0);
        };
        let counted = tab.count_octets(rule, octets, limit);
        let held = if holds { octets - counted } else { 0 };
        tab.hold_octets(rule, held);
        (counted, held)
    }

    /// Counts the time that the seller announces under `grant`, as far as it is acceptable; not what may be free under a successor, since the seller
    /// announces it again there.
    pub(super) fn count_millis(&mut self, grant: GrantId, announced: &RuleTime, now: Moment) {
        let rule = usize::from(announced.rule);
        let Some(tab) = self.tabs().find(|tab| tab.id() == grant) else {
            return;
        };
        let (limit, signed_for) = (self.limit_of(tab), tab.amount());
        let millis = tab.acceptable_millis(announced);
        let costs_more = tab.millis_within(rule, signed_for) < millis;
        let holds = costs_more && self.waits_for_free(grant, rule, Unit::Milliseconds, now);
        let limit = if holds { signed_for.min(limit) } else { limit };
        if let Some(tab) = self.tab_mut(grant) {
            tab.count_millis(rule, millis, limit);
        }
    }

    /// Asks for a successor where so much of `grant` is used that one is wanted.
    pub(super) fn look_for_successor(&mut self, grant: GrantId, now: Moment) {
        let is_wanted = self
            .current
            .as_ref()
            .is_some_and(|tab| tab.id() == grant && tab.wants_successor(now.time));
        if is_wanted {
            self.ask_successor(now);
        }
    }

    /// Once for each grant, and again only when it was not to be had.
    fn ask_successor(&mut self, now: Moment) {
        let has_next = self.next.is_some();
        let Some(tab) = &mut self.current else {
            return;
        };
        let is_due = match tab.successor {
            Successor::Unasked => true,
            Successor::Asked(at) | Successor::NotToBeHad(at) => {
                now.instant.saturating_duration_since(at) >= ASK_AGAIN_AFTER
            }
        };
        if !is_due {
            return;
        }
        tab.successor = Successor::Asked(now.instant);
        if !has_next {
            self.events.push_back(BuyerEvent::NeedSuccessor(tab.id()));
        }
    }

    /// The grant that was accepted takes over.
    pub(super) fn take_next(&mut self, now: Moment) -> Result<(), Reject> {
        self.count_time(now);
        let Some(mut next) = self.next.take() else {
            return Ok(());
        };
        if let Some(ended) = self.current.take() {
            let is_same_list = ended.grant.tariff == next.grant.tariff;
            let succeeds = next.grant.predecessor == Some(ended.id());
            if is_same_list && succeeds {
                let id = ended.id();
                self.current = Some(ended);
                self.sign(id, None, true, now)?;
                if let Some(mut ended) = self.current.take() {
                    ended.hand_over(&mut next, now.time);
                    let debit = ended.debit_of(ended.signed());
                    self.spent = self.spent.saturating_add(debit);
                }
                for one in self.responses.values_mut().filter(|one| one.grant == id) {
                    one.grant = next.id();
                }
                for one in self.uploads.values_mut().filter(|one| one.grant == id) {
                    one.grant = next.id();
                }
            } else {
                self.former.push(ended);
                self.count_held(now);
            }
        }
        self.current = Some(next);
        self.end_former(now);
        while self.former.len() > FORMER_MAX {
            self.end_tab(0, now);
        }
        self.go_on(now)
    }

    /// What waited goes on: under the grant in use, or by waiting for the one after it.
    fn go_on(&mut self, now: Moment) -> Result<(), Reject> {
        self.count_held(now);
        self.pay_requests(now)
    }

    /// Counts what was held back: what still may be free under a successor of the grant in use is held back again.
    fn count_held(&mut self, now: Moment) {
        for id in self.ids() {
            let held = self.tab_mut(id).map(Tab::take_held).unwrap_or_default();
            let is_any = !held.is_empty();
            for (rule, octets) in held {
                self.count_or_hold(id, rule, octets, now);
            }
            if is_any {
                self.sign_if_due(id, now);
            }
        }
    }

    /// Ends older grants under which nothing is open any more.
    pub(super) fn end_former(&mut self, now: Moment) {
        let mut at = 0;
        while let Some(id) = self.former.get(at).map(Tab::id) {
            if self.is_open(id) {
                at += 1;
            } else {
                self.end_tab(at, now);
            }
        }
    }

    fn end_tab(&mut self, at: usize, now: Moment) {
        let Some(tab) = self.former.get(at) else {
            return;
        };
        let id = tab.id();
        if !tab.is_final() {
            // A receipt that cannot be made leaves the one before it standing.
            if let Err(reject) = self.sign(id, None, true, now) {
                self.stop(reject);
            }
        }
        let ended = self.former.remove(at);
        let debit = ended.debit_of(ended.signed());
        self.spent = self.spent.saturating_add(debit);
    }

    /// Every grant ends here: what was held back is counted, since no successor comes any more.
    pub(super) fn end_all(&mut self, now: Moment) {
        self.responses.clear();
        self.uploads.clear();
        self.to_pay.clear();
        self.former.extend(self.current.take());
        self.count_held(now);
        self.end_former(now);
    }
}
