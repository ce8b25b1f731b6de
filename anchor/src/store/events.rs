//! The events, to read in an order in which none is missed: for exports, outboxes and proofs.

use super::{anchor_store::Store, engine::Engine, error::StoreError};
use crate::ledger::{
    event::Recorded,
    position::{Happened, Position},
};

/// An event as an engine keeps it.
pub(super) struct Raw {
    pub(super) entry: u64,
    pub(super) chain: u16,
    pub(super) link: u64,
    pub(super) payload: Vec<u8>,
}

impl Store {
    /// At most `limit` durable events after `after`, of one snapshot, and no more once they have a few MiB; empty where there are none yet. Whoever
    /// goes on with what the page has passed meets each event once, and after all on which it was decided: [`Position`] says why.
    ///
    /// # Errors
    /// The engine's own, and a chain of a folder that does not hold.
    pub fn events(&self, after: &Position, limit: usize) -> Result<Vec<Happened>, StoreError> {
        let limit = limit.clamp(1, EVENTS_MAX);
        let page = match &self.engine {
            Engine::Folder(journal) => {
                let entries = journal.entries_after(after.of(0), limit, OCTETS_MAX)?;
                let raw = entries.into_iter().map(|entry| Raw {
                    entry: entry.seq,
                    chain: 0,
                    link: entry.seq,
                    payload: entry.payload,
                });
                raw.collect()
            }
            Engine::Postgres(postgres) => postgres.events(after, limit, OCTETS_MAX)?,
        };
        let events = page.into_iter().map(|raw| {
            Ok(Happened {
                entry: raw.entry,
                chain: raw.chain,
                link: raw.link,
                what: Recorded::of_payload(&raw.payload)?,
            })
        });
        events.collect()
    }
}

/// Events of one page.
const EVENTS_MAX: usize = 1_000;
/// Octets of them, beside one more event.
const OCTETS_MAX: usize = 8 << 20;
