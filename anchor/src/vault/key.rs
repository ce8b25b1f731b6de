//! [`PersonalKey`]: the key under which data keys are wrapped, in a file that only its owner may read. Anchors that share a database share it.
//!
//! The file has one line, `xchacha20poly1305 <secret in hexadecimal>`.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use madang_protocol::name::Handle;
use zeroize::{Zeroize as _, Zeroizing};

use super::{
    keep::VaultError,
    seal::{self, Secret},
};
use crate::home;

/// The key under which data keys are wrapped. Never printed.
pub struct PersonalKey {
    path: PathBuf,
    wrapping: Secret,
    naming: Secret,
}

impl PersonalKey {
    /// Reads the key in `path`; `None` where there is no such file.
    ///
    /// # Errors
    /// [`VaultError`] where the file cannot be used.
    pub fn load(path: &Path) -> Result<Option<Self>, VaultError> {
        let in_file = |source| in_file(path, source);
        let Some(octets) = home::read_bounded(path, FILE_BYTES_MAX).map_err(in_file)? else {
            return Ok(None);
        };
        let octets = Zeroizing::new(octets);
        let mode = std::fs::metadata(path).map_err(in_file)?.permissions();
        if mode.mode() & 0o077 != 0 {
            return Err(VaultError::Exposed(path.to_owned()));
        }
        let secret = parse(&octets).ok_or_else(|| VaultError::Damaged(path.to_owned()))?;
        Ok(Some(Self::of(path, &secret)))
    }

    /// Draws a key and writes it to `path`.
    ///
    /// # Errors
    /// [`VaultError`] where the file cannot be written.
    pub fn create(path: &Path) -> Result<Self, VaultError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut()).map_err(|_| VaultError::Random)?;
        let mut line = format!("{ALGORITHM} {}\n", HEXLOWER.encode(secret.as_ref()));
        let written = home::write_whole(path, line.as_bytes());
        line.zeroize();
        written.map_err(|source| in_file(path, source))?;
        Ok(Self::of(path, &secret))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Encrypts a data key, which belongs to `of`.
    pub(super) fn wrap(&self, of: &[u8], data_key: &[u8]) -> Result<Vec<u8>, VaultError> {
        seal::seal(&self.wrapping, of, data_key).ok_or(VaultError::Random)
    }

    /// The data key that belongs to `of`; `None` where another key wrapped it.
    pub(super) fn unwrap(&self, of: &[u8], wrapped: &[u8]) -> Option<Secret> {
        let data_key = seal::open(&self.wrapping, of, wrapped)?;
        let mut secret = Zeroizing::new([0; 32]);
        if data_key.len() != secret.len() {
            return None;
        }
        secret.copy_from_slice(&data_key);
        Some(secret)
    }

    /// What a handle is remembered by after its owner left: nobody without this key can tell which it was.
    pub(super) fn name_hash(&self, handle: &Handle) -> [u8; 32] {
        *blake3::keyed_hash(&self.naming, handle.as_str().as_bytes()).as_bytes()
    }

    fn of(path: &Path, secret: &Secret) -> Self {
        let derived = |what| Zeroizing::new(blake3::derive_key(what, secret.as_ref()));
        Self {
            path: path.to_owned(),
            wrapping: derived("madang-anchor 2026-11 wrapping of data keys"),
            naming: derived("madang-anchor 2026-11 handles of those who left"),
        }
    }
}

impl std::fmt::Debug for PersonalKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PersonalKey({})", self.path.display())
    }
}

fn in_file(path: &Path, source: io::Error) -> VaultError {
    VaultError::File {
        path: path.to_owned(),
        source,
    }
}

fn parse(octets: &[u8]) -> Option<Secret> {
    let text = std::str::from_utf8(octets).ok()?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let digits = line.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
    let decoded = Zeroizing::new(HEXLOWER.decode(digits.as_bytes()).ok()?);
    Some(Zeroizing::new(decoded.as_slice().try_into().ok()?))
}

const ALGORITHM: &str = "xchacha20poly1305";
/// Octets of the file: one line.
const FILE_BYTES_MAX: u64 = 256;
