//! What peers may make this node store and forward.
//!
//! A policy is asked on the event loop, so it answers at once, from memory.

use libp2p::PeerId;
use libp2p::kad::{ProviderRecord, Record};

/// What to do with a gossiped message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Deliver it here and forward it.
    Accept,
    /// Neither deliver nor forward it; its sender did nothing wrong (it is stale, or already known).
    Ignore,
    /// Neither deliver nor forward it, and lower the score of the peer that sent it.
    Reject,
}

/// Decides about records and messages that came from peers.
pub trait Policy: Send + 'static {
    /// What to store of `record`, which `source` sent; `None` for nothing. `stored` is what is held under the same key.
    fn store_record(
        &mut self,
        record: Record,
        source: PeerId,
        stored: Option<&Record>,
    ) -> Option<Record>;

    /// What to store of `record`, which its provider sent; `None` for nothing.
    fn store_provider(&mut self, record: ProviderRecord) -> Option<ProviderRecord>;

    /// What to do with `data`, gossiped under `topic` and received from `source`, which need not be its author.
    fn judge_message(&mut self, topic: &str, data: &[u8], source: PeerId) -> Verdict;
}

/// Stores and forwards nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct RefuseAll;

impl Policy for RefuseAll {
    fn store_record(&mut self, _: Record, _: PeerId, _: Option<&Record>) -> Option<Record> {
        None
    }

    fn store_provider(&mut self, _: ProviderRecord) -> Option<ProviderRecord> {
        None
    }

    fn judge_message(&mut self, _: &str, _: &[u8], _: PeerId) -> Verdict {
        Verdict::Ignore
    }
}
