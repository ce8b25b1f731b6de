//! What happened: the journal's entries, and the one function that turns them into rows.

use madang_protocol::{
    codec,
    ids::{AccountId, PublicKey},
    time::{Day, UnixMillis},
};
use serde::{Deserialize, Serialize};

use super::{
    account::{self, Account, AccountChange},
    adjustment::{self, Adjustment},
    device::{self, Device},
    dispute::{self, DisputeEvent},
    grant::{self, Granted},
    leave::{self, Left},
    organisation::{self, OrganisationChange},
    period::{self, PeriodEvent},
    presence,
    profile::{self, Kept},
    settled::{self, Settled},
    statement,
    statistics::rolled_up::{self, RolledUp},
    sweep,
    table::Table,
    top_up::{self, TopUp},
    usage,
    view::{Fault, Tables},
};

/// One entry of the journal; settlements ([`Settled`]) have a form of their own. Variants keep their order for ever; new ones come last.
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
        /// When.
        time: UnixMillis,
    },
    /// Money came in.
    ToppedUp(TopUp),
    /// Permission to spend was given.
    Granted(Box<Granted>),
    /// A device that a hold waits for was there.
    Present {
        /// Which.
        device: PublicKey,
        /// Whether it went away.
        leaving: bool,
        /// When.
        time: UnixMillis,
    },
    /// A node reported usage.
    UsageReported {
        /// Which.
        device: PublicKey,
        /// Of which day.
        day: Day,
        /// The sealed report.
        sealed: Vec<u8>,
        /// When.
        time: UnixMillis,
    },
    /// What was due was done.
    Swept {
        /// Everything before this time, a step of it.
        time: UnixMillis,
    },
    /// An operator gave promotional credit, paid back, or corrected.
    Adjusted(Adjustment),
    /// Something about a dispute.
    Dispute(DisputeEvent),
    /// An organisation's tax or members changed.
    OrganisationChanged {
        /// Which.
        id: AccountId,
        /// In what.
        change: OrganisationChange,
        /// When.
        time: UnixMillis,
    },
    /// It was stated where the chains end.
    HeadsStated {
        /// On which day.
        day: Day,
        /// The sealed statement.
        sealed: Vec<u8>,
        /// When.
        time: UnixMillis,
    },
    /// A person said something about itself.
    ProfileSet {
        /// Whose account.
        id: AccountId,
        /// The profile, sealed.
        profile: Kept,
    },
    /// A person left: what the account is called is a pseudonym from now on, and its data key is to be deleted.
    ProfileErased(Left),
    /// The data key of an account that left is deleted.
    ProfileShredded {
        /// Whose account.
        id: AccountId,
        /// When the person left.
        time: UnixMillis,
    },
    /// Something about billing periods.
    Period(PeriodEvent),
    /// What happened since was added to the figures.
    StatisticsRolledUp(Box<RolledUp>),
}

impl Event {
    /// The octets of the journal's entry.
    pub fn to_payload(&self) -> Vec<u8> {
        let mut payload = vec![VERSION];
        payload.extend_from_slice(&codec::encode(self));
        payload
    }
}

impl Settled {
    /// The octets of the journal's entry.
    pub fn to_payload(&self) -> Vec<u8> {
        self.pack(VERSION_SETTLED)
    }
}

/// An entry of the journal, in whichever form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// An event that the codec writes.
    Event(Event),
    /// A settlement.
    Settled(Settled),
}

impl Recorded {
    /// Reads an entry's octets.
    pub fn of_payload(payload: &[u8]) -> Result<Self, Fault> {
        match payload.split_first() {
            Some((&VERSION_SETTLED, _)) => {
                Settled::unpack(VERSION_SETTLED, payload).map(Self::Settled)
            }
            Some((&VERSION, rest)) => codec::decode(rest, EVENT_BYTES_MAX)
                .map(Self::Event)
                .map_err(|_| Fault::Unreadable(Table::Journal)),
            _ => Err(Fault::Unreadable(Table::Journal)),
        }
    }

    /// When it happened.
    pub fn time(&self) -> UnixMillis {
        match self {
            Self::Settled(settled) => settled.time,
            Self::Event(event) => event.time(),
        }
    }
}

impl Event {
    /// When it happened.
    pub fn time(&self) -> UnixMillis {
        match self {
            Self::AccountCreated(account) => account.created,
            Self::DeviceEnrolled(device) => device.enrolled,
            Self::ToppedUp(top_up) => top_up.time,
            Self::Granted(granted) => granted.terms.issued,
            Self::Adjusted(adjustment) => adjustment.time,
            Self::Dispute(event) => event.statement().time,
            Self::Period(event) => event.time(),
            Self::StatisticsRolledUp(rolled_up) => rolled_up.to.rolled_up,
            Self::AccountChanged { time, .. }
            | Self::DeviceRevoked { time, .. }
            | Self::SignedIn { time, .. }
            | Self::Present { time, .. }
            | Self::UsageReported { time, .. }
            | Self::Swept { time }
            | Self::HeadsStated { time, .. }
            | Self::OrganisationChanged { time, .. }
            | Self::ProfileShredded { time, .. } => *time,
            Self::ProfileSet { profile, .. } => profile.time,
            Self::ProfileErased(left) => left.time,
        }
    }
}

/// Changes rows as the journal's entry `entry` says. Depends on nothing but its arguments.
pub fn apply(tables: &mut impl Tables, entry: u64, payload: &[u8]) -> Result<(), Fault> {
    match Recorded::of_payload(payload)? {
        Recorded::Settled(settled) => settled::apply(tables, entry, settled),
        Recorded::Event(event) => apply_event(tables, entry, event),
    }
}

fn apply_event(tables: &mut impl Tables, entry: u64, event: Event) -> Result<(), Fault> {
    match event {
        Event::AccountCreated(account) => account::apply_created(tables, &account),
        Event::AccountChanged { id, change, time } => {
            account::apply_changed(tables, &id, change, time)
        }
        Event::DeviceEnrolled(device) => device::apply_enrolled(tables, &device),
        Event::DeviceRevoked { key, time } => device::apply_revoked(tables, &key, time),
        Event::SignedIn { key, time, .. } => device::apply_signed_in(tables, &key, time),
        Event::ToppedUp(top_up) => top_up::apply(tables, entry, &top_up),
        Event::Granted(granted) => grant::apply(tables, entry, *granted),
        Event::Present {
            device,
            leaving,
            time,
        } => presence::apply(tables, &device, leaving, time),
        Event::UsageReported {
            device,
            day,
            sealed,
            time,
        } => usage::apply(tables, device, day, sealed, time),
        Event::Swept { time } => sweep::apply(tables, entry, time),
        Event::Adjusted(adjustment) => adjustment::apply(tables, entry, &adjustment),
        Event::Dispute(event) => dispute::apply(tables, entry, event),
        Event::OrganisationChanged { id, change, .. } => organisation::apply(tables, &id, change),
        Event::HeadsStated { day, sealed, .. } => statement::apply(tables, day, &sealed),
        Event::ProfileSet { id, profile } => profile::apply_set(tables, &id, &profile),
        Event::ProfileErased(left) => leave::apply(tables, entry, &left),
        Event::ProfileShredded { id, .. } => profile::apply_shredded(tables, &id),
        Event::Period(event) => period::apply(tables, entry, event),
        Event::StatisticsRolledUp(rolled_up) => rolled_up::apply(tables, &rolled_up),
    }
}

/// The form of events that the codec writes.
const VERSION: u8 = 1;
/// The form of settlements. 2 did not say what was settled before.
const VERSION_SETTLED: u8 = 3;
/// Octets of the largest event that the codec writes: a usage report, or the figures of many.
pub(super) const EVENT_BYTES_MAX: usize = 1 << 20;
