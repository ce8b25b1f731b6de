//! Presence, usage, what time does, and the books' audit.

use madang_protocol::{
    broker::Bill,
    ids::{AccountId, PublicKey},
    record::usage::UsageReport,
    reject::Reject,
    sealed::{Sealed, Unverified},
    time::{Day, UnixMillis},
};

use super::{
    anchor_store::{Done, Store},
    error::StoreError,
};
use crate::ledger::{
    account,
    audit::{self, Audit},
    bill, presence,
    statistics::{check, cursor},
    sweep, usage,
};

impl Store {
    /// A device reported that it is there, or that it leaves. Written down only where a hold waits for it, and seldom.
    pub fn presence_seen(
        &self,
        device: PublicKey,
        leaving: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let is_due = self.read(|view| presence::decide(view, device, leaving, now))?;
        if is_due.is_some() {
            self.commit(|view| Ok((presence::decide(view, device, leaving, now)?, ())))?;
        }
        Ok(())
    }

    /// Keeps a usage report. The same one again is answered alike.
    ///
    /// # Errors
    /// `SEQUENCE_OLD`; `RECORD_EXPIRED` or `RECORD_FROM_FUTURE` for its day; as [`Store::authorised`].
    pub fn usage(&self, report: &Sealed<UsageReport>, now: UnixMillis) -> Result<Done, StoreError> {
        self.commit(|view| Ok((usage::decide(view, report, now)?, ())))
    }

    /// The latest usage report of a device and a day.
    pub fn usage_report(
        &self,
        device: &PublicKey,
        day: Day,
    ) -> Result<Option<Unverified<UsageReport>>, StoreError> {
        self.read(|view| usage::get(view, device, day))
    }

    /// The latest usage reports of a device, from the day after `after` on, at most `limit`.
    pub fn usage_reports(
        &self,
        device: &PublicKey,
        after: Option<Day>,
        limit: usize,
    ) -> Result<Vec<Unverified<UsageReport>>, StoreError> {
        self.read(|view| usage::list(view, device, after, limit))
    }

    /// A page of an account's bill, the newest grants first; `before` is what the page before said in `more_before`.
    ///
    /// # Errors
    /// `ACCOUNT_UNKNOWN`.
    pub fn bill(
        &self,
        account: AccountId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Bill, StoreError> {
        self.read(|view| {
            account::get(view, &account)?.ok_or(Reject::ACCOUNT_UNKNOWN)?;
            bill::page(view, &account, before, limit)
        })
    }

    /// Does one bounded step of what is due at `now`: releases holds, forgets what has served its time. True where more is due at once.
    pub fn tick(&self, now: UnixMillis) -> Result<bool, StoreError> {
        if self.read(|view| sweep::decide(view, now))?.is_none() {
            return Ok(false);
        }
        self.commit(|view| Ok((sweep::decide(view, now)?, ())))?;
        Ok(self.read(|view| sweep::decide(view, now))?.is_some())
    }

    /// Checks the money invariants over all rows. Commits wait meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Failed`] with the invariant that does not hold.
    pub fn verify_all(&self) -> Result<Audit, StoreError> {
        self.scan(|view| {
            let audit = audit::audit(view)?;
            let pending = view.pending(&cursor::get(view)?)?;
            check::check(view, &pending)?;
            Ok(audit)
        })
    }
}
