//! Devices: keys that act for an account, until they are revoked.

use ed25519_dalek::VerifyingKey;
use madang_protocol::{
    ids::{AccountId, PublicKey},
    limits::{LABEL_TEXT_BYTES_MAX, PASSPORT_LIFE, REVOCATIONS_MAX},
    record::passport::Role,
    reject::Reject,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    account::{self, Account},
    event::Event,
    pack,
    policy::{DEVICES_EVER_PER_ACCOUNT_MAX, Policy},
    table::{self, Table},
    view::{Fault, Invariant, Order, Tables, View},
};

/// A key that acts for an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The key.
    pub key: PublicKey,
    /// Whose it is.
    pub account: AccountId,
    /// What its owner calls it.
    pub label: String,
    /// What it may be.
    pub role: Role,
    /// When it was enrolled.
    pub enrolled: UnixMillis,
    /// When it was revoked, if it was. A revoked key is never good again.
    pub revoked: Option<UnixMillis>,
}

/// A device's last sign-in. Where it listens is known while it is online, and not written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSignIn {
    /// When.
    pub time: UnixMillis,
}

/// Who is no longer good, of those whose passports could still be in hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Grows with each change.
    pub sequence: u64,
    /// Revoked devices, in ascending order.
    pub devices: Vec<PublicKey>,
    /// Closed accounts, in ascending order.
    pub accounts: Vec<AccountId>,
}

/// What was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Revoked {
    Device(PublicKey),
    Account(AccountId),
}

/// Decides on a new device; `None` if it is enrolled for this account already. The caller has checked the password.
pub fn decide_enrol(
    view: &impl View,
    policy: &Policy,
    device: Device,
) -> Result<Option<Event>, Fault> {
    if device.label.len() > LABEL_TEXT_BYTES_MAX || device.label.chars().any(char::is_control) {
        return Err(Reject::FIELD_OUT_OF_BOUNDS.into());
    }
    let key = VerifyingKey::from_bytes(&device.key.0).map_err(|_| Reject::KEY_WEAK)?;
    if key.is_weak() {
        return Err(Reject::KEY_WEAK.into());
    }
    account::active(view, &device.account)?;
    if let Some(known) = get(view, &device.key)? {
        return match known.revoked {
            _ if known.account != device.account => Err(Reject::DEVICE_TAKEN.into()),
            Some(_) => Err(Reject::DEVICE_REVOKED.into()),
            None => Ok(None),
        };
    }
    let devices = list(view, &device.account)?;
    let good = devices.iter().filter(|device| device.revoked.is_none());
    if devices.len() >= DEVICES_EVER_PER_ACCOUNT_MAX
        || good.count() >= policy.devices_per_account_max
    {
        return Err(Reject::DEVICES_TOO_MANY.into());
    }
    Ok(Some(Event::DeviceEnrolled(device)))
}

/// Decides on a revocation; `None` if the device is revoked already.
pub fn decide_revoke(
    view: &impl View,
    key: PublicKey,
    now: UnixMillis,
) -> Result<Option<Event>, Fault> {
    let device = get(view, &key)?.ok_or(Reject::DEVICE_UNKNOWN)?;
    Ok(match device.revoked {
        Some(_) => None,
        None => Some(Event::DeviceRevoked { key, time: now }),
    })
}

/// Decides on a sign-in, which is recorded: user, device, time.
pub fn decide_sign_in(
    view: &impl View,
    key: PublicKey,
    now: UnixMillis,
) -> Result<(Event, Account, Device), Fault> {
    let (account, device) = authorised(view, &key)?;
    let event = Event::SignedIn {
        key,
        account: account.id,
        time: now,
    };
    Ok((event, account, device))
}

/// The device and its account, both known and good.
pub fn authorised(view: &impl View, key: &PublicKey) -> Result<(Account, Device), Fault> {
    let device = get(view, key)?.ok_or(Reject::DEVICE_UNKNOWN)?;
    if device.revoked.is_some() {
        return Err(Reject::DEVICE_REVOKED.into());
    }
    let account = account::existing(view, &device.account)?;
    if !account.is_active() {
        return Err(Reject::ACCOUNT_CLOSED.into());
    }
    Ok((account, device))
}

/// These devices and their accounts will be looked at.
pub(super) fn expect_authorised(view: &impl View, keys: &[&PublicKey]) -> Result<(), Fault> {
    view.expect(Table::Device, keys.iter().map(|key| key.as_bytes()))?;
    let mut accounts = Vec::with_capacity(keys.len());
    for key in keys {
        accounts.extend(get(view, key)?.map(|device| device.account));
    }
    view.expect(Table::Account, accounts.iter().map(AccountId::as_bytes))
}

/// The device, if it is there.
pub fn get(view: &impl View, key: &PublicKey) -> Result<Option<Device>, Fault> {
    view.get(Table::Device, key.as_bytes())?
        .map(|row| pack::value(Table::Device, &row))
        .transpose()
}

/// All devices of an account, revoked ones included.
pub fn list(view: &impl View, account: &AccountId) -> Result<Vec<Device>, Fault> {
    let rows = view.prefix(
        Table::AccountDevice,
        account.as_bytes(),
        Order::Forward,
        DEVICES_EVER_PER_ACCOUNT_MAX,
    )?;
    rows.iter()
        .map(|(key, _)| {
            let key = key.get(account.0.len()..).unwrap_or_default();
            let key = key
                .try_into()
                .map_err(|_| Fault::Unreadable(Table::AccountDevice))?;
            existing(view, &PublicKey(key))
        })
        .collect()
}

/// The device's last sign-in, if it ever signed in.
pub fn last_sign_in(view: &impl View, key: &PublicKey) -> Result<Option<LastSignIn>, Fault> {
    view.get(Table::SignIn, key.as_bytes())?
        .map(|row| pack::value(Table::SignIn, &row))
        .transpose()
}

/// The newest [`REVOCATIONS_MAX`] that are still needed.
pub fn revocations(view: &impl View) -> Result<Revocations, Fault> {
    let mut revocations = Revocations {
        sequence: revocation_sequence(view)?,
        ..Revocations::default()
    };
    let rows = view.prefix(Table::Revocation, &[], Order::Backward, REVOCATIONS_MAX)?;
    for (key, _) in rows {
        match revoked_of(&key)
            .ok_or(Fault::Unreadable(Table::Revocation))?
            .1
        {
            Revoked::Device(device) => revocations.devices.push(device),
            Revoked::Account(account) => revocations.accounts.push(account),
        }
    }
    revocations.devices.sort_unstable();
    revocations.accounts.sort_unstable();
    Ok(revocations)
}

/// The sequence of the revocation list, which grows with each change.
pub fn revocation_sequence(view: &impl View) -> Result<u64, Fault> {
    view.get(Table::RevocationSequence, &[])?
        .map_or(Ok(0), |row| pack::value(Table::RevocationSequence, &row))
}

pub(super) fn apply_enrolled(tables: &mut impl Tables, device: &Device) -> Result<(), Fault> {
    let by_account = table::account_device(&device.account, &device.key);
    tables.put(Table::AccountDevice, &by_account, [].into())?;
    tables.put(Table::Device, device.key.as_bytes(), pack::row(device))
}

pub(super) fn apply_revoked(
    tables: &mut impl Tables,
    key: &PublicKey,
    time: UnixMillis,
) -> Result<(), Fault> {
    let mut device = existing(tables, key)?;
    device.revoked = Some(time);
    tables.put(Table::Device, key.as_bytes(), pack::row(&device))?;
    note_revoked(tables, Revoked::Device(*key), time)
}

pub(super) fn apply_signed_in(
    tables: &mut impl Tables,
    key: &PublicKey,
    time: UnixMillis,
) -> Result<(), Fault> {
    let last = LastSignIn { time };
    tables.put(Table::SignIn, key.as_bytes(), pack::row(&last))
}

/// What its owner called it, and when it signed in, is forgotten. The key stays refused.
pub(super) fn apply_left(tables: &mut impl Tables, mut device: Device) -> Result<(), Fault> {
    device.label.clear();
    tables.delete(Table::SignIn, device.key.as_bytes())?;
    tables.put(Table::Device, device.key.as_bytes(), pack::row(&device))
}

pub(super) fn note_revoked(
    tables: &mut impl Tables,
    revoked: Revoked,
    time: UnixMillis,
) -> Result<(), Fault> {
    let key = match &revoked {
        Revoked::Device(device) => table::revocation(time, 0, device.as_bytes()),
        Revoked::Account(account) => table::revocation(time, 1, account.as_bytes()),
    };
    tables.put(Table::Revocation, &key, [].into())?;
    raise_revocation_sequence(tables)
}

/// Whether the list holds entries from before every passport that is still good at `now`.
pub(super) fn has_old_revocations(view: &impl View, now: UnixMillis) -> Result<bool, Fault> {
    let oldest = view.prefix(Table::Revocation, &[], Order::Forward, 1)?;
    Ok(oldest
        .first()
        .and_then(|(key, _)| revoked_of(key))
        .is_some_and(|(time, _)| time.plus(PASSPORT_LIFE) < now))
}

/// Drops at most `limit` entries from before every passport that is still good at `now`.
pub(super) fn drop_old_revocations(
    tables: &mut impl Tables,
    now: UnixMillis,
    limit: usize,
) -> Result<(), Fault> {
    let oldest = tables.prefix(Table::Revocation, &[], Order::Forward, limit)?;
    for (key, _) in oldest {
        let (time, _) = revoked_of(&key).ok_or(Fault::Unreadable(Table::Revocation))?;
        if time.plus(PASSPORT_LIFE) >= now {
            break;
        }
        tables.delete(Table::Revocation, &key)?;
    }
    raise_revocation_sequence(tables)
}

fn existing(view: &impl View, key: &PublicKey) -> Result<Device, Fault> {
    get(view, key)?.ok_or_else(|| Invariant::RowExists(Table::Device).into())
}

fn raise_revocation_sequence(tables: &mut impl Tables) -> Result<(), Fault> {
    let sequence = revocation_sequence(tables)?
        .checked_add(1)
        .ok_or(Invariant::SumFits)?;
    tables.put(Table::RevocationSequence, &[], pack::row(&sequence))
}

fn revoked_of(key: &[u8]) -> Option<(UnixMillis, Revoked)> {
    let (time, rest) = key.split_first_chunk()?;
    let revoked = match rest.split_first()? {
        (0, device) => Revoked::Device(PublicKey(device.try_into().ok()?)),
        (1, account) => Revoked::Account(AccountId(account.try_into().ok()?)),
        _ => return None,
    };
    Some((UnixMillis(u64::from_be_bytes(*time)), revoked))
}
