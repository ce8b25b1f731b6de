//! Signed records: [`Sealed`] has been checked, [`Unverified`] has not, and only [`Unverified::verify`] leads from one to the other.
//!
//! What is signed is, each with its length before it: the record's domain, its version, its network and its payload. So a signature means one
//! kind of record in one network only. The payload's octets are kept as they came, and are relayed as they came.

use std::{fmt, ops::Deref, sync::Arc};

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, DeserializeOwned, Error as _, Visitor},
};

use crate::{
    codec::{self, DecodeError},
    ids::{KeyId, NetworkId, PublicKey, RecordHash},
    limits::ISSUER_KEYS_MAX,
    reject::Reject,
};

/// A kind of record that is signed.
pub trait Record: Serialize + DeserializeOwned + Clone {
    /// Separates this kind's signatures from all others.
    const DOMAIN: &'static str;
    /// The version of the payload's layout.
    const VERSION: u16;
    /// The most octets that the sealed record may have.
    const BYTES_MAX: usize;

    /// Whose signature it must bear.
    fn signer(&self) -> Signer;

    /// Refuses shapes and sizes that no honest signer makes. Costs no cryptography.
    fn check(&self) -> Result<(), Reject>;
}

/// Whose signature a record must bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The issuer's, with the key of this name.
    Issuer(KeyId),
    /// The device's that the record names.
    Device(PublicKey),
}

/// What a verifier trusts: one network and the keys of its issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    network: NetworkId,
    issuers: Vec<(KeyId, PublicKey)>,
}

impl Trust {
    /// Trust in `issuers` for `network`; keys past [`ISSUER_KEYS_MAX`] are not taken.
    pub fn new(network: NetworkId, issuers: &[PublicKey]) -> Self {
        let issuers = issuers
            .iter()
            .take(ISSUER_KEYS_MAX)
            .map(|key| (KeyId::of(key), *key))
            .collect();
        Self { network, issuers }
    }

    /// The network that records must name.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    fn issuer(&self, id: KeyId) -> Option<PublicKey> {
        self.issuers
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, key)| *key)
    }
}

/// The octets that travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Envelope {
    version: u16,
    network: NetworkId,
    payload: Octets,
    signature: [[u8; 32]; 2],
}

impl Envelope {
    fn signature(&self) -> Signature {
        let mut octets = [0; 64];
        octets[..32].copy_from_slice(&self.signature[0]);
        octets[32..].copy_from_slice(&self.signature[1]);
        Signature::from_bytes(&octets)
    }
}

/// Octets that encode in one piece, where a vector encodes element by element; on the wire they are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Octets(Arc<[u8]>);

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OctetsVisitor;

        impl Visitor<'_> for OctetsVisitor {
            type Value = Octets;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("octets")
            }

            fn visit_bytes<E: de::Error>(self, octets: &[u8]) -> Result<Octets, E> {
                Ok(Octets(octets.into()))
            }

            fn visit_byte_buf<E: de::Error>(self, octets: Vec<u8>) -> Result<Octets, E> {
                Ok(Octets(octets.into()))
            }
        }

        deserializer.deserialize_byte_buf(OctetsVisitor)
    }
}

/// A record with a signature that was checked, or made, here. Clones share it.
#[derive(Debug, PartialEq, Eq)]
pub struct Sealed<T> {
    value: Arc<T>,
    envelope: Envelope,
}

/// A record whose signature nobody here has checked yet. Clones share it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unverified<T> {
    value: Arc<T>,
    envelope: Envelope,
}

impl<T: Record> Sealed<T> {
    /// Signs `value` with `key` for `network`.
    ///
    /// # Errors
    /// The refusal that any verifier would give: a shape out of bounds, or a key that is not the record's signer.
    pub fn sign(value: T, network: NetworkId, key: &SigningKey) -> Result<Self, Reject> {
        value.check()?;
        let own = PublicKey::of(key);
        let is_own = match value.signer() {
            Signer::Device(device) => device == own,
            Signer::Issuer(id) => id == KeyId::of(&own),
        };
        if !is_own {
            return Err(Reject::SIGNER_UNKNOWN);
        }
        let payload = codec::encode(&value);
        let signature = key.sign(&signed_octets::<T>(network, &payload)).to_bytes();
        let mut halves = [[0; 32]; 2];
        halves[0].copy_from_slice(&signature[..32]);
        halves[1].copy_from_slice(&signature[32..]);
        let sealed = Self {
            value: Arc::new(value),
            envelope: Envelope {
                version: T::VERSION,
                network,
                payload: Octets(payload.into()),
                signature: halves,
            },
        };
        if sealed.to_bytes().len() > T::BYTES_MAX {
            return Err(Reject::RECORD_TOO_LARGE);
        }
        Ok(sealed)
    }
}

impl<T> Sealed<T> {
    /// The octets that travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(&self.envelope)
    }

    /// The hash of the octets that travel.
    pub fn hash(&self) -> RecordHash {
        RecordHash::of(&self.to_bytes())
    }

    /// The same record for enclosing in another, whose reader checks it again.
    pub fn into_unverified(self) -> Unverified<T> {
        Unverified {
            value: self.value,
            envelope: self.envelope,
        }
    }
}

impl<T: Clone> Sealed<T> {
    /// The record itself, without its signature.
    pub fn into_value(self) -> T {
        Arc::unwrap_or_clone(self.value)
    }
}

impl<T> Sealed<T> {
    /// A copy for enclosing in another record, whose reader checks it again.
    pub fn to_unverified(&self) -> Unverified<T> {
        self.clone().into_unverified()
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            envelope: self.envelope.clone(),
        }
    }
}

impl<T> Clone for Unverified<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            envelope: self.envelope.clone(),
        }
    }
}

impl<T> Deref for Sealed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Record> Unverified<T> {
    /// Reads the octets that travelled.
    pub fn from_bytes(octets: &[u8]) -> Result<Self, Reject> {
        let envelope: Envelope = codec::decode(octets, T::BYTES_MAX).map_err(Reject::from)?;
        Self::open(envelope)
    }

    fn open(envelope: Envelope) -> Result<Self, Reject> {
        if envelope.version != T::VERSION {
            return Err(Reject::VERSION_UNKNOWN);
        }
        let value = codec::decode(&envelope.payload.0, T::BYTES_MAX).map_err(Reject::from)?;
        let value = Arc::new(value);
        Ok(Self { value, envelope })
    }

    /// Checks network, shape, signer and signature, in this order (STYLE: cheap before dear), and gives the record.
    pub fn verify(self, trust: &Trust) -> Result<Sealed<T>, Reject> {
        if self.envelope.network != trust.network {
            return Err(Reject::NETWORK_FOREIGN);
        }
        self.value.check()?;
        let key = match self.value.signer() {
            Signer::Device(device) => device,
            Signer::Issuer(id) => trust.issuer(id).ok_or(Reject::SIGNER_UNKNOWN)?,
        };
        let key = VerifyingKey::from_bytes(&key.0).map_err(|_| Reject::SIGNER_UNKNOWN)?;
        let octets = signed_octets::<T>(self.envelope.network, &self.envelope.payload.0);
        key.verify_strict(&octets, &self.envelope.signature())
            .map_err(|_| Reject::SIGNATURE_WRONG)?;
        Ok(Sealed {
            value: self.value,
            envelope: self.envelope,
        })
    }
}

impl<T> Unverified<T> {
    /// What the record claims: for choosing which key, row or peer to look up, never for deciding.
    pub fn claims(&self) -> &T {
        &self.value
    }

    /// The octets that travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(&self.envelope)
    }

    /// The hash of the octets that travel.
    pub fn hash(&self) -> RecordHash {
        RecordHash::of(&self.to_bytes())
    }
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.envelope.serialize(serializer)
    }
}

impl<T> Serialize for Unverified<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.envelope.serialize(serializer)
    }
}

impl<'de, T: Record> Deserialize<'de> for Unverified<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let envelope = Envelope::deserialize(deserializer)?;
        if envelope.payload.0.len() > T::BYTES_MAX {
            return Err(D::Error::custom(DecodeError::TooLarge));
        }
        Self::open(envelope).map_err(D::Error::custom)
    }
}

fn signed_octets<T: Record>(network: NetworkId, payload: &[u8]) -> Vec<u8> {
    let version = T::VERSION.to_le_bytes();
    let parts: [&[u8]; 4] = [T::DOMAIN.as_bytes(), &version, network.as_bytes(), payload];
    let mut octets = Vec::with_capacity(payload.len() + T::DOMAIN.len() + 64);
    for part in parts {
        octets.extend_from_slice(&(part.len() as u64).to_le_bytes());
        octets.extend_from_slice(part);
    }
    octets
}
