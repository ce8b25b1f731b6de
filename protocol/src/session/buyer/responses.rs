//! Responses: what is counted of them, and what is signed for.

use super::{
    ANSWER_EVERY, BROKEN_BODIES_MAX, Buyer, BuyerEvent, Ended, Head, Price, RECEIPT_AFTER,
    REPEAT_EVERY, RESPONSES_MAX, Response, State, tab::Unit,
};
use crate::{
    ids::GrantId,
    record::receipt::Counters,
    reject::Reject,
    rules::{metering::RequestKey, receipt::covers},
    sealed::Sealed,
    session::{
        frame::{BuyerFrame, ResponseId, Signed},
        moment::Moment,
    },
};

impl Buyer {
    /// A successful head has come that names a response with a price. If its request has one, it is signed for: at once, or as soon as something of
    /// the body before it has come.
    ///
    /// # Errors
    /// The response is to be cancelled: nothing was counted.
    pub fn open_response(&mut self, head: &Head, now: Moment) -> Result<(), Reject> {
        if let Some(reason) = self.stopped {
            return Err(reason);
        }
        if self.responses.len() >= RESPONSES_MAX {
            return Err(Reject::BUSY);
        }
        self.count_time(now);
        let is_free = self.has_pass(head.rule, now.time);
        let tab = self.current.as_ref().ok_or(Reject::PAYMENT_REQUIRED)?;
        let rule = tab.rule(head.rule).ok_or(Reject::FIELD_OUT_OF_BOUNDS)?;
        let is_known = head.key.is_some_and(|key| tab.has_counted(&key));
        let to_pay = !is_free && !is_known && !head.is_paid && !rule.per_request.is_zero();
        if to_pay {
            self.refuse_request(head)?;
        }
        let price = match (is_free || !rule.has_price(), to_pay) {
            (true, _) => Price::Free,
            (false, true) => Price::ToBePaid,
            (false, false) => Price::Counted,
        };
        let grant = tab.id();
        if let Some(key) = head.key.filter(|_| head.is_paid && !is_free)
            && let Some(tab) = &mut self.current
        {
            tab.note_request(key);
        }
        self.responses.insert(
            head.response,
            Response {
                grant,
                rule: head.rule,
                key: head.key,
                price,
            },
        );
        if price == Price::ToBePaid {
            self.to_pay.push_back(head.response);
            self.pay_requests(now)?;
        }
        self.look_for_successor(grant, now);
        Ok(())
    }

    /// Whether the price of this request is paid already under the grant in use, by this buyer's own count or as the seller says.
    pub fn has_had(&self, head: &Head) -> bool {
        let is_known = |key: &RequestKey| {
            self.current
                .as_ref()
                .is_some_and(|tab| tab.has_counted(key))
        };
        head.is_paid || head.key.as_ref().is_some_and(is_known)
    }

    /// Octets of a response's content have come, or of a WebSocket's payload in either direction. Signs when half a window is unreceipted.
    ///
    /// # Errors
    /// [`Reject::BUDGET_EXCEEDED`]: to be cancelled; what was over the budget is not counted. [`Reject::SESSION_UNKNOWN`]: it is not open.
    pub fn received(
        &mut self,
        response: ResponseId,
        octets: u64,
        now: Moment,
    ) -> Result<(), Reject> {
        let one = self
            .responses
            .get_mut(&response)
            .ok_or(Reject::SESSION_UNKNOWN)?;
        let (grant, rule) = (one.grant, one.rule);
        match one.price {
            Price::Free => return Ok(()),
            Price::Unproven(_) => {
                one.price = Price::Counted;
                self.broken_bodies = 0;
                self.pay_requests(now)?;
            }
            Price::ToBePaid => self.pay_served(response, now)?,
            Price::Counted => {}
        }
        // What is beyond the grant, and not beyond the budget, the seller sent at its own risk.
        self.count_octets(grant, rule, octets, now).map(|_| ())
    }

    /// A response has ended.
    pub fn close_response(&mut self, response: ResponseId, ended: Ended, now: Moment) {
        self.count_time(now);
        let is_to_be_paid = self
            .responses
            .get(&response)
            .is_some_and(|one| one.price == Price::ToBePaid);
        if ended == Ended::Complete
            && is_to_be_paid
            && let Err(reject) = self.pay_served(response, now)
        {
            self.stop(reject);
        }
        let Some(one) = self.responses.remove(&response) else {
            return;
        };
        self.to_pay.retain(|waiting| *waiting != response);
        let is_unproven = matches!(one.price, Price::Unproven(_));
        match ended {
            Ended::Complete | Ended::Cancelled => {}
            Ended::Failed if is_unproven => self.stop(Reject::BODY_NOT_DELIVERED),
            Ended::Interrupted if is_unproven => {
                self.broken_bodies = self.broken_bodies.saturating_add(1);
                if self.broken_bodies >= BROKEN_BODIES_MAX {
                    self.stop(Reject::BODY_NOT_DELIVERED);
                }
            }
            Ended::Failed | Ended::Interrupted => {}
        }
        if let Err(reject) = self.pay_requests(now) {
            self.stop(reject);
        }
        self.sign_if_due(one.grant, now);
        self.end_former(now);
    }

    /// Buys a pass: signed for at once. The seller honours it from then on; the issuer's own word comes with the next sign-in.
    ///
    /// # Errors
    /// Nothing was bought.
    pub fn buy_pass(&mut self, rule: usize, now: Moment) -> Result<(), Reject> {
        if let Some(reason) = self.stopped {
            return Err(reason);
        }
        let tab = self.current.as_ref().ok_or(Reject::PAYMENT_REQUIRED)?;
        let priced = tab.rule(rule).ok_or(Reject::FIELD_OUT_OF_BOUNDS)?;
        let offer = priced.pass.ok_or(Reject::PASS_NOT_VALID)?;
        let pattern = priced.pattern.clone();
        let wanted = Counters {
            passes: 1,
            ..Counters::default()
        };
        self.refuse_over_limit(rule, &wanted)?;
        let id = tab.id();
        if let Some(tab) = self.tab_mut(id) {
            tab.counters[rule].passes += 1;
        }
        self.sign(id, None, false, now)?;
        let days = std::time::Duration::from_secs(u64::from(offer.days) * 86_400);
        let held = self.passes.iter().find(|(held, _)| *held == pattern);
        let from = held.map_or(now.time, |(_, until)| (*until).max(now.time));
        self.add_pass(&pattern, from.plus(days));
        Ok(())
    }

    /// Time has passed. Early or repeated calls change nothing that they should not.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.count_time(now);
        let patience = self.terms.patience;
        let is_late = self.responses.values().any(|one| match one.price {
            Price::Unproven(since) => now.instant.saturating_duration_since(since) >= patience,
            Price::Free | Price::ToBePaid | Price::Counted => false,
        });
        if is_late {
            self.stop(Reject::BODY_NOT_DELIVERED);
        }
        if self
            .successor_awaited_until()
            .is_some_and(|until| until <= now.instant)
        {
            self.give_up_successor(now);
        }
        for id in self.ids() {
            self.sign_if_due(id, now);
        }
        self.look_for_used_up(now);
    }

    pub(super) fn ids(&self) -> Vec<GrantId> {
        self.former
            .iter()
            .chain(&self.current)
            .map(super::Tab::id)
            .collect()
    }

    pub(super) fn stop(&mut self, reason: Reject) {
        for one in self.responses.values_mut() {
            if matches!(one.price, Price::Unproven(_)) {
                one.price = Price::Counted;
            }
        }
        self.to_pay.clear();
        if self.stopped.is_none() {
            self.stopped = Some(reason);
            self.events.push_back(BuyerEvent::Stopped(reason));
        }
    }

    /// Counts octets under a grant. Gives how many are beyond it, and not beyond the budget.
    pub(super) fn count_octets(
        &mut self,
        grant: GrantId,
        rule: usize,
        octets: u64,
        now: Moment,
    ) -> Result<u64, Reject> {
        let Some(tab) = self.tabs().find(|tab| tab.id() == grant) else {
            return Err(Reject::GRANT_UNKNOWN);
        };
        let limit = self.limit_of(tab);
        let is_budget = limit < tab.grant.amount_max;
        let (counted, held) = self.count_or_hold(grant, rule, octets, now);
        self.sign_if_due(grant, now);
        self.look_for_successor(grant, now);
        let beyond = octets - (counted + held);
        if beyond > 0 && is_budget {
            return Err(Reject::BUDGET_EXCEEDED);
        }
        Ok(beyond)
    }

    fn refuse_request(&self, head: &Head) -> Result<(), Reject> {
        let waiting = self.to_pay.iter().filter_map(|id| self.responses.get(id));
        let waiting = waiting.filter(|one| one.rule == head.rule).count() as u64;
        let wanted = Counters {
            requests: waiting + 1,
            ..Counters::default()
        };
        if self
            .current
            .as_ref()
            .is_some_and(|tab| !tab.has_room_for_key())
        {
            return Err(Reject::GRANT_EXHAUSTED);
        }
        self.refuse_over_limit(head.rule, &wanted)
    }

    fn refuse_over_limit(&self, rule: usize, wanted: &Counters) -> Result<(), Reject> {
        let tab = self.current.as_ref().ok_or(Reject::PAYMENT_REQUIRED)?;
        if !tab.fits(rule, wanted, tab.grant.amount_max) {
            return Err(Reject::GRANT_EXHAUSTED);
        }
        if !tab.fits(rule, wanted, self.limit_of(tab)) {
            return Err(Reject::BUDGET_EXCEEDED);
        }
        Ok(())
    }

    /// Signs for requests in their order, while none that costs something is unproven: so no seller ever takes more than one request's price and
    /// sends nothing.
    pub(super) fn pay_requests(&mut self, now: Moment) -> Result<(), Reject> {
        while let Some(response) = self.to_pay.front().copied() {
            let Some(one) = self.responses.get(&response).copied() else {
                self.to_pay.pop_front();
                continue;
            };
            let unit = Counters {
                requests: 1,
                ..Counters::default()
            };
            let Some(tab) = self.tabs().find(|tab| tab.id() == one.grant) else {
                self.to_pay.pop_front();
                continue;
            };
            let costs_nothing = tab.fits(one.rule, &unit, tab.amount());
            let is_unproven = self
                .responses
                .values()
                .any(|one| matches!(one.price, Price::Unproven(_)));
            if !costs_nothing
                && (is_unproven || self.waits_for_free(one.grant, one.rule, Unit::Requests, now))
            {
                return Ok(());
            }
            let Some(tab) = self.tabs().find(|tab| tab.id() == one.grant) else {
                continue;
            };
            let is_within = tab.fits(one.rule, &unit, self.limit_of(tab));
            self.to_pay.pop_front();
            if !is_within {
                return Err(Reject::BUDGET_EXCEEDED);
            }
            let price = if costs_nothing {
                Price::Counted
            } else {
                Price::Unproven(now.instant)
            };
            if let Some(tab) = self.tab_mut(one.grant) {
                tab.count_request(one.rule, one.key);
            }
            if let Some(one) = self.responses.get_mut(&response) {
                one.price = price;
            }
            self.sign(one.grant, Some(response), false, now)?;
        }
        Ok(())
    }

    /// The seller serves a request that waits to be paid, with what was signed for another: it is paid at once, or the other would wait for ever.
    fn pay_served(&mut self, response: ResponseId, now: Moment) -> Result<(), Reject> {
        self.to_pay.retain(|waiting| *waiting != response);
        let Some(one) = self.responses.get_mut(&response) else {
            return Ok(());
        };
        one.price = Price::Counted;
        let (id, rule, key) = (one.grant, one.rule, one.key);
        let unit = Counters {
            requests: 1,
            ..Counters::default()
        };
        let tab = self.tabs().find(|tab| tab.id() == id);
        if !tab.is_some_and(|tab| tab.fits(rule, &unit, self.limit_of(tab))) {
            return Err(Reject::BUDGET_EXCEEDED);
        }
        if let Some(tab) = self.tab_mut(id) {
            tab.count_request(rule, key);
        }
        self.sign(id, Some(response), false, now)
    }

    /// Signs when half a window is unreceipted, when the seller waits for what has come, or when it has been long enough.
    pub(super) fn sign_if_due(&mut self, id: GrantId, now: Moment) {
        let half = self.half_window();
        let Some(tab) = self.tabs().find(|tab| tab.id() == id) else {
            return;
        };
        if tab.unreceipted.is_zero() {
            return self.repeat_if_asked(id, now);
        }
        let since = *self.unsigned_since.get_or_insert(now.instant);
        let waited = |since| now.instant.saturating_duration_since(since);
        let tab = self.tabs().find(|tab| tab.id() == id);
        let is_answer = self
            .asked
            .as_ref()
            .filter(|asked| asked.need.grant == id)
            .is_some_and(|asked| {
                tab.is_some_and(|tab| covers(&tab.counters, &asked.need.counters))
                    || self
                        .signed_at
                        .is_none_or(|signed| waited(signed) >= ANSWER_EVERY)
            });
        let is_half = tab.is_some_and(|tab| tab.unreceipted >= half);
        let is_due = is_half || is_answer || waited(since) >= RECEIPT_AFTER;
        if is_due && let Err(reject) = self.sign(id, None, false, now) {
            self.stop(reject);
        }
    }

    /// The seller waits and there is nothing new: the receipt it has is the buyer's last word for now.
    fn repeat_if_asked(&mut self, id: GrantId, now: Moment) {
        let is_asked = self
            .asked
            .as_ref()
            .is_some_and(|asked| asked.need.grant == id);
        let is_recent = self
            .repeated_at
            .is_some_and(|at| now.instant.saturating_duration_since(at) < REPEAT_EVERY);
        if !is_asked || self.is_open(id) || is_recent {
            return;
        }
        self.asked = None;
        self.repeated_at = Some(now.instant);
        let latest = self.tab_mut(id).and_then(|tab| tab.receipt.clone());
        match latest {
            Some(receipt) => self.transmit(&receipt, None),
            None => {
                if let Err(reject) = self.sign(id, None, false, now) {
                    self.stop(reject);
                }
            }
        }
    }

    /// Signs for what is counted under a grant.
    pub(super) fn sign(
        &mut self,
        id: GrantId,
        response: Option<ResponseId>,
        is_final: bool,
        now: Moment,
    ) -> Result<(), Reject> {
        let network = self.terms.network;
        let key = &self.key;
        let tab = self
            .former
            .iter_mut()
            .chain(&mut self.current)
            .find(|tab| tab.id() == id);
        let Some(tab) = tab else {
            return Err(Reject::GRANT_UNKNOWN);
        };
        if tab.is_final() {
            return Err(Reject::RECEIPT_AFTER_FINAL);
        }
        let receipt = tab.sign(key, network, is_final, now.time)?;
        self.signed_at = Some(now.instant);
        self.unsigned_since = None;
        let is_answered = self.asked.as_ref().is_some_and(|asked| {
            asked.need.grant == id && covers(&receipt.counters, &asked.need.counters)
        });
        if is_answered {
            self.asked = None;
        }
        self.transmit(&receipt, response);
        self.events.push_back(if is_final {
            BuyerEvent::Final(receipt)
        } else {
            BuyerEvent::Signed(receipt)
        });
        Ok(())
    }

    pub(super) fn transmit(
        &mut self,
        receipt: &Sealed<crate::record::receipt::Receipt>,
        response: Option<ResponseId>,
    ) {
        // While away nothing is queued: Hello and what follows Welcome say it all.
        if self.state == State::Open {
            let receipt = receipt.to_unverified();
            self.frames
                .push_back(BuyerFrame::Receipt(Box::new(Signed { receipt, response })));
        }
    }
}
