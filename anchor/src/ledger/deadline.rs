//! What is to be done when, in the order of its time.

use std::ops::Bound;

use madang_protocol::{
    ids::{AccountId, BatchId, GrantId, PublicKey},
    time::{Day, UnixMillis},
};

use super::{
    promotion::LotId,
    table::{Table, pair},
    view::{Fault, Order, Tables, View},
};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// A grant cannot be settled any more.
    SettleUntil(GrantId),
    /// A grant's hold may be released early.
    EarlyRelease(GrantId),
    /// A batch is not sent again.
    Batch(PublicKey, BatchId),
    /// A usage report has served its time.
    Usage(PublicKey, Day),
    /// A pass may have ended.
    Pass(AccountId, [u8; 32]),
    /// A lot of promotional credit has ended.
    Promotion(AccountId, LotId),
    /// What a grant's seller earned may be payable.
    Payable(GrantId),
}

/// Notes that something is to be done at `time`.
pub(super) fn put(tables: &mut impl Tables, time: UnixMillis, due: &Due) -> Result<(), Fault> {
    tables.put(Table::Deadline, &key(time, due), [].into())
}

/// Takes out at most `limit` things whose time is before `now`, the oldest first.
pub(super) fn take_due(
    tables: &mut impl Tables,
    now: UnixMillis,
    limit: usize,
) -> Result<Vec<Due>, Fault> {
    let rows = list(tables, now, limit)?;
    rows.iter()
        .map(|row| {
            tables.delete(Table::Deadline, row)?;
            due_of(row).ok_or(Fault::Unreadable(Table::Deadline))
        })
        .collect()
}

/// Whether anything's time is before `now`.
pub(super) fn has_due(view: &impl View, now: UnixMillis) -> Result<bool, Fault> {
    Ok(!list(view, now, 1)?.is_empty())
}

fn list(view: &impl View, now: UnixMillis, limit: usize) -> Result<Vec<Vec<u8>>, Fault> {
    let end = now.0.to_be_bytes();
    let rows = view.range(
        Table::Deadline,
        (Bound::Unbounded, Bound::Excluded(&end)),
        Order::Forward,
        limit,
    )?;
    Ok(rows.into_iter().map(|(key, _)| key).collect())
}

fn key(time: UnixMillis, due: &Due) -> Vec<u8> {
    let (kind, id) = match due {
        Due::SettleUntil(grant) => (0, grant.0.to_vec()),
        Due::EarlyRelease(grant) => (1, grant.0.to_vec()),
        Due::Batch(device, batch) => (2, pair(&device.0, &batch.0)),
        Due::Usage(device, day) => (3, pair(&device.0, &day.0.to_be_bytes())),
        Due::Pass(account, hash) => (4, pair(&account.0, hash)),
        Due::Promotion(account, lot) => (5, pair(&account.0, &lot.to_bytes())),
        Due::Payable(grant) => (6, grant.0.to_vec()),
    };
    let mut key = time.0.to_be_bytes().to_vec();
    key.push(kind);
    key.extend_from_slice(&id);
    key
}

fn due_of(key: &[u8]) -> Option<Due> {
    let (kind, id) = key.get(8..)?.split_first()?;
    Some(match kind {
        0 => Due::SettleUntil(GrantId(id.try_into().ok()?)),
        1 => Due::EarlyRelease(GrantId(id.try_into().ok()?)),
        2 => {
            let (device, batch) = id.split_first_chunk()?;
            Due::Batch(PublicKey(*device), BatchId(batch.try_into().ok()?))
        }
        3 => {
            let (device, day) = id.split_first_chunk()?;
            let day = u32::from_be_bytes(day.try_into().ok()?);
            Due::Usage(PublicKey(*device), Day(day))
        }
        4 => {
            let (account, hash) = id.split_first_chunk()?;
            Due::Pass(AccountId(*account), hash.try_into().ok()?)
        }
        5 => {
            let (account, lot) = id.split_first_chunk()?;
            Due::Promotion(AccountId(*account), LotId::of_bytes(lot)?)
        }
        6 => Due::Payable(GrantId(id.try_into().ok()?)),
        _ => return None,
    })
}
