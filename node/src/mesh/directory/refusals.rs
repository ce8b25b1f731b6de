//! [`Refusals`]: what was refused, counted by its slug and by the way it came.

use std::fmt;

use madang_protocol::reject::Reject;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

/// The way by which something came that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// A peer's hello.
    Hello,
    /// A gossiped message.
    Gossip,
    /// A record that a peer wanted stored.
    Record,
    /// A provider that a peer wanted stored.
    Provider,
    /// An answer to a lookup of ours.
    Lookup,
    /// What a peer said in another protocol, as its user reports.
    Session,
}

impl EncodeLabelValue for Way {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let text = match self {
            Self::Hello => "hello",
            Self::Gossip => "gossip",
            Self::Record => "record",
            Self::Provider => "provider",
            Self::Lookup => "lookup",
            Self::Session => "session",
        };
        EncodeLabelValue::encode(&text, encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    way: Way,
    slug: &'static str,
}

/// Counters of refusals. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Refusals(Family<Labels, Counter>);

impl Refusals {
    /// Shows the counters in `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "mesh_refused",
            "Records and messages of peers that were refused",
            self.0.clone(),
        );
    }

    /// How often `reject` was the answer to what came by `way`.
    pub fn count(&self, way: Way, reject: Reject) -> u64 {
        self.0
            .get_or_create(&Labels {
                way,
                slug: reject.slug(),
            })
            .get()
    }

    pub(in crate::mesh) fn note(&self, way: Way, reject: Reject) {
        self.0
            .get_or_create(&Labels {
                way,
                slug: reject.slug(),
            })
            .inc();
    }
}
