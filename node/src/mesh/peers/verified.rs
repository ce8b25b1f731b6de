//! [`Verified`]: the passports that peers have shown us in hello, each on a connection that proved the passport's key.

use std::num::NonZeroUsize;

use libp2p::PeerId;
use lru::LruCache;
use madang_protocol::{
    record::{passport::Passport, revocation::RevocationList},
    sealed::Sealed,
    time::UnixMillis,
};

/// Passports that are kept: more than a node has connections; those of peers that left make way first.
const VERIFIED_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");

/// The passports of peers, the least recently used first to go.
#[derive(Debug)]
pub(in crate::mesh) struct Verified(LruCache<PeerId, Sealed<Passport>>);

impl Verified {
    /// An empty table.
    pub(in crate::mesh) fn new() -> Self {
        Self(LruCache::new(VERIFIED_MAX))
    }

    /// Keeps the passport that `peer` has shown, unless a newer one is held.
    pub(in crate::mesh) fn insert(&mut self, peer: PeerId, passport: Sealed<Passport>) {
        let is_newer = self
            .0
            .peek(&peer)
            .is_none_or(|held| held.issued <= passport.issued);
        if is_newer {
            self.0.put(peer, passport);
        }
    }

    /// The passport of `peer`, if it is good at `now`.
    pub(in crate::mesh) fn get(
        &mut self,
        peer: &PeerId,
        now: UnixMillis,
    ) -> Option<&Sealed<Passport>> {
        self.0.get(peer).filter(|passport| now < passport.expires)
    }

    /// Forgets the peers that `list` revokes, and names them.
    pub(in crate::mesh) fn revoke(&mut self, list: &RevocationList) -> Vec<PeerId> {
        let revoked =
            |passport: &Sealed<Passport>| list.revokes(&passport.device, &passport.account);
        let peers: Vec<_> = self
            .0
            .iter()
            .filter(|(_, held)| revoked(held))
            .map(|(peer, _)| *peer)
            .collect();
        for peer in &peers {
            self.0.pop(peer);
        }
        peers
    }

    /// Forgets `peer`.
    pub(in crate::mesh) fn remove(&mut self, peer: &PeerId) {
        self.0.pop(peer);
    }
}
