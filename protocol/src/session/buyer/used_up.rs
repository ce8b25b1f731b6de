//! Responses that the grant in use, or the budget, has nothing left for. Where no successor is to be had they are given up soon, rather than left to
//! a seller that waits in vain.

use std::time::{Duration, Instant};

use super::{Buyer, BuyerEvent, Price, Response, tab::Successor};
use crate::{
    reject::Reject,
    rules::rating::{millisecond_price, octet_price},
    session::{frame::ResponseId, moment::Moment},
};

/// A response that nothing is left for is given up after this long: one that is just whole ends by itself.
const USED_UP_FOR: Duration = Duration::from_secs(1);

impl Buyer {
    /// Looks for responses that nothing is left for. A successor is asked for once more, since the budget may have been raised; then they are given up.
    pub(super) fn look_for_used_up(&mut self, now: Moment) {
        let responses = self.used_up();
        if responses.is_empty() {
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
        let is_asked = matches!(tab.successor, Successor::Asked(_));
        if !is_asked && !tab.has_asked_last {
            tab.has_asked_last = true;
            tab.successor = Successor::Asked(now.instant);
            self.events.push_back(BuyerEvent::NeedSuccessor(tab.id()));
        } else if !is_asked {
            let tab = self.current.as_ref();
            let is_budget = tab.is_some_and(|tab| self.limit_of(tab) < tab.grant.amount_max);
            let reason = if is_budget {
                Reject::BUDGET_EXCEEDED
            } else {
                Reject::GRANT_EXHAUSTED
            };
            self.events
                .push_back(BuyerEvent::UsedUp { responses, reason });
        }
    }

    /// When a response that nothing is left for is to be looked at.
    pub(super) fn used_up_until(&self) -> Option<Instant> {
        self.used_up_since.map(|since| since + USED_UP_FOR)
    }

    fn used_up(&self) -> Vec<ResponseId> {
        let Some(tab) = &self.current else {
            return Vec::new();
        };
        let limit = self.limit_of(tab);
        let is_used_up = |one: &Response| {
            let Some(rule) = tab.rule(one.rule) else {
                return false;
            };
            let has_octets = octet_price(rule).is_zero() || tab.octets_within(one.rule, limit) > 0;
            let has_time =
                millisecond_price(rule).is_zero() || tab.millis_within(one.rule, limit) > 0;
            one.grant == tab.id() && one.price == Price::Counted && !(has_octets && has_time)
        };
        let open = self.responses.iter();
        open.filter(|(_, one)| is_used_up(one))
            .map(|(id, _)| *id)
            .collect()
    }
}
