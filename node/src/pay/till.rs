//! The sessions of a seller, each with who waits in it, under the one lock that they share with what all buyers owe.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use madang_protocol::{
    ids::{PublicKey, SessionId},
    name::SiteName,
    session::{exposure::Exposure, frame::ResponseId, seller::Seller},
};
use tokio::sync::Notify;

/// A session without a stream and without a response is forgotten after this long.
const SESSION_IDLE: Duration = Duration::from_secs(15 * 60);

/// All sessions, and what all buyers owe.
pub(super) struct State {
    pub(super) exposure: Exposure,
    pub(super) sessions: BTreeMap<SessionId, Entry>,
    pub(super) by_buyer: HashMap<(PublicKey, SiteName), SessionId>,
}

/// One session.
pub(super) struct Entry {
    pub(super) machine: Seller,
    pub(super) buyer: PublicKey,
    pub(super) site: SiteName,
    /// Who waits for room: up, down.
    pub(super) waiting: BTreeMap<ResponseId, [Option<Waker>; 2]>,
    /// Responses that waited too long.
    pub(super) overdue: BTreeSet<ResponseId>,
    /// There are frames to send.
    pub(super) frames: Arc<Notify>,
    pub(super) streams: usize,
    pub(super) quiet_since: Instant,
}

impl Entry {
    pub(super) fn new(machine: Seller, buyer: PublicKey, site: SiteName) -> Self {
        Self {
            machine,
            buyer,
            site,
            waiting: BTreeMap::new(),
            overdue: BTreeSet::new(),
            frames: Arc::new(Notify::new()),
            streams: 0,
            quiet_since: Instant::now(),
        }
    }

    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        self.streams == 0
            && self.waiting.is_empty()
            && now.saturating_duration_since(self.quiet_since) >= SESSION_IDLE
    }

    pub(super) fn wake(&mut self, response: ResponseId) {
        for waker in self
            .waiting
            .remove(&response)
            .into_iter()
            .flatten()
            .flatten()
        {
            waker.wake();
        }
    }

    pub(super) fn wake_all(&mut self) {
        for waker in std::mem::take(&mut self.waiting)
            .into_values()
            .flatten()
            .flatten()
        {
            waker.wake();
        }
    }
}

impl State {
    /// The session of a buyer's device for a site, if there is one that is not over.
    pub(super) fn session_of(&self, buyer: PublicKey, site: &SiteName) -> Option<SessionId> {
        let session = *self.by_buyer.get(&(buyer, site.clone()))?;
        let entry = self.sessions.get(&session)?;
        (!entry.machine.is_closed()).then_some(session)
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        if let Some(mut entry) = self.sessions.remove(&session) {
            entry.wake_all();
            self.by_buyer.retain(|_, known| *known != session);
        }
    }
}
