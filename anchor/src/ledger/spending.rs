//! What one device was granted lately: the bound on what a stolen key can cost.

use madang_protocol::{
    amount::Amount,
    ids::PublicKey,
    reject::Reject,
    time::{Day, UnixMillis},
};
use serde::{Deserialize, Serialize};

use super::{
    pack,
    policy::Policy,
    table::Table,
    terms::Terms,
    view::{Fault, Invariant, Tables, View},
};

/// What one device was granted lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// Grants whose hold has not ended.
    pub open: u32,
    /// The day of what follows.
    pub day: Day,
    /// Grants of that day.
    pub grants: u32,
    /// What they granted, less what was returned on the same day.
    pub granted: Amount,
}

/// What the device was granted lately.
pub fn get(view: &impl View, device: &PublicKey) -> Result<Spending, Fault> {
    view.get(Table::Spending, device.as_bytes())?
        .map_or(Ok(Spending::default()), |row| {
            pack::value(Table::Spending, &row)
        })
}

/// Refuses a grant of `amount` that would exceed what one device may have.
pub(super) fn check(
    view: &impl View,
    policy: &Policy,
    device: &PublicKey,
    amount: Amount,
    now: UnixMillis,
) -> Result<(), Fault> {
    let spending = get(view, device)?.on(now.day());
    let is_within = spending.open < policy.open_grants_per_device_max
        && spending.grants < policy.grants_per_device_and_day_max
        && spending
            .granted
            .checked_add(amount)
            .is_some_and(|granted| granted <= policy.amount_per_device_and_day_max);
    if is_within {
        Ok(())
    } else {
        Err(Reject::GRANT_LIMIT_REACHED.into())
    }
}

pub(super) fn granted(tables: &mut impl Tables, terms: &Terms) -> Result<(), Fault> {
    let device = &terms.buyer_key;
    let mut spending = get(tables, device)?.on(terms.issued.day());
    spending.open = spending.open.checked_add(1).ok_or(Invariant::SumFits)?;
    spending.grants = spending.grants.saturating_add(1);
    spending.granted = spending.granted.saturating_add(terms.amount_max);
    put(tables, device, &spending)
}

pub(super) fn ended(tables: &mut impl Tables, terms: &Terms, settled: Amount) -> Result<(), Fault> {
    let device = &terms.buyer_key;
    let mut spending = get(tables, device)?;
    spending.open = spending
        .open
        .checked_sub(1)
        .ok_or(Invariant::HoldEndsOnce)?;
    if spending.day == terms.issued.day() {
        let unspent = terms.amount_max.saturating_sub(settled);
        spending.granted = spending.granted.saturating_sub(unspent);
    }
    put(tables, device, &spending)
}

impl Spending {
    /// The same on another day.
    fn on(self, day: Day) -> Self {
        if self.day == day {
            return self;
        }
        Self {
            open: self.open,
            day,
            grants: 0,
            granted: Amount::ZERO,
        }
    }
}

fn put(tables: &mut impl Tables, device: &PublicKey, spending: &Spending) -> Result<(), Fault> {
    tables.put(Table::Spending, device.as_bytes(), pack::row(spending))
}
