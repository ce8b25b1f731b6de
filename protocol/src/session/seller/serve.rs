//! Responses: which may go, how far, and what is counted of them.

use std::time::{Duration, Instant};

use super::{
    Gate, Opened, Opening, RESPONSES_MAX, Response, Seller, SellerEvent, TICK, Terms, tab::SlotNews,
};
use crate::{
    ids::GrantId,
    limits::TARIFF_RULES_MAX,
    reject::Reject,
    rules::rating::{millisecond_price, octet_price},
    session::{
        exposure::Exposure,
        frame::{Elapsed, NeedReceipt, Refused, ResponseId, RuleTime, SellerFrame},
        moment::Moment,
    },
};

impl Seller {
    /// Opens a response that is counted, before its head is sent.
    ///
    /// # Errors
    /// Nothing was opened: no grant, one that ran out, another price list, a debt, or too much at once.
    pub fn open_response(
        &mut self,
        exposure: &mut Exposure,
        opening: &Opening,
        now: Moment,
    ) -> Result<Opened, Reject> {
        self.require_open()?;
        if self.responses.len() >= RESPONSES_MAX {
            return Err(Reject::BUSY);
        }
        let is_free = self.has_pass(opening.rule, now.time);
        let priced = self
            .terms
            .tariff
            .rules
            .get(opening.rule)
            .ok_or(Reject::FIELD_OUT_OF_BOUNDS)?;
        if is_free || !priced.has_price() {
            let free = Response::new(GrantId([0; 16]), opening, Gate::Free);
            return Ok(self.insert(free, Terms::Free));
        }
        if priced.is_pass_only() {
            return Err(Reject::PAYMENT_REQUIRED);
        }
        self.count_time(exposure, now);
        exposure.forgive(&self.terms.account, now.time);
        let at = self.usable(now.time)?;
        let mut response = Response::new(self.tabs[at].id(), opening, Gate::Metered);
        let is_known = self.recognise(at, &mut response);
        self.refuse_debtor(exposure, at, &response)?;
        if !is_known {
            self.price_request(at, &mut response)?;
        }
        let terms = self.terms_of(&response, now);
        let opened = self.insert(response, terms);
        // From here on its time counts.
        self.count_time(exposure, now);
        Ok(opened)
    }

    /// Whether the grant has counted the same request before, and what of it goes again.
    pub(super) fn recognise(&self, at: usize, response: &mut Response) -> bool {
        let known = response.key.and_then(|key| self.tabs[at].known(&key));
        response.again = known.filter(|_| response.has_offset).unwrap_or_default();
        response.is_known = known.is_some();
        response.is_known
    }

    /// Takes the request's price from what is receipted already, or lets the response wait for it.
    pub(super) fn price_request(
        &mut self,
        at: usize,
        response: &mut Response,
    ) -> Result<(), Reject> {
        let Response { rule, key, .. } = *response;
        let due = self.due(self.tabs[at].id(), rule);
        let tab = &mut self.tabs[at];
        if !tab.has_request_price(rule) {
            return Ok(());
        }
        if tab.requests.is_full() {
            return Err(Reject::GRANT_EXHAUSTED);
        }
        if tab.slots(rule) > due && tab.use_slot(rule, key) {
            response.is_paid = true;
            return Ok(());
        }
        if !tab.has_room_for_request(rule, due) {
            return Err(Reject::GRANT_EXHAUSTED);
        }
        response.gate = Gate::Due;
        Ok(())
    }

    /// Requests of `rule` that wait for their price, or will as soon as they are answered.
    pub(super) fn due(&self, grant: GrantId, rule: usize) -> u64 {
        let is_due = |one: &&Response| {
            matches!(one.gate, Gate::Due | Gate::Asked) && one.grant == grant && one.rule == rule
        };
        self.responses.values().filter(is_due).count() as u64
    }

    /// When the body of a response may go; one that is due waits from now on.
    pub(super) fn terms_of(&mut self, response: &Response, now: Moment) -> Terms {
        match response.gate {
            Gate::Free => Terms::Free,
            Gate::Metered if response.is_known => Terms::Known,
            Gate::Asked | Gate::Metered => Terms::Metered,
            Gate::Due => {
                self.waiting_since.get_or_insert(now.instant);
                Terms::Due
            }
        }
    }

    /// How many of `wanted` octets of a response, or of a WebSocket's payload to the buyer, may go now; they count as sent. Zero: wait for
    /// [`SellerEvent::Room`] or [`SellerEvent::Paid`]. Allocates nothing while the window has room.
    ///
    /// # Errors
    /// [`Reject::SESSION_UNKNOWN`] when the response is not open, or the session has ended.
    pub fn take(
        &mut self,
        exposure: &mut Exposure,
        response: ResponseId,
        wanted: u64,
        now: Moment,
    ) -> Result<u64, Reject> {
        self.take_octets(exposure, response, wanted, false, now)
    }

    /// [`Self::take`] for octets of a request's body, or of a WebSocket's payload from the buyer.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn take_uploaded(
        &mut self,
        exposure: &mut Exposure,
        response: ResponseId,
        wanted: u64,
        now: Moment,
    ) -> Result<u64, Reject> {
        self.take_octets(exposure, response, wanted, true, now)
    }

    fn take_octets(
        &mut self,
        exposure: &mut Exposure,
        response: ResponseId,
        wanted: u64,
        is_upload: bool,
        now: Moment,
    ) -> Result<u64, Reject> {
        let one = self
            .responses
            .get_mut(&response)
            .ok_or(Reject::SESSION_UNKNOWN)?;
        match one.gate {
            Gate::Free => return Ok(wanted),
            Gate::Asked if !is_upload => return Ok(0),
            Gate::Due => return Ok(0),
            Gate::Asked | Gate::Metered => {}
        }
        let tab = self.tabs.iter_mut().find(|tab| tab.id() == one.grant);
        let mut taken = 0;
        if let Some(tab) = tab.filter(|tab| tab.is_open_at(now.time)) {
            let floor = tab.floor();
            let account = &self.terms.account;
            let again = if is_upload { 0 } else { one.again_from_here() };
            taken = tab.take_octets(exposure, account, one.rule, wanted, again, floor);
            if is_upload {
                one.uploaded += taken;
            } else {
                one.position += taken;
            }
        }
        if taken == 0 && wanted > 0 {
            self.wait(response, now);
        }
        Ok(taken)
    }

    /// A response has ended, whole or not.
    pub fn close_response(&mut self, exposure: &mut Exposure, response: ResponseId, now: Moment) {
        self.count_time(exposure, now);
        let Some(one) = self.responses.remove(&response) else {
            return;
        };
        if one.gate == Gate::Free {
            return;
        }
        let Some(tab) = self.tabs.iter_mut().find(|tab| tab.id() == one.grant) else {
            return;
        };
        let price = tab.rule(one.rule).map(octet_price).unwrap_or_default();
        // What is recognised when it is repeated was bought, and is had by repeating it.
        let is_known = one.key.is_some_and(|key| tab.known(&key).is_some());
        if one.is_paid && one.position == one.from && !one.acts && !is_known {
            tab.return_slot(one.rule);
        }
        if one.gate == Gate::Due && one.acts {
            tab.leave_unpaid(one.rule);
        }
        let sent = one.position - one.from;
        let unreceipted = tab.live.count_of(price).min(sent + one.uploaded);
        if let Some(key) = one
            .key
            .filter(|_| one.gate == Gate::Metered && one.has_offset)
        {
            // All of it, receipted or not: a buyer that lost the beginning has nothing to sign for until it gets it again.
            let now = (one.from, one.position);
            // Where the two touch, all of both was sent before: a second try that ends early does not forget what the first had sent.
            let before = tab.known(&key).unwrap_or_default();
            let touches = now.0 <= before.1 && before.0 <= now.1;
            let again = if touches {
                (now.0.min(before.0), now.1.max(before.1))
            } else {
                now
            };
            tab.requests.note(key, again);
        }
        let owes = !tab.live.is_zero();
        // Some of it may have been on its way and never arrive: as lost value it can be served again, and a receipt still pays it.
        tab.give_up(
            exposure,
            &self.terms.account,
            price.times(unreceipted),
            now.time,
        );
        let is_last = !self
            .responses
            .values()
            .any(|other| other.grant == one.grant);
        let id = one.grant;
        if is_last && owes {
            self.has_news = true;
            self.announce_time(now);
            self.ask_receipt(id, now);
        }
        if self.responses.is_empty() {
            self.waiting_since = None;
        }
    }

    /// Time has passed. Early or repeated calls change nothing that they should not.
    pub fn handle_timeout(&mut self, exposure: &mut Exposure, now: Moment) {
        self.count_time(exposure, now);
        let is_tick = self
            .announced
            .is_none_or(|last| now.instant.saturating_duration_since(last) >= TICK);
        if is_tick {
            self.announce_time(now);
        }
        let Some(since) = self.waiting_since else {
            return;
        };
        if now.instant.saturating_duration_since(since) >= self.terms.patience {
            self.waiting_since = None;
            self.frames.push_back(SellerFrame::Refused(Refused {
                reject: Reject::RECEIPT_OVERDUE,
                grant: None,
            }));
            self.events.push_back(SellerEvent::Overdue);
            return;
        }
        exposure.forgive(&self.terms.account, now.time);
        let ids: [Option<GrantId>; super::TABS_MAX] =
            std::array::from_fn(|at| self.tabs.get(at).map(super::Tab::id));
        for id in ids.into_iter().flatten() {
            let is_open = self
                .tab(id)
                .is_some_and(|tab| !tab.is_final() && tab.may_be_receipted());
            if is_open {
                self.ask_receipt(id, now);
            }
        }
        self.events.push_back(SellerEvent::Room);
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let tick = |last: Option<Instant>| last.map(|last| last + TICK);
        let counting = self
            .counted_to
            .and_then(|since| tick(self.announced.or(Some(since))));
        let asking = self.waiting_since.and_then(|since| {
            let patience = since + self.terms.patience;
            tick(self.asked.or(Some(since))).map(|again| again.min(patience))
        });
        [counting, asking].into_iter().flatten().min()
    }

    /// Whether a frame waits to be sent.
    pub fn has_transmit(&self) -> bool {
        !self.frames.is_empty()
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<SellerFrame> {
        self.frames.pop_front()
    }

    /// The next thing that the shell has to know.
    pub fn poll_event(&mut self) -> Option<SellerEvent> {
        let of_slots = |tab: &mut super::Tab| {
            let news = tab.poll_slots()?;
            let grant = tab.id();
            Some(match news {
                SlotNews::Used { rule, key } => SellerEvent::RequestServed { grant, rule, key },
                SlotNews::Returned { rule } => SellerEvent::RequestReturned { grant, rule },
            })
        };
        let event = self.events.pop_front();
        let resting = self.resting.iter_mut().map(|one| &mut one.tab);
        event.or_else(|| self.tabs.iter_mut().chain(resting).find_map(of_slots))
    }

    /// Refuses an account that owes its whole window already, unless what it asks for was served before, or this session can still receipt some.
    pub(super) fn refuse_debtor(
        &self,
        exposure: &Exposure,
        at: usize,
        response: &Response,
    ) -> Result<(), Reject> {
        let tab = &self.tabs[at];
        let is_blocked = exposure.room(&self.terms.account, tab.floor()).is_zero();
        if is_blocked && !tab.may_be_receipted() && response.again_from_here() == 0 {
            return Err(Reject::EXPOSURE_REACHED);
        }
        Ok(())
    }

    pub(super) fn insert(&mut self, response: Response, terms: Terms) -> Opened {
        self.last_response += 1;
        let id = ResponseId(self.last_response);
        self.responses.insert(id, response);
        Opened {
            response: id,
            terms,
        }
    }

    pub(super) fn wait(&mut self, response: ResponseId, now: Moment) {
        let Some(grant) = self.responses.get(&response).map(|one| one.grant) else {
            return;
        };
        if self.waiting_since.is_none() {
            self.waiting_since = Some(now.instant);
        }
        self.ask_receipt(grant, now);
    }

    fn ask_receipt(&mut self, grant: GrantId, now: Moment) {
        let is_asked = self
            .asked
            .is_some_and(|asked| now.instant.saturating_duration_since(asked) < TICK);
        let Some(tab) = self.tab(grant).filter(|_| !is_asked) else {
            return;
        };
        let need = NeedReceipt {
            grant,
            counters: tab.counters.clone(),
        };
        self.asked = Some(now.instant);
        self.frames.push_back(SellerFrame::NeedReceipt(need));
    }

    /// Counts time up to now: under each rule with a price for minutes, while a response is open that its request's price does not hold back.
    pub(super) fn count_time(&mut self, exposure: &mut Exposure, now: Moment) {
        let since = self.counted_to.unwrap_or(now.instant);
        let elapsed = now.instant.saturating_duration_since(since).as_millis();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let mut is_counting = false;
        for tab in &mut self.tabs {
            let mut open = [false; TARIFF_RULES_MAX];
            for one in self.responses.values() {
                let is_timed = one.gate == Gate::Metered
                    && one.grant == tab.id()
                    && tab
                        .rule(one.rule)
                        .is_some_and(|rule| !millisecond_price(rule).is_zero());
                if let Some(slot) = open.get_mut(one.rule) {
                    *slot |= is_timed;
                }
            }
            is_counting |= open.contains(&true);
            if !tab.is_open_at(now.time) {
                continue;
            }
            let floor = tab.floor();
            for (rule, _) in open.iter().enumerate().filter(|(_, open)| **open) {
                let counted =
                    tab.take_milliseconds(exposure, &self.terms.account, rule, elapsed, floor);
                self.has_news |= counted > 0;
            }
        }
        // What is left of a millisecond stays uncounted until it is whole.
        self.counted_to = is_counting.then(|| since + Duration::from_millis(elapsed));
    }

    fn announce_time(&mut self, now: Moment) {
        if !std::mem::take(&mut self.has_news) {
            return;
        }
        self.announced = Some(now.instant);
        for tab in self.tabs.iter().filter(|tab| !tab.is_final()) {
            let rules: Vec<RuleTime> = tab
                .counters
                .iter()
                .zip(0_u16..)
                .filter(|(counters, _)| counters.milliseconds > 0)
                .map(|(counters, rule)| RuleTime {
                    rule,
                    milliseconds: counters.milliseconds,
                })
                .collect();
            if !rules.is_empty() {
                self.frames.push_back(SellerFrame::Elapsed(Elapsed {
                    grant: tab.id(),
                    rules,
                }));
            }
        }
    }
}

impl Response {
    pub(super) fn new(grant: GrantId, opening: &Opening, gate: Gate) -> Self {
        let from = opening.offset.unwrap_or_default();
        Self {
            grant,
            rule: opening.rule,
            key: opening.key,
            gate,
            from,
            position: from,
            has_offset: opening.offset.is_some(),
            uploaded: 0,
            acts: false,
            is_on_credit: false,
            again: (0, 0),
            is_known: false,
            is_paid: false,
        }
    }

    /// How many octets from here on were sent before and not receipted.
    fn again_from_here(&self) -> u64 {
        let (from, to) = self.again;
        if self.position >= from {
            to.saturating_sub(self.position)
        } else {
            0
        }
    }
}
