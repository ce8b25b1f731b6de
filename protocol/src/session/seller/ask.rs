//! Requests whose price must be looked after before the personal web server is asked: those that upload, and those that change something.
//!
//! What they upload is taken from the window as it comes, and is owed whatever the answer. What they change is had for nothing by nobody more than
//! once: a price per request is due after a successful head, so one account has one such request that is not receipted at a time.

use super::{Gate, Opened, Opening, RESPONSES_MAX, Response, Seller, Terms};
use crate::{
    ids::GrantId,
    reject::Reject,
    rules::metering::RequestKey,
    session::{exposure::Exposure, frame::ResponseId, moment::Moment},
};

impl Seller {
    /// Opens the response to a request under `rule` before the personal web server is asked; `acts` says whether asking changes anything there.
    /// What is uploaded may go as [`Self::take_uploaded`] says.
    ///
    /// # Errors
    /// The request is not to be passed on: as [`Self::open_response`]; and [`Reject::RECEIPT_OVERDUE`] of what acts, while the account owes its window
    /// or the price of another such request.
    pub fn ask(
        &mut self,
        exposure: &mut Exposure,
        rule: usize,
        acts: bool,
        now: Moment,
    ) -> Result<Opened, Reject> {
        self.require_open()?;
        if self.responses.len() >= RESPONSES_MAX {
            return Err(Reject::BUSY);
        }
        let opening = Opening {
            rule,
            key: None,
            offset: None,
        };
        let priced = self.terms.tariff.rules.get(rule);
        let priced = priced.ok_or(Reject::FIELD_OUT_OF_BOUNDS)?;
        if self.has_pass(rule, now.time) || !priced.has_price() {
            let free = Response::new(GrantId([0; 16]), &opening, Gate::Free);
            return Ok(self.insert(free, Terms::Free));
        }
        if priced.is_pass_only() {
            return Err(Reject::PAYMENT_REQUIRED);
        }
        self.count_time(exposure, now);
        exposure.forgive(&self.terms.account, now.time);
        let at = self.usable(now.time)?;
        let mut response = Response::new(self.tabs[at].id(), &opening, Gate::Asked);
        response.acts = acts;
        self.refuse_debtor(exposure, at, &response)?;
        self.refuse_used_up(at, rule)?;
        if acts {
            self.refuse_second_act(exposure, at, &mut response, now)?;
        }
        Ok(self.insert(response, Terms::Metered))
    }

    /// The personal web server answers with a successful head what [`Self::ask`] has opened; from here on it is a response like others.
    ///
    /// # Errors
    /// The head is not to be sent: what [`Self::open_response`] says of a request's price. The response is to be closed.
    pub fn answer(
        &mut self,
        exposure: &mut Exposure,
        response: ResponseId,
        key: Option<RequestKey>,
        offset: Option<u64>,
        now: Moment,
    ) -> Result<Terms, Reject> {
        self.require_open()?;
        let asked = self.responses.get(&response).copied();
        let asked = asked.ok_or(Reject::SESSION_UNKNOWN)?;
        match asked.gate {
            Gate::Free => return Ok(Terms::Free),
            Gate::Asked => {}
            Gate::Due | Gate::Metered => return Err(Reject::FRAME_UNEXPECTED),
        }
        self.count_time(exposure, now);
        let at = self.tabs.iter().position(|tab| tab.id() == asked.grant);
        let at = at.ok_or(Reject::GRANT_UNKNOWN)?;
        // Out of the way, so that it does not wait for itself.
        self.responses.remove(&response);
        let from = offset.unwrap_or_default();
        let mut one = Response {
            key,
            gate: Gate::Metered,
            from,
            position: from,
            has_offset: offset.is_some(),
            ..asked
        };
        let is_known = self.recognise(at, &mut one);
        if !is_known && let Err(reject) = self.price_request(at, &mut one) {
            self.responses.insert(response, asked);
            return Err(reject);
        }
        if one.is_paid && one.is_on_credit {
            exposure.act_is_paid(&self.terms.account);
            one.is_on_credit = false;
        }
        let terms = self.terms_of(&one, now);
        self.responses.insert(response, one);
        self.count_time(exposure, now);
        Ok(terms)
    }

    /// The answer to what [`Self::ask`] has opened does not count: its request costs nothing. The response is to be closed.
    pub fn answer_uncounted(&mut self, exposure: &mut Exposure, response: ResponseId) {
        let asked = self.responses.get_mut(&response);
        if let Some(one) = asked.filter(|one| one.gate == Gate::Asked && one.is_on_credit) {
            one.is_on_credit = false;
            exposure.act_is_paid(&self.terms.account);
        }
    }

    /// Refuses what the grant in use has nothing left for.
    fn refuse_used_up(&self, at: usize, rule: usize) -> Result<(), Reject> {
        let tab = &self.tabs[at];
        let due = self.due(tab.id(), rule);
        let has_place = !tab.has_request_price(rule)
            || tab.slots(rule) > due
            || (!tab.requests.is_full() && tab.has_room_for_request(rule, due));
        if has_place && tab.has_room_for_use(rule) {
            Ok(())
        } else {
            Err(Reject::GRANT_EXHAUSTED)
        }
    }

    /// Refuses an effect to an account that owes its window, or the price of another one.
    fn refuse_second_act(
        &self,
        exposure: &mut Exposure,
        at: usize,
        response: &mut Response,
        now: Moment,
    ) -> Result<(), Reject> {
        let (tab, account) = (&self.tabs[at], &self.terms.account);
        if exposure.room(account, tab.floor()).is_zero() {
            return Err(Reject::RECEIPT_OVERDUE);
        }
        let is_paid_ahead = tab.slots(response.rule) > self.due(tab.id(), response.rule);
        if tab.has_request_price(response.rule) && !is_paid_ahead {
            exposure.act(account, now.time)?;
            response.is_on_credit = true;
        }
        Ok(())
    }
}
