//! Accounts, devices, sign-ins and revocations.

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, PublicKey},
    name::Handle,
    record::{passport::Role, request::Secret},
    time::UnixMillis,
};

use super::{
    anchor_store::{Done, Store, draw_id},
    error::StoreError,
};
use crate::ledger::{
    account::{self, Account, AccountChange, AccountClass, AccountStatus},
    device::{self, Device, LastSignIn, Revocations},
    profile,
};

/// A subscriber to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccount {
    /// Its name for people.
    pub handle: Handle,
    /// What kind of subscriber it is.
    pub class: AccountClass,
    /// The provider's share of what it sells, in basis points.
    pub commission_bp: u16,
    /// How far its wallet may go below zero.
    pub credit_limit: Amount,
    /// Its password's hash in PHC form, which the store never looks at.
    pub password_hash: Secret,
}

/// A device to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Whose.
    pub account: AccountId,
    /// Its key.
    pub key: PublicKey,
    /// What its owner calls it.
    pub label: String,
    /// What it may be.
    pub role: Role,
}

/// A device with its account, both good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorised {
    /// The account.
    pub account: Account,
    /// The device.
    pub device: Device,
}

impl Store {
    /// Creates an account.
    ///
    /// # Errors
    /// `NAME_TAKEN`; bounds.
    pub fn create_account(
        &self,
        new: NewAccount,
        now: UnixMillis,
    ) -> Result<Done<Account>, StoreError> {
        let account = Account {
            id: AccountId(draw_id(now)?),
            handle: new.handle,
            class: new.class,
            commission_bp: new.commission_bp,
            credit_limit: new.credit_limit,
            password_hash: new.password_hash,
            status: AccountStatus::Active,
            created: now,
        };
        let name_hash = self.name_hash(&account.handle);
        self.commit(|view| {
            if let Some(name_hash) = &name_hash {
                profile::check_not_left(view, name_hash)?;
            }
            let event = account::decide_create(view, account.clone())?;
            Ok((Some(event), account.clone()))
        })
    }

    /// Changes an account. Closing one that is closed does nothing.
    ///
    /// # Errors
    /// `ACCOUNT_UNKNOWN`, `ACCOUNT_CLOSED`, `CREDIT_LIMIT_TOO_LOW`; bounds.
    pub fn change_account(
        &self,
        id: AccountId,
        change: AccountChange,
        now: UnixMillis,
    ) -> Result<Done, StoreError> {
        self.commit(|view| {
            let event = account::decide_change(view, &self.policy, id, change.clone(), now)?;
            Ok((event, ()))
        })
    }

    /// The account of this identifier.
    pub fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.read(|view| account::get(view, &id))
    }

    /// The account of this handle, with what a password is checked against.
    pub fn account_by_handle(&self, handle: &Handle) -> Result<Option<Account>, StoreError> {
        self.read(|view| account::by_handle(view, handle))
    }

    /// At most `limit` accounts in the order of their handles, after `after`.
    pub fn accounts(
        &self,
        after: Option<&Handle>,
        limit: usize,
    ) -> Result<Vec<Account>, StoreError> {
        self.read(|view| account::list(view, after, limit))
    }

    /// Enrols a device, whose owner has shown the account's password. Enrolling it again does nothing.
    ///
    /// # Errors
    /// `KEY_WEAK`, `ACCOUNT_UNKNOWN`, `ACCOUNT_CLOSED`, `DEVICE_TAKEN`, `DEVICE_REVOKED`, `DEVICES_TOO_MANY`; bounds.
    pub fn enrol_device(&self, new: NewDevice, now: UnixMillis) -> Result<Done, StoreError> {
        let device = Device {
            key: new.key,
            account: new.account,
            label: new.label,
            role: new.role,
            enrolled: now,
            revoked: None,
        };
        self.commit(|view| {
            Ok((
                device::decide_enrol(view, &self.policy, device.clone())?,
                (),
            ))
        })
    }

    /// Revokes a device for ever. Revoking it again does nothing.
    ///
    /// # Errors
    /// `DEVICE_UNKNOWN`.
    pub fn revoke_device(&self, key: PublicKey, now: UnixMillis) -> Result<Done, StoreError> {
        self.commit(|view| Ok((device::decide_revoke(view, key, now)?, ())))
    }

    /// The device of this key, revoked or not.
    pub fn device(&self, key: &PublicKey) -> Result<Option<Device>, StoreError> {
        self.read(|view| device::get(view, key))
    }

    /// All devices of an account, revoked ones included.
    pub fn devices(&self, account: AccountId) -> Result<Vec<Device>, StoreError> {
        self.read(|view| device::list(view, &account))
    }

    /// The device and its account, both known and good.
    ///
    /// # Errors
    /// `DEVICE_UNKNOWN`, `DEVICE_REVOKED`, `ACCOUNT_CLOSED`.
    pub fn authorised(&self, key: &PublicKey) -> Result<Authorised, StoreError> {
        self.read(|view| {
            let (account, device) = device::authorised(view, key)?;
            Ok(Authorised { account, device })
        })
    }

    /// Records a sign-in: user, device, time.
    ///
    /// # Errors
    /// As [`Store::authorised`].
    pub fn sign_in(&self, key: PublicKey, now: UnixMillis) -> Result<Done<Authorised>, StoreError> {
        self.commit(|view| {
            let (event, account, device) = device::decide_sign_in(view, key, now)?;
            Ok((Some(event), Authorised { account, device }))
        })
    }

    /// The device's last sign-in, if it ever signed in.
    pub fn last_sign_in(&self, key: &PublicKey) -> Result<Option<LastSignIn>, StoreError> {
        self.read(|view| device::last_sign_in(view, key))
    }

    /// Who is no longer good.
    pub fn revocations(&self) -> Result<Revocations, StoreError> {
        self.read(|view| device::revocations(view))
    }

    /// The sequence of the revocation list, without the list.
    pub fn revocation_sequence(&self) -> Result<u64, StoreError> {
        self.read(|view| device::revocation_sequence(view))
    }
}
