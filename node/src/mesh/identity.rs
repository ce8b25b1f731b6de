//! Ed25519 public keys and libp2p peer ids, in both directions.
//!
//! A peer id of an Ed25519 key contains the key itself, so that both directions are total for our nodes and no table is
//! needed.

use libp2p::PeerId;
use libp2p::identity::{PublicKey, ed25519};
use thiserror::Error;

/// A peer id that does not contain an Ed25519 public key, or 32 bytes that are no such key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an Ed25519 identity")]
pub struct NotEd25519;

/// The multihash code of the identity function: the digest is the encoded key itself.
const IDENTITY_HASH: u64 = 0;

/// The peer id of a node whose Ed25519 public key is `key`, compressed as in RFC 8032.
///
/// # Errors
/// [`NotEd25519`] if the bytes are not a point of the curve.
pub fn peer_id_of(key: &[u8; 32]) -> Result<PeerId, NotEd25519> {
    let key = ed25519::PublicKey::try_from_bytes(key).map_err(|_| NotEd25519)?;
    Ok(PublicKey::from(key).to_peer_id())
}

/// The Ed25519 public key that a peer id contains.
///
/// # Errors
/// [`NotEd25519`] if the peer id is the hash of a key, or contains a key of another kind.
pub fn public_key_of(peer: &PeerId) -> Result<[u8; 32], NotEd25519> {
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return Err(NotEd25519);
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).map_err(|_| NotEd25519)?;
    let key = key.try_into_ed25519().map_err(|_| NotEd25519)?;
    Ok(key.to_bytes())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    #[test]
    fn a_key_survives_the_way_through_a_peer_id() {
        let keypair = Keypair::ed25519_from_bytes([7; 32]).unwrap();
        let key = keypair.public().try_into_ed25519().unwrap().to_bytes();
        let peer = peer_id_of(&key).unwrap();
        assert_eq!(peer, keypair.public().to_peer_id());
        assert_eq!(public_key_of(&peer), Ok(key));
    }

    #[test]
    fn a_peer_id_that_is_only_a_hash_has_no_key() {
        assert_eq!(public_key_of(&PeerId::random()), Err(NotEd25519));
    }
}
