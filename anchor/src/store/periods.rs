//! Billing periods and their documents.
//!
//! A frozen period's lines do not change, so that its documents are drafted beside all other work, by this thread and idle cores; what is committed
//! is only what was found. Two that close one period at once draft the same, and of each step one is done.

use madang_protocol::{ids::AccountId, reject::Reject, time::UnixMillis};

use super::{anchor_store::Store, error::StoreError};
use crate::ledger::{
    account,
    document::{
        self, Document, Drafted, Kind, Number,
        draft::Drafting,
        lines::{self, Page, Place},
    },
    month::Month,
    period::{self, Period, Stage, Step},
    policy::{DOCUMENT_ROWS_MAX, PERIOD_STEP_ACCOUNTS},
};

impl Store {
    /// Does one bounded step of what the clock and the policy want of periods at `now`. True where more is due at once.
    ///
    /// # Errors
    /// The engine's own; the same may be asked again.
    pub fn tick_periods(&self, now: UnixMillis) -> Result<bool, StoreError> {
        if self.turn_periods(now)? {
            return Ok(true);
        }
        let Some(month) = self.read(|view| period::due(view, &self.policy, now))? else {
            return Ok(false);
        };
        match self.freeze_period(month, false, now) {
            Ok(()) => {}
            // Another anchor on the same database has closed it meanwhile.
            Err(StoreError::Refused(Reject::PERIOD_CLOSED)) => return Ok(true),
            Err(error) => return Err(error),
        }
        self.close_period_step(month, now)?;
        Ok(true)
    }

    /// Begins the first period, or ends those whose month is over. True where something was done.
    ///
    /// # Errors
    /// The engine's own.
    pub fn turn_periods(&self, now: UnixMillis) -> Result<bool, StoreError> {
        let mut is_done = false;
        while self
            .read(|view| period::decide_turn(view, &self.policy, now))?
            .is_some()
        {
            self.commit(|view| Ok((period::decide_turn(view, &self.policy, now)?, ())))?;
            is_done = true;
        }
        Ok(is_done)
    }

    /// Freezes a period that is over, so that [`Store::close_period_step`] can make its documents. Does nothing where it is frozen.
    /// `early`: before its grace is over.
    ///
    /// # Errors
    /// `PERIOD_UNKNOWN`, `PERIOD_NOT_OVER`, `PERIOD_CLOSED`, `PERIOD_OUT_OF_ORDER`, `PERIOD_IN_GRACE`.
    pub fn freeze_period(
        &self,
        month: Month,
        early: bool,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let policy = &self.policy;
        let is_due = self.read(|view| period::decide_freeze(view, policy, month, early, now))?;
        if is_due.is_some() {
            self.commit(|view| {
                let event = period::decide_freeze(view, policy, month, early, now)?;
                Ok((event, ()))
            })?;
        }
        Ok(())
    }

    /// Makes the documents of some more accounts of a frozen period, or closes it where none are left. Gives how far it is.
    ///
    /// # Errors
    /// `PERIOD_UNKNOWN`; the engine's own.
    pub fn close_period_step(&self, month: Month, now: UnixMillis) -> Result<Period, StoreError> {
        let present = self.period(month)?;
        let Stage::Frozen(after) = present.stage else {
            return Ok(present);
        };
        self.engine.await_writers()?;
        let step = self.draft_step(month, &present, after)?;
        self.commit(|view| {
            let event = period::decide_step(view, month, after, step.as_ref(), now)?;
            Ok((event, ()))
        })?;
        self.period(month)
    }

    /// A period.
    ///
    /// # Errors
    /// `PERIOD_UNKNOWN`.
    pub fn period(&self, month: Month) -> Result<Period, StoreError> {
        let period = self.read(|view| period::get(view, month))?;
        period.ok_or_else(|| Reject::PERIOD_UNKNOWN.into())
    }

    /// At most `limit` periods before `before`, the latest first.
    pub fn periods(
        &self,
        before: Option<Month>,
        limit: usize,
    ) -> Result<Vec<(Month, Period)>, StoreError> {
        self.read(|view| period::list(view, before, limit))
    }

    /// How many accounts there are, closed ones included.
    pub fn account_count(&self) -> Result<u64, StoreError> {
        let (mut count, mut after) = (0, None);
        loop {
            let ids = self.scan(|view| account::ids(view, after.as_ref(), ACCOUNTS_PAGE))?;
            count += ids.len() as u64;
            match ids.last() {
                Some(last) => after = Some(*last),
                None => return Ok(count),
            }
        }
    }

    /// At most `limit` documents of an account, the latest period first; `before` is the last of the page before.
    pub fn documents(
        &self,
        account: AccountId,
        before: Option<(Month, Kind)>,
        limit: usize,
    ) -> Result<Vec<Document>, StoreError> {
        self.read(|view| document::list(view, &account, before, limit))
    }

    /// A document; `of` an account, where another's is refused.
    ///
    /// # Errors
    /// `DOCUMENT_UNKNOWN`, `DOCUMENT_NOT_YOURS`.
    pub fn document(&self, number: Number, of: Option<AccountId>) -> Result<Document, StoreError> {
        self.read(|view| document::get(view, number, of.as_ref()))
    }

    /// At most `limit` lines of a document, after the last of the page before.
    ///
    /// # Errors
    /// The engine's own.
    pub fn document_lines(
        &self,
        document: &Document,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.read(|view| lines::page(view, document, after, limit))
    }

    /// The number of an account's document of a period, if it has one.
    ///
    /// # Errors
    /// The engine's own.
    pub fn document_number(
        &self,
        account: AccountId,
        month: Month,
        kind: Kind,
    ) -> Result<Option<Number>, StoreError> {
        self.read(|view| document::number_of(view, &account, month, kind))
    }

    fn draft_step(
        &self,
        month: Month,
        period: &Period,
        after: Option<AccountId>,
    ) -> Result<Option<Step>, StoreError> {
        let ids = self.read(|view| account::ids(view, after.as_ref(), PERIOD_STEP_ACCOUNTS))?;
        let Some(to) = ids.last().copied() else {
            return Ok(None);
        };
        let accounts = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let drafted = self
            .helpers
            .map(ids, |account| self.draft(month, period, account));
        let drafted = drafted.into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Step {
            to,
            accounts,
            documents: drafted.concat(),
        }))
    }

    fn draft(
        &self,
        month: Month,
        period: &Period,
        account: AccountId,
    ) -> Result<Vec<Drafted>, StoreError> {
        let mut drafting = Drafting::new(account);
        while !drafting.is_done() {
            self.scan(|view| drafting.advance(view, month, period, DOCUMENT_ROWS_MAX))?;
        }
        Ok(drafting.finish())
    }
}

/// Accounts that are counted at one time.
const ACCOUNTS_PAGE: usize = 4_096;
