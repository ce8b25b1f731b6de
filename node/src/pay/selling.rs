//! The seller's end of every session of this node: one lock over the machines and over what all buyers owe.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use madang_protocol::{
    ids::{AccountId, PublicKey, SessionId},
    limits::TARIFF_RULES_MAX,
    name::SiteName,
    record::{grant::Grant, tariff::Tariff},
    reject::Reject,
    sealed::{Sealed, Trust},
    session::{
        exposure::{Exposure, Policy},
        frame::{BuyerFrame, SellerFrame},
        moment::Moment,
        seller::{Remembered, Seller, SellerEvent, SellerTerms},
    },
};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::{
    forgetting::{Forgetting, forget_sales},
    outbox::Outbox,
    till::{Entry, State},
};
use crate::{
    broker,
    clock::Clock,
    config,
    identity::DeviceKey,
    standing::Standing,
    store::{Event, NodeStore, StoreError, StoreRead},
};

/// Sessions at one time.
const SESSIONS_MAX: usize = 4_096;
/// A response that waits for a receipt is given up after this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Of each honoured receipt, this share of an account's lost value is forgiven: a broken line loses little.
const FORGIVEN_PER_MILLE: u16 = 10;
/// How often sessions are looked after.
const TICK: Duration = Duration::from_millis(250);
/// How often it is asked whether old sales are to be looked through.
const SWEEP: Duration = Duration::from_secs(60);

/// What selling needs of the node.
pub struct SellingParts {
    /// Signs batches.
    pub key: DeviceKey,
    /// The network's time.
    pub clock: Clock,
    /// The issuer's word.
    pub standing: watch::Receiver<Standing>,
    /// What must not be forgotten.
    pub store: Arc<NodeStore>,
    /// Where receipts are handed in.
    pub broker: broker::Client,
    /// How much is dared.
    pub policy: config::Selling,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Selling(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub(super) parts: SellingParts,
    pub(super) outbox: Outbox,
    /// There is something to settle now.
    pub(super) settle: Notify,
    /// Something may be receipted that kept a request from being asked.
    pub(super) receipted: Notify,
    state: Mutex<State>,
}

impl Selling {
    /// Sessions that go on from what the store remembers.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(parts: SellingParts) -> Result<Self, StoreError> {
        let policy = Policy {
            window_start: parts.policy.window_start,
            window_max: parts.policy.window_max,
            cap: parts.policy.exposure_max,
            forgiven_per_mille: FORGIVEN_PER_MILLE,
            forgiven_per_day: parts.policy.window_start,
        };
        let exposure = Exposure::restore(policy, parts.store.debts()?);
        let state = State {
            exposure,
            sessions: BTreeMap::new(),
            by_buyer: HashMap::new(),
        };
        let outbox = Outbox::new(Arc::clone(&parts.store));
        Ok(Self(Arc::new(Shared {
            parts,
            outbox,
            settle: Notify::new(),
            receipted: Notify::new(),
            state: Mutex::new(state),
        })))
    }

    /// Looks after sessions, the disk and settlement, for as long as the node runs.
    pub async fn run(&self) {
        tokio::join!(
            self.0.outbox.run(),
            self.look_after(),
            self.settle_for_ever(),
            self.forget_for_ever()
        );
    }

    async fn look_after(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.tick();
        }
    }

    async fn forget_for_ever(&self) {
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut forgetting = Forgetting::default();
        loop {
            sweeps.tick().await;
            let parts = &self.0.parts;
            forgetting
                .when_due(&parts.clock, async |now| {
                    forget_sales(&parts.store, now).await
                })
                .await;
        }
    }

    fn tick(&self) {
        let now = self.moment();
        self.with(|state, events| {
            let due: Vec<SessionId> = state
                .sessions
                .iter()
                .filter(|(_, entry)| {
                    entry
                        .machine
                        .poll_timeout()
                        .is_some_and(|at| at <= now.instant)
                        || entry.is_forgotten(now.instant)
                })
                .map(|(id, _)| *id)
                .collect();
            for id in due {
                let State {
                    exposure, sessions, ..
                } = state;
                let Some(entry) = sessions.get_mut(&id) else {
                    continue;
                };
                if entry.is_forgotten(now.instant) {
                    entry.machine.close(exposure, None, now);
                } else {
                    entry.machine.handle_timeout(exposure, now);
                }
                self.drain(state, id, events);
            }
        });
    }

    /// The buyer at the other end of a stream says hello for `site`: the session that it has, or a new one.
    pub(super) fn enter(
        &self,
        buyer: PublicKey,
        account: AccountId,
        site: &SiteName,
        tariff: &Sealed<Tariff>,
    ) -> Result<(SessionId, Arc<Notify>), Reject> {
        let passport = self
            .0
            .parts
            .standing
            .borrow()
            .passport
            .clone()
            .ok_or(Reject::PASSPORT_EXPIRED)?;
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|_| Reject::BUSY)?;
        let mut state = self.0.state.lock();
        let key = (buyer, site.clone());
        let session = match state.session_of(buyer, site) {
            Some(session) => session,
            None if state.sessions.len() >= SESSIONS_MAX => return Err(Reject::SESSIONS_TOO_MANY),
            None => {
                let session = SessionId(id);
                let terms = SellerTerms {
                    session,
                    site: site.clone(),
                    buyer,
                    account,
                    passport: passport.clone(),
                    tariff: tariff.clone(),
                    patience: PATIENCE,
                };
                let entry = Entry::new(Seller::new(terms), buyer, site.clone());
                state.by_buyer.insert(key, session);
                state.sessions.insert(session, entry);
                session
            }
        };
        let Some(entry) = state.sessions.get_mut(&session) else {
            return Err(Reject::BUSY);
        };
        entry.streams += 1;
        entry.machine.set_passport(passport);
        if entry.machine.tariff().tariff_hash() != tariff.tariff_hash() {
            entry.machine.set_tariff(tariff.clone());
        }
        for rule in &tariff.rules {
            if let Ok(Some(until)) = self.0.parts.store.pass_sold(account, site, &rule.pattern) {
                entry.machine.add_pass(&rule.pattern, until);
            }
        }
        Ok((session, Arc::clone(&entry.frames)))
    }

    /// A stream of the session is gone.
    pub(super) fn leave(&self, session: SessionId) {
        let mut state = self.0.state.lock();
        if let Some(entry) = state.sessions.get_mut(&session) {
            entry.streams = entry.streams.saturating_sub(1);
            entry.quiet_since = Instant::now();
        }
    }

    /// Takes a frame of the buyer's.
    pub(super) fn handle_frame(&self, session: SessionId, frame: BuyerFrame) -> Result<(), Reject> {
        let shown = match &frame {
            BuyerFrame::Grant(grant) => Some((**grant).clone()),
            BuyerFrame::Hello(_)
            | BuyerFrame::Receipt(_)
            | BuyerFrame::Close
            | BuyerFrame::End(_) => None,
        };
        let trust = self.0.parts.standing.borrow().trust.clone();
        let remembered = |grant: &Grant| self.remembered(grant, &trust);
        let now = self.moment();
        self.with(|state, events| {
            let State {
                exposure, sessions, ..
            } = state;
            let entry = sessions.get_mut(&session).ok_or(Reject::SESSION_UNKNOWN)?;
            let outcome = entry
                .machine
                .handle_frame(frame, &trust, exposure, remembered, now);
            if let (Ok(()), Some(grant)) = (&outcome, shown)
                && !matches!(
                    self.0.parts.store.grant_shown(grant.claims().id),
                    Ok(Some(_))
                )
            {
                events.push(Event::GrantShown(grant));
            }
            entry.frames.notify_one();
            self.drain(state, session, events);
            self.0.receipted.notify_waiters();
            outcome
        })
    }

    /// The frames that wait to be sent to the buyer, and whether the session has ended.
    pub(super) fn frames(&self, session: SessionId) -> (Vec<SellerFrame>, bool) {
        let mut state = self.0.state.lock();
        let Some(entry) = state.sessions.get_mut(&session) else {
            return (Vec::new(), true);
        };
        let frames = std::iter::from_fn(|| entry.machine.poll_transmit()).collect();
        let is_closed = entry.machine.is_closed();
        if is_closed {
            state.forget(session);
        }
        (frames, is_closed)
    }

    /// Whether the request that names `session` comes from its buyer, for its site, at the price list that holds now.
    ///
    /// # Errors
    /// Why it has to be paid for first.
    pub fn admit(
        &self,
        session: Option<&str>,
        buyer: &PublicKey,
        site: &SiteName,
        tariff: &Sealed<Tariff>,
    ) -> Result<SessionId, Reject> {
        let session = session
            .ok_or(Reject::PAYMENT_REQUIRED)?
            .parse()
            .map_err(|_| Reject::SESSION_UNKNOWN)?;
        if !self.0.outbox.keeps_up() {
            return Err(Reject::STORE_FULL);
        }
        let mut state = self.0.state.lock();
        let entry = state
            .sessions
            .get_mut(&session)
            .ok_or(Reject::SESSION_UNKNOWN)?;
        if entry.buyer != *buyer || entry.site != *site || entry.machine.is_closed() {
            return Err(Reject::SESSION_UNKNOWN);
        }
        if entry.machine.tariff().tariff_hash() != tariff.tariff_hash() {
            entry.machine.set_tariff(tariff.clone());
        }
        Ok(session)
    }

    /// One change of the state, and what it means for the disk.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State, &mut Vec<Event>) -> R) -> R {
        let mut events = Vec::new();
        let mut state = self.0.state.lock();
        let answer = change(&mut state, &mut events);
        while let Some((account, debt)) = state.exposure.poll_journal() {
            events.push(Event::DebtNoted { account, debt });
        }
        // Under the lock, so that what is written later is also what happened later.
        self.0.outbox.put(events);
        answer
    }

    /// Does what a session's machine asks for.
    pub(super) fn drain(&self, state: &mut State, session: SessionId, events: &mut Vec<Event>) {
        let Some(entry) = state.sessions.get_mut(&session) else {
            return;
        };
        while let Some(event) = entry.machine.poll_event() {
            match event {
                SellerEvent::Room => entry.wake_all(),
                SellerEvent::Paid(response) => entry.wake(response),
                SellerEvent::Honoured(receipt) => {
                    events.push(Event::ReceiptHeld(receipt.to_unverified()))
                }
                SellerEvent::PassBought {
                    account,
                    pattern,
                    grant,
                    until,
                } => {
                    let pass = crate::store::PassRow {
                        account,
                        site: entry.site.clone(),
                        pattern,
                        grant,
                        until,
                    };
                    events.push(Event::PassSold(pass));
                }
                SellerEvent::RequestServed { grant, rule, key } => {
                    if let Ok(rule) = u16::try_from(rule) {
                        events.push(Event::RequestServed { grant, rule, key });
                    }
                }
                SellerEvent::RequestReturned { grant, rule } => {
                    if let Ok(rule) = u16::try_from(rule) {
                        events.push(Event::RequestReturned { grant, rule });
                    }
                }
                SellerEvent::Final(grant) => {
                    tracing::debug!(grant = %grant.short(), "a grant is final");
                    self.0.settle.notify_one();
                }
                SellerEvent::Overdue => {
                    entry.overdue.extend(entry.waiting.keys().copied());
                    entry.wake_all();
                }
                SellerEvent::Closed(reason) => {
                    tracing::debug!(session = %session.short(), ?reason, "a paying session has ended");
                    entry.wake_all();
                    entry.frames.notify_one();
                    self.0.settle.notify_one();
                }
            }
        }
        if entry.machine.has_transmit() {
            // What time brings is said at once too: where nothing else happens, nobody else would look.
            entry.frames.notify_one();
        }
        let is_over = entry.machine.is_closed() && entry.streams == 0;
        if is_over {
            state.forget(session);
        }
    }

    /// What the journal says of a grant. What cannot be read is not known, and not served on trust: nothing is remembered as unserved then.
    pub(super) fn remembered(&self, grant: &Grant, trust: &Trust) -> Remembered {
        match self.try_remember(grant, trust) {
            Ok(remembered) => remembered,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "read a sale");
                Remembered {
                    served: vec![u64::MAX; TARIFF_RULES_MAX],
                    ..Remembered::default()
                }
            }
        }
    }

    fn try_remember(&self, grant: &Grant, trust: &Trust) -> Result<Remembered, StoreRead> {
        let store = &self.0.parts.store;
        let held = store.held(grant.id)?;
        let before = grant.predecessor.map(|id| store.served_keys(id));
        Ok(Remembered {
            receipt: held.and_then(|held| held.receipt.verify(trust).ok()),
            served: store.served(grant.id)?,
            keys: store.served_keys(grant.id)?,
            keys_before: before.transpose()?.unwrap_or_default(),
        })
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            instant: Instant::now(),
            time: self.0.parts.clock.now(),
        }
    }
}
