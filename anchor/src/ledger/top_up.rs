//! Money that came in from outside and now stands in a wallet.

use madang_protocol::{
    amount::{Amount, Currency},
    ids::{AccountId, RequestId},
    reject::Reject,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    account, adjustment,
    booking::{self, Booking, BookingKind, Decision},
    books::{EntryKind, Moved},
    entry::{Posting, balance},
    event::Event,
    pack,
    policy::{CASH_MAX, Policy},
    table::{LedgerAccount, Table},
    view::{Fault, Tables, View},
};

/// A top-up, under the identifier that its operator drew for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUp {
    /// The same identifier never moves money twice.
    pub request: RequestId,
    /// Whose wallet.
    pub account: AccountId,
    /// How much; more than nothing.
    pub amount: Amount,
    /// In which currency.
    pub currency: Currency,
    /// When it was booked.
    pub time: UnixMillis,
}

/// A top-up that was booked, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Booked {
    pub(super) account: AccountId,
    pub(super) amount: Amount,
    pub(super) entry: u64,
}

/// Decides on a top-up. The same identifier with another account or amount is refused.
pub fn decide(view: &impl View, policy: &Policy, top_up: TopUp) -> Result<Decision, Fault> {
    if let Some(row) = view.get(Table::TopUp, top_up.request.as_bytes())? {
        let booked: Booked = pack::value(Table::TopUp, &row)?;
        if (booked.account, booked.amount) != (top_up.account, top_up.amount) {
            return Err(Reject::REQUEST_ID_REUSED.into());
        }
        return Ok(Decision::Booked(booked.entry));
    }
    if adjustment::is_known(view, &top_up.request)? {
        return Err(Reject::REQUEST_ID_REUSED.into());
    }
    if top_up.amount.is_zero() {
        return Err(Reject::FIELD_OUT_OF_BOUNDS.into());
    }
    if top_up.currency != policy.currency {
        return Err(Reject::CURRENCY_FOREIGN.into());
    }
    account::active(view, &top_up.account)?;
    check_cash(view, top_up.amount, policy.currency)?;
    Ok(Decision::Book(Event::ToppedUp(top_up)))
}

/// Refuses more money than a wallet can count.
pub(super) fn check_cash(
    view: &impl View,
    amount: Amount,
    currency: Currency,
) -> Result<(), Fault> {
    let cash = balance(view, LedgerAccount::Cash, currency)?.posted;
    if i128::from(amount.micros()) - cash > i128::from(CASH_MAX) {
        return Err(Reject::AMOUNT_TOO_LARGE.into());
    }
    Ok(())
}

/// Whether a top-up has this identifier.
pub(super) fn is_known(view: &impl View, request: &RequestId) -> Result<bool, Fault> {
    Ok(view.get(Table::TopUp, request.as_bytes())?.is_some())
}

pub(super) fn apply(tables: &mut impl Tables, entry: u64, top_up: &TopUp) -> Result<(), Fault> {
    let micros = i128::from(top_up.amount.micros());
    let mut posting = Posting::new(top_up.currency);
    posting.credit(LedgerAccount::Cash, -micros)?;
    posting.credit(LedgerAccount::Wallet(top_up.account), micros)?;
    let mut moved = Moved::by(entry, EntryKind::TopUp, top_up.time);
    posting.post(tables, &mut moved)?;
    moved.write(tables)?;
    let booking = Booking {
        account: top_up.account,
        kind: BookingKind::TopUp,
        currency: top_up.currency,
        left: top_up.amount,
    };
    booking::put(tables, entry, &booking)?;
    let booked = Booked {
        account: top_up.account,
        amount: top_up.amount,
        entry,
    };
    tables.put(Table::TopUp, top_up.request.as_bytes(), pack::row(&booked))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::ledger::{
        account::{AccountClass, AccountStatus, decide_create},
        event::apply,
        view::testing::MapTables,
    };
    use madang_protocol::record::request::Secret;

    fn with_account(id: AccountId) -> MapTables {
        let mut tables = MapTables::default();
        let account = account::Account {
            id,
            handle: "alice".parse().unwrap(),
            class: AccountClass::Person,
            commission_bp: 500,
            credit_limit: Amount::ZERO,
            password_hash: Secret("$argon2id$".into()),
            status: AccountStatus::Active,
            created: UnixMillis(1),
        };
        let event = decide_create(&tables, account).unwrap();
        apply(&mut tables, 1, &event.to_payload()).unwrap();
        tables
    }

    #[test]
    fn a_top_up_is_booked_once_and_its_identifier_means_one_body() {
        let account = AccountId([1; 16]);
        let mut tables = with_account(account);
        let top_up = TopUp {
            request: RequestId([2; 16]),
            account,
            amount: Amount::from_micros(7),
            currency: Currency::KRW,
            time: UnixMillis(3),
        };
        let Ok(Decision::Book(event)) = decide(&tables, &Policy::DEFAULT, top_up.clone()) else {
            panic!("a new top-up is booked");
        };
        apply(&mut tables, 9, &event.to_payload()).unwrap();
        assert_eq!(
            decide(&tables, &Policy::DEFAULT, top_up.clone()).unwrap(),
            Decision::Booked(9)
        );
        let other = TopUp {
            amount: Amount::from_micros(8),
            ..top_up
        };
        assert!(matches!(
            decide(&tables, &Policy::DEFAULT, other),
            Err(Fault::Refused(Reject::REQUEST_ID_REUSED))
        ));
        let wallet = balance(&tables, LedgerAccount::Wallet(account), Currency::KRW).unwrap();
        assert_eq!(wallet.posted, 7);
    }
}
