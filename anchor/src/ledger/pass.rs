//! Passes: free use of a rule's paths until a time, bought by receipts that were settled.

use madang_protocol::{
    ids::{AccountId, GrantId, KeyId},
    limits::MILLIS_PER_PASS_MAX,
    name::SiteName,
    record::pass::Pass,
    time::{MILLIS_PER_DAY, UnixMillis},
};
use serde::{Deserialize, Serialize};

use super::{
    deadline::{self, Due},
    pack,
    policy::PASSES_LISTED_MAX,
    table::{self, Table},
    view::{Fault, Order, Tables, View},
};

/// How long one account may use one rule's paths free of charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassHeld {
    /// Who bought it.
    pub account: AccountId,
    /// The site, as people write it.
    pub site: String,
    /// The rule's pattern, which names the rule.
    pub pattern: String,
    /// The grant that bought it last.
    pub grant: GrantId,
    /// When that was.
    pub issued: UnixMillis,
    /// When it ends.
    pub until: UnixMillis,
}

impl PassHeld {
    /// The record that the issuer signs.
    pub fn to_record(&self, issuer: KeyId) -> Result<Pass, Fault> {
        let site = self.site.parse();
        Ok(Pass {
            issuer,
            account: self.account,
            site: site.map_err(|_| Fault::Unreadable(Table::Pass))?,
            pattern: self.pattern.clone(),
            grant: self.grant,
            issued: self.issued,
            until: self.until,
        })
    }

    pub(super) fn rule(&self) -> [u8; 32] {
        rule_of(&self.site, &self.pattern)
    }
}

/// What names a rule in keys.
pub(super) fn rule_of(site: &str, pattern: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(site.len() as u64).to_le_bytes());
    hasher.update(site.as_bytes());
    hasher.update(pattern.as_bytes());
    *hasher.finalize().as_bytes()
}

/// The account's passes, for one site or for all, that are good at `now`, the last to end first.
pub fn list(
    view: &impl View,
    account: &AccountId,
    site: Option<&SiteName>,
    now: UnixMillis,
    limit: usize,
) -> Result<Vec<PassHeld>, Fault> {
    let rows = view.prefix(
        Table::Pass,
        account.as_bytes(),
        Order::Forward,
        PASSES_LISTED_MAX,
    )?;
    let site = site.map(SiteName::to_string);
    let is_wanted = |held: &PassHeld| site.as_ref().is_none_or(|site| *site == held.site);
    let mut passes = Vec::new();
    for (_, row) in rows {
        let held: PassHeld = pack::value(Table::Pass, &row)?;
        if held.until > now && is_wanted(&held) {
            passes.push(held);
        }
    }
    passes.sort_by_key(|held| std::cmp::Reverse(held.until));
    passes.truncate(limit);
    Ok(passes)
}

/// Until when the account's pass lasts, if it ever had one that is remembered.
pub(super) fn until(
    view: &impl View,
    account: &AccountId,
    rule: &[u8; 32],
) -> Result<Option<UnixMillis>, Fault> {
    let row = view.get(Table::Pass, &table::account_rule(account, rule))?;
    row.map(|row| pack::value::<PassHeld>(Table::Pass, &row).map(|held| held.until))
        .transpose()
}

/// The end of `bought` passes of `days` each that begin at `now`, or behind the present one.
pub(super) fn extended(
    present: Option<UnixMillis>,
    bought: u64,
    days: u16,
    now: UnixMillis,
) -> UnixMillis {
    let millis = bought
        .saturating_mul(u64::from(days))
        .saturating_mul(MILLIS_PER_DAY);
    let begin = present.unwrap_or(now).max(now);
    let longest = now.0.saturating_add(MILLIS_PER_PASS_MAX);
    UnixMillis(begin.0.saturating_add(millis).min(longest))
}

pub(super) fn put(tables: &mut impl Tables, held: &PassHeld) -> Result<(), Fault> {
    let rule = held.rule();
    deadline::put(tables, held.until, &Due::Pass(held.account, rule))?;
    let key = table::account_rule(&held.account, &rule);
    tables.put(Table::Pass, &key, pack::row(held))
}

/// Forgets a pass that has ended. One that was prolonged has another deadline.
pub(super) fn drop_ended(
    tables: &mut impl Tables,
    account: &AccountId,
    rule: &[u8; 32],
    now: UnixMillis,
) -> Result<(), Fault> {
    if until(tables, account, rule)?.is_some_and(|until| until <= now) {
        tables.delete(Table::Pass, &table::account_rule(account, rule))?;
    }
    Ok(())
}
