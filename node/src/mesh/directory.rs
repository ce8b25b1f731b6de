//! Kademlia: what this node stores for others, and its queries.
//!
//! This file moves bytes; what they mean, and whether peers may store them here, is the [`Policy`]'s and the caller's.
//! Readers verify everything again: a value that is found was stored by strangers.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use libp2p::kad::store::{MemoryStore, MemoryStoreConfig, RecordStore};
use libp2p::kad::{
    self, GetClosestPeersError, GetProvidersOk, GetRecordOk, InboundRequest, Mode, QueryId,
    QueryResult, Quorum, Record, StoreInserts,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use thiserror::Error;
use tokio::sync::oneshot;

use super::config::BuildError;
use super::policy::Policy;

/// Largest value of a record.
const VALUE_BYTES_MAX: usize = 8 * 1024;
/// Records of others that are kept.
const RECORDS_MAX: usize = 4_096;
/// Keys with providers that are kept, those of others included.
const PROVIDED_KEYS_MAX: usize = 4_096;
/// Queries of ours that run at once.
const QUERIES_MAX: usize = 256;
/// Values returned by one lookup.
const FOUND_MAX: usize = 32;
/// A lookup ends after this time, with what it has.
const QUERY_TIMEOUT: Duration = Duration::from_secs(20);
/// Peers asked at once in a lookup.
const PARALLELISM: NonZeroUsize = NonZeroUsize::new(3).expect("not zero");
/// Addresses taken from one peer.
const ADDRESSES_PER_PEER: usize = 10;

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
        reply: Reply<Vec<FoundRecord>>,
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
        reply: Reply<Vec<PeerId>>,
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
}

/// A query that runs, with what it has found.
#[derive(Debug)]
enum Query {
    Put(Reply<()>),
    Get(Reply<Vec<FoundRecord>>, Vec<FoundRecord>),
    Provide(Reply<()>),
    Providers(Reply<Vec<PeerId>>, HashSet<PeerId>),
    Closest(Reply<Vec<PeerId>>),
}

/// The Kademlia behaviour of a network.
///
/// # Errors
/// [`BuildError::Network`] if the id cannot be part of a protocol's name.
pub(super) fn behaviour(
    local: PeerId,
    network: &str,
) -> Result<kad::Behaviour<MemoryStore>, BuildError> {
    let store = MemoryStoreConfig {
        max_records: RECORDS_MAX,
        max_value_bytes: VALUE_BYTES_MAX,
        max_provided_keys: PROVIDED_KEYS_MAX,
        ..MemoryStoreConfig::default()
    };
    let mut config = kad::Config::new(protocol(network)?);
    config
        .set_query_timeout(QUERY_TIMEOUT)
        .set_parallelism(PARALLELISM)
        // Nothing that a peer sends is stored before the policy has agreed.
        .set_record_filtering(StoreInserts::FilterBoth)
        // The table is fed by us, from identify and from bootstrap peers.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_periodic_bootstrap_interval(None);
    let mut kad =
        kad::Behaviour::with_config(local, MemoryStore::with_config(local, store), config);
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
pub(super) struct Directory {
    queries: HashMap<QueryId, Query>,
    protocol: StreamProtocol,
}

type Kad = kad::Behaviour<MemoryStore>;

impl Directory {
    pub(super) fn new(network: &str) -> Result<Self, BuildError> {
        Ok(Self {
            queries: HashMap::new(),
            protocol: protocol(network)?,
        })
    }

    /// Starts what was asked for.
    pub(super) fn handle_command(&mut self, kad: &mut Kad, command: Command) {
        match command {
            Command::Put {
                key,
                value,
                lifetime,
                reply,
            } => self.put(kad, key, value, lifetime, reply),
            Command::Get { key, reply } => {
                self.start(kad, reply, |kad, reply| {
                    (kad.get_record(key.into()), Query::Get(reply, Vec::new()))
                });
            }
            Command::Provide { key, reply } => self.provide(kad, key, reply),
            Command::StopProviding { key } => kad.stop_providing(&key.into()),
            Command::Providers { key, reply } => self.start(kad, reply, |kad, reply| {
                (
                    kad.get_providers(key.into()),
                    Query::Providers(reply, HashSet::new()),
                )
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
        }
    }

    /// Feeds the routing table with a peer that speaks our Kademlia.
    pub(super) fn handle_identified(
        &mut self,
        kad: &mut Kad,
        peer: PeerId,
        protocols: &[StreamProtocol],
        addresses: &[Multiaddr],
    ) {
        if protocols.contains(&self.protocol) {
            for address in addresses.iter().take(ADDRESSES_PER_PEER) {
                kad.add_address(&peer, address.clone());
            }
        }
    }

    /// Takes in what Kademlia reports.
    pub(super) fn handle_event(
        &mut self,
        kad: &mut Kad,
        policy: &mut dyn Policy,
        event: kad::Event,
    ) {
        match event {
            kad::Event::InboundRequest { request } => store_if_allowed(kad, policy, request),
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
            (Query::Get(reply, mut found), QueryResult::GetRecord(result)) => {
                if let Ok(GetRecordOk::FoundRecord(record)) = result
                    && found.len() < FOUND_MAX
                {
                    found.push(FoundRecord {
                        value: record.record.value,
                        holder: record.peer,
                    });
                }
                finish_or_keep(last, reply, found, Query::Get)
            }
            (Query::Providers(reply, mut found), QueryResult::GetProviders(result)) => {
                if let Ok(GetProvidersOk::FoundProviders { providers, .. }) = result {
                    let room = FOUND_MAX.saturating_sub(found.len());
                    found.extend(providers.into_iter().take(room));
                }
                if last {
                    answer(reply, Ok(found.into_iter().collect()));
                    None
                } else {
                    Some(Query::Providers(reply, found))
                }
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

fn finish_or_keep<T>(
    last: bool,
    reply: Reply<T>,
    found: T,
    keep: impl FnOnce(Reply<T>, T) -> Query,
) -> Option<Query> {
    if last {
        answer(reply, Ok(found));
        None
    } else {
        Some(keep(reply, found))
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T, LookupError>) {
    // The one who asked may have given up.
    let _ = reply.send(result);
}

fn store_if_allowed(kad: &mut Kad, policy: &mut dyn Policy, request: InboundRequest) {
    match request {
        InboundRequest::PutRecord {
            source,
            record: Some(record),
            ..
        } => {
            let stored = kad
                .store_mut()
                .get(&record.key)
                .map(std::borrow::Cow::into_owned);
            if policy.store_record(&record, source, stored.as_ref())
                && kad.store_mut().put(record).is_err()
            {
                tracing::debug!("the directory's store is full");
            }
        }
        InboundRequest::AddProvider {
            record: Some(record),
        } => {
            if policy.store_provider(&record) && kad.store_mut().add_provider(record).is_err() {
                tracing::debug!("the directory's store of providers is full");
            }
        }
        InboundRequest::PutRecord { record: None, .. }
        | InboundRequest::AddProvider { record: None }
        | InboundRequest::FindNode { .. }
        | InboundRequest::GetProvider { .. }
        | InboundRequest::GetRecord { .. } => {}
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
        let mut directory = Directory::new("00").unwrap();
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
                        directory.handle_event(swarm.behaviour_mut(), &mut RefuseAll, event);
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
