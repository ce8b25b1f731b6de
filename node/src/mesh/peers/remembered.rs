//! [`Remembered`]: the peers from which the mesh is found again after a restart, also with the anchor down.
//!
//! Only peers that were connected with a good passport are kept, the reliable ones longest. The file is a convenience: one that cannot be read
//! is as good as none, since the network's descriptor names where to enter.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use libp2p::{Multiaddr, PeerId};
use madang_protocol::{
    codec,
    ids::{NetworkId, PublicKey},
    limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX},
    reject::Reject,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::files;
use crate::mesh::identity::{peer_id_of, public_key_of};

/// Peers in the file: enough that some of them are online whenever this node starts.
const REMEMBERED_MAX: usize = 256;
/// Successes that count; more would let a peer that was good for years outlast its own end for long.
const SUCCESSES_MAX: u16 = 100;
/// Of the file's layout.
const FILE_VERSION: u16 = 1;
/// Of the file: its peers with their longest addresses.
const FILE_BYTES_MAX: usize = 64 + REMEMBERED_MAX * (64 + ADDRESSES_MAX * (ADDRESS_BYTES_MAX + 8));

/// Why the file could not be read or written.
#[derive(Debug, Error)]
pub(in crate::mesh) enum FileError {
    /// The file system's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not a file of ours, or of another network.
    #[error("{0}")]
    Damaged(Reject),
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// Multiaddrs without the peer id, the one that worked last first.
    addresses: Vec<String>,
    /// Connections since it was first met.
    successes: u16,
    /// Failed dials since the last connection.
    failures: u16,
    /// When it was connected last.
    seen: UnixMillis,
}

impl Known {
    /// Better ones are smaller.
    fn rank(&self) -> (u16, Reverse<u16>, Reverse<UnixMillis>) {
        (self.failures, Reverse(self.successes), Reverse(self.seen))
    }
}

/// The layout on disk.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u16,
    network: NetworkId,
    peers: Vec<(PublicKey, Known)>,
}

/// The peers that are remembered.
#[derive(Debug, Clone)]
pub(in crate::mesh) struct Remembered {
    network: NetworkId,
    peers: BTreeMap<PublicKey, Known>,
}

impl Remembered {
    /// Nobody, in `network`.
    pub(in crate::mesh) fn new(network: NetworkId) -> Self {
        Self {
            network,
            peers: BTreeMap::new(),
        }
    }

    /// Reads `path`; nobody is remembered if there is no such file.
    ///
    /// # Errors
    /// [`FileError`]
    pub(in crate::mesh) fn load(path: &Path, network: NetworkId) -> Result<Self, FileError> {
        let Some(octets) = files::read_bounded(path, FILE_BYTES_MAX)? else {
            return Ok(Self::new(network));
        };
        let stored: Stored = codec::decode(&octets, FILE_BYTES_MAX)
            .map_err(|error| FileError::Damaged(error.into()))?;
        if stored.version != FILE_VERSION {
            return Err(FileError::Damaged(Reject::VERSION_UNKNOWN));
        }
        if stored.network != network {
            return Err(FileError::Damaged(Reject::NETWORK_FOREIGN));
        }
        let mut remembered = Self {
            network,
            peers: stored.peers.into_iter().collect(),
        };
        remembered.trim();
        Ok(remembered)
    }

    /// Writes all to `path`, in the place of what was there.
    ///
    /// # Errors
    /// Those of the file system.
    pub(in crate::mesh) fn save(&self, path: &Path) -> io::Result<()> {
        let peers = self
            .peers
            .iter()
            .map(|(key, known)| (*key, known.clone()))
            .collect();
        let stored = Stored {
            version: FILE_VERSION,
            network: self.network,
            peers,
        };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        files::replace(path, &codec::encode(&stored))
    }

    /// `peer` is connected, and can be dialled at `addresses`.
    pub(in crate::mesh) fn connected(
        &mut self,
        peer: &PeerId,
        addresses: &[Multiaddr],
        now: UnixMillis,
    ) {
        let Ok(key) = public_key_of(peer) else { return };
        let texts = addresses
            .iter()
            .map(ToString::to_string)
            .filter(|text| text.len() <= ADDRESS_BYTES_MAX);
        let mut addresses: Vec<String> = Vec::new();
        for text in texts {
            if addresses.len() < ADDRESSES_MAX && !addresses.contains(&text) {
                addresses.push(text);
            }
        }
        if addresses.is_empty() {
            return;
        }
        let fresh = Known {
            addresses: Vec::new(),
            successes: 0,
            failures: 0,
            seen: now,
        };
        let known = self.peers.entry(PublicKey(key)).or_insert(fresh);
        known.addresses = addresses;
        known.successes = known.successes.saturating_add(1).min(SUCCESSES_MAX);
        known.failures = 0;
        known.seen = now;
        self.trim();
    }

    /// `peer` did not answer.
    pub(in crate::mesh) fn failed(&mut self, peer: &PeerId) {
        if let Ok(key) = public_key_of(peer)
            && let Some(known) = self.peers.get_mut(&PublicKey(key))
        {
            known.failures = known.failures.saturating_add(1);
        }
    }

    /// Forgets `peer`: its passport is no longer good.
    pub(in crate::mesh) fn remove(&mut self, peer: &PeerId) {
        if let Ok(key) = public_key_of(peer) {
            self.peers.remove(&PublicKey(key));
        }
    }

    /// Peers to dial, the best first.
    pub(in crate::mesh) fn best(&self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let mut ranked: Vec<_> = self.peers.iter().collect();
        ranked.sort_by_key(|(key, known)| (known.rank(), **key));
        let dialable = ranked.into_iter().filter_map(|(key, known)| {
            let addresses: Vec<Multiaddr> = known
                .addresses
                .iter()
                .filter_map(|text| text.parse().ok())
                .collect();
            Some((peer_id_of(&key.0).ok()?, addresses))
                .filter(|(_, addresses)| !addresses.is_empty())
        });
        dialable.collect()
    }

    fn trim(&mut self) {
        while self.peers.len() > REMEMBERED_MAX {
            let worst = self
                .peers
                .iter()
                .max_by_key(|(key, known)| (known.rank(), **key))
                .map(|(key, _)| *key);
            if let Some(worst) = worst {
                self.peers.remove(&worst);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    const NETWORK: NetworkId = NetworkId([7; 16]);

    fn peer(n: u16) -> PeerId {
        let mut secret = [0; 32];
        secret[..2].copy_from_slice(&n.to_le_bytes());
        Keypair::ed25519_from_bytes(secret)
            .unwrap()
            .public()
            .to_peer_id()
    }

    fn address(n: u16) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{}", 1_000 + n).parse().unwrap()
    }

    #[test]
    fn the_reliable_come_first_and_the_silent_go_first() {
        let mut remembered = Remembered::new(NETWORK);
        remembered.connected(&peer(1), &[address(1)], UnixMillis(1));
        remembered.connected(&peer(2), &[address(2)], UnixMillis(2));
        remembered.connected(&peer(3), &[address(3)], UnixMillis(3));
        remembered.connected(&peer(1), &[address(9), address(1)], UnixMillis(4));
        remembered.failed(&peer(3));
        let best = remembered.best();
        assert_eq!(best[0], (peer(1), vec![address(9), address(1)]));
        assert_eq!((best[1].0, best[2].0), (peer(2), peer(3)));

        for n in 10..10 + REMEMBERED_MAX as u16 {
            remembered.connected(&peer(n), &[address(n)], UnixMillis(u64::from(n)));
        }
        assert_eq!(remembered.peers.len(), REMEMBERED_MAX);
        let best: Vec<_> = remembered
            .best()
            .into_iter()
            .map(|(peer, _)| peer)
            .collect();
        assert!(best[0] == peer(1) && !best.contains(&peer(3)) && !best.contains(&peer(2)));
    }

    #[test]
    fn a_file_survives_and_a_damaged_or_foreign_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("peers");
        assert!(Remembered::load(&path, NETWORK).unwrap().best().is_empty());
        let mut remembered = Remembered::new(NETWORK);
        for n in 0..REMEMBERED_MAX as u16 {
            remembered.connected(&peer(n), &[address(n)], UnixMillis(u64::from(n)));
        }
        remembered.save(&path).unwrap();
        assert_eq!(
            Remembered::load(&path, NETWORK).unwrap().best(),
            remembered.best()
        );

        assert!(matches!(
            Remembered::load(&path, NetworkId([8; 16])),
            Err(FileError::Damaged(Reject::NETWORK_FOREIGN))
        ));
        let mut octets = fs::read(&path).unwrap();
        octets.truncate(octets.len() - 1);
        fs::write(&path, &octets).unwrap();
        assert!(matches!(
            Remembered::load(&path, NETWORK),
            Err(FileError::Damaged(Reject::RECORD_MALFORMED))
        ));
        fs::write(&path, vec![0; FILE_BYTES_MAX + 1]).unwrap();
        assert!(matches!(
            Remembered::load(&path, NETWORK),
            Err(FileError::Io(_))
        ));
    }

    #[test]
    fn a_peer_that_floods_addresses_takes_no_more_room() {
        let mut remembered = Remembered::new(NETWORK);
        let addresses: Vec<_> = (0..100).map(address).collect();
        remembered.connected(&peer(1), &addresses, UnixMillis(1));
        assert_eq!(remembered.best()[0].1.len(), ADDRESSES_MAX);
        remembered.connected(&PeerId::random(), &addresses, UnixMillis(1));
        assert_eq!(remembered.peers.len(), 1);
    }
}
