//! What this node's owner agreed to pay, and how much of it is left: money that leaves the wallet, with a tax that comes on top of prices.
//!
//! All sessions count under one lock: what one has counted and not signed for is taken from what another may count. So however many there are of a
//! site or in a day, what they sign for together is never more than was agreed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use madang_protocol::{
    amount::Amount, ids::TariffHash, name::SiteName, reject::Reject, time::UnixMillis,
};
use parking_lot::Mutex;

use crate::{
    clock::Clock,
    config::Budgets,
    fetch::{Agreement, BUDGET_MAX, ConsentError, Consents, Standing, Today},
    store::{AgreementRow, Event, NodeStore, StoreError},
};

/// Cheap to clone.
#[derive(Clone)]
pub struct Wallet(Arc<Shared>);

struct Shared {
    store: Arc<NodeStore>,
    clock: Clock,
    budgets: Budgets,
    /// What is counted and not signed for, by session.
    unsigned: Mutex<BTreeMap<SessionNumber, (SiteName, Amount)>>,
    sessions: AtomicU64,
}

/// One session of this node's as a buyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionNumber(u64);

/// Whether something may be paid for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Allowance {
    /// At most so much, and passes for these rules.
    Granted {
        /// What is left of the site's and the day's budgets, with a tax that comes on top.
        left: Amount,
        /// The rules whose passes were chosen.
        passes: BTreeSet<usize>,
        /// When it was agreed to.
        since: UnixMillis,
    },
    /// Nobody agreed, or the site was stopped since.
    NotAgreed,
    /// The agreement is for other prices.
    TariffChanged,
    /// Nothing is left of the site's budget.
    UsedUp,
    /// Nothing is left of the day's, whatever is agreed to.
    DayUsedUp,
}

impl Wallet {
    /// The agreements that `store` keeps.
    pub fn new(store: Arc<NodeStore>, clock: Clock, budgets: Budgets) -> Self {
        Self(Arc::new(Shared {
            store,
            clock,
            budgets,
            unsigned: Mutex::default(),
            sessions: AtomicU64::new(0),
        }))
    }

    /// A session begins.
    pub(super) fn begin(&self) -> SessionNumber {
        SessionNumber(self.0.sessions.fetch_add(1, Ordering::Relaxed))
    }

    /// Lets a session count: `count` is given how much more it may come to, and gives what it has counted and not signed for. What it signs for is in
    /// the store when it returns. Nobody else counts meanwhile.
    pub(super) fn counting<R>(
        &self,
        session: SessionNumber,
        site: &SiteName,
        count: impl FnOnce(Amount) -> (R, Amount),
    ) -> R {
        let mut unsigned = self.0.unsigned.lock();
        let left = self.left(site, &unsigned).unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "read the agreements"
            );
            Amount::ZERO
        });
        let (answer, more) = count(left);
        if more.is_zero() {
            unsigned.remove(&session);
        } else {
            unsigned.insert(session, (site.clone(), more));
        }
        answer
    }

    /// Whether less is left of the day's budget than of the site's.
    pub(super) fn is_limited_by_day(&self, site: &SiteName) -> bool {
        let standing = self.standing().into_iter();
        let mut own = standing.filter(|one| one.agreement.site == *site);
        own.next()
            .is_some_and(|standing| self.today().left() < standing.left())
    }

    /// A session is forgotten.
    pub(super) fn end(&self, session: SessionNumber) {
        self.0.unsigned.lock().remove(&session);
    }

    /// What is left of the site's and the day's budgets, whatever the prices: what has begun goes on at those that it began with.
    fn left(
        &self,
        site: &SiteName,
        unsigned: &BTreeMap<SessionNumber, (SiteName, Amount)>,
    ) -> Result<Amount, StoreError> {
        let agreement = self.0.store.agreement(site)?;
        let Some(row) = agreement.filter(|row| row.stopped.is_none()) else {
            return Ok(Amount::ZERO);
        };
        let of_site = sum(unsigned.values().filter(|(other, _)| other == site));
        let of_all = sum(unsigned.values());
        let today = self.0.store.spent_on(self.0.clock.now().day())?;
        let left_today = self.0.budgets.per_day.saturating_sub(today);
        let left = row.budget.saturating_sub(row.spent);
        Ok(left
            .saturating_sub(of_site)
            .min(left_today.saturating_sub(of_all)))
    }

    /// What may be spent on `site` at the prices of `tariff`, now.
    /// With less than `least` left, tax included, nothing could be had.
    pub(super) fn allowance(
        &self,
        site: &SiteName,
        tariff: TariffHash,
        least: Amount,
    ) -> Result<Allowance, StoreError> {
        let Some(row) = self.0.store.agreement(site)? else {
            return Ok(Allowance::NotAgreed);
        };
        if row.stopped.is_some() {
            return Ok(Allowance::NotAgreed);
        }
        if row.tariff != tariff {
            return Ok(Allowance::TariffChanged);
        }
        let today = self.0.store.spent_on(self.0.clock.now().day())?;
        let left_today = self.0.budgets.per_day.saturating_sub(today);
        if left_today.is_zero() || left_today < least {
            return Ok(Allowance::DayUsedUp);
        }
        let left = row.budget.saturating_sub(row.spent);
        if left.is_zero() || left < least {
            return Ok(Allowance::UsedUp);
        }
        Ok(Allowance::Granted {
            left: left.min(left_today),
            passes: row.passes.into_iter().map(usize::from).collect(),
            since: row.since,
        })
    }

    async fn keep(&self, event: Event) -> Result<(), ConsentError> {
        self.0
            .store
            .record_durably(&[event])
            .await
            .map_err(|error| {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "keep an agreement"
                );
                ConsentError::NotStored
            })
    }
}

impl Consents for Wallet {
    async fn agree(&self, agreement: Agreement) -> Result<(), ConsentError> {
        if agreement.budget > BUDGET_MAX {
            return Err(ConsentError::BudgetTooLarge);
        }
        let passes = agreement.passes.into_iter().map(u16::try_from);
        let row = AgreementRow {
            site: agreement.site,
            tariff: agreement.tariff,
            budget: agreement.budget,
            passes: passes
                .collect::<Result<_, _>>()
                .map_err(|_| ConsentError::Refused(Reject::FIELD_OUT_OF_BOUNDS))?,
            since: self.0.clock.now(),
            spent: Amount::ZERO,
            stopped: None,
        };
        self.keep(Event::Agreed(row)).await
    }

    async fn withdraw(&self, site: &SiteName) -> Result<(), ConsentError> {
        self.keep(Event::Withdrawn(site.clone())).await
    }

    fn standing(&self) -> Vec<Standing> {
        // Nobody signs meanwhile: nothing is missing here, and nothing is there twice.
        let unsigned = self.0.unsigned.lock();
        let rows = self.0.store.agreements().unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "read the agreements"
            );
            Vec::new()
        });
        let standing = |row: AgreementRow| {
            let due = sum(unsigned.values().filter(|(site, _)| *site == row.site));
            standing(row, due)
        };
        rows.into_iter().map(standing).collect()
    }

    fn today(&self) -> Today {
        let unsigned = self.0.unsigned.lock();
        let signed = self.0.store.spent_on(self.0.clock.now().day());
        let signed = signed.unwrap_or_else(|error| {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "read what today has cost");
            self.0.budgets.per_day
        });
        Today {
            spent: signed.saturating_add(sum(unsigned.values())),
            budget: self.0.budgets.per_day,
        }
    }

    fn budget_proposed(&self) -> Amount {
        self.0.budgets.per_site
    }
}

fn sum<'a>(amounts: impl Iterator<Item = &'a (SiteName, Amount)>) -> Amount {
    amounts.fold(Amount::ZERO, |sum, (_, amount)| sum.saturating_add(*amount))
}

fn standing(row: AgreementRow, due: Amount) -> Standing {
    let agreement = Agreement {
        site: row.site,
        tariff: row.tariff,
        budget: row.budget,
        passes: row.passes.into_iter().map(usize::from).collect(),
    };
    Standing {
        agreement,
        spent: row.spent,
        due,
        since: row.since,
    }
}

#[cfg(test)]
mod tests;
