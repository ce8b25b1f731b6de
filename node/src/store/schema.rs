//! How each event changes the rows. Deterministic: the same rows come of the same journal, whenever it is read.

use madang_journal::{ApplyError, Order, RowError, Rows, Schema};
use madang_protocol::{
    amount::Amount,
    codec::{self, DecodeError},
    ids::{AccountId, GrantId},
    limits::{MILLIS_PER_PASS_MAX, TARIFF_RULES_MAX},
    name::SiteName,
    record::{
        grant::Grant,
        network::Tax,
        receipt::Receipt,
        settlement::{Judgement, SettleBatch, Verdict},
    },
    rules::{metering::RequestKey, settlement::debit_of},
    sealed::Unverified,
    time::{Day, MILLIS_PER_DAY, UnixMillis},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    event::Event,
    row::{AgreementRow, BoughtRow, GrantRow, HeldRow, PassRow},
};

/// Octets of one event or row: the largest holds a whole batch.
pub(super) const EVENT_BYTES_MAX: usize = 4 << 20;

/// Grants that buyers showed, by id.
pub(super) const GRANTS_SHOWN: u8 = 1;
/// [`HeldRow`] by grant.
pub(super) const HELD: u8 = 2;
/// Grants whose held receipt the anchor has not judged.
pub(super) const TO_SETTLE: u8 = 3;
/// Batches without a verdict, by id.
pub(super) const BATCHES: u8 = 4;
/// What accounts owe, by account.
pub(super) const DEBTS: u8 = 5;
/// [`PassRow`] by account, site and pattern.
pub(super) const PASSES: u8 = 6;
/// Requests for grants without an answer, by id.
pub(super) const ASKED: u8 = 7;
/// [`GrantRow`] by id.
pub(super) const GRANTS: u8 = 8;
/// The highest receipt that was signed, by grant.
pub(super) const SIGNED: u8 = 9;
/// [`AgreementRow`] by site.
pub(super) const AGREEMENTS: u8 = 10;
/// What left the wallet for what was signed for, by day.
pub(super) const DAYS: u8 = 11;
/// Grants that the anchor must be told are done.
pub(super) const TO_CLOSE: u8 = 12;
/// [`BoughtRow`] by account, site and pattern.
pub(super) const BOUGHT: u8 = 13;
/// Passes that were bought, and whose issuer's word is not in hand; by the same key.
pub(super) const TO_FETCH: u8 = 14;
/// Requests that were served, by rule; by grant.
pub(super) const SERVED: u8 = 15;
/// Requests that were served, by grant and key.
pub(super) const SERVED_KEYS: u8 = 16;
/// Grants of [`GRANTS`] of which the anchor does not know that this node is done with them.
pub(super) const GRANTS_OPEN: u8 = 17;
/// Grants with a final receipt of which the seller has not said that it holds it.
pub(super) const TO_TELL: u8 = 18;

/// Served requests of one grant that one event forgets: a commit that deletes all of a large grant's would hold up everybody.
const KEYS_FORGOTTEN_MAX: usize = 256;

/// The fold of a node's events.
#[derive(Debug)]
pub(super) struct NodeSchema;

impl Schema for NodeSchema {
    const VERSION: u32 = 4;

    fn apply(&self, _seq: u64, payload: &[u8], rows: &mut Rows<'_>) -> Result<(), ApplyError> {
        match read::<Event>(payload)? {
            Event::GrantShown(grant) => put(rows, GRANTS_SHOWN, &grant.claims().id.0, &grant),
            Event::ReceiptHeld(receipt) => receipt_held(rows, receipt),
            Event::DebtNoted { account, debt } => put(rows, DEBTS, &account.0, &debt),
            Event::PassSold(pass) => put(rows, PASSES, &key_of(&pass), &pass),
            Event::BatchMade(batch) => put(rows, BATCHES, &batch.claims().id.0, &batch),
            Event::VerdictHeld(verdict) => verdict_held(rows, &verdict),
            Event::SaleForgotten(grant) => sale_forgotten(rows, grant),
            Event::GrantAsked(request) => put(rows, ASKED, &request.claims().id.0, &request),
            Event::GrantHeld {
                request,
                grant,
                tariff,
            } => {
                delete(rows, ASKED, &request.0)?;
                let id = grant.claims().id;
                put(rows, GRANTS_OPEN, &id.0, &())?;
                put(
                    rows,
                    GRANTS,
                    &id.0,
                    &GrantRow {
                        grant,
                        tariff,
                        closed: false,
                    },
                )
            }
            Event::GrantNotHeld(request) => delete(rows, ASKED, &request.0),
            Event::ReceiptSigned(receipt) => receipt_signed(rows, &receipt),
            Event::GrantClosed(grant) => grant_closed(rows, grant),
            Event::Agreed(row) => put(rows, AGREEMENTS, row.site.to_string().as_bytes(), &row),
            Event::Withdrawn(site) => delete(rows, AGREEMENTS, site.to_string().as_bytes()),
            Event::Stopped { site, time } => {
                let key = site.to_string();
                change::<AgreementRow>(rows, AGREEMENTS, key.as_bytes(), |row| {
                    row.stopped = Some(time)
                })
            }
            Event::PassKnown(pass) => delete(rows, TO_FETCH, &key_of(&pass)),
            Event::RequestServed { grant, rule, key } => request_served(rows, grant, rule, key),
            Event::RequestReturned { grant, rule } => {
                change_served(rows, grant, rule, |count| count.saturating_sub(1))
            }
            Event::SoldPassForgotten(pass) => sold_pass_forgotten(rows, &pass),
            Event::PurchaseForgotten(grant) => delete_all(
                rows,
                &[GRANTS, GRANTS_OPEN, SIGNED, TO_CLOSE, TO_TELL],
                grant,
            ),
            Event::BoughtPassForgotten(pass) => bought_pass_forgotten(rows, &pass),
            Event::SellerTold(grant) => delete(rows, TO_TELL, &grant.0),
        }
    }
}

/// Where the pass of an account for a site's pattern stands.
pub(super) fn pass_key(account: AccountId, site: &SiteName, pattern: &str) -> Vec<u8> {
    let place = blake3::hash(format!("{site}\n{pattern}").as_bytes());
    [account.as_bytes(), &place.as_bytes()[..16]].concat()
}

pub(super) fn key_of(pass: &PassRow) -> Vec<u8> {
    pass_key(pass.account, &pass.site, &pass.pattern)
}

pub(super) fn read<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, ApplyError> {
    codec::decode(bytes, EVENT_BYTES_MAX).map_err(|error: DecodeError| ApplyError::refused(error))
}

fn receipt_held(rows: &mut Rows<'_>, receipt: Unverified<Receipt>) -> Result<(), ApplyError> {
    let grant = receipt.claims().grant;
    let held: Option<HeldRow> = get(rows, HELD, &grant.0)?;
    if held
        .as_ref()
        .is_some_and(|held| held.receipt.claims().sequence >= receipt.claims().sequence)
    {
        return Ok(());
    }
    let row = match held {
        Some(held) => HeldRow { receipt, ..held },
        None => HeldRow {
            receipt,
            settled: Amount::ZERO,
            earned: Amount::ZERO,
            judged: 0,
        },
    };
    put(rows, HELD, &grant.0, &row)?;
    put(rows, TO_SETTLE, &grant.0, &())
}

/// Each receipt that the batch held is judged; one that came since is still to settle.
fn verdict_held(rows: &mut Rows<'_>, verdict: &Unverified<Verdict>) -> Result<(), ApplyError> {
    let verdict = verdict.claims();
    let Some(batch) = get::<Unverified<SettleBatch>>(rows, BATCHES, &verdict.batch.0)? else {
        return Ok(());
    };
    for (receipt, outcome) in batch.claims().receipts.iter().zip(&verdict.outcomes) {
        let sent = receipt.claims();
        let mut is_judged = false;
        change::<HeldRow>(rows, HELD, &sent.grant.0, |row| {
            if !matches!(outcome.judgement, Judgement::Rejected(_)) {
                row.settled = row.settled.max(outcome.settled);
                row.earned = row.earned.max(outcome.earned);
            }
            row.judged = row.judged.max(sent.sequence);
            is_judged = row.receipt.claims().sequence <= row.judged;
        })?;
        if is_judged {
            delete(rows, TO_SETTLE, &sent.grant.0)?;
        }
    }
    delete(rows, BATCHES, &verdict.batch.0)
}

fn request_served(
    rows: &mut Rows<'_>,
    grant: GrantId,
    rule: u16,
    key: Option<RequestKey>,
) -> Result<(), ApplyError> {
    if let Some(key) = key {
        put(rows, SERVED_KEYS, &[grant.0, key.0].concat(), &())?;
    }
    change_served(rows, grant, rule, |count| count.saturating_add(1))
}

fn change_served(
    rows: &mut Rows<'_>,
    grant: GrantId,
    rule: u16,
    change: impl FnOnce(u64) -> u64,
) -> Result<(), ApplyError> {
    let rule = usize::from(rule);
    if rule >= TARIFF_RULES_MAX {
        return Ok(());
    }
    let mut served: Vec<u64> = get(rows, SERVED, &grant.0)?.unwrap_or_default();
    if served.len() <= rule {
        served.resize(rule + 1, 0);
    }
    served[rule] = change(served[rule]);
    put(rows, SERVED, &grant.0, &served)
}

/// The grant itself goes last, so that what is left of it is found.
fn sale_forgotten(rows: &mut Rows<'_>, grant: GrantId) -> Result<(), ApplyError> {
    let keys = rows
        .reader()
        .prefix(SERVED_KEYS, &grant.0, Order::Forward, KEYS_FORGOTTEN_MAX)?;
    for (key, _) in &keys {
        delete(rows, SERVED_KEYS, key)?;
    }
    if keys.len() == KEYS_FORGOTTEN_MAX {
        return Ok(());
    }
    delete_all(rows, &[GRANTS_SHOWN, HELD, TO_SETTLE, SERVED], grant)
}

/// One that was sold again since lasts longer, and stays.
fn sold_pass_forgotten(rows: &mut Rows<'_>, pass: &PassRow) -> Result<(), ApplyError> {
    let key = key_of(pass);
    match get::<PassRow>(rows, PASSES, &key)? {
        Some(held) if held.until == pass.until => delete(rows, PASSES, &key),
        Some(_) | None => Ok(()),
    }
}

/// One that was bought again since lasts longer, and stays.
fn bought_pass_forgotten(rows: &mut Rows<'_>, pass: &PassRow) -> Result<(), ApplyError> {
    let key = key_of(pass);
    match get::<BoughtRow>(rows, BOUGHT, &key)? {
        Some(held) if held.pass.until == pass.until => {
            delete(rows, TO_FETCH, &key)?;
            delete(rows, BOUGHT, &key)
        }
        Some(_) | None => Ok(()),
    }
}

/// What leaves the wallet for what was signed more than before counts against the site's agreement and the day.
fn receipt_signed(rows: &mut Rows<'_>, receipt: &Unverified<Receipt>) -> Result<(), ApplyError> {
    let signed = receipt.claims();
    let before: Option<Unverified<Receipt>> = get(rows, SIGNED, &signed.grant.0)?;
    if before
        .as_ref()
        .is_some_and(|before| before.claims().sequence >= signed.sequence)
    {
        return Ok(());
    }
    let row: Option<GrantRow> = get(rows, GRANTS, &signed.grant.0)?;
    if let Some(row) = &row {
        passes_bought(rows, row, before.as_ref().map(Unverified::claims), signed)?;
    }
    let tax = row.as_ref().map_or(Tax::NONE, |row| row.grant.claims().tax);
    let before = before.map_or(Amount::ZERO, |before| before.claims().amount);
    let more = debit_of(signed.amount, tax).saturating_sub(debit_of(before, tax));
    put(rows, SIGNED, &signed.grant.0, receipt)?;
    let Day(day) = signed.time.day();
    let today: Amount = get(rows, DAYS, &day.to_be_bytes())?.unwrap_or_default();
    put(rows, DAYS, &day.to_be_bytes(), &today.saturating_add(more))?;
    if let Some(row) = row {
        let site = row.grant.claims().site.to_string();
        change::<AgreementRow>(rows, AGREEMENTS, site.as_bytes(), |row| {
            row.spent = row.spent.saturating_add(more)
        })?;
    }
    if signed.is_final {
        put(rows, TO_TELL, &signed.grant.0, &())?;
        put(rows, TO_CLOSE, &signed.grant.0, &())
    } else {
        Ok(())
    }
}

/// A pass lasts from the end of the one before it, or from when it was signed for.
fn passes_bought(
    rows: &mut Rows<'_>,
    row: &GrantRow,
    before: Option<&Receipt>,
    signed: &Receipt,
) -> Result<(), ApplyError> {
    let grant = row.grant.claims();
    for (at, rule) in row.tariff.claims().rules.iter().enumerate() {
        let count = |receipt: &Receipt| receipt.counters.get(at).map_or(0, |one| one.passes);
        let bought = count(signed).saturating_sub(before.map_or(0, count));
        let Some(offer) = rule.pass.filter(|_| bought > 0) else {
            continue;
        };
        let mut pass = PassRow {
            account: grant.buyer,
            site: grant.site.clone(),
            pattern: rule.pattern.clone(),
            grant: grant.id,
            until: signed.time,
        };
        let key = key_of(&pass);
        let held = get::<BoughtRow>(rows, BOUGHT, &key)?;
        let from = held.map_or(signed.time, |held| held.pass.until.max(signed.time));
        let millis = bought.saturating_mul(u64::from(offer.days) * MILLIS_PER_DAY);
        pass.until = UnixMillis(from.0.saturating_add(millis.min(MILLIS_PER_PASS_MAX)));
        let bought = signed.time;
        put(rows, BOUGHT, &key, &BoughtRow { pass, bought })?;
        put(rows, TO_FETCH, &key, &())?;
    }
    Ok(())
}

fn grant_closed(rows: &mut Rows<'_>, grant: GrantId) -> Result<(), ApplyError> {
    delete_all(rows, &[TO_CLOSE, GRANTS_OPEN], grant)?;
    change::<GrantRow>(rows, GRANTS, &grant.0, |row| row.closed = true)
}

fn get<T: Serialize + DeserializeOwned>(
    rows: &Rows<'_>,
    table: u8,
    key: &[u8],
) -> Result<Option<T>, ApplyError> {
    rows.get(table, key)?.map(|row| read(&row)).transpose()
}

fn put<T: Serialize>(
    rows: &mut Rows<'_>,
    table: u8,
    key: &[u8],
    value: &T,
) -> Result<(), ApplyError> {
    Ok(rows.put(table, key, codec::encode(value))?)
}

fn delete(rows: &mut Rows<'_>, table: u8, key: &[u8]) -> Result<(), ApplyError> {
    rows.delete(table, key)
        .map_err(|error: RowError| error.into())
}

fn delete_all(rows: &mut Rows<'_>, tables: &[u8], grant: GrantId) -> Result<(), ApplyError> {
    tables
        .iter()
        .try_for_each(|table| delete(rows, *table, &grant.0))
}

/// Changes one row, if it is there.
fn change<T: Serialize + DeserializeOwned>(
    rows: &mut Rows<'_>,
    table: u8,
    key: &[u8],
    change: impl FnOnce(&mut T),
) -> Result<(), ApplyError> {
    match get::<T>(rows, table, key)? {
        Some(mut row) => {
            change(&mut row);
            put(rows, table, key, &row)
        }
        None => Ok(()),
    }
}

/// A grant that a buyer showed, as it is stored.
pub type ShownGrant = Unverified<Grant>;
