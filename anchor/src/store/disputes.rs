//! Disputes: contested, answered, decided.

use madang_protocol::{
    amount::Amount,
    ids::{AccountId, GrantId},
    time::UnixMillis,
};

use super::{
    anchor_store::{Done, Store},
    error::StoreError,
};
use crate::ledger::dispute::{self, Dispute, ListedAt, Ruling, Statement};

impl Store {
    /// A buyer contests `claimed` of what was settled under a grant. The same again does nothing.
    ///
    /// # Errors
    /// `GRANT_UNKNOWN`, `NOT_THE_BUYER`, `DISPUTE_DIFFERS`, `DISPUTE_DECIDED`, `FIELD_OUT_OF_BOUNDS`, `MORE_THAN_IS_LEFT`, `DISPUTE_TOO_LATE`,
    /// `TOO_MANY` at one time.
    pub fn open_dispute(
        &self,
        by: AccountId,
        grant: GrantId,
        claimed: Amount,
        text: &str,
        now: UnixMillis,
    ) -> Result<Done, StoreError> {
        self.commit(|view| {
            let event = dispute::decide_open(view, &by, grant, claimed, said(text, now))?;
            Ok((event, ()))
        })
    }

    /// A seller answers. The same again does nothing.
    ///
    /// # Errors
    /// `DISPUTE_UNKNOWN`, `NOT_THE_SELLER`, `DISPUTE_DIFFERS`, `DISPUTE_DECIDED`, `FIELD_OUT_OF_BOUNDS`.
    pub fn answer_dispute(
        &self,
        by: AccountId,
        grant: GrantId,
        text: &str,
        now: UnixMillis,
    ) -> Result<Done, StoreError> {
        self.commit(|view| {
            let event = dispute::decide_answer(view, &by, grant, said(text, now))?;
            Ok((event, ()))
        })
    }

    /// The operator decides. The same again does nothing.
    ///
    /// # Errors
    /// `DISPUTE_UNKNOWN`, `DISPUTE_DECIDED`, `GRANT_NOT_CLOSED`, `MORE_THAN_IS_LEFT`, `FIELD_OUT_OF_BOUNDS`.
    pub fn decide_dispute(
        &self,
        grant: GrantId,
        ruling: Ruling,
        text: &str,
        now: UnixMillis,
    ) -> Result<Done, StoreError> {
        self.commit(|view| {
            let event = dispute::decide_ruling(view, grant, ruling, said(text, now))?;
            Ok((event, ()))
        })
    }

    /// The dispute on a grant, if there is one.
    pub fn dispute(&self, grant: GrantId) -> Result<Option<Dispute>, StoreError> {
        self.read(|view| dispute::get(view, &grant))
    }

    /// At most `limit` disputes, the oldest first: those that either party is `of`, or all that are open.
    pub fn disputes(
        &self,
        of: Option<AccountId>,
        after: Option<ListedAt>,
        limit: usize,
    ) -> Result<Vec<(GrantId, Dispute)>, StoreError> {
        self.read(|view| dispute::list(view, of, after, limit))
    }
}

fn said(text: &str, time: UnixMillis) -> Statement {
    Statement {
        text: text.to_owned(),
        time,
    }
}
