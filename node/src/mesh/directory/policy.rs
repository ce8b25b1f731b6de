//! [`DirectoryPolicy`]: what peers may make this node store and pass on. It is asked on the swarm's task and answers at once.
//!
//! In order of cost: who sends, how often, the key, the record's form, its times, its signatures, its sequence.

use std::sync::Arc;
use std::time::Instant;

use libp2p::kad::{ProviderRecord, Record};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use madang_protocol::{
    limits::{ADDRESSES_MAX, ANNOUNCEMENT_LIFE},
    record::{announcement::Announcement, revocation::RevocationList},
    reject::Reject,
    rules::announcement::{Believed, Succession, believed_until, succeeds},
    sealed::Unverified,
    time::time_until,
};

use super::keys::{self, ProviderKey};
use super::refusals::Way;
use super::shared::{Order, Shared, is_fault_of_source};
use crate::mesh::identity::peer_id_of;
use crate::mesh::kademlia::Entry;
use crate::mesh::policy::{Policy, Verdict};

/// Decides what is stored and passed on, by what [`Shared`] knows.
pub(in crate::mesh) struct DirectoryPolicy(Arc<Shared>);

impl DirectoryPolicy {
    pub(in crate::mesh) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Whether `source` may have something stored at all, and has not asked too often.
    fn admit(&self, source: PeerId) -> Result<(), Reject> {
        let now = Instant::now();
        let is_allowed = self
            .0
            .with(|inner| !inner.conduct.is_banned(&source) && inner.checks.take(source, now));
        if is_allowed {
            Ok(())
        } else {
            Err(Reject::SLOW_DOWN)
        }
    }

    fn judge_record(
        &self,
        mut record: Record,
        source: PeerId,
        stored: Option<&Record>,
    ) -> Result<Record, Reject> {
        self.admit(source)?;
        let believed = self
            .0
            .verifier
            .announcement_under(record.key.as_ref(), &record.value)?;
        if let Some(stored) = stored {
            // What is stored was checked when it came; only its sequence counts here.
            let stored = Unverified::<Announcement>::from_bytes(&stored.value)?;
            succeeds(stored.claims(), &believed.announcement)?;
        }
        let now = self.0.verifier.now();
        let life = time_until(
            now,
            believed_until(&believed.announcement),
            ANNOUNCEMENT_LIFE,
        );
        let expires = Instant::now() + life;
        record.expires = Some(
            record
                .expires
                .map_or(expires, |claimed| claimed.min(expires)),
        );
        record.publisher = peer_id_of(&believed.announcement.device.0).ok();
        self.refresh(believed);
        Ok(record)
    }

    fn judge_provider(&self, mut record: ProviderRecord) -> Result<ProviderRecord, Reject> {
        self.admit(record.provider)?;
        let passport = self
            .0
            .passport_of(&record.provider)
            .ok_or(Reject::NOT_A_SUBSCRIBER)?;
        match ProviderKey::read(record.key.as_ref()).ok_or(Reject::ANNOUNCEMENT_MISKEYED)? {
            ProviderKey::Site { handle } if handle != keys::handle_hash(&passport.handle) => {
                return Err(Reject::NAME_NOT_YOURS);
            }
            ProviderKey::Site { .. } | ProviderKey::Keyword { .. } => {}
        }
        record.addresses.truncate(ADDRESSES_MAX);
        if record.addresses.is_empty() {
            // Kademlia tells nobody of a provider without addresses; ours are in its announcement.
            record
                .addresses
                .push(Multiaddr::empty().with(Protocol::P2p(record.provider)));
        }
        Ok(record)
    }

    fn judge_announcement(
        &self,
        shard: u8,
        octets: &[u8],
        source: PeerId,
    ) -> Result<Succession, Reject> {
        self.admit(source)?;
        let believed = self.0.verifier.announcement(octets)?;
        if keys::gossip_shard(&believed.announcement.site) != shard {
            return Err(Reject::ANNOUNCEMENT_MISKEYED);
        }
        let device = believed.announcement.device;
        let peer = peer_id_of(&device.0).map_err(|_| Reject::KEY_WEAK)?;
        let now = self.0.verifier.now();
        self.0.with(|inner| {
            let succession = inner.cache.offer(believed, peer, now)?;
            let is_news = succession == Succession::Newer;
            if is_news && !inner.news.take(device, Instant::now()) {
                return Err(Reject::SLOW_DOWN);
            }
            Ok(succession)
        })
    }

    fn judge_revocations(&self, octets: &[u8], source: PeerId) -> Result<Succession, Reject> {
        self.admit(source)?;
        let list = Unverified::<RevocationList>::from_bytes(octets)?;
        if list.claims().sequence <= self.0.verifier.revocations_sequence() {
            return Ok(Succession::Same);
        }
        let list = self.0.verifier.revocations(list)?;
        self.0.order(Order::Revocations(Box::new(list)));
        Ok(Succession::Newer)
    }

    /// Takes what was stored for others into our own cache, where the site is in use here.
    fn refresh(&self, believed: Believed) {
        let Ok(peer) = peer_id_of(&believed.announcement.device.0) else {
            return;
        };
        let now = self.0.verifier.now();
        self.0.with(|inner| {
            if inner
                .cache
                .device(&believed.announcement.site, &believed.announcement.device)
                .is_some()
            {
                // It may be older than what is known here, which is as good.
                let _ = inner.cache.offer(believed, peer, now);
            }
        });
    }

    fn has_greeted(&self, source: &PeerId) -> bool {
        self.0.passport_of(source).is_some()
    }
}

impl Policy for DirectoryPolicy {
    fn store_record(
        &mut self,
        record: Record,
        source: PeerId,
        stored: Option<&Record>,
    ) -> Option<Record> {
        if !self.has_greeted(&source) {
            self.0
                .wait_for_hello(source, Entry::Record(record), Instant::now());
            return None;
        }
        let judged = self.judge_record(record, source, stored);
        judged
            .map_err(|reject| self.0.refuse(Way::Record, reject, source))
            .ok()
    }

    fn store_provider(&mut self, record: ProviderRecord) -> Option<ProviderRecord> {
        let source = record.provider;
        if !self.has_greeted(&source) {
            self.0
                .wait_for_hello(source, Entry::Provider(record), Instant::now());
            return None;
        }
        let judged = self.judge_provider(record);
        judged
            .map_err(|reject| self.0.refuse(Way::Provider, reject, source))
            .ok()
    }

    fn judge_message(&mut self, topic: &str, data: &[u8], source: PeerId) -> Verdict {
        let judged = if topic == keys::REVOCATIONS_TOPIC {
            self.judge_revocations(data, source)
        } else if let Some(shard) = keys::shard_of_topic(topic) {
            self.judge_announcement(shard, data, source)
        } else {
            return Verdict::Ignore;
        };
        match judged {
            Ok(Succession::Newer) => Verdict::Accept,
            Ok(Succession::Same) => Verdict::Ignore,
            Err(reject) => {
                self.0.refuse(Way::Gossip, reject, source);
                if is_fault_of_source(Way::Gossip, reject) {
                    Verdict::Reject
                } else {
                    Verdict::Ignore
                }
            }
        }
    }
}
