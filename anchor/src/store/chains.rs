//! The journal's chains, walked link by link: every hash is computed again, and every entry read.

use madang_journal::{Head, WalkError};
use madang_protocol::{ids::RecordHash, record::head::ChainHead};

use super::{anchor_store::Store, engine::Engine, error::StoreError};
use crate::ledger::event::Recorded;

/// How far a walk came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walked {
    /// Up to here the chain holds.
    To(ChainHead),
    /// The chain does not hold; in one line, with the entry's number.
    Broken(String),
}

/// One link as it is kept.
pub(super) struct Kept {
    pub(super) link: u64,
    pub(super) entry: u64,
    pub(super) hash: [u8; 32],
    pub(super) payload: Vec<u8>,
}

impl Store {
    /// Where each chain that has a link ends.
    ///
    /// # Errors
    /// The engine's own.
    pub fn chains(&self) -> Result<Vec<ChainHead>, StoreError> {
        match &self.engine {
            Engine::Folder(journal) => {
                let head = journal.head();
                let head = ChainHead {
                    chain: 0,
                    instance: String::new(),
                    link: head.seq,
                    entry: head.seq,
                    hash: RecordHash(head.hash),
                };
                Ok(Some(head)
                    .filter(|head| head.link > 0)
                    .into_iter()
                    .collect())
            }
            Engine::Postgres(postgres) => Ok(postgres.chains()?),
        }
    }

    /// Walks a bounded way from `from`, which holds, along its chain: the same place again at its end.
    ///
    /// # Errors
    /// The engine's own. A chain that does not hold is no error but [`Walked::Broken`].
    pub fn walk_chain(&self, from: &ChainHead) -> Result<Walked, StoreError> {
        let read =
            match &self.engine {
                Engine::Folder(journal) => journal
                    .entries_after(from.link, LINKS_MAX, OCTETS_MAX)
                    .map(|entries| {
                        let kept = entries.into_iter().map(|entry| Kept {
                            link: entry.seq,
                            entry: entry.seq,
                            hash: entry.hash,
                            payload: entry.payload,
                        });
                        kept.collect()
                    }),
                Engine::Postgres(postgres) => {
                    Ok(postgres.links(from.chain, from.link, LINKS_MAX, OCTETS_MAX)?)
                }
            };
        let read: Vec<Kept> = match read {
            Ok(read) => read,
            Err(WalkError::Broken(broken)) => return Ok(Walked::Broken(broken.to_string())),
            Err(error @ WalkError::Io(_)) => return Err(error.into()),
        };
        let mut at = from.clone();
        for kept in &read {
            if let Err(what) = self.take_link(&mut at, kept) {
                let of = if at.instance.is_empty() {
                    String::new()
                } else {
                    format!(" of {}", at.instance)
                };
                return Ok(Walked::Broken(format!("entry {}{of}: {what}", kept.entry)));
            }
        }
        Ok(Walked::To(at))
    }

    /// The hash of one link of a chain, if it has as many.
    ///
    /// # Errors
    /// The engine's own.
    pub(super) fn hash_at(&self, chain: u16, link: u64) -> Result<Option<RecordHash>, StoreError> {
        let Some(before) = link.checked_sub(1) else {
            return Ok(None);
        };
        let read = match &self.engine {
            Engine::Folder(_) if chain != 0 => None,
            Engine::Folder(journal) => {
                let entries = journal.entries_after(before, 1, 1)?;
                entries.first().map(|entry| entry.hash)
            }
            Engine::Postgres(postgres) => {
                let links = postgres.links(chain, before, 1, 1)?;
                links
                    .first()
                    .filter(|kept| kept.link == link)
                    .map(|kept| kept.hash)
            }
        };
        Ok(read.map(RecordHash))
    }

    fn take_link(&self, at: &mut ChainHead, kept: &Kept) -> Result<(), &'static str> {
        if kept.link != at.link + 1 {
            return Err("the link before it is missing");
        }
        if kept.entry <= at.entry {
            return Err("its number is not above that of the link before it");
        }
        let hash = match &self.engine {
            Engine::Folder(_) => of_folder(at, &kept.payload),
            Engine::Postgres(postgres) => postgres.hash_of(at, kept.entry, &kept.payload),
        };
        if hash != kept.hash {
            return Err("its hash is not that of its octets and of the link before it");
        }
        if Recorded::of_payload(&kept.payload).is_err() {
            return Err("it cannot be read");
        }
        at.link = kept.link;
        at.entry = kept.entry;
        at.hash = RecordHash(hash);
        Ok(())
    }
}

fn of_folder(before: &ChainHead, payload: &[u8]) -> [u8; 32] {
    let before = Head {
        seq: before.link,
        hash: before.hash.0,
    };
    before.then(payload).hash
}

/// Links of one step.
const LINKS_MAX: usize = 20_000;
/// Octets of them, beside one more link.
const OCTETS_MAX: usize = 32 << 20;
