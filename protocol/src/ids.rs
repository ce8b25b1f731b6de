//! Identifiers: fixed-size byte strings with a hexadecimal text form. Two kinds of identifier never mix.

use std::{fmt, str::FromStr};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

/// A text is not an identifier of the wanted length in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an identifier: lower-case hexadecimal of the right length is expected")
    }
}

impl std::error::Error for ParseIdError {}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $octets:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $octets]);

        impl $name {
            /// The identifier's octets.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// The first 8 hexadecimal digits, for logs and tables.
            pub fn short(&self) -> String {
                HEXLOWER.encode(&self.0[..4])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let octets = HEXLOWER.decode(text.as_bytes()).map_err(|_| ParseIdError)?;
                octets.try_into().map(Self).map_err(|_| ParseIdError)
            }
        }
    };
}

identifier!(
    /// A network: every signed record names the one it belongs to.
    NetworkId, 16
);
identifier!(
    /// A subscriber, person or organisation. Drawn by the anchor.
    AccountId, 16
);
identifier!(
    /// A permission to spend. Drawn by the anchor.
    GrantId, 16
);
identifier!(
    /// A batch of receipts. Drawn and stored by the seller before it is first sent.
    BatchId, 16
);
identifier!(
    /// A request that may be repeated. Drawn and stored by the caller before it is first sent.
    RequestId, 16
);
identifier!(
    /// A paying session. Drawn by the seller; a request names it in [`crate::session::frame::SESSION_HEADER`].
    SessionId, 16
);
identifier!(
    /// A club.
    GroupId, 16
);
identifier!(
    /// An Ed25519 public key: of a device (and so of its node in the mesh) or of an issuer.
    PublicKey, 32
);
identifier!(
    /// BLAKE3 of a tariff's sealed bytes.
    TariffHash, 32
);
identifier!(
    /// BLAKE3 of a record's sealed bytes, or of a request's body.
    RecordHash, 32
);
identifier!(
    /// Names one of the issuer's keys, so that it can rotate: the first octets of BLAKE3 of the public key.
    KeyId, 8
);

impl KeyId {
    /// The name of `key`.
    pub fn of(key: &PublicKey) -> Self {
        let hash = blake3::hash(&key.0);
        let mut id = [0; 8];
        id.copy_from_slice(&hash.as_bytes()[..8]);
        Self(id)
    }
}

impl RecordHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl TariffHash {
    /// The hash of a tariff's sealed bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl PublicKey {
    /// The public half of `key`.
    pub fn of(key: &ed25519_dalek::SigningKey) -> Self {
        Self(key.verifying_key().to_bytes())
    }

    /// A fingerprint that people can compare: 8 groups of 4 hexadecimal digits of BLAKE3.
    pub fn fingerprint(&self) -> String {
        let hash = blake3::hash(&self.0);
        let groups: Vec<String> = hash.as_bytes()[..16]
            .chunks(2)
            .map(|two| HEXLOWER.encode(two))
            .collect();
        groups.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_refuses_anything_else() {
        let id = GrantId([7; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "07",
            "zz",
            &"0".repeat(31),
            &"0".repeat(33),
            &"A0".repeat(16),
        ] {
            assert_eq!(bad.parse::<GrantId>(), Err(ParseIdError), "{bad}");
        }
    }

    #[test]
    fn a_fingerprint_has_eight_groups() {
        assert_eq!(PublicKey([1; 32]).fingerprint().split(' ').count(), 8);
    }
}
