//! Persons: what they say about themselves, sealed, and how they leave.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use madang_protocol::{
    ids::{AccountId, NetworkId},
    name::Handle,
    reject::Reject,
    time::UnixMillis,
};

use super::{
    anchor_store::{Done, Place, Store},
    engine::Engine,
    error::{StoreError, StoreOpenError},
    postgres::PgRoom,
};
use crate::{
    ledger::{
        account::{self, AccountChange},
        kept::{self, Booked, BookedAt, Traded},
        leave::{self, Left, Obstacle},
        profile::{self, Kept},
    },
    vault::{
        keep::{Sealed, Vault, VaultError},
        profile::{Profile, ProfileChange},
        room::{FolderRoom, Room},
    },
};

/// Where the keys of personal data are: apart from the store.
#[derive(Debug, Clone)]
pub struct PersonalFiles {
    /// The file with the key under which the others are wrapped.
    pub key: PathBuf,
    /// The folder with the wrapped keys. A store in a database keeps them in a table of its own.
    pub wrapped: PathBuf,
}

/// What came of leaving.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaving {
    /// It has left, under this name; the entry says so.
    Left(Done<Handle>),
    /// This is in the way.
    Obstacles(Vec<Obstacle>),
}

/// A change of a profile that others were faster than is tried again so often.
const TRIES_MAX: usize = 16;
/// Accounts whose keys are deleted in one go.
const ERASING_PAGE: usize = 256;

pub(super) fn open_vault(
    engine: &Engine,
    place: &Place,
    network: NetworkId,
    files: &PersonalFiles,
) -> Result<Vault, StoreOpenError> {
    let room: Box<dyn Room> = match place {
        Place::Folder(_) => Box::new(FolderRoom::new(&files.wrapped)),
        Place::Postgres(options) => Box::new(PgRoom::new(options.clone())),
    };
    let is_used = engine.read(|view| profile::is_used(view))?;
    Ok(Vault::open(&files.key, network, room, is_used)?)
}

impl Store {
    /// What an account says about its person; nothing where it never said anything, or has left.
    ///
    /// # Errors
    /// [`StoreError::Failed`] where the keys cannot be read.
    pub fn profile(&self, id: AccountId) -> Result<Profile, StoreError> {
        let kept = self.read(|view| profile::get(view, &id))?;
        Ok(self.opened(&id, kept.as_ref())?.unwrap_or_default())
    }

    /// Changes what an account says about its person. What is so already does nothing.
    ///
    /// # Errors
    /// `ACCOUNT_UNKNOWN`, `ACCOUNT_CLOSED`; `FIELD_OUT_OF_BOUNDS` for too long an address.
    pub fn change_profile(
        &self,
        id: AccountId,
        change: &ProfileChange,
        now: UnixMillis,
    ) -> Result<Done<Profile>, StoreError> {
        for _ in 0..TRIES_MAX {
            let kept = self.read(|view| {
                account::active(view, &id)?;
                profile::get(view, &id)
            })?;
            let before = self.opened(&id, kept.as_ref())?.unwrap_or_default();
            let after = before.clone().changed(change);
            let after = after.map_err(|_| Reject::FIELD_OUT_OF_BOUNDS)?;
            if after == before {
                let entry = self.head()?.seq;
                return Ok(Done {
                    value: after,
                    entry,
                });
            }
            let version = kept.map_or(0, |kept| kept.version).saturating_add(1);
            let sealed = self
                .vault()?
                .seal(&id, Sealed::Profile, version, &after.to_bytes())?;
            let kept = Kept {
                version,
                sealed,
                time: now,
            };
            let done = self.commit(|view| {
                let event = profile::decide_set(view, id, kept.clone())?;
                let is_set = event.is_some();
                Ok((event, is_set))
            })?;
            if done.value {
                return Ok(Done {
                    value: after,
                    entry: done.entry,
                });
            }
        }
        Err(Reject::BUSY.into())
    }

    /// Closes an account and erases who was behind it, if nothing stands in the way; `forfeit` gives up promotional credit. Asked again, it goes on
    /// where it was interrupted.
    ///
    /// # Errors
    /// `ACCOUNT_UNKNOWN`.
    pub fn leave(
        &self,
        id: AccountId,
        forfeit: bool,
        now: UnixMillis,
    ) -> Result<Leaving, StoreError> {
        let vault = self.vault()?;
        let account = self.read(|view| account::get(view, &id))?;
        let account = account.ok_or(Reject::ACCOUNT_UNKNOWN)?;
        // First it is seen whether it can leave; then it is closed, so that nothing new comes; then it is seen again.
        for is_closed in [false, true] {
            if is_closed {
                self.change_account(id, AccountChange::Close, now)?;
            }
            let obstacles = self.obstacles(id, forfeit, now)?;
            if !obstacles.is_empty() {
                return Ok(Leaving::Obstacles(obstacles));
            }
        }
        for device in self.devices(id)? {
            self.revoke_device(device.key, now)?;
        }
        let left = Left {
            id,
            pseudonym: self.draw_pseudonym()?,
            name_hash: vault.name_hash(&account.handle),
            currency: self.policy.currency,
            time: now,
        };
        let erased = self.commit(|view| {
            let event = leave::decide(view, left.clone(), forfeit)?;
            Ok((event, ()))
        })?;
        self.finish_erasures()?;
        let account = self.read(|view| account::get(view, &id))?;
        let account = account.ok_or(Reject::ACCOUNT_UNKNOWN)?;
        Ok(Leaving::Left(Done {
            value: account.handle,
            entry: erased.entry,
        }))
    }

    /// A page of what was booked for an account by hand, from where the page before ended.
    ///
    /// # Errors
    /// The store's own.
    pub fn booked_for(
        &self,
        id: AccountId,
        after: Option<&BookedAt>,
    ) -> Result<(Vec<Booked>, Option<BookedAt>), StoreError> {
        self.read(|view| kept::booked(view, &id, after))
    }

    /// A page of the grants that an account bought or sold by, the newest first, from before the entry that the page before ended with.
    ///
    /// # Errors
    /// The store's own.
    pub fn grants_of(
        &self,
        id: AccountId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<Traded>, Option<u64>), StoreError> {
        self.read(|view| kept::grants(view, &id, before, limit))
    }

    /// Deletes the data keys of accounts that have left: at the end of leaving, and at a start after it was interrupted.
    pub(super) fn finish_erasures(&self) -> Result<(), StoreError> {
        let Some(vault) = &self.vault else {
            return Ok(());
        };
        loop {
            let erasing = self.read(|view| profile::erasing(view, ERASING_PAGE))?;
            if erasing.is_empty() {
                return Ok(());
            }
            for id in erasing {
                vault.forget(&id)?;
                self.commit(|view| Ok((profile::decide_shredded(view, id)?, ())))?;
            }
        }
    }

    /// What a handle would be remembered by after its owner left.
    pub(super) fn name_hash(&self, handle: &Handle) -> Option<[u8; 32]> {
        self.vault.as_ref().map(|vault| vault.name_hash(handle))
    }

    fn obstacles(
        &self,
        id: AccountId,
        forfeit: bool,
        now: UnixMillis,
    ) -> Result<Vec<Obstacle>, StoreError> {
        let currency = self.policy.currency;
        let mut found = self.read(|view| leave::obstacles(view, &id, currency, forfeit))?;
        let mut before = Some(u64::MAX);
        while let Some(from) = before {
            let (sale, next) = self.read(|view| leave::open_sale(view, &id, from, now))?;
            found.extend(sale.map(Obstacle::Selling));
            before = next;
        }
        Ok(found)
    }

    fn draw_pseudonym(&self) -> Result<Handle, StoreError> {
        for _ in 0..TRIES_MAX {
            let mut chance = [0; 4];
            getrandom::fill(&mut chance).map_err(|_| VaultError::Random)?;
            let text = format!("{}{}", leave::PSEUDONYM, HEXLOWER.encode(&chance));
            let pseudonym: Handle = text.parse().map_err(|_| Reject::NAME_INVALID)?;
            if self.account_by_handle(&pseudonym)?.is_none() {
                return Ok(pseudonym);
            }
        }
        Err(Reject::BUSY.into())
    }

    fn vault(&self) -> Result<&Vault, StoreError> {
        Ok(self.vault.as_ref().ok_or(VaultError::Absent)?)
    }

    fn opened(&self, id: &AccountId, kept: Option<&Kept>) -> Result<Option<Profile>, StoreError> {
        let Some(kept) = kept else {
            return Ok(None);
        };
        let vault = self.vault()?;
        let plain = vault.open_sealed(id, Sealed::Profile, kept.version, &kept.sealed)?;
        let Some(plain) = plain else {
            return Ok(None);
        };
        let profile = Profile::from_bytes(&plain).ok_or(VaultError::Unreadable)?;
        Ok(Some(profile))
    }
}
