//! What a buyer says, and what it changes.

use super::{
    Gate, Remembered, Seller, SellerEvent, State,
    tab::{Effect, Tab},
    window_floor,
};
use crate::{
    ids::GrantId,
    limits::{CLOCK_DIFFERENCE_TOLERATED, PASS_DAYS_MAX},
    record::{grant::Grant, pass::Pass, passport::Passport, receipt::Receipt, tariff::Rule},
    reject::{Reject, Score},
    sealed::{Sealed, Trust},
    session::{
        exposure::Exposure,
        frame::{BuyerFrame, Refused, ResponseId, SellerFrame, Signed, Welcome, Window},
        moment::Moment,
    },
    time::MILLIS_PER_DAY,
};

impl Seller {
    /// Takes a frame: checks its signatures and passes it on to the method of its kind. What the journal says of a grant comes from `remembered`.
    ///
    /// # Errors
    /// What the buyer was refused; the refusal is also queued as a frame, and ends the session when it is a ban.
    pub fn handle_frame(
        &mut self,
        frame: BuyerFrame,
        trust: &Trust,
        exposure: &mut Exposure,
        remembered: impl FnOnce(&Grant) -> Remembered,
        now: Moment,
    ) -> Result<(), Reject> {
        let grant = match &frame {
            BuyerFrame::Grant(grant) => Some(grant.claims().id),
            BuyerFrame::Receipt(signed) => Some(signed.receipt.claims().grant),
            BuyerFrame::Hello(_) | BuyerFrame::Close | BuyerFrame::End(_) => None,
        };
        let outcome = self.dispatch(frame, trust, exposure, remembered, now);
        if let Err(reject) = outcome {
            self.frames
                .push_back(SellerFrame::Refused(Refused { reject, grant }));
            if reject.score() == Score::Ban {
                self.close(exposure, Some(reject), now);
            }
        }
        outcome
    }

    fn dispatch(
        &mut self,
        frame: BuyerFrame,
        trust: &Trust,
        exposure: &mut Exposure,
        remembered: impl FnOnce(&Grant) -> Remembered,
        now: Moment,
    ) -> Result<(), Reject> {
        match frame {
            BuyerFrame::Hello(hello) => {
                let passport = hello.passport.verify(trust)?;
                let passes = hello.passes.into_iter().map(|pass| pass.verify(trust));
                // Under a key that this end knows not yet, or no more, it is no pass, and no fault.
                let passes = passes.filter(|pass| !matches!(pass, Err(Reject::SIGNER_UNKNOWN)));
                let passes = passes.collect::<Result<Vec<_>, _>>()?;
                let receipt = hello
                    .receipt
                    .map(|receipt| receipt.verify(trust))
                    .transpose()?;
                if hello.site != self.terms.site {
                    return Err(Reject::FRAME_UNEXPECTED);
                }
                self.handle_hello(&passport, &passes, receipt.as_ref(), exposure, now)
            }
            BuyerFrame::Grant(grant) => {
                // A grant that is in use already is presented again after each hello: no need to check its signature twice.
                let claimed = grant.claims().id;
                let known = self
                    .tabs
                    .iter()
                    .any(|tab| tab.id() == claimed && *tab.grant == *grant.claims());
                if known {
                    return self.handle_known_grant(claimed, exposure);
                }
                let grant = grant.verify(trust)?;
                if self.is_resting(claimed) {
                    self.recall(claimed, remembered, now)?;
                    return self.handle_known_grant(claimed, exposure);
                }
                let remembered = remembered(&grant);
                self.handle_grant(grant, remembered, exposure, now)
            }
            BuyerFrame::Receipt(signed) => {
                let Signed { receipt, response } = *signed;
                let receipt = receipt.verify(trust)?;
                if self.is_news_of_resting(&receipt) {
                    self.recall(receipt.grant, remembered, now)?;
                }
                self.handle_receipt(receipt, response, exposure, now)
            }
            BuyerFrame::Close => {
                self.close(exposure, None, now);
                Ok(())
            }
            // On a stream of its own: see `ending`.
            BuyerFrame::End(_) => Err(Reject::FRAME_UNEXPECTED),
        }
    }

    /// The buyer comes, or comes back. The passport's standing was checked by the shell.
    pub fn handle_hello(
        &mut self,
        passport: &Sealed<Passport>,
        passes: &[Sealed<Pass>],
        receipt: Option<&Sealed<Receipt>>,
        exposure: &mut Exposure,
        now: Moment,
    ) -> Result<(), Reject> {
        self.require_not_closed()?;
        if passport.device != self.terms.buyer || passport.account != self.terms.account {
            return Err(Reject::PASSPORT_NOT_YOURS);
        }
        for pass in passes {
            if pass.account != self.terms.account || pass.site != self.terms.site {
                return Err(Reject::PASS_NOT_VALID);
            }
            self.add_pass(&pass.pattern, pass.until);
        }
        self.state = State::Open;
        // Which of them this buyer still knows, it says by presenting them.
        for tab in &mut self.tabs {
            tab.is_presented = false;
        }
        exposure.forgive(&self.terms.account, now.time);
        let shown = receipt.filter(|receipt| self.tabs.iter().any(|tab| tab.id() == receipt.grant));
        if let Some(receipt) = shown {
            // An older one than the seller's own is what a buyer shows whose disk died: Welcome sets it right.
            match self.handle_receipt(receipt.clone(), None, exposure, now) {
                Ok(()) | Err(Reject::RECEIPT_SEQUENCE | Reject::RECEIPT_AFTER_FINAL) => {}
                Err(reject) => return Err(reject),
            }
        }
        self.settle_quiet(exposure, now);
        let latest = self.tabs.iter().rev().find_map(|tab| tab.receipt.as_ref());
        let welcome = Welcome {
            session: self.terms.session,
            passport: self.terms.passport.to_unverified(),
            tariff: self.tariff_hash,
            window: exposure
                .room(&self.terms.account, window_floor(&self.terms.tariff))
                .round_down(),
            receipt: latest.map(Sealed::to_unverified),
        };
        self.told_window = None;
        self.frames
            .push_back(SellerFrame::Welcome(Box::new(welcome)));
        Ok(())
    }

    /// The buyer presents a grant; `remembered` is what the seller's own journal says of it.
    ///
    /// # Errors
    /// In this order: it names somebody or something else, another price list, another time, or is used up.
    pub fn handle_grant(
        &mut self,
        grant: Sealed<Grant>,
        remembered: Remembered,
        exposure: &mut Exposure,
        now: Moment,
    ) -> Result<(), Reject> {
        self.require_open()?;
        let own = &self.terms.passport;
        let is_ours = grant.seller == own.account
            && grant.seller_key == own.device
            && grant.buyer == self.terms.account
            && grant.buyer_key == self.terms.buyer
            && grant.site == self.terms.site;
        if !is_ours {
            return Err(Reject::GRANT_NOT_FOR_US);
        }
        if grant.tariff != self.tariff_hash {
            return Err(Reject::TARIFF_CHANGED);
        }
        if grant.quotas.len() != self.terms.tariff.rules.len()
            || grant.currency != self.terms.tariff.currency
        {
            return Err(Reject::FIELD_OUT_OF_BOUNDS);
        }
        if grant.issued > now.time.plus(CLOCK_DIFFERENCE_TOLERATED) {
            return Err(Reject::RECORD_FROM_FUTURE);
        }
        if now.time >= grant.spend_until {
            return Err(Reject::GRANT_EXPIRED);
        }
        let id = grant.id;
        let receipt = remembered.receipt.as_ref();
        if let Some(receipt) = receipt.filter(|one| one.grant == id && one.is_final) {
            self.show_latest(&receipt.clone());
            return Err(Reject::GRANT_CLOSED);
        }
        self.drop_finished();
        if self.tabs.iter().any(|tab| tab.id() == grant.id) {
            return self.handle_known_grant(grant.id, exposure);
        }
        if self.is_resting(id) {
            self.recall(id, |_| remembered, now)?;
            return self.handle_known_grant(id, exposure);
        }
        self.make_place(now)?;
        let tab = Tab::new(grant, self.terms.tariff.clone(), remembered);
        if let Some(receipt) = tab.receipt.clone() {
            self.show_latest(&receipt);
        }
        self.tabs.push(tab);
        self.tell_window(id, exposure);
        Ok(())
    }

    fn handle_known_grant(&mut self, id: GrantId, exposure: &Exposure) -> Result<(), Reject> {
        self.require_open()?;
        let at = self.tabs.iter().position(|tab| tab.id() == id);
        let mut tab = self.tabs.remove(at.ok_or(Reject::GRANT_UNKNOWN)?);
        let (latest, is_final) = (tab.receipt.clone(), tab.is_final());
        tab.is_presented = true;
        self.tabs.push(tab);
        if let Some(receipt) = latest {
            self.show_latest(&receipt);
        }
        if is_final {
            return Err(Reject::GRANT_CLOSED);
        }
        // The buyer waits for it, whatever it was told on an earlier stream.
        self.told_window = None;
        self.tell_window(id, exposure);
        Ok(())
    }

    /// Shows the buyer what it has signed last: its memory may have been lost.
    fn show_latest(&mut self, receipt: &Sealed<Receipt>) {
        let receipt = Box::new(receipt.to_unverified());
        self.frames.push_back(SellerFrame::Latest(receipt));
    }

    /// The buyer has signed; `response` is the one whose request it says it pays for.
    pub fn handle_receipt(
        &mut self,
        receipt: Sealed<Receipt>,
        response: Option<ResponseId>,
        exposure: &mut Exposure,
        now: Moment,
    ) -> Result<(), Reject> {
        self.require_open()?;
        self.take_receipt(receipt, response, exposure, now)
    }

    pub(super) fn take_receipt(
        &mut self,
        receipt: Sealed<Receipt>,
        response: Option<ResponseId>,
        exposure: &mut Exposure,
        now: Moment,
    ) -> Result<(), Reject> {
        self.count_time(exposure, now);
        let account = self.terms.account;
        let id = receipt.grant;
        if self.is_resting(id) {
            // It says nothing new, or its grant would have been recalled.
            return Ok(());
        }
        let at = self
            .tabs
            .iter()
            .position(|tab| tab.id() == id)
            .ok_or(Reject::GRANT_UNKNOWN)?;
        let was_final = self.tabs[at].is_final();
        let effect = self.tabs[at].honour(exposure, &account, &receipt)?;
        let is_news = effect != Effect::Repeated;
        if let Effect::Honoured { passes } = effect {
            for (rule, count) in passes {
                let tab = &self.tabs[at];
                self.grow_pass(tab.rule(rule).cloned(), tab.id(), count, now);
            }
            self.events.push_back(SellerEvent::Honoured(receipt));
        }
        self.admit(at, response, exposure);
        self.count_time(exposure, now);
        if self.tabs[at].is_final() && !was_final {
            self.end_grant(at, exposure, now);
        }
        self.settle_quiet(exposure, now);
        if is_news && self.waiting_since.is_some() {
            self.asked = None;
            // What is still due waits on, from here.
            let is_due = self.responses.values().any(|one| one.gate == Gate::Due);
            self.waiting_since = is_due.then_some(now.instant);
            self.events.push_back(SellerEvent::Room);
        }
        if let Some(tab) = self.current() {
            self.tell_window(tab.id(), exposure);
        }
        Ok(())
    }

    /// The buyer is done, or is sent away: what is counted and not receipted is lost.
    pub fn close(&mut self, exposure: &mut Exposure, reason: Option<Reject>, now: Moment) {
        if self.state == State::Closed {
            return;
        }
        self.count_time(exposure, now);
        self.responses.clear();
        self.settle_quiet(exposure, now);
        self.state = State::Closed;
        self.waiting_since = None;
        self.frames.push_back(SellerFrame::Close);
        self.events.push_back(SellerEvent::Closed(reason));
    }

    pub(super) fn require_not_closed(&self) -> Result<(), Reject> {
        match self.state {
            State::Greeting | State::Open => Ok(()),
            State::Closed => Err(Reject::SESSION_UNKNOWN),
        }
    }

    pub(super) fn require_open(&self) -> Result<(), Reject> {
        match self.state {
            State::Open => Ok(()),
            State::Greeting => Err(Reject::FRAME_UNEXPECTED),
            State::Closed => Err(Reject::SESSION_UNKNOWN),
        }
    }

    pub(super) fn tab(&self, id: GrantId) -> Option<&Tab> {
        self.tabs.iter().find(|tab| tab.id() == id)
    }

    /// Where nothing is open under a grant, the buyer's count is taken and the difference is lost.
    fn settle_quiet(&mut self, exposure: &mut Exposure, now: Moment) {
        for tab in &mut self.tabs {
            let is_quiet = !self
                .responses
                .values()
                .any(|one| one.grant == tab.id() && one.gate != Gate::Free);
            if is_quiet {
                tab.accept_difference(exposure, &self.terms.account, now.time);
            }
        }
    }

    /// Lets requests go whose price is receipted: first the one that the receipt was signed for, then the longest waiting.
    fn admit(&mut self, at: usize, named: Option<ResponseId>, exposure: &mut Exposure) {
        let tab = &mut self.tabs[at];
        let id = tab.id();
        let mut waiting: Vec<ResponseId> = self
            .responses
            .iter()
            .filter(|(_, one)| one.grant == id && one.gate == Gate::Due)
            .map(|(response, _)| *response)
            .collect();
        waiting.sort_by_key(|response| Some(*response) != named);
        for response in waiting {
            let Some(one) = self.responses.get_mut(&response) else {
                continue;
            };
            if tab.use_slot(one.rule, one.key) {
                one.gate = Gate::Metered;
                one.is_paid = true;
                if std::mem::take(&mut one.is_on_credit) {
                    exposure.act_is_paid(&self.terms.account);
                }
                self.events.push_back(SellerEvent::Paid(response));
            }
        }
        if tab.pay_left_unpaid() {
            exposure.act_is_paid(&self.terms.account);
        }
    }

    /// A grant's final receipt has come: a successor at the same prices goes on with its open responses.
    fn end_grant(&mut self, at: usize, exposure: &mut Exposure, now: Moment) {
        let id = self.tabs[at].id();
        self.events.push_back(SellerEvent::Final(id));
        let hash = self.tabs[at].grant.tariff;
        // Of two, the one presented last: the other is of a buyer that died before it took it.
        let successor = self.tabs.iter().rposition(|tab| {
            tab.grant.predecessor == Some(id)
                && tab.grant.tariff == hash
                && tab.is_open_at(now.time)
        });
        let Some(next) = successor else {
            return;
        };
        let [ended, next] = match self.tabs.get_disjoint_mut([at, next]) {
            Ok(pair) => pair,
            // A grant does not succeed itself: its identifier would be its predecessor's.
            Err(_) => return,
        };
        ended.hand_over(next);
        let next_id = next.id();
        for response in self.responses.values_mut().filter(|one| one.grant == id) {
            response.grant = next_id;
        }
        self.has_news = true;
        self.admit_all(next_id, exposure);
        self.tell_window(next_id, exposure);
    }

    fn admit_all(&mut self, id: GrantId, exposure: &mut Exposure) {
        if let Some(at) = self.tabs.iter().position(|tab| tab.id() == id) {
            self.admit(at, None, exposure);
        }
    }

    pub(super) fn grow_pass(
        &mut self,
        rule: Option<Rule>,
        grant: GrantId,
        count: u64,
        now: Moment,
    ) {
        let Some((pattern, offer)) = rule.and_then(|rule| Some((rule.pattern, rule.pass?))) else {
            return;
        };
        let days = u64::from(offer.days)
            .saturating_mul(count)
            .min(10 * u64::from(PASS_DAYS_MAX));
        let held = self.passes.iter().find(|pass| pass.pattern == pattern);
        let from = held.map_or(now.time, |pass| pass.until.max(now.time));
        let until = crate::time::UnixMillis(from.0.saturating_add(days * MILLIS_PER_DAY));
        self.add_pass(&pattern, until);
        self.open_by_pass(&pattern);
        let account = self.terms.account;
        self.events.push_back(SellerEvent::PassBought {
            account,
            pattern,
            grant,
            until,
        });
    }

    /// A request can be quicker than the receipt that bought its pass: such responses go on for free, as the buyer takes them.
    fn open_by_pass(&mut self, pattern: &str) {
        let tabs = &self.tabs;
        let is_covered = |one: &super::Response| {
            let tab = tabs.iter().find(|tab| tab.id() == one.grant);
            tab.and_then(|tab| tab.rule(one.rule))
                .is_some_and(|rule| rule.pattern == pattern)
        };
        for (response, one) in &mut self.responses {
            let is_due = one.gate == Gate::Due;
            if one.gate != Gate::Free && is_covered(one) {
                one.gate = Gate::Free;
                if is_due {
                    self.events.push_back(SellerEvent::Paid(*response));
                }
            }
        }
    }

    /// Grants that are final or over, and that no response is left of.
    pub(super) fn drop_finished(&mut self) {
        let responses = &self.responses;
        self.tabs
            .retain(|tab| !tab.is_final() || responses.values().any(|one| one.grant == tab.id()));
    }

    /// Tells the buyer its window: always for a grant presented, later when it changed by a quarter.
    pub(super) fn tell_window(&mut self, id: GrantId, exposure: &Exposure) {
        let Some(tab) = self.tab(id) else {
            return;
        };
        let window = Window {
            grant: id,
            amount: tab.window(exposure, &self.terms.account),
        };
        let told = self.told_window.filter(|told| told.grant == id);
        let is_close = told.is_some_and(|told| {
            let (told, new) = (told.amount.micros(), window.amount.micros());
            told.abs_diff(new) <= told / 4
        });
        if !is_close {
            self.told_window = Some(window);
            self.frames.push_back(SellerFrame::Window(window));
        }
    }
}
