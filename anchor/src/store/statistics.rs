//! The follower that sums events into figures, and what is told of them.

use std::collections::{BTreeMap, BTreeSet};

use madang_protocol::{ids::AccountId, name::Handle, time::UnixMillis};

use super::{anchor_store::Store, error::StoreError};
use crate::ledger::{
    account,
    statistics::{
        cursor::{self, Cursor},
        figures::Figures,
        gather::{ROLLED_UP_OCTETS, gather},
        holds::{self, Holds, HoldsWalk},
        query::{self, Page, Query},
        rolled_up::{self, Refusals},
        subject::Subject,
    },
    table::Table,
    view::{Fault, View as _},
};

/// What one step of the follower did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing: there is nothing to count.
    Idle,
    /// It counted something; there may be more.
    Counted,
    /// Another follower was faster; there may be more.
    Overtaken,
}

impl Store {
    /// One step of the follower: counts the next events, at most a page of them, in one event or a few. `refusals` are those of calls since the last
    /// step; they are taken out where they are counted, or where it is unknown whether they are.
    ///
    /// # Errors
    /// The engine's own. What the step did not write, the next one counts.
    pub fn roll_up(&self, refusals: &mut Refusals, now: UnixMillis) -> Result<Step, StoreError> {
        let mut cursor = self.read(|view| cursor::get(view))?;
        let mut events = self.events(&cursor.position, EVENTS_PER_STEP)?;
        let mut step = Step::Idle;
        loop {
            let gathered = self.read(|view| {
                let tariff_of = &mut |hash: &_| self.kept_tariff(view, hash);
                gather(view, &cursor, &events, ROLLED_UP_OCTETS, tariff_of)
            })?;
            if !gathered.is_worth_an_event() && refusals.is_empty() {
                return Ok(step);
            }
            let counted = std::mem::take(refusals);
            let done = self.commit(|view| {
                let event = rolled_up::decide(view, &gathered, &counted, now)?;
                Ok(event.map_or((None, None), |(event, to)| (Some(event), Some(to))))
            })?;
            let Some(to) = done.value else {
                *refusals = counted;
                return Ok(Step::Overtaken);
            };
            step = Step::Counted;
            cursor = to;
            if !gathered.is_full {
                return Ok(step);
            }
            events.retain(|happened| happened.link > cursor.position.of(happened.chain));
        }
    }

    /// A page of the figures.
    ///
    /// # Errors
    /// As [`query::page`].
    pub fn statistics(&self, query: &Query) -> Result<Page, StoreError> {
        self.read(|view| query::page(view, query))
    }

    /// The figures of a subject over all time, and how far they reach.
    ///
    /// # Errors
    /// The engine's own.
    pub fn statistics_of(&self, subject: &Subject) -> Result<(Figures, Cursor), StoreError> {
        self.read(|view| Ok::<_, Fault>((query::whole(view, subject)?, cursor::get(view)?)))
    }

    /// Goes through one page of what is held for open grants; the sum, where it was the last one.
    ///
    /// # Errors
    /// The engine's own.
    pub fn walk_holds(&self, walk: &HoldsWalk) -> Result<(HoldsWalk, Option<Holds>), StoreError> {
        self.read(|view| holds::step(view, walk))
    }

    /// What accounts are called now, as far as they are known.
    ///
    /// # Errors
    /// The engine's own.
    pub fn handles(
        &self,
        accounts: impl Iterator<Item = AccountId>,
    ) -> Result<BTreeMap<AccountId, Handle>, StoreError> {
        let accounts: BTreeSet<AccountId> = accounts.collect();
        self.read(|view| {
            view.expect(Table::Account, accounts.iter().map(AccountId::as_bytes))?;
            let mut handles = BTreeMap::new();
            for id in &accounts {
                if let Some(account) = account::get(view, id)? {
                    handles.insert(*id, account.handle);
                }
            }
            Ok(handles)
        })
    }

    /// How many events the figures do not reach yet, the follower's own among them.
    ///
    /// # Errors
    /// The engine's own.
    pub fn statistics_lag(&self) -> Result<u64, StoreError> {
        let position = self.read(|view| cursor::get(view))?.position;
        let chains = self.chains()?;
        let behind = chains
            .iter()
            .map(|head| head.link.saturating_sub(position.of(head.chain)));
        Ok(behind.sum())
    }
}

/// Events of one step.
const EVENTS_PER_STEP: usize = 1_000;
