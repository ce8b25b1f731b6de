//! Signed statements of where the chains end: made once a day, kept, and held against the chains.

use madang_protocol::{
    record::head::HeadStatement,
    sealed::Unverified,
    time::{Day, UnixMillis},
};

use super::{anchor_store::Store, error::StoreError};
use crate::ledger::{position::Position, statement};

impl Store {
    /// States where the chains end, if that was not done on this day, and anything happened before it. True where it was done now.
    ///
    /// # Errors
    /// The engine's own.
    pub fn state_heads(&self, now: UnixMillis) -> Result<bool, StoreError> {
        if self.read(|view| statement::is_stated(view, now.day()))? {
            return Ok(false);
        }
        let first = self.events(&Position::default(), 1)?;
        let begun = first.first().map(|first| first.what.time().day());
        if begun.is_none_or(|begun| begun >= now.day()) {
            return Ok(false);
        }
        let heads = self.chains()?;
        let statement = self.sign(HeadStatement {
            issuer: self.issuer_id(),
            day: now.day(),
            heads,
            time: now,
        })?;
        let done = self.commit(|view| {
            let event = statement::decide(view, &statement)?;
            let is_new = event.is_some();
            Ok((event, is_new))
        })?;
        Ok(done.value)
    }

    /// The last statement, or the one of `day`.
    ///
    /// # Errors
    /// The engine's own.
    pub fn head_statement(
        &self,
        day: Option<Day>,
    ) -> Result<Option<Unverified<HeadStatement>>, StoreError> {
        self.read(|view| statement::get(view, day))
    }

    /// At most `limit` statements of the days after `after`.
    ///
    /// # Errors
    /// The engine's own.
    pub fn head_statements(
        &self,
        after: Option<Day>,
        limit: usize,
    ) -> Result<Vec<Unverified<HeadStatement>>, StoreError> {
        self.read(|view| statement::page(view, after, limit))
    }

    /// Holds a statement against the chains: what is wrong, in one line, if anything is. Whether the chains themselves hold is asked by
    /// [`Store::walk_chain`].
    ///
    /// # Errors
    /// The engine's own.
    pub fn check_statement(
        &self,
        statement: &Unverified<HeadStatement>,
    ) -> Result<Option<String>, StoreError> {
        let day = statement.claims().day;
        let statement = match statement.clone().verify(&self.trust) {
            Ok(statement) => statement,
            Err(reject) => {
                return Ok(Some(format!(
                    "the statement of {day} is not good: {reject}"
                )));
            }
        };
        for head in &statement.heads {
            if self.hash_at(head.chain, head.link)? != Some(head.hash) {
                let entry = head.entry;
                return Ok(Some(format!(
                    "entry {entry} is not the one that was stated on {day}"
                )));
            }
        }
        Ok(None)
    }
}
