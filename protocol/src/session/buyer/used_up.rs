//! Responses and uploads that the grant in use, or the budget, has nothing left for. Where no successor is to be had they are given up soon, rather
//! than left to a seller that waits in vain.

use std::time::{Duration, Instant};

use super::{
    Buyer, BuyerEvent, Price, Response, UploadId,
    succession::SUCCESSOR_WITHIN,
    tab::{Successor, Tab},
};
use crate::{
    reject::Reject,
    rules::rating::{millisecond_price, octet_price},
    session::{frame::ResponseId, moment::Moment},
};

/// A response or an upload that nothing is left for is given up after this long: one that is just whole ends by itself.
const USED_UP_FOR: Duration = Duration::from_secs(1);

impl Buyer {
    /// Looks for what nothing is left for. A successor is asked for once more, since the budget may have been raised; then they are given up.
    pub(super) fn look_for_used_up(&mut self, now: Moment) {
        let (responses, uploads) = (self.responses_used_up(), self.uploads_used_up());
        if responses.is_empty() && uploads.is_empty() {
            self.used_up_since = None;
            if let Some(tab) = &mut self.current {
                tab.has_asked_last = false;
            }
            return;
        }
        let since = *self.used_up_since.get_or_insert(now.instant);
        let is_new = now.instant.saturating_duration_since(since) < USED_UP_FOR;
        if is_new || self.next.is_some() {
            return;
        }
        let Some(tab) = &mut self.current else {
            return;
        };
        let is_asked = tab.awaits_successor(SUCCESSOR_WITHIN, now.instant);
        let is_unanswered = !is_asked && matches!(tab.successor, Successor::Asked(_));
        if !is_asked && !tab.has_asked_last {
            tab.has_asked_last = true;
            tab.successor = Successor::Asked(now.instant);
            self.events.push_back(BuyerEvent::NeedSuccessor(tab.id()));
        } else if !is_asked {
            let tab = self.current.as_ref();
            let is_budget = tab.is_some_and(|tab| self.limit_of(tab) < tab.grant.amount_max);
            let reason = if is_unanswered {
                Reject::ANCHOR_UNREACHABLE
            } else if is_budget {
                Reject::BUDGET_EXCEEDED
            } else {
                Reject::GRANT_EXHAUSTED
            };
            self.events.push_back(BuyerEvent::UsedUp {
                responses,
                uploads,
                reason,
            });
        }
    }

    /// When what nothing is left for is to be looked at.
    pub(super) fn used_up_until(&self) -> Option<Instant> {
        self.used_up_since.map(|since| since + USED_UP_FOR)
    }

    fn responses_used_up(&self) -> Vec<ResponseId> {
        let Some(tab) = &self.current else {
            return Vec::new();
        };
        let limit = self.limit_of(tab);
        let is_used_up = |one: &Response| {
            let Some(rule) = tab.rule(one.rule) else {
                return false;
            };
            let has_octets = self.has_octets(tab, one.rule);
            let has_time =
                millisecond_price(rule).is_zero() || tab.millis_within(one.rule, limit) > 0;
            one.grant == tab.id() && one.price == Price::Counted && !(has_octets && has_time)
        };
        let open = self.responses.iter();
        open.filter(|(_, one)| is_used_up(one))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Time does not count before there is an answer.
    fn uploads_used_up(&self) -> Vec<UploadId> {
        let Some(tab) = &self.current else {
            return Vec::new();
        };
        let open = self.uploads.iter();
        open.filter(|(_, one)| one.is_counted_under(tab.id()) && !self.has_octets(tab, one.rule))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Whether an octet more can be paid for.
    fn has_octets(&self, tab: &Tab, rule: usize) -> bool {
        let is_free = tab
            .rule(rule)
            .is_none_or(|rule| octet_price(rule).is_zero());
        is_free || tab.octets_within(rule, self.limit_of(tab)) > 0
    }
}
