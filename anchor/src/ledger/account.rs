//! Accounts: persons and organisations, each with a handle that nobody else has.
//!
//! * L-12 A credit limit is never lower than what is owed and held, so that an account owes nothing from the moment on at which it is prepaid.

use madang_protocol::{
    amount::Amount,
    ids::AccountId,
    limits::{BASIS_POINTS, GRANT_AMOUNT_MAX},
    name::Handle,
    record::request::Secret,
    reject::Reject,
    time::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::{
    device::{self, Revoked},
    entry::available,
    event::Event,
    leave, pack,
    policy::Policy,
    table::Table,
    view::{Fault, Order, Tables, View},
};
use std::ops::Bound;

/// What kind of subscriber an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountClass {
    /// A natural person.
    Person,
    /// A firm, a club, an authority.
    Organisation,
}

/// When an account pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// Before it buys.
    Prepaid,
    /// By invoice, for what it has bought.
    Postpaid,
}

/// Whether an account is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountStatus {
    /// It is.
    Active,
    /// It was closed at this time. Its money and its bills stay.
    Closed(UnixMillis),
}

/// A subscriber.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Names the account in records.
    pub id: AccountId,
    /// Names it for people.
    pub handle: Handle,
    /// What kind of subscriber it is.
    pub class: AccountClass,
    /// The provider's share of what the account sells, in basis points of the net amount.
    pub commission_bp: u16,
    /// How far the wallet may go below zero; more than zero makes the account postpaid.
    pub credit_limit: Amount,
    /// The password's hash in PHC form. The ledger never looks at it.
    pub password_hash: Secret,
    /// Whether the account is good.
    pub status: AccountStatus,
    /// When it was created.
    pub created: UnixMillis,
}

impl Account {
    /// Whether the account is good.
    pub fn is_active(&self) -> bool {
        self.status == AccountStatus::Active
    }

    /// When it pays: it is postpaid exactly while it has a credit limit.
    pub fn billing(&self) -> Billing {
        if self.credit_limit.is_zero() {
            Billing::Prepaid
        } else {
            Billing::Postpaid
        }
    }
}

/// What an operator may change of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountChange {
    /// Another password, by its hash in PHC form.
    Password(Secret),
    /// Another credit limit, never lower than what is owed and held.
    CreditLimit(Amount),
    /// Another commission, for grants from now on, in basis points.
    Commission(u16),
    /// The end.
    Close,
}

/// Decides on a new account. Its handle must be free, and stays taken for ever.
pub fn decide_create(view: &impl View, account: Account) -> Result<Event, Fault> {
    check(account.commission_bp, account.credit_limit)?;
    if leave::has_left(&account.handle) {
        return Err(Reject::NAME_INVALID.into());
    }
    if by_handle(view, &account.handle)?.is_some() {
        return Err(Reject::NAME_TAKEN.into());
    }
    if get(view, &account.id)?.is_some() {
        return Err(Reject::REQUEST_ID_REUSED.into());
    }
    Ok(Event::AccountCreated(account))
}

/// Decides on a change; `None` where nothing would change.
pub fn decide_change(
    view: &impl View,
    policy: &Policy,
    id: AccountId,
    change: AccountChange,
    now: UnixMillis,
) -> Result<Option<Event>, Fault> {
    let account = get(view, &id)?.ok_or(Reject::ACCOUNT_UNKNOWN)?;
    if !account.is_active() {
        return match change {
            AccountChange::Close => Ok(None),
            AccountChange::Password(_)
            | AccountChange::CreditLimit(_)
            | AccountChange::Commission(_) => Err(Reject::ACCOUNT_CLOSED.into()),
        };
    }
    match change {
        AccountChange::CreditLimit(limit) => {
            check(0, limit)?;
            if limit == account.credit_limit {
                return Ok(None);
            }
            // L-12
            if available(view, id, limit, policy.currency)? < 0 {
                return Err(Reject::CREDIT_LIMIT_TOO_LOW.into());
            }
        }
        AccountChange::Commission(commission_bp) => check(commission_bp, Amount::ZERO)?,
        AccountChange::Password(_) | AccountChange::Close => {}
    }
    Ok(Some(Event::AccountChanged {
        id,
        change,
        time: now,
    }))
}

/// The account, if it is there.
pub fn get(view: &impl View, id: &AccountId) -> Result<Option<Account>, Fault> {
    view.get(Table::Account, id.as_bytes())?
        .map(|row| pack::value(Table::Account, &row))
        .transpose()
}

/// The account, which must be there and good.
pub fn active(view: &impl View, id: &AccountId) -> Result<Account, Fault> {
    let account = get(view, id)?.ok_or(Reject::ACCOUNT_UNKNOWN)?;
    if account.is_active() {
        Ok(account)
    } else {
        Err(Reject::ACCOUNT_CLOSED.into())
    }
}

/// The account of this handle, if there is one.
pub fn by_handle(view: &impl View, handle: &Handle) -> Result<Option<Account>, Fault> {
    let Some(row) = view.get(Table::Handle, handle.as_str().as_bytes())? else {
        return Ok(None);
    };
    let id = id_of(&row)?;
    get(view, &id)
}

/// At most `limit` accounts in the order of their handles, after `after`.
pub fn list(view: &impl View, after: Option<&Handle>, limit: usize) -> Result<Vec<Account>, Fault> {
    let from = after.map_or(Bound::Unbounded, |handle| {
        Bound::Excluded(handle.as_str().as_bytes())
    });
    let rows = view.range(
        Table::Handle,
        (from, Bound::Unbounded),
        Order::Forward,
        limit,
    )?;
    rows.iter()
        .map(|(_, row)| existing(view, &id_of(row)?))
        .collect()
}

pub(super) fn apply_created(tables: &mut impl Tables, account: &Account) -> Result<(), Fault> {
    let id: super::view::Row = account.id.as_bytes().into();
    tables.put(Table::Handle, account.handle.as_str().as_bytes(), id)?;
    put(tables, account)
}

pub(super) fn apply_changed(
    tables: &mut impl Tables,
    id: &AccountId,
    change: AccountChange,
    time: UnixMillis,
) -> Result<(), Fault> {
    let mut account = existing(tables, id)?;
    match change {
        AccountChange::Password(hash) => account.password_hash = hash,
        AccountChange::CreditLimit(limit) => account.credit_limit = limit,
        AccountChange::Commission(commission_bp) => account.commission_bp = commission_bp,
        AccountChange::Close => {
            account.status = AccountStatus::Closed(time);
            device::note_revoked(tables, Revoked::Account(*id), time)?;
        }
    }
    put(tables, &account)
}

/// The handle makes room for a pseudonym, and no password fits any more.
pub(super) fn apply_left(
    tables: &mut impl Tables,
    id: &AccountId,
    pseudonym: &Handle,
) -> Result<(), Fault> {
    let mut account = existing(tables, id)?;
    tables.delete(Table::Handle, account.handle.as_str().as_bytes())?;
    account.handle = pseudonym.clone();
    account.password_hash = leave::no_password();
    tables.put(
        Table::Handle,
        pseudonym.as_str().as_bytes(),
        id.as_bytes().into(),
    )?;
    put(tables, &account)
}

/// An account that another row names.
/// The identifiers of at most `limit` accounts after `after`, closed ones included, in their order.
pub fn ids(
    view: &impl View,
    after: Option<&AccountId>,
    limit: usize,
) -> Result<Vec<AccountId>, Fault> {
    let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
    let keys = (from, Bound::Unbounded);
    let rows = view.range(Table::Account, keys, Order::Forward, limit)?;
    rows.iter()
        .map(|(key, _)| {
            let id = key.as_slice().try_into();
            id.map(AccountId)
                .map_err(|_| Fault::Unreadable(Table::Account))
        })
        .collect()
}

pub(super) fn existing(view: &impl View, id: &AccountId) -> Result<Account, Fault> {
    get(view, id)?.ok_or_else(|| super::view::Invariant::RowExists(Table::Account).into())
}

fn put(tables: &mut impl Tables, account: &Account) -> Result<(), Fault> {
    tables.put(Table::Account, account.id.as_bytes(), pack::row(account))
}

fn id_of(row: &[u8]) -> Result<AccountId, Fault> {
    row.try_into()
        .map(AccountId)
        .map_err(|_| Fault::Unreadable(Table::Handle))
}

fn check(commission_bp: u16, credit_limit: Amount) -> Result<(), Reject> {
    if commission_bp > BASIS_POINTS {
        return Err(Reject::FIELD_OUT_OF_BOUNDS);
    }
    if credit_limit > GRANT_AMOUNT_MAX {
        return Err(Reject::AMOUNT_TOO_LARGE);
    }
    Ok(())
}
