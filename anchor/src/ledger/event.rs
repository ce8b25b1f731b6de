//! What happened: the journal's entries, and the one function that turns them into rows.

use madang_protocol::{
    codec,
    ids::{AccountId, PublicKey},
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    account::{self, Account, AccountChange},
    device::{self, Device},
    table::Table,
    top_up::{self, TopUp},
    view::{Fault, Tables},
};

/// One entry of the journal. Variants keep their order for ever; new ones come last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A new subscriber.
    AccountCreated(Account),
    /// A subscriber changed.
    AccountChanged {
        /// Which.
        id: AccountId,
        /// In what.
        change: AccountChange,
        /// When.
        time: UnixMillis,
    },
    /// A new device.
    DeviceEnrolled(Device),
    /// A device is no longer good.
    DeviceRevoked {
        /// Which.
        key: PublicKey,
        /// When.
        time: UnixMillis,
    },
    /// A device signed in.
    SignedIn {
        /// The device.
        key: PublicKey,
        /// Its account.
        account: AccountId,
        /// Where it said that it listens.
        addresses: Vec<String>,
        /// When.
        time: UnixMillis,
    },
    /// Money came in.
    ToppedUp(TopUp),
}

impl Event {
    /// The octets of the journal's entry.
    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = vec![VERSION];
        payload.extend_from_slice(&codec::encode(self));
        payload
    }

    /// The event of a journal's entry.
    pub fn of_payload(payload: &[u8]) -> Result<Self, Fault> {
        match payload.split_first() {
            Some((&VERSION, rest)) => {
                codec::decode(rest, EVENT_BYTES_MAX).map_err(|_| Fault::Unreadable(Table::Journal))
            }
            _ => Err(Fault::Unreadable(Table::Journal)),
        }
    }
}

/// Changes rows as the journal's entry `entry` says. Depends on nothing but its arguments.
pub fn apply(tables: &mut impl Tables, entry: u64, event: Event) -> Result<(), Fault> {
    match event {
        Event::AccountCreated(account) => account::apply_created(tables, &account),
        Event::AccountChanged { id, change, time } => {
            account::apply_changed(tables, &id, change, time)
        }
        Event::DeviceEnrolled(device) => device::apply_enrolled(tables, &device),
        Event::DeviceRevoked { key, time } => device::apply_revoked(tables, &key, time),
        Event::SignedIn {
            key,
            addresses,
            time,
            ..
        } => device::apply_signed_in(tables, &key, addresses, time),
        Event::ToppedUp(top_up) => top_up::apply(tables, entry, &top_up),
    }
}

/// The form of events that the codec writes.
const VERSION: u8 = 1;
/// Octets of the largest such event.
const EVENT_BYTES_MAX: usize = 1 << 20;
