//! Kademlia: what this node stores for others, and its queries.
//!
//! This file moves bytes; what they mean, and whether peers may store them here, is the [`Policy`]'s and the caller's.
//! Readers verify everything again: a value that is found was stored by strangers.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use libp2p::kad::store::RecordStore;
use libp2p::kad::{
    self, GetClosestPeersError, GetProvidersOk, GetRecordOk, InboundRequest, Mode, ProviderRecord,
    QueryId, QueryResult, Quorum, Record, StoreInserts,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use madang_protocol::limits::ANNOUNCEMENT_LIFE;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::config::BuildError;
use super::directory::store::Store;
use super::policy::Policy;

/// Queries of ours that run at once.
const QUERIES_MAX: usize = 256;
/// A lookup ends after this time, with what it has.
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Peers that store an entry, and that a search ends with. Whoever announces publishes again each hour; if a third of the holders leaves in
/// that time, all eight do once in 6,000 hours. Kademlia's own 20 cost more connections than a home PC has.
pub(super) const REPLICATION: NonZeroUsize = NonZeroUsize::new(8).expect("not zero");
/// Peers asked at once in a lookup.
const PARALLELISM: NonZeroUsize = NonZeroUsize::new(3).expect("not zero");

/// Why a query of the directory failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LookupError {
    /// No peer is known yet.
    #[error("no peer of the directory is known")]
    NoPeers,
    /// Not enough peers answered.
    #[error("too few peers of the directory answered")]
    Failed,
    /// The value is larger than the directory carries, or the local store is full.
    #[error("the value does not fit")]
    TooLarge,
    /// Too many queries run already.
    #[error("too many queries of the directory are running")]
    Busy,
    /// This mesh has been shut down.
    #[error("the mesh is closed")]
    Closed,
}

/// A value found in the directory. It is unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// The value, as stored.
    pub value: Vec<u8>,
    /// The peer that had it; `None` if it was in this node's own store.
    pub holder: Option<PeerId>,
}

type Reply<T> = oneshot::Sender<Result<T, LookupError>>;

/// What a [`super::Handle`] asks of the directory.
#[derive(Debug)]
pub(super) enum Command {
    Put {
        key: Vec<u8>,
        value: Vec<u8>,
        lifetime: Duration,
        reply: Reply<()>,
    },
    Get {
        key: Vec<u8>,
        found: mpsc::Sender<FoundRecord>,
        reply: Reply<()>,
    },
    Provide {
        key: Vec<u8>,
        reply: Reply<()>,
    },
    StopProviding {
        key: Vec<u8>,
    },
    Providers {
        key: Vec<u8>,
        found: mpsc::Sender<PeerId>,
        reply: Reply<()>,
    },
    Closest {
        key: Vec<u8>,
        reply: Reply<Vec<PeerId>>,
    },
    AddPeer {
        peer: PeerId,
        address: Multiaddr,
    },
    Serve {
        serve: bool,
    },
    Offer {
        source: PeerId,
        entry: Entry,
    },
}

/// An entry that a peer wants stored.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// A value.
    Record(Record),
    /// A provider, which is the peer itself.
    Provider(ProviderRecord),
}

/// A query that runs, with what it has found.
#[derive(Debug)]
enum Query {
    Put(Reply<()>),
    Get(mpsc::Sender<FoundRecord>),
    Provide(Reply<()>),
    Providers(mpsc::Sender<PeerId>),
    Closest(Reply<Vec<PeerId>>),
}

/// The Kademlia behaviour of a network.
///
/// # Errors
/// [`BuildError::Network`] if the id cannot be part of a protocol's name.
pub(super) fn behaviour(local: PeerId, network: &str) -> Result<kad::Behaviour<Store>, BuildError> {
    let mut config = kad::Config::new(protocol(network)?);
    config
        .set_query_timeout(QUERY_TIMEOUT)
        .set_parallelism(PARALLELISM)
        .set_replication_factor(REPLICATION)
        // Nothing that a peer sends is stored before the policy has agreed.
        .set_record_filtering(StoreInserts::FilterBoth)
        // The table is fed by us, from identify and from bootstrap peers.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_periodic_bootstrap_interval(None)
        // Whoever announces publishes again; those who hold its records do not, which would cost them a search for each.
        .set_record_ttl(Some(ANNOUNCEMENT_LIFE))
        .set_provider_record_ttl(Some(ANNOUNCEMENT_LIFE))
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None);
    let mut kad = kad::Behaviour::with_config(local, Store::new(local), config);
    // Served only when we know that others can reach us.
    kad.set_mode(Some(Mode::Client));
    Ok(kad)
}

/// The name of the Kademlia protocol in a network.
pub(super) fn protocol(network: &str) -> Result<StreamProtocol, BuildError> {
    StreamProtocol::try_from_owned(format!("/madang/{network}/kad/1"))
        .map_err(|_| BuildError::Network(network.to_owned()))
}

/// Running queries, and how their results are told.
pub(super) struct Kademlia {
    queries: HashMap<QueryId, Query>,
    protocol: StreamProtocol,
}

type Kad = kad::Behaviour<Store>;

impl Kademlia {
    pub(super) fn new(network: &str) -> Result<Self, BuildError> {
        Ok(Self {
            queries: HashMap::new(),
            protocol: protocol(network)?,
        })
    }

    /// Starts what was asked for.
    pub(super) fn handle_command(
        &mut self,
        kad: &mut Kad,
        policy: &mut dyn Policy,
        command: Command,
    ) {
        match command {
            Command::Put {
                key,
                value,
                lifetime,
                reply,
            } => self.put(kad, key, value, lifetime, reply),
            Command::Get { key, found, reply } => self.start(kad, reply, |kad, reply| {
                answer(reply, Ok(()));
                (kad.get_record(key.into()), Query::Get(found))
            }),
            Command::Provide { key, reply } => self.provide(kad, key, reply),
            Command::StopProviding { key } => kad.stop_providing(&key.into()),
            Command::Providers { key, found, reply } => self.start(kad, reply, |kad, reply| {
                answer(reply, Ok(()));
                (kad.get_providers(key.into()), Query::Providers(found))
            }),
            Command::Closest { key, reply } => {
                self.start(kad, reply, |kad, reply| {
                    (kad.get_closest_peers(key), Query::Closest(reply))
                });
            }
            Command::AddPeer { peer, address } => {
                kad.add_address(&peer, address);
            }
            Command::Serve { serve } => {
                kad.set_mode(Some(if serve { Mode::Server } else { Mode::Client }))
            }
            Command::Offer { source, entry } => store_if_allowed(kad, policy, source, entry),
        }
    }

    /// Whether a peer that speaks these protocols answers queries.
    pub(super) fn is_served_by(&self, protocols: &[StreamProtocol]) -> bool {
        protocols.contains(&self.protocol)
    }

    /// Takes in what Kademlia reports.
    pub(super) fn handle_event(
        &mut self,
        kad: &mut Kad,
        policy: &mut dyn Policy,
        event: kad::Event,
    ) {
        match event {
            kad::Event::InboundRequest { request } => {
                if let Some((source, entry)) = wanted(request) {
                    store_if_allowed(kad, policy, source, entry);
                }
            }
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                self.progress(kad, id, result, step.last);
            }
            kad::Event::RoutingUpdated {
                is_new_peer: true, ..
            } => silence_bootstrap(kad),
            kad::Event::RoutingUpdated { .. }
            | kad::Event::UnroutablePeer { .. }
            | kad::Event::RoutablePeer { .. }
            | kad::Event::PendingRoutablePeer { .. }
            | kad::Event::ModeChanged { .. } => {}
        }
    }

    fn start<T>(
        &mut self,
        kad: &mut Kad,
        reply: Reply<T>,
        query: impl FnOnce(&mut Kad, Reply<T>) -> (QueryId, Query),
    ) {
        if self.queries.len() >= QUERIES_MAX {
            answer(reply, Err(LookupError::Busy));
            return;
        }
        let (id, query) = query(kad, reply);
        self.queries.insert(id, query);
    }

    fn put(
        &mut self,
        kad: &mut Kad,
        key: Vec<u8>,
        value: Vec<u8>,
        lifetime: Duration,
        reply: Reply<()>,
    ) {
        let mut record = Record::new(key, value);
        record.expires = Instant::now().checked_add(lifetime);
        if self.queries.len() >= QUERIES_MAX {
            answer(reply, Err(LookupError::Busy));
            return;
        }
        match kad.put_record(record, Quorum::One) {
            Ok(id) => drop(self.queries.insert(id, Query::Put(reply))),
            Err(_) => answer(reply, Err(LookupError::TooLarge)),
        }
    }

    fn provide(&mut self, kad: &mut Kad, key: Vec<u8>, reply: Reply<()>) {
        if self.queries.len() >= QUERIES_MAX {
            answer(reply, Err(LookupError::Busy));
            return;
        }
        match kad.start_providing(key.into()) {
            Ok(id) => drop(self.queries.insert(id, Query::Provide(reply))),
            Err(_) => answer(reply, Err(LookupError::TooLarge)),
        }
    }

    fn progress(&mut self, kad: &mut Kad, id: QueryId, result: QueryResult, last: bool) {
        if let QueryResult::Bootstrap(_) = result
            && !last
            && let Some(mut query) = kad.query_mut(&id)
        {
            query.finish();
            return;
        }
        let Some(query) = self.queries.remove(&id) else {
            return;
        };
        let unfinished = match (query, result) {
            (Query::Put(reply), QueryResult::PutRecord(result)) => {
                answer(reply, result.map(drop).map_err(|_| LookupError::Failed));
                None
            }
            (Query::Provide(reply), QueryResult::StartProviding(result)) => {
                answer(reply, result.map(drop).map_err(|_| LookupError::Failed));
                None
            }
            (Query::Get(found), QueryResult::GetRecord(result)) => {
                let wants_more = match result {
                    Ok(GetRecordOk::FoundRecord(record)) => {
                        let value = record.record.value;
                        let holder = record.peer;
                        found.try_send(FoundRecord { value, holder }).is_ok()
                    }
                    Ok(GetRecordOk::FinishedWithNoAdditionalRecord { .. }) | Err(_) => {
                        !found.is_closed()
                    }
                };
                go_on(kad, id, wants_more);
                (!last).then_some(Query::Get(found))
            }
            (Query::Providers(found), QueryResult::GetProviders(result)) => {
                let mut wants_more = !found.is_closed();
                if let Ok(GetProvidersOk::FoundProviders { providers, .. }) = result {
                    wants_more = providers
                        .into_iter()
                        .all(|provider| found.try_send(provider).is_ok());
                }
                go_on(kad, id, wants_more);
                (!last).then_some(Query::Providers(found))
            }
            (Query::Closest(reply), QueryResult::GetClosestPeers(result)) => {
                let peers = match result {
                    Ok(found) => found.peers,
                    Err(GetClosestPeersError::Timeout { peers, .. }) => peers,
                };
                let peers: Vec<_> = peers.into_iter().map(|peer| peer.peer_id).collect();
                answer(
                    reply,
                    if peers.is_empty() {
                        Err(LookupError::NoPeers)
                    } else {
                        Ok(peers)
                    },
                );
                None
            }
            // A query reports results of its own kind only.
            (query, _) => (!last).then_some(query),
        };
        if let Some(query) = unfinished {
            self.queries.insert(id, query);
        }
    }
}

/// Ends a query whose results nobody takes any more.
fn go_on(kad: &mut Kad, id: QueryId, wants_more: bool) {
    if !wants_more && let Some(mut query) = kad.query_mut(&id) {
        query.finish();
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T, LookupError>) {
    // The one who asked may have given up.
    let _ = reply.send(result);
}

/// What a peer wants stored, if it wants that.
fn wanted(request: InboundRequest) -> Option<(PeerId, Entry)> {
    match request {
        InboundRequest::PutRecord {
            source,
            record: Some(record),
            ..
        } => Some((source, Entry::Record(record))),
        InboundRequest::AddProvider {
            record: Some(record),
        } => Some((record.provider, Entry::Provider(record))),
        InboundRequest::PutRecord { record: None, .. }
        | InboundRequest::AddProvider { record: None }
        | InboundRequest::FindNode { .. }
        | InboundRequest::GetProvider { .. }
        | InboundRequest::GetRecord { .. } => None,
    }
}

fn store_if_allowed(kad: &mut Kad, policy: &mut dyn Policy, source: PeerId, entry: Entry) {
    let store = kad.store_mut();
    let outcome = match entry {
        Entry::Record(record) => {
            let stored = store.get(&record.key).map(std::borrow::Cow::into_owned);
            policy
                .store_record(record, source, stored.as_ref())
                .map(|record| store.put(record))
        }
        Entry::Provider(record) => policy
            .store_provider(record)
            .map(|record| store.add_provider(record)),
    };
    if let Some(Err(error)) = outcome {
        tracing::debug!(%source, %error, "an entry found no room in the directory's store");
    }
}

/// Cancels the bootstrap that Kademlia plans whenever a peer joins a table of fewer than 20: left alone, it connects every
/// node with every other. Starting one resets its timer, and a query that is finished before it is polled asks nobody.
fn silence_bootstrap(kad: &mut Kad) {
    if let Ok(id) = kad.bootstrap()
        && let Some(mut query) = kad.query_mut(&id)
    {
        query.finish();
    }
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]
mod tests {
    use futures::StreamExt as _;
    use libp2p::identity::Keypair;
    use libp2p::swarm::{Config, Swarm, SwarmEvent};

    use super::*;
    use crate::mesh::policy::RefuseAll;
    use crate::mesh::{config::Transport, transport};

    /// Kademlia's own timer for the bootstrap that a new peer starts.
    const BOOTSTRAP_DELAY: Duration = Duration::from_millis(500);

    #[tokio::test]
    async fn a_new_peer_in_the_table_starts_no_search_for_others() {
        let keypair = Keypair::generate_ed25519();
        let local = keypair.public().to_peer_id();
        let transport = transport::build(&keypair, &[Transport::Memory]).unwrap();
        let kad = behaviour(local, "00").unwrap();
        let mut swarm = Swarm::new(transport, kad, local, Config::with_tokio_executor());
        let mut kademlia = Kademlia::new("00").unwrap();
        for _ in 0..5 {
            swarm
                .behaviour_mut()
                .add_address(&PeerId::random(), "/memory/4711".parse().unwrap());
        }
        let mut dials = 0;
        let watch = async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::Behaviour(event) => {
                        kademlia.handle_event(swarm.behaviour_mut(), &mut RefuseAll, event);
                    }
                    SwarmEvent::Dialing { .. } => dials += 1,
                    _ => {}
                }
            }
        };
        assert!(
            tokio::time::timeout(BOOTSTRAP_DELAY * 3, watch)
                .await
                .is_err()
        );
        assert_eq!(dials, 0);
    }
}
