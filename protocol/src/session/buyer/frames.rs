//! What the seller says, and what the buyer says to it.

use super::{Asked, Buyer, BuyerEvent, Price, State, Tab};
use crate::{
    ids::{GrantId, PublicKey},
    limits::HELLO_PASSES_MAX,
    record::{grant::Grant, pass::Pass, passport::Passport, receipt::Receipt, tariff::Tariff},
    reject::Reject,
    rules::receipt::check_receipt,
    sealed::{Sealed, Trust},
    session::{
        frame::{BuyerFrame, Elapsed, Hello, NeedReceipt, SellerFrame, Welcome, Window},
        moment::Moment,
    },
};

impl Buyer {
    /// A stream to the seller is open: says hello.
    pub fn handle_connected(&mut self, passport: &Sealed<Passport>, passes: &[Sealed<Pass>]) {
        if self.state == State::Closed {
            return;
        }
        let own = passes.iter().filter(|pass| pass.site == self.terms.site);
        let own: Vec<_> = own.take(HELLO_PASSES_MAX).collect();
        for pass in &own {
            self.add_pass(&pass.pattern, pass.until);
        }
        let latest = self.current.as_ref().and_then(|tab| tab.receipt.as_ref());
        self.frames.clear();
        self.frames.push_back(BuyerFrame::Hello(Box::new(Hello {
            site: self.terms.site.clone(),
            passport: passport.to_unverified(),
            passes: own.into_iter().map(Sealed::to_unverified).collect(),
            receipt: latest.map(Sealed::to_unverified),
        })));
        self.state = State::Greeting;
    }

    /// The stream is gone. Responses on other streams go on; the session does too, on the next stream.
    pub fn handle_disconnected(&mut self) {
        if self.state != State::Closed {
            self.state = State::Away;
        }
        self.frames.clear();
        self.asked = None;
        self.is_ready = false;
    }

    /// Presents a grant. If one is in use at the same prices, this one takes over as soon as the seller has accepted it.
    ///
    /// # Errors
    /// The grant or the price list is not this session's.
    pub fn present_grant(
        &mut self,
        grant: Sealed<Grant>,
        tariff: Sealed<Tariff>,
        latest: Option<Sealed<Receipt>>,
    ) -> Result<(), Reject> {
        let is_ours = grant.buyer_key == PublicKey::of(&self.key)
            && grant.seller_key == self.terms.seller
            && grant.site == self.terms.site
            && tariff.device == self.terms.seller
            && tariff.site == self.terms.site
            && grant.tariff == tariff.tariff_hash()
            && grant.quotas.len() == tariff.rules.len();
        if !is_ours {
            return Err(Reject::GRANT_NOT_FOR_US);
        }
        let mut tab = Tab::new(grant, tariff);
        if let Some(latest) = latest {
            check_receipt(&tab.grant, &tab.tariff, None, &latest)?;
            tab.adopt(latest);
        }
        if self.state == State::Open {
            self.frames
                .push_back(BuyerFrame::Grant(Box::new(tab.grant.to_unverified())));
        }
        self.next = Some(tab);
        Ok(())
    }

    /// Takes a frame. What it encloses is checked here.
    ///
    /// # Errors
    /// The seller's fault; the shell decides by its score whether to go on.
    pub fn handle_frame(
        &mut self,
        frame: SellerFrame,
        trust: &Trust,
        now: Moment,
    ) -> Result<(), Reject> {
        match frame {
            SellerFrame::Welcome(welcome) => self.handle_welcome(*welcome, trust, now),
            SellerFrame::Window(window) => self.handle_window(window, now),
            SellerFrame::NeedReceipt(need) => self.handle_need_receipt(need, now),
            SellerFrame::Elapsed(elapsed) => self.handle_elapsed(&elapsed, now),
            SellerFrame::Refused(refused) => {
                self.events.push_back(BuyerEvent::Refused {
                    reject: refused.reject,
                    grant: refused.grant,
                });
                if refused.grant.is_some() && self.next.as_ref().map(Tab::id) == refused.grant {
                    self.next = None;
                    self.give_up_successor(now);
                }
                Ok(())
            }
            SellerFrame::Close => {
                self.end(now);
                Ok(())
            }
            SellerFrame::Latest(receipt) => self.adopt(receipt.verify(trust)?),
            // On a stream of its own, which is no session's.
            SellerFrame::Held(_) => Err(Reject::FRAME_UNEXPECTED),
        }
    }

    fn handle_welcome(
        &mut self,
        welcome: Welcome,
        trust: &Trust,
        now: Moment,
    ) -> Result<(), Reject> {
        if self.state != State::Greeting {
            return Err(Reject::FRAME_UNEXPECTED);
        }
        let passport = welcome.passport.verify(trust)?;
        if passport.device != self.terms.seller {
            return Err(Reject::PASSPORT_NOT_YOURS);
        }
        if let Some(receipt) = welcome.receipt {
            self.adopt(receipt.verify(trust)?)?;
        }
        self.state = State::Open;
        self.events.push_back(BuyerEvent::Welcomed {
            session: welcome.session,
            passport,
            tariff: welcome.tariff,
        });
        let grants: Vec<_> = self.tabs().map(|tab| tab.grant.to_unverified()).collect();
        for grant in grants {
            self.frames.push_back(BuyerFrame::Grant(Box::new(grant)));
        }
        // Under a grant that is yet to be accepted the seller may hold a newer one, and says so first.
        let accepted = self.former.iter().chain(&self.current);
        let latest: Vec<_> = accepted.filter_map(|tab| tab.receipt.clone()).collect();
        for receipt in latest {
            // What was signed for a response may have been lost on the way, and which response it was.
            let unproven = self.responses.iter().find(|(_, one)| {
                one.grant == receipt.grant && matches!(one.price, Price::Unproven(_))
            });
            let unproven = unproven.map(|(response, _)| *response);
            self.transmit(&receipt, unproven);
        }
        for id in self.ids() {
            self.sign_if_due(id, now);
        }
        Ok(())
    }

    /// The seller shows a receipt of this buyer's own, as its signature says: if it is newer than what is known here, this buyer's memory was lost.
    /// What the grant does not allow, this buyer has not signed in its right mind, and is not gone on from.
    fn adopt(&mut self, shown: Sealed<Receipt>) -> Result<(), Reject> {
        let mut tabs = self.former.iter_mut().chain(&mut self.current);
        let tab = tabs
            .find(|tab| tab.id() == shown.grant)
            .or(self.next.as_mut().filter(|tab| tab.id() == shown.grant));
        let Some(tab) = tab else {
            return Ok(());
        };
        check_receipt(&tab.grant, &tab.tariff, None, &shown)?;
        tab.shown = tab.shown.max(shown.sequence);
        let known = tab.receipt.as_ref().map_or(0, |receipt| receipt.sequence);
        if shown.sequence > known {
            tab.adopt(shown.clone());
            self.events.push_back(if shown.is_final {
                BuyerEvent::Final(shown)
            } else {
                BuyerEvent::Signed(shown)
            });
        }
        Ok(())
    }

    /// Under a grant that was just accepted, shows the seller what it does not hold: its own memory may have been lost.
    fn show_newer_of_next(&mut self) {
        let newer = self.next.as_ref().and_then(|tab| {
            let receipt = tab.receipt.as_ref()?;
            (receipt.sequence > tab.shown).then(|| receipt.clone())
        });
        if let Some(receipt) = newer {
            self.transmit(&receipt, None);
        }
    }

    fn handle_window(&mut self, window: Window, now: Moment) -> Result<(), Reject> {
        if self
            .next
            .as_ref()
            .is_some_and(|tab| tab.id() == window.grant)
        {
            self.window = Some(window);
            self.show_newer_of_next();
            self.say_ready(window.grant);
            return self.take_next(now);
        }
        if self
            .current
            .as_ref()
            .is_some_and(|tab| tab.id() == window.grant)
        {
            self.window = Some(window);
            if !self.is_ready {
                self.say_ready(window.grant);
            }
            self.sign_if_due(window.grant, now);
        }
        Ok(())
    }

    fn say_ready(&mut self, grant: GrantId) {
        self.is_ready = true;
        self.events.push_back(BuyerEvent::Ready(grant));
    }

    fn handle_need_receipt(&mut self, need: NeedReceipt, now: Moment) -> Result<(), Reject> {
        let id = need.grant;
        if self.tab_mut(id).is_some() {
            self.asked = Some(Asked {
                need,
                since: now.instant,
            });
            self.sign_if_due(id, now);
            self.look_for_used_up(now);
        }
        Ok(())
    }

    fn handle_elapsed(&mut self, elapsed: &Elapsed, now: Moment) -> Result<(), Reject> {
        self.count_time(now);
        // Of a grant that is final nothing is counted: the seller moves what is left to the next one.
        for time in &elapsed.rules {
            self.count_millis(elapsed.grant, time, now);
        }
        self.sign_if_due(elapsed.grant, now);
        self.look_for_successor(elapsed.grant, now);
        self.look_for_used_up(now);
        Ok(())
    }

    /// The buyer is done with this site: signs final receipts and says goodbye. Responses that are open end uncounted from here on.
    pub fn finish(&mut self, now: Moment) {
        if self.state == State::Closed {
            return;
        }
        self.count_time(now);
        self.end_all(now);
        if self.state == State::Open {
            self.frames.push_back(BuyerFrame::Close);
        }
        self.end(now);
    }

    fn end(&mut self, now: Moment) {
        if self.state == State::Closed {
            return;
        }
        self.end_all(now);
        self.state = State::Closed;
        self.events.push_back(BuyerEvent::Closed);
    }
}
