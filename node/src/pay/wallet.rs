//! What this node's owner agreed to pay, and how much of it is left.

use std::sync::Arc;

use madang_protocol::{amount::Amount, ids::TariffHash, name::SiteName, reject::Reject};

use crate::{
    clock::Clock,
    config::Budgets,
    fetch::{Agreement, ConsentError, Consents, Standing},
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
    /// At most so much, and a pass for this rule where one was chosen.
    Granted {
        /// What is left of the site's and the day's budgets.
        left: Amount,
        /// The rule whose pass was chosen.
        pass_for_rule: Option<usize>,
    },
    /// Nobody agreed, or the site was stopped since.
    NotAgreed,
    /// The agreement is for other prices.
    TariffChanged,
    /// Nothing is left.
    UsedUp,
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
    pub(super) fn leave(&self, site: &SiteName, tariff: TariffHash) -> Result<Leave, StoreError> {
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
        let left = row
            .budget
            .saturating_sub(row.spent)
            .min(self.0.budgets.per_day.saturating_sub(today));
        if left.is_zero() {
            return Ok(Leave::UsedUp);
        }
        Ok(Leave::Granted {
            left,
            pass_for_rule: row.pass_for_rule.map(usize::from),
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
        let pass = agreement.pass_for_rule.map(u16::try_from).transpose();
        let row = AgreementRow {
            site: agreement.site,
            tariff: agreement.tariff,
            budget: agreement.budget,
            pass_for_rule: pass.map_err(|_| ConsentError::Refused(Reject::FIELD_OUT_OF_BOUNDS))?,
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
        pass_for_rule: row.pass_for_rule.map(usize::from),
    };
    Standing {
        agreement,
        spent: row.spent,
        since: row.since,
    }
}
