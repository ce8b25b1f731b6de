//! [`DeviceKey`]: this node's one key. It is its identity in the mesh and signs everything that the node says.

use std::{fmt, io, os::unix::fs::PermissionsExt as _, path::PathBuf, sync::Arc};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use madang_protocol::{
    ids::{NetworkId, PublicKey},
    reject::Reject,
    sealed::{Record, Sealed},
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{files, home::Home};

/// The first line of a key file: says what it is, and its version.
const HEADER: &str = "madang-device-key-1";
/// Header, 64 digits, two ends of line; more is not a key file.
const FILE_BYTES_MAX: usize = 256;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use the device key {path}: {source}")]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a key file.
    #[error(
        "the device key {path} is damaged; restore it from a copy, or remove it and run `madang join` again"
    )]
    Damaged {
        /// Where.
        path: PathBuf,
    },
    /// Others can read the file.
    #[error("the device key {path} can be read by others; run `chmod 600 {path}`")]
    Exposed {
        /// Where.
        path: PathBuf,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// This node's key. Cheap to clone; its secret half neither prints nor stays in memory after the last clone.
#[derive(Clone)]
pub struct DeviceKey(Arc<SigningKey>);

impl DeviceKey {
    /// Draws a new key, which is nowhere but in memory.
    ///
    /// # Errors
    /// [`KeyError::Random`]
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(KeyError::Random)?;
        Ok(Self::from_secret(&secret))
    }

    /// The key with this secret half (RFC 8032).
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self(Arc::new(SigningKey::from_bytes(secret)))
    }

    /// The key of `home`; `None` if it has none yet.
    ///
    /// # Errors
    /// [`KeyError::File`], [`KeyError::Damaged`], [`KeyError::Exposed`]
    pub fn load(home: &Home) -> Result<Option<Self>, KeyError> {
        let path = Self::path(home);
        let failed = |source| KeyError::File {
            path: path.clone(),
            source,
        };
        let Some(octets) = files::read_bounded(&path, FILE_BYTES_MAX).map_err(failed)? else {
            return Ok(None);
        };
        let octets = Zeroizing::new(octets);
        let mode = std::fs::metadata(&path)
            .map_err(failed)?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path });
        }
        match parse(&octets) {
            Some(secret) => Ok(Some(Self::from_secret(&secret))),
            None => Err(KeyError::Damaged { path }),
        }
    }

    /// Keeps the key in `home`, in the place of whatever was there.
    ///
    /// # Errors
    /// [`KeyError::File`]
    pub fn store(&self, home: &Home) -> Result<(), KeyError> {
        let digits = Zeroizing::new(HEXLOWER.encode(self.0.as_bytes()));
        let text = Zeroizing::new(format!("{HEADER}\n{}\n", digits.as_str()));
        let path = Self::path(home);
        files::replace(&path, text.as_bytes()).map_err(|source| KeyError::File { path, source })
    }

    /// Where `home` keeps its key.
    pub fn path(home: &Home) -> PathBuf {
        home.join("device.key")
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::of(&self.0)
    }

    /// For signing what takes a key by itself.
    pub fn signing_key(&self) -> &SigningKey {
        &self.0
    }

    /// The secret half, for the mesh's own copy.
    pub fn secret(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// Signs `record` for `network`.
    ///
    /// # Errors
    /// The refusal that any verifier would give: a shape out of bounds, or another signer than this key.
    pub fn sign<T: Record>(&self, record: T, network: NetworkId) -> Result<Sealed<T>, Reject> {
        Sealed::sign(record, network, &self.0)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceKey({})", self.public().short())
    }
}

fn parse(octets: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let digits = octets
        .strip_prefix(HEADER.as_bytes())?
        .strip_prefix(b"\n")?
        .strip_suffix(b"\n")?;
    let secret = Zeroizing::new(HEXLOWER.decode(digits).ok()?);
    let mut key = Zeroizing::new([0; 32]);
    if secret.len() != key.len() {
        return None;
    }
    key.copy_from_slice(&secret);
    Some(key)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::fs;

    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        (folder, home)
    }

    #[test]
    fn a_key_survives_its_file_and_does_not_print() {
        let (_folder, home) = home();
        assert!(DeviceKey::load(&home).unwrap().is_none());
        let key = DeviceKey::generate().unwrap();
        key.store(&home).unwrap();
        let again = DeviceKey::load(&home).unwrap().unwrap();
        assert_eq!(*again.secret(), *key.secret());
        let secret = HEXLOWER.encode(key.secret().as_slice());
        assert!(!format!("{key:?}").contains(&secret[..8]));
    }

    #[test]
    fn a_key_file_that_is_damaged_or_exposed_is_refused() {
        let (_folder, home) = home();
        DeviceKey::generate().unwrap().store(&home).unwrap();
        let path = DeviceKey::path(&home);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            DeviceKey::load(&home),
            Err(KeyError::Exposed { .. })
        ));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let good = fs::read(&path).unwrap();
        for damaged in [
            &good[..good.len() - 1],
            &good[..20],
            &[good.as_slice(), b"\n"].concat(),
            b"madang-device-key-2\n",
            b"",
        ] {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(
                DeviceKey::load(&home),
                Err(KeyError::Damaged { .. })
            ));
        }
    }
}
