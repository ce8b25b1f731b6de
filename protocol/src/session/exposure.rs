//! What each buyer owes one seller: value that was served and not receipted, over all sessions, grants and devices of an account.
//!
//! A buyer that disconnects and returns, opens fifty sessions or comes with another device owes the same, and is served nothing more until it is
//! receipted. Never does an account owe more than its window, nor all of them together more than the cap.
//!
//! What is owed is *live* while a session that could still be receipted counts it, and *lost* from the moment that the buyer's own count was taken
//! instead (on a broken connection, what was on its way). Lost value keeps blocking. It shrinks when the same octets are served again, when the buyer signs for more
//! than was counted, and by what [`Policy`] forgives: the only loss that ever exceeds the window.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    amount::Amount,
    ids::AccountId,
    reject::Reject,
    rules::rating::Value,
    time::{MILLIS_PER_DAY, UnixMillis},
};

/// Accounts that are remembered: the debtors, and others while there is room.
pub const EXPOSURE_ACCOUNTS_MAX: usize = 65_536;

/// A request that changed something and is never receipted keeps its account's next one waiting for this long: its buyer's line may have broken
/// before it learned of the price.
pub const ACT_FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// How much a seller dares. Local: no two parties need to agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// An unknown account's window. A session raises it to what its dearest rule needs: see [`super::seller::window_floor`].
    pub window_start: Amount,
    /// The window grows with what was honoured, up to this.
    pub window_max: Amount,
    /// What all accounts together may owe.
    pub cap: Amount,
    /// Of each honoured receipt, this share of an account's lost value is forgiven.
    pub forgiven_per_mille: u16,
    /// Each day this much of an account's lost value is forgiven, so that an honest buyer behind a bad line is not locked out for good.
    pub forgiven_per_day: Amount,
}

/// What one account owes, and has paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Debt {
    /// Served, and may still be receipted in its session.
    pub live: Value,
    /// Served, and not counted by the buyer.
    pub lost: Value,
    /// Receipted, ever.
    pub honoured: Value,
    /// When lost value was last looked at for forgiving.
    pub as_of: UnixMillis,
}

impl Debt {
    /// Everything that was served and not receipted.
    pub fn owed(&self) -> Value {
        self.live + self.lost
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    debt: Debt,
    journalled: Debt,
}

/// Every account's debt. One for each serving device.
#[derive(Debug, Clone)]
pub struct Exposure {
    policy: Policy,
    entries: BTreeMap<AccountId, Entry>,
    total: Value,
    unjournalled: BTreeSet<AccountId>,
    /// Who has had a request's effect whose price is not receipted, and since when. Not journalled: a seller's restart forgives it.
    acts: BTreeMap<AccountId, UnixMillis>,
}

impl Exposure {
    /// Nobody owes anything.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            entries: BTreeMap::new(),
            total: Value::ZERO,
            unjournalled: BTreeSet::new(),
            acts: BTreeMap::new(),
        }
    }

    /// What a journal says. No session survives a restart, so all debt is lost value; its buyer can still sign for it.
    pub fn restore(policy: Policy, rows: impl IntoIterator<Item = (AccountId, Debt)>) -> Self {
        let mut exposure = Self::new(policy);
        for (account, mut debt) in rows {
            debt.lost = debt.owed();
            debt.live = Value::ZERO;
            let replaced = exposure.entries.insert(
                account,
                Entry {
                    debt,
                    journalled: debt,
                },
            );
            exposure.total += debt.lost;
            exposure.total -= replaced.unwrap_or_default().debt.lost;
        }
        exposure
    }

    /// What `account` owes.
    pub fn debt(&self, account: &AccountId) -> Debt {
        self.entries
            .get(account)
            .map(|entry| entry.debt)
            .unwrap_or_default()
    }

    /// What all accounts owe together.
    pub fn total(&self) -> Value {
        self.total
    }

    /// Up to how much `account` may owe; at least `floor`.
    pub fn window(&self, account: &AccountId, floor: Value) -> Value {
        let grown = Value::of(self.policy.window_start) + self.debt(account).honoured;
        grown.min(Value::of(self.policy.window_max)).max(floor)
    }

    /// How much more `account` may owe now.
    pub fn room(&self, account: &AccountId, floor: Value) -> Value {
        let owed = self.debt(account).owed();
        if owed.is_zero() && !self.has_place_for(account) {
            return Value::ZERO;
        }
        let cap = Value::of(self.policy.cap).max(floor);
        (self.window(account, floor) - owed).min(cap - self.total)
    }

    /// Forgives what the policy says for the time since the last look.
    pub fn forgive(&mut self, account: &AccountId, now: UnixMillis) {
        let Some(entry) = self.entries.get_mut(account) else {
            return;
        };
        let debt = &mut entry.debt;
        let millis = now.0.saturating_sub(debt.as_of.0).min(MILLIS_PER_DAY);
        let per_milli = Value::of(self.policy.forgiven_per_day).fraction(MILLIS_PER_DAY);
        let forgiven = per_milli.times(millis).min(debt.lost);
        debt.as_of = debt.as_of.max(now);
        debt.lost -= forgiven;
        self.total -= forgiven;
        self.note(account);
    }

    /// Forgets what `account` owes: its operator's decision.
    pub fn write_off(&mut self, account: &AccountId) {
        self.acts.remove(account);
        if let Some(entry) = self.entries.get_mut(account) {
            self.total -= entry.debt.lost;
            entry.debt.lost = Value::ZERO;
            self.note(account);
        }
    }

    /// The next account whose debt has moved far enough to be written down, with what to write. Each row replaces the account's earlier ones.
    ///
    /// Between two rows an account's debt moves by less than a quarter of the first window: what a seller's sudden death can lose.
    pub fn poll_journal(&mut self) -> Option<(AccountId, Debt)> {
        let account = self.unjournalled.pop_first()?;
        let entry = self.entries.get_mut(&account)?;
        entry.journalled = entry.debt;
        Some((account, entry.debt))
    }

    /// Serves `value` more.
    pub(super) fn serve(&mut self, account: &AccountId, value: Value) {
        if !self.entries.contains_key(account) {
            self.make_place();
        }
        self.entries.entry(*account).or_default().debt.live += value;
        self.total += value;
        self.note(account);
    }

    /// Serves lost octets again: they may be receipted now.
    pub(super) fn serve_again(&mut self, account: &AccountId, value: Value) {
        if let Some(entry) = self.entries.get_mut(account) {
            let value = value.min(entry.debt.lost);
            entry.debt.lost -= value;
            entry.debt.live += value;
        }
    }

    /// The buyer's own count was taken instead.
    pub(super) fn lose(&mut self, account: &AccountId, value: Value, now: UnixMillis) {
        if let Some(entry) = self.entries.get_mut(account) {
            let value = value.min(entry.debt.live);
            if entry.debt.lost.is_zero() {
                entry.debt.as_of = now;
            }
            entry.debt.live -= value;
            entry.debt.lost += value;
        }
    }

    /// A receipt raised what is paid by `live` that its session had counted, by `beyond` that it had not, and by `ahead` for what is yet to be served.
    pub(super) fn honour(&mut self, account: &AccountId, live: Value, beyond: Value, ahead: Value) {
        if !self.entries.contains_key(account) {
            self.make_place();
        }
        let debt = &mut self.entries.entry(*account).or_default().debt;
        let before = debt.owed();
        let paid = live + beyond + ahead;
        debt.live -= live;
        debt.lost -= beyond;
        debt.lost -= paid.per_mille(self.policy.forgiven_per_mille);
        debt.honoured += paid;
        let after = debt.owed();
        self.total -= before - after;
        self.note(account);
    }

    /// Lets one request of `account` change something before its price is receipted.
    pub(super) fn act(&mut self, account: &AccountId, now: UnixMillis) -> Result<(), Reject> {
        let is_owed = |since: &UnixMillis| now < since.plus(ACT_FORGIVEN_AFTER);
        if self.acts.get(account).is_some_and(is_owed) {
            return Err(Reject::RECEIPT_OVERDUE);
        }
        if self.acts.len() >= EXPOSURE_ACCOUNTS_MAX {
            self.acts.retain(|_, since| is_owed(since));
        }
        if self.acts.len() >= EXPOSURE_ACCOUNTS_MAX {
            return Err(Reject::BUSY);
        }
        self.acts.insert(*account, now);
        Ok(())
    }

    /// The price of what [`Self::act`] let through is receipted, or there is none.
    pub(super) fn act_is_paid(&mut self, account: &AccountId) {
        self.acts.remove(account);
    }

    fn note(&mut self, account: &AccountId) {
        let Some(Entry { debt, journalled }) = self.entries.get(account) else {
            return;
        };
        let quantum = Value::of(self.policy.window_start).fraction(4);
        let apart = |a: Value, b: Value| (a - b).max(b - a);
        let moved = apart(debt.owed(), journalled.owed());
        let is_settled = debt.owed().is_zero() && !journalled.owed().is_zero();
        let has_grown = debt.honoured - journalled.honoured > Value::of(self.policy.window_start)
            && journalled.honoured < Value::of(self.policy.window_max);
        if (moved > Value::ZERO && moved >= quantum) || is_settled || has_grown {
            self.unjournalled.insert(*account);
        }
    }

    fn has_place_for(&self, account: &AccountId) -> bool {
        self.entries.len() < EXPOSURE_ACCOUNTS_MAX
            || self.entries.contains_key(account)
            || self
                .entries
                .values()
                .any(|entry| entry.debt.owed().is_zero())
    }

    /// Forgets the account without debt that has paid least, when there are too many.
    fn make_place(&mut self) {
        if self.entries.len() < EXPOSURE_ACCOUNTS_MAX {
            return;
        }
        let least = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.debt.owed().is_zero())
            .min_by_key(|(_, entry)| entry.debt.honoured)
            .map(|(account, _)| *account);
        if let Some(account) = least {
            self.entries.remove(&account);
            self.unjournalled.remove(&account);
        }
    }
}
