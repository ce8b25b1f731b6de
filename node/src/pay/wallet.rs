//! What this node's owner agreed to pay, and how much of it is left.

use std::{collections::BTreeSet, sync::Arc};

use madang_protocol::{
    amount::Amount, ids::TariffHash, name::SiteName, reject::Reject, time::UnixMillis,
};

use crate::{
    clock::Clock,
    config::Budgets,
    fetch::{Agreement, BUDGET_MAX, ConsentError, Consents, Standing},
    store::{AgreementRow, Event, NodeStore, StoreError},
};

/// Cheap to clone.
#[derive(Clone)]
pub struct Wallet(Arc<Shared>);

struct Shared {
    store: Arc<NodeStore>,
    clock: Clock,
    budgets: Budgets,
}

/// Whether something may be paid for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Leave {
    /// At most so much, and passes for these rules.
    Granted {
        /// What is left of the site's and the day's budgets.
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
        }))
    }

    /// What may be spent on `site` at the prices of `tariff`, now.
    /// With less than `least` left nothing could be had.
    pub(super) fn leave(
        &self,
        site: &SiteName,
        tariff: TariffHash,
        least: Amount,
    ) -> Result<Leave, StoreError> {
        let Some(row) = self.0.store.agreement(site)? else {
            return Ok(Leave::NotAgreed);
        };
        if row.stopped.is_some() {
            return Ok(Leave::NotAgreed);
        }
        if row.tariff != tariff {
            return Ok(Leave::TariffChanged);
        }
        let today = self.0.store.spent_on(self.0.clock.now().day())?;
        let left_today = self.0.budgets.per_day.saturating_sub(today);
        if left_today.is_zero() || left_today < least {
            return Ok(Leave::DayUsedUp);
        }
        let left = row.budget.saturating_sub(row.spent);
        if left.is_zero() || left < least {
            return Ok(Leave::UsedUp);
        }
        Ok(Leave::Granted {
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
        let rows = self.0.store.agreements().unwrap_or_else(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "read the agreements"
            );
            Vec::new()
        });
        rows.into_iter().map(standing).collect()
    }

    fn budget_proposed(&self) -> Amount {
        self.0.budgets.per_site
    }
}

fn standing(row: AgreementRow) -> Standing {
    let agreement = Agreement {
        site: row.site,
        tariff: row.tariff,
        budget: row.budget,
        passes: row.passes.into_iter().map(usize::from).collect(),
    };
    Standing {
        agreement,
        spent: row.spent,
        since: row.since,
    }
}
