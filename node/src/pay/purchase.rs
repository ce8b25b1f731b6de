//! One session of this node as a buyer: its machine, and who waits for what it says.

use std::{
    collections::BTreeMap,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use libp2p::PeerId;
use madang_protocol::{
    amount::Amount,
    ids::{GrantId, PublicKey, SessionId, TariffHash},
    name::SiteName,
    record::{grant::Grant, pass::Pass, passport::Passport, receipt::Receipt, tariff::Tariff},
    reject::Reject,
    sealed::{Sealed, Trust},
    session::{
        buyer::{Buyer, BuyerEvent, Ended, Head, UploadId},
        frame::{BuyerFrame, ResponseId, SellerFrame},
        moment::Moment,
    },
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Seller, Wallet,
    given_up::{GiveUp, GivenUp},
    outbox::Outbox,
    wallet::SessionNumber,
};
use crate::{clock::Clock, store::Event};

/// Final receipts on one stream of which it is remembered that the seller has not said goodbye after them; those of others are told once more.
const FINALS_MAX: usize = 64;

/// One session with one seller's device for one site.
pub(super) struct Purchase {
    pub(super) site: SiteName,
    pub(super) seller: PublicKey,
    pub(super) peer: PeerId,
    clock: Clock,
    wallet: Wallet,
    number: SessionNumber,
    outbox: Arc<Outbox>,
    state: Mutex<State>,
    /// There are frames to send.
    pub(super) frames: Notify,
    /// Something that somebody may wait for has happened.
    changed: Notify,
    /// Held by whoever connects the session or gets its grant.
    pub(super) setup: tokio::sync::Mutex<()>,
    /// A grant needs a successor, or a final receipt is to be told to the anchor.
    pub(super) errands: Arc<Notify>,
}

/// What others look at.
pub(super) struct State {
    machine: Buyer,
    /// Whether a stream is attached.
    pub(super) is_attached: bool,
    /// Cancelled when that stream is of no use any more.
    stream: CancellationToken,
    /// As the seller named it on the stream that is attached.
    pub(super) session: Option<SessionId>,
    /// The seller's passport, from its Welcome.
    pub(super) passport: Option<Sealed<Passport>>,
    /// The price list that holds at the seller.
    pub(super) tariff: Option<TariffHash>,
    /// The grant that the seller has accepted.
    pub(super) ready: Option<GrantId>,
    /// A grant that has to be followed by another.
    pub(super) wants_successor: Option<GrantId>,
    /// Why the grant in use is not followed by another.
    unfollowed: Option<Reject>,
    /// Grants whose final receipts went out on the stream that is attached: the seller holds them once it says goodbye.
    pub(super) finals: Vec<GrantId>,
    /// What the seller refused last.
    pub(super) refused: Option<Reject>,
    /// How many [`InUse`] there are, and since when there is none.
    open: usize,
    quiet_since: Instant,
    /// Who waits for more of a response.
    readers: BTreeMap<ResponseId, Waker>,
    /// Responses that are to end, and why.
    given_up: BTreeMap<ResponseId, Reject>,
    /// Uploads under way.
    uploads: BTreeMap<UploadId, GiveUp>,
}

/// Something that needs the session is under way: it is not ended for being quiet.
pub(super) struct InUse(Arc<Purchase>);

impl InUse {
    pub(super) fn purchase(&self) -> &Arc<Purchase> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.open = state.open.saturating_sub(1);
        state.quiet_since = Instant::now();
    }
}

impl Drop for Purchase {
    fn drop(&mut self) {
        self.wallet.end(self.number);
    }
}

impl Purchase {
    pub(super) fn new(
        seller: &Seller<'_>,
        machine: Buyer,
        clock: Clock,
        wallet: Wallet,
        outbox: Arc<Outbox>,
        errands: Arc<Notify>,
    ) -> Self {
        let state = State {
            machine,
            is_attached: false,
            stream: CancellationToken::new(),
            session: None,
            passport: None,
            tariff: None,
            ready: None,
            wants_successor: None,
            unfollowed: None,
            finals: Vec::new(),
            refused: None,
            open: 0,
            quiet_since: Instant::now(),
            readers: BTreeMap::new(),
            given_up: BTreeMap::new(),
            uploads: BTreeMap::new(),
        };
        Self {
            site: seller.site.clone(),
            seller: seller.device,
            peer: seller.peer,
            clock,
            number: wallet.begin(),
            wallet,
            outbox,
            state: Mutex::new(state),
            frames: Notify::new(),
            changed: Notify::new(),
            setup: tokio::sync::Mutex::new(()),
            errands,
        }
    }

    /// A stream is there: says hello. What it gives is cancelled when the stream is of no use any more. `None` when one is attached already.
    pub(super) fn attach(
        &self,
        passport: &Sealed<Passport>,
        passes: &[Sealed<Pass>],
    ) -> Option<CancellationToken> {
        let mut state = self.state.lock();
        if state.is_attached {
            return None;
        }
        state.is_attached = true;
        state.finals.clear();
        state.refused = None;
        state.stream = CancellationToken::new();
        state.machine.handle_connected(passport, passes);
        self.frames.notify_one();
        Some(state.stream.clone())
    }

    /// The seller knows the session no more: the next request connects anew.
    pub(super) fn lost(&self) {
        let mut state = self.state.lock();
        state.session = None;
        state.stream.cancel();
    }

    /// The stream is gone.
    pub(super) fn detach(&self) {
        let mut state = self.state.lock();
        state.is_attached = false;
        state.session = None;
        state.ready = None;
        state.finals.clear();
        state.machine.handle_disconnected();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Takes a frame of the seller's.
    pub(super) fn handle_frame(&self, frame: SellerFrame, trust: &Trust) -> Result<(), Reject> {
        self.with(|machine, now| machine.handle_frame(frame, trust, now))
    }

    /// The frames that wait to be sent, and whether the session has ended.
    pub(super) fn take_frames(&self) -> (Vec<BuyerFrame>, bool) {
        let mut state = self.state.lock();
        let frames = std::iter::from_fn(|| state.machine.poll_transmit()).collect();
        (frames, state.machine.is_closed())
    }

    /// Presents a grant.
    pub(super) fn present(
        &self,
        grant: Sealed<Grant>,
        tariff: Sealed<Tariff>,
        latest: Option<Sealed<Receipt>>,
    ) -> Result<(), Reject> {
        // Before the seller can say anything of this one.
        self.state.lock().refused = None;
        self.with(|machine, _| machine.present_grant(grant, tariff, latest))
    }

    /// There is no successor of `grant` now, and why.
    pub(super) fn no_successor(&self, grant: GrantId, why: Reject) {
        self.state.lock().unfollowed = Some(why);
        self.with(|machine, now| machine.handle_no_successor(grant, now));
    }

    /// The dearest rule under which something is open.
    pub(super) fn rule_in_use(&self) -> Option<usize> {
        self.look(|state| state.machine.rule_in_use())
    }

    /// The owner has agreed, perhaps again.
    pub(super) fn agree(&self) {
        self.with(|machine, _| machine.agree_again());
    }

    /// Buys the pass of `rule`, unless it is in hand.
    pub(super) fn buy_pass(&self, rule: usize) -> Result<(), Reject> {
        self.with(|machine, now| {
            if machine.has_pass(rule, now.time) {
                Ok(())
            } else {
                machine.buy_pass(rule, now)
            }
        })
    }

    /// The grant in use and when it ends, if it still serves.
    pub(super) fn grant_in_use(&self) -> Option<(GrantId, TariffHash)> {
        let now = self.clock.now();
        let state = self.state.lock();
        let grant = state
            .machine
            .grant()
            .filter(|grant| now < grant.spend_until)?;
        Some((grant.id, grant.tariff))
    }

    /// Whether this session may sign for `grant`.
    pub(super) fn knows(&self, grant: GrantId) -> bool {
        self.state.lock().machine.knows(grant)
    }

    /// The grant that was presented and is not accepted yet.
    pub(super) fn presented(&self) -> Option<GrantId> {
        self.state.lock().machine.presented()
    }

    /// Whether the price of a request is paid already.
    pub(super) fn has_had(&self, head: &Head) -> bool {
        self.state.lock().machine.has_had(head)
    }

    /// The seller has said goodbye after all that was sent to it: it holds the final receipts among that.
    pub(super) fn heard(&self) {
        let told = std::mem::take(&mut self.state.lock().finals);
        self.outbox
            .put(told.into_iter().map(Event::SellerTold).collect());
    }

    /// A successful head names a response with a price.
    pub(super) fn open_response(&self, head: &Head) -> Result<(), Reject> {
        self.with(|machine, now| machine.open_response(head, now))
    }

    /// A request with a body is about to go.
    pub(super) fn open_upload(&self, rule: usize) -> Result<(UploadId, GivenUp), Reject> {
        let upload = self.with(|machine, now| machine.open_upload(rule, now))?;
        let (give_up, given_up) = GiveUp::new();
        self.state.lock().uploads.insert(upload, give_up);
        Ok((upload, given_up))
    }

    /// Octets of it have gone.
    pub(super) fn uploaded(&self, upload: UploadId, octets: u64) -> Result<(), Reject> {
        let outcome = self.with(|machine, now| machine.uploaded(upload, octets, now));
        if let Err(reject) = outcome
            && let Some(one) = self.state.lock().uploads.get(&upload)
        {
            one.tell(reject);
        }
        outcome
    }

    /// It has ended.
    pub(super) fn close_upload(&self, upload: UploadId) {
        self.with(|machine, now| machine.close_upload(upload, now));
        self.state.lock().uploads.remove(&upload);
    }

    /// Octets of it have come.
    pub(super) fn received(&self, response: ResponseId, octets: u64) -> Result<(), Reject> {
        self.with(|machine, now| machine.received(response, octets, now))
    }

    /// It has ended.
    pub(super) fn close_response(&self, response: ResponseId, ended: Ended) {
        self.with(|machine, now| machine.close_response(response, ended, now));
        let mut state = self.state.lock();
        state.readers.remove(&response);
        state.given_up.remove(&response);
    }

    /// Why a response is to end; otherwise its reader, for which there is nothing now, is woken when it is.
    pub(super) fn given_up(&self, response: ResponseId, reader: &Waker) -> Option<Reject> {
        let mut state = self.state.lock();
        let reason = state.given_up.get(&response).copied();
        if reason.is_none() {
            state.readers.insert(response, reader.clone());
        }
        reason
    }

    /// Something that needs the session is under way, for as long as what is given back lives.
    pub(super) fn in_use(self: &Arc<Self>) -> InUse {
        self.state.lock().open += 1;
        InUse(Arc::clone(self))
    }

    /// Does what is due by now.
    pub(super) fn tick(&self) {
        let is_due = self
            .state
            .lock()
            .machine
            .poll_timeout()
            .is_some_and(|at| at <= Instant::now());
        if is_due {
            self.with(|machine, now| machine.handle_timeout(now));
        }
    }

    /// Signs final receipts and says goodbye.
    pub(super) fn finish(&self) {
        self.with(|machine, now| machine.finish(now));
    }

    /// Whether nothing has been open for `idle`.
    pub(super) fn is_quiet_for(&self, idle: Duration) -> bool {
        let state = self.state.lock();
        state.open == 0 && state.quiet_since.elapsed() >= idle
    }

    /// Whether the session has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().machine.is_closed()
    }

    /// Looks at the state under its lock.
    pub(super) fn look<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        look(&mut self.state.lock())
    }

    /// Waits until `look` gives something, at most for `within`.
    pub(super) async fn wait_for<R>(
        &self,
        within: Duration,
        mut look: impl FnMut(&mut State) -> Option<R>,
    ) -> Option<R> {
        let waited = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = self.look(&mut look) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(within, waited).await.ok()
    }

    /// One input of the machine, and everything that follows from it.
    fn with<R>(&self, input: impl FnOnce(&mut Buyer, Moment) -> R) -> R {
        let now = Moment {
            instant: Instant::now(),
            time: self.clock.now(),
        };
        let mut state = self.state.lock();
        let (answer, is_news) = self.wallet.counting(self.number, &self.site, |left| {
            // What is signed for and not in the rows yet stands in nobody's account: nothing more is bought until it does.
            let left = if self.outbox.is_recorded() {
                left
            } else {
                Amount::ZERO
            };
            let before = state.machine.counted();
            state.machine.set_budget(before.saturating_add(left));
            let answer = input(&mut state.machine, now);
            let mut events = Vec::new();
            let mut is_news = false;
            while let Some(event) = state.machine.poll_event() {
                is_news = true;
                self.handle(&mut state, event, &mut events);
            }
            // Under the locks, so that receipts are written in the order in which they were signed.
            self.outbox.put(events);
            let machine = &state.machine;
            let unsigned = machine.counted().saturating_sub(machine.signed());
            ((answer, is_news), unsigned)
        });
        let has_frames = state.machine.has_transmit() || state.machine.is_closed();
        drop(state);
        if is_news {
            self.changed.notify_waiters();
        }
        if has_frames {
            self.frames.notify_one();
        }
        answer
    }

    fn handle(&self, state: &mut State, event: BuyerEvent, events: &mut Vec<Event>) {
        match event {
            BuyerEvent::Welcomed {
                session,
                passport,
                tariff,
            } => {
                state.session = Some(session);
                state.passport = Some(passport);
                state.tariff = Some(tariff);
            }
            BuyerEvent::Ready(grant) => {
                state.ready = Some(grant);
                state.unfollowed = None;
            }
            BuyerEvent::Signed(receipt) => {
                events.push(Event::ReceiptSigned(receipt.to_unverified()))
            }
            BuyerEvent::Final(receipt) => {
                if state.session.is_some() && state.finals.len() < FINALS_MAX {
                    state.finals.push(receipt.grant);
                }
                events.push(Event::ReceiptSigned(receipt.to_unverified()));
                self.errands.notify_one();
            }
            BuyerEvent::NeedSuccessor(grant) => {
                state.wants_successor = Some(grant);
                self.errands.notify_one();
            }
            BuyerEvent::UsedUp {
                responses,
                uploads,
                reason,
            } => {
                // That a grant is used up tells nobody what to do: that there is no other has a reason.
                let unfollowed = state
                    .unfollowed
                    .filter(|_| reason == Reject::GRANT_EXHAUSTED);
                let reason = unfollowed.unwrap_or(reason);
                for response in responses {
                    if state.given_up.insert(response, reason).is_none() {
                        tracing::info!(site = %self.site, slug = reason.slug(), "a response ends early: nothing is left to pay for it, and no more is to be had");
                    }
                    if let Some(reader) = state.readers.remove(&response) {
                        reader.wake();
                    }
                }
                for one in uploads.iter().filter_map(|one| state.uploads.get(one)) {
                    one.tell(reason);
                }
            }
            BuyerEvent::Refused { reject, grant } => {
                tracing::debug!(site = %self.site, slug = reject.slug(), about_grant = grant.is_some(), "the seller refuses");
                state.finals.retain(|one| Some(*one) != grant);
                state.refused = Some(reject);
            }
            BuyerEvent::Stopped(reject) => {
                tracing::warn!(site = %self.site, slug = reject.slug(), "nothing more is paid here until it is agreed again");
                events.push(Event::Stopped {
                    site: self.site.clone(),
                    time: self.clock.now(),
                });
            }
            BuyerEvent::Closed => self.errands.notify_one(),
        }
    }
}
