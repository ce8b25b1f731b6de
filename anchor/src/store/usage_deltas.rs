//! What was used and paid, as it was settled: rule by rule, each thing once.

use madang_protocol::{amount::Currency, ids::AccountId, time::UnixMillis};

use super::{anchor_store::Store, error::StoreError};
use crate::ledger::{
    delta::{self, Delta},
    event::Recorded,
    position::{Happened, Position},
    settled::Settled,
    table::Table,
    terms,
    view::{Invariant, View as _},
};

/// What one settled receipt added under one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageDelta {
    /// The settlement's entry.
    pub entry: u64,
    /// Which of its receipts.
    pub at: usize,
    /// When it was settled.
    pub time: UnixMillis,
    /// Who paid.
    pub buyer: AccountId,
    /// Who served.
    pub seller: AccountId,
    /// Which site.
    pub site: String,
    /// The rule's pattern.
    pub pattern: String,
    /// In which currency.
    pub currency: Currency,
    /// How much more.
    pub delta: Delta,
}

impl Store {
    /// What was settled after `after`, as many as there are in a few settlements; and where reading goes on: `after` itself at the end.
    ///
    /// # Errors
    /// The engine's own.
    pub fn usage_deltas(
        &self,
        after: &Position,
    ) -> Result<(Vec<UsageDelta>, Position), StoreError> {
        let mut position = after.clone();
        let mut deltas = Vec::new();
        for happened in self.events(after, EVENTS)? {
            if deltas.len() >= DELTAS_MAX {
                break;
            }
            position.pass(&happened);
            let Happened { entry, what, .. } = happened;
            if let Recorded::Settled(settled) = what {
                deltas.extend(self.deltas_of(entry, &settled)?);
            }
        }
        Ok((deltas, position))
    }

    fn deltas_of(&self, entry: u64, settled: &Settled) -> Result<Vec<UsageDelta>, StoreError> {
        self.read(|view| {
            let grants = settled.moves.iter().map(|one| &one.grant.0[..]);
            view.expect(Table::Grant, grants)?;
            let mut all = Vec::new();
            for (at, one) in settled.moves.iter().enumerate() {
                let terms = terms::get(view, &one.grant)?;
                let terms = terms.ok_or(Invariant::RowExists(Table::Grant))?;
                let tariff = self.kept_tariff(view, &terms.tariff)?;
                let tariff = tariff.ok_or(Invariant::RowExists(Table::Tariff))?;
                for delta in delta::deltas(&tariff, &terms.quotas, one)? {
                    let rule = tariff.rules.get(delta.rule);
                    all.push(UsageDelta {
                        entry,
                        at,
                        time: settled.time,
                        buyer: terms.buyer,
                        seller: terms.seller,
                        site: terms.site.clone(),
                        pattern: rule.map_or_else(String::new, |rule| rule.pattern.clone()),
                        currency: terms.currency,
                        delta,
                    });
                }
            }
            Ok(all)
        })
    }
}

/// Events that are looked at together.
const EVENTS: usize = 200;
/// Deltas of one page, beside those of one more settlement.
const DELTAS_MAX: usize = 10_000;
