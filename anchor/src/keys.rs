//! [`IssuerKeys`]: the keys by which the anchor speaks, in a file that only its owner may read.
//!
//! The file has one line `ed25519 <secret seed in hexadecimal>` for each key, the newest first. The first signs; the others are still good
//! for what they have signed, so that a key rotates by putting a new line before it.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use madang_protocol::{
    ids::{KeyId, PublicKey},
    limits::ISSUER_KEYS_MAX,
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::home;

/// Why there are no issuer keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("cannot use the issuer key file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file does not hold keys.
    #[error("the issuer key file {path} is damaged at line {line}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first line that is wrong, from 1.
        line: usize,
    },
    /// Others than the owner may read the file.
    #[error("the issuer key file {path} may be read by others; run: chmod 600 {path}")]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gives no random numbers.
    #[error("cannot draw a random key: {0}")]
    Random(getrandom::Error),
}

/// The issuer's keys, the one that signs first. Never printed.
#[derive(Clone)]
pub struct IssuerKeys {
    signing: SigningKey,
    earlier: Vec<PublicKey>,
}

impl IssuerKeys {
    /// Reads the keys in `path`, or draws the first one and writes it there.
    pub fn load_or_create(path: &Path) -> Result<Self, KeysError> {
        let in_file = |source| KeysError::File {
            path: path.to_owned(),
            source,
        };
        if let Some(octets) = home::read_bounded(path, FILE_BYTES_MAX).map_err(in_file)? {
            let octets = Zeroizing::new(octets);
            let mode = std::fs::metadata(path)
                .map_err(in_file)?
                .permissions()
                .mode();
            if mode & 0o077 != 0 {
                return Err(KeysError::Exposed {
                    path: path.to_owned(),
                });
            }
            return Self::parse(&octets).map_err(|line| KeysError::Damaged {
                path: path.to_owned(),
                line,
            });
        }
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).map_err(KeysError::Random)?;
        let mut line = format!("{ALGORITHM} {}\n", HEXLOWER.encode(seed.as_ref()));
        let written = home::write_whole(path, line.as_bytes()).map_err(in_file);
        line.zeroize();
        written?;
        Ok(Self {
            signing: SigningKey::from_bytes(&seed),
            earlier: Vec::new(),
        })
    }

    /// Keys that live in memory only, for tests.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self {
            signing: SigningKey::from_bytes(&seed),
            earlier: Vec::new(),
        }
    }

    /// The key that signs.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The name of the key that signs.
    pub fn id(&self) -> KeyId {
        KeyId::of(&PublicKey::of(&self.signing))
    }

    /// The public keys that are good now, the one that signs first.
    pub fn public(&self) -> Vec<PublicKey> {
        let mut keys = vec![PublicKey::of(&self.signing)];
        keys.extend(&self.earlier);
        keys
    }

    fn parse(octets: &[u8]) -> Result<Self, usize> {
        let text = std::str::from_utf8(octets).map_err(|_| 1_usize)?;
        let mut keys = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let key = parse_line(line).ok_or(at + 1)?;
            let is_new = keys
                .iter()
                .all(|known: &SigningKey| known.as_bytes() != key.as_bytes());
            if keys.len() == ISSUER_KEYS_MAX || !is_new {
                return Err(at + 1);
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let signing = keys.next().ok_or(1_usize)?;
        let earlier = keys.map(|key| PublicKey::of(&key)).collect();
        Ok(Self { signing, earlier })
    }
}

impl std::fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IssuerKeys({})", self.id())
    }
}

fn parse_line(line: &str) -> Option<SigningKey> {
    let seed = line.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
    let octets = Zeroizing::new(HEXLOWER.decode(seed.as_bytes()).ok()?);
    let seed = Zeroizing::new(<[u8; 32]>::try_from(octets.as_slice()).ok()?);
    Some(SigningKey::from_bytes(&seed))
}

const ALGORITHM: &str = "ed25519";
/// Octets of a key file: [`ISSUER_KEYS_MAX`] lines of 73.
const FILE_BYTES_MAX: u64 = 1_024;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::fs;

    use super::*;

    #[test]
    fn the_first_start_draws_a_key_and_the_next_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issuer.key");
        let first = IssuerKeys::load_or_create(&path).unwrap();
        let again = IssuerKeys::load_or_create(&path).unwrap();
        assert_eq!(first.public(), again.public());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_line_before_the_first_rotates_the_key() {
        let keys = IssuerKeys::parse(&lines(&[[2; 32], [1; 32]])).unwrap();
        let earlier = IssuerKeys::from_seed([1; 32]);
        assert_eq!(keys.id(), IssuerKeys::from_seed([2; 32]).id());
        assert_eq!(keys.public()[1..], earlier.public());
    }

    #[test]
    fn what_is_not_a_key_file_names_its_line() {
        let good = String::from_utf8(lines(&[[1; 32]])).unwrap();
        assert_eq!(IssuerKeys::parse(b"").unwrap_err(), 1);
        assert_eq!(IssuerKeys::parse(b"\xff").unwrap_err(), 1);
        assert_eq!(
            IssuerKeys::parse(format!("{good}{good}").as_bytes()).unwrap_err(),
            2
        );
        assert_eq!(
            IssuerKeys::parse(format!("{good}\n").as_bytes()).unwrap_err(),
            2
        );
        assert_eq!(IssuerKeys::parse(&good.as_bytes()[..70]).unwrap_err(), 1);
        let five: Vec<_> = (0..5).map(|at| [at; 32]).collect();
        assert_eq!(IssuerKeys::parse(&lines(&five)).unwrap_err(), 5);
    }

    #[test]
    fn a_key_that_others_may_read_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("issuer.key");
        IssuerKeys::load_or_create(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            IssuerKeys::load_or_create(&path),
            Err(KeysError::Exposed { .. })
        ));
    }

    #[test]
    fn keys_do_not_print() {
        let keys = IssuerKeys::from_seed([7; 32]);
        assert!(!format!("{keys:?}").contains("0707"));
    }

    fn lines(seeds: &[[u8; 32]]) -> Vec<u8> {
        let line = |seed: &[u8; 32]| format!("ed25519 {}\n", HEXLOWER.encode(seed));
        seeds.iter().map(line).collect::<String>().into_bytes()
    }
}
