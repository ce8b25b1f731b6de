//! [`Vault`]: seals and opens what is kept on a person, and forgets the key when the person leaves.

use std::{
    io,
    path::{Path, PathBuf},
};

use madang_protocol::{
    ids::{AccountId, NetworkId},
    name::Handle,
};
use zeroize::Zeroizing;

use super::{
    key::PersonalKey,
    room::{CHECK, Room, RoomKey},
    seal::{self, Secret},
};
use crate::store::PostgresError;

/// Why personal data cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key file does not hold a key.
    #[error("the key of personal data, {0}, is damaged; put it back from a copy")]
    Damaged(PathBuf),
    /// Others than the owner may read the key file.
    #[error("the key of personal data, {0}, may be read by others; run: chmod 600 {0}")]
    Exposed(PathBuf),
    /// The key file is gone, and something is kept under it.
    #[error(
        "the key of personal data, {0}, is missing, and personal data is kept under it: put it back from a copy; an anchor that shares a database has the same file as the others"
    )]
    Missing(PathBuf),
    /// The key file holds another key.
    #[error(
        "the key in {0} is not the one under which personal data is kept: put the right one back from a copy"
    )]
    Wrong(PathBuf),
    /// The wrapped keys are gone, and something is sealed under them.
    #[error(
        "the wrapped keys of personal data are missing: put the folder `personal` back from a copy"
    )]
    RoomMissing,
    /// The database with the wrapped keys.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// What is sealed does not open under its account's key.
    #[error("what is kept on a person cannot be opened")]
    Unreadable,
    /// This store was opened without a place for personal data.
    #[error("this store keeps no personal data")]
    Absent,
    /// The operating system gives no random numbers.
    #[error("cannot draw a random key")]
    Random,
}

impl VaultError {
    /// Whether the operator has to put a file right, rather than the machine.
    pub fn is_mistake(&self) -> bool {
        match self {
            Self::Damaged(_)
            | Self::Exposed(_)
            | Self::Missing(_)
            | Self::Wrong(_)
            | Self::RoomMissing => true,
            Self::File { .. }
            | Self::Postgres(_)
            | Self::Unreadable
            | Self::Absent
            | Self::Random => false,
        }
    }
}

/// What is sealed: it opens as nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Sealed {
    /// A profile.
    Profile = 1,
}

/// Personal data's keys, of one network.
pub struct Vault {
    network: NetworkId,
    key: PersonalKey,
    room: Box<dyn Room>,
}

impl Vault {
    /// Opens the room under the key in `path`, which is drawn where nothing was ever kept (`is_used` says whether the ledger names anything sealed).
    ///
    /// # Errors
    /// [`VaultError`]: nothing is made anew where something is kept.
    pub fn open(
        path: &Path,
        network: NetworkId,
        room: Box<dyn Room>,
        is_used: bool,
    ) -> Result<Self, VaultError> {
        let check = room.get(&CHECK)?;
        let key = match PersonalKey::load(path)? {
            Some(key) => key,
            None if check.is_some() || is_used => {
                return Err(VaultError::Missing(path.to_owned()));
            }
            None => PersonalKey::create(path)?,
        };
        if check.is_none() && is_used {
            return Err(VaultError::RoomMissing);
        }
        let of = belonging(network, 0, &CHECK, 0);
        let check = match check {
            Some(check) => check,
            None => room.keep(&CHECK, &key.wrap(&of, &[0; 32])?)?,
        };
        // Two anchors may have drawn a key each at the same time: the one that came second is told so.
        if key.unwrap(&of, &check).is_none() {
            return Err(VaultError::Wrong(path.to_owned()));
        }
        Ok(Self { network, key, room })
    }

    /// Encrypts `plain` under the account's data key, which is drawn where there is none.
    ///
    /// # Errors
    /// [`VaultError`] where the key cannot be had.
    pub fn seal(
        &self,
        account: &AccountId,
        what: Sealed,
        version: u32,
        plain: &[u8],
    ) -> Result<Vec<u8>, VaultError> {
        let data_key = match self.data_key(account)? {
            Some(data_key) => data_key,
            None => self.draw(account)?,
        };
        let of = belonging(self.network, what as u8, &account.0, version);
        seal::seal(&data_key, &of, plain).ok_or(VaultError::Random)
    }

    /// Decrypts what was sealed for this account; `None` where its key was forgotten.
    ///
    /// # Errors
    /// [`VaultError`] where the key cannot be read; `Unreadable` for anything that was not sealed so.
    pub fn open_sealed(
        &self,
        account: &AccountId,
        what: Sealed,
        version: u32,
        sealed: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        let Some(data_key) = self.data_key(account)? else {
            return Ok(None);
        };
        let of = belonging(self.network, what as u8, &account.0, version);
        let plain = seal::open(&data_key, &of, sealed);
        plain.map(Some).ok_or(VaultError::Unreadable)
    }

    /// Deletes the account's data key, durably: what it sealed is noise from now on.
    ///
    /// # Errors
    /// [`VaultError`] where it cannot be deleted.
    pub fn forget(&self, account: &AccountId) -> Result<(), VaultError> {
        self.room.delete(&account.0)
    }

    /// What a handle is remembered by after its owner left.
    pub fn name_hash(&self, handle: &Handle) -> [u8; 32] {
        self.key.name_hash(handle)
    }

    /// Copies all wrapped keys into another room.
    ///
    /// # Errors
    /// [`VaultError`] of either.
    pub fn copy_into(&self, other: &dyn Room) -> Result<(), VaultError> {
        self.room
            .each(&mut |name, wrapped| other.keep(name, wrapped).map(drop))
    }

    /// Where its key is.
    pub fn key_path(&self) -> &Path {
        self.key.path()
    }

    fn data_key(&self, account: &AccountId) -> Result<Option<Secret>, VaultError> {
        let Some(wrapped) = self.room.get(&account.0)? else {
            return Ok(None);
        };
        let data_key = self.key.unwrap(&self.wrapped_for(account), &wrapped);
        data_key.map(Some).ok_or(VaultError::Unreadable)
    }

    fn draw(&self, account: &AccountId) -> Result<Secret, VaultError> {
        let mut drawn: Secret = Zeroizing::new([0; 32]);
        getrandom::fill(drawn.as_mut()).map_err(|_| VaultError::Random)?;
        let of = self.wrapped_for(account);
        let wrapped = self.key.wrap(&of, drawn.as_ref())?;
        // Another may have been faster: its key counts.
        let kept = self.room.keep(&account.0, &wrapped)?;
        self.key.unwrap(&of, &kept).ok_or(VaultError::Unreadable)
    }

    fn wrapped_for(&self, account: &AccountId) -> Vec<u8> {
        belonging(self.network, 0, &account.0, 0)
    }
}

/// What a ciphertext belongs to: 0 for `what` is a wrapped key.
fn belonging(network: NetworkId, what: u8, name: &RoomKey, version: u32) -> Vec<u8> {
    let mut of = b"madang personal".to_vec();
    of.push(what);
    of.extend_from_slice(&network.0);
    of.extend_from_slice(name);
    of.extend_from_slice(&version.to_le_bytes());
    of
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::vault::room::FolderRoom;

    const NETWORK: NetworkId = NetworkId([7; 16]);
    const WHO: AccountId = AccountId([9; 16]);

    fn open(dir: &TempDir, is_used: bool) -> Result<Vault, VaultError> {
        let room = Box::new(FolderRoom::new(dir.path().join("personal")));
        Vault::open(&dir.path().join("personal.key"), NETWORK, room, is_used)
    }

    #[test]
    fn what_is_sealed_opens_after_a_restart_and_never_once_it_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let vault = open(&dir, false).unwrap();
        let sealed = vault.seal(&WHO, Sealed::Profile, 3, b"mina").unwrap();
        let vault = open(&dir, true).unwrap();
        let opened = vault.open_sealed(&WHO, Sealed::Profile, 3, &sealed);
        assert_eq!(&*opened.unwrap().unwrap(), b"mina");
        let other = vault.open_sealed(&WHO, Sealed::Profile, 4, &sealed);
        assert!(matches!(other, Err(VaultError::Unreadable)));
        vault.forget(&WHO).unwrap();
        let gone = vault.open_sealed(&WHO, Sealed::Profile, 3, &sealed);
        assert!(gone.unwrap().is_none());
        // A new key of the same account opens nothing of the old one's.
        vault.seal(&WHO, Sealed::Profile, 3, b"again").unwrap();
        let old = vault.open_sealed(&WHO, Sealed::Profile, 3, &sealed);
        assert!(matches!(old, Err(VaultError::Unreadable)));
    }

    #[test]
    fn nothing_is_made_anew_where_something_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("personal.key");
        open(&dir, false).unwrap();
        let right = fs::read(&key).unwrap();
        fs::remove_file(&key).unwrap();
        assert!(matches!(open(&dir, false), Err(VaultError::Missing(_))));
        assert!(!key.exists());
        PersonalKey::create(&key).unwrap();
        assert!(matches!(open(&dir, false), Err(VaultError::Wrong(_))));
        fs::write(&key, &right[..60]).unwrap();
        assert!(matches!(open(&dir, false), Err(VaultError::Damaged(_))));
        home_write(&key, &right);
        open(&dir, true).unwrap();
        fs::remove_dir_all(dir.path().join("personal")).unwrap();
        assert!(matches!(open(&dir, true), Err(VaultError::RoomMissing)));
        fs::remove_file(&key).unwrap();
        assert!(matches!(open(&dir, true), Err(VaultError::Missing(_))));
    }

    #[test]
    fn a_key_that_others_may_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        open(&dir, false).unwrap();
        let key = dir.path().join("personal.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(open(&dir, true), Err(VaultError::Exposed(_))));
    }

    fn home_write(path: &Path, octets: &[u8]) {
        crate::home::write_whole(path, octets).unwrap();
    }
}
