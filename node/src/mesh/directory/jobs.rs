//! What the directory's task starts: each runs by itself, is bounded in time, and ends in one [`Done`].

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use madang_protocol::{
    ids::PublicKey, name::SiteName, record::passport::Passport, reject::Reject, sealed::Sealed,
};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::announcer::Publication;
use super::bootstrap::Search;
use super::keys;
use super::lookup;
use super::refusals::Way;
use super::shared::Shared;
use super::verifier::Verifier;
use crate::mesh::gossip::PublishError;
use crate::mesh::handle::{ConnectedPeer, Handle};
use crate::mesh::hello::exchange::{self, HelloError, Learned, Own};
use crate::mesh::hello::frame::{self, Sites};
use crate::mesh::identity::public_key_of;
use crate::mesh::kademlia::{Entry, LookupError};
use crate::mesh::stream::Stream;
use crate::mesh::streams::{OpenError, Protocol};
use crate::standing::StandingError;

/// A hello takes a few round trips, and a revocation list some time on a slow line.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Octets of a revocation list that gossip carries; a longer one goes from hello to hello.
const GOSSIPED_LIST_BYTES_MAX: usize = 30 * 1_024;
/// Searches at random places, beside the one for this node's own neighbourhood: they fill the far parts of the routing table.
const RANDOM_SEARCHES: usize = 2;

/// How a job has ended.
#[derive(Debug)]
pub(super) enum Done {
    /// A hello.
    Greeted(Box<Greeting>),
    /// The search of this node's neighbourhood, and whether anybody answered.
    Searched(bool),
    /// A publication.
    Published {
        site: SiteName,
        sequence: u64,
        has_succeeded: bool,
    },
    /// A lookup of a site.
    LookedUp(SiteName),
    /// Who is connected.
    ConnectedPeers(Vec<ConnectedPeer>),
    /// The remembered peers were written, or not.
    Saved(io::Result<()>),
    /// A revocation list was kept, or not.
    TookRevocations(Result<bool, StandingError>),
    /// A peer is in the routing table.
    AddedToTable,
    /// A peer was told what is announced here.
    ToldSites,
    /// Nothing to tell.
    Nothing,
}

/// How a hello has ended.
#[derive(Debug)]
pub(super) struct Greeting {
    pub(super) peer: PeerId,
    pub(super) by_us: bool,
    pub(super) outcome: Result<Learned, HelloError>,
}

/// Says hello to `peer`.
pub(super) async fn greet(mesh: Handle, verifier: Verifier, peer: PeerId) -> Done {
    let hello = async {
        let key = device_key(&peer)?;
        let mut stream = mesh.open(peer, Protocol::Hello).await.map_err(open_error)?;
        let learned = exchange::dial(&mut stream, &Own::new(verifier), key).await?;
        stream.shutdown().await?;
        Ok(learned)
    };
    let outcome = timeout(HELLO_TIMEOUT, hello)
        .await
        .unwrap_or_else(|_| Err(timed_out()));
    Done::Greeted(Box::new(Greeting {
        peer,
        by_us: true,
        outcome,
    }))
}

/// Answers the hello of the peer that opened `stream`.
pub(super) async fn answer(mut stream: Stream, verifier: Verifier) -> Done {
    let peer = stream.peer();
    let hello = async {
        let key = device_key(&peer)?;
        let learned = exchange::listen(&mut stream, &Own::new(verifier), key).await?;
        stream.shutdown().await?;
        Ok(learned)
    };
    let outcome = timeout(HELLO_TIMEOUT, hello)
        .await
        .unwrap_or_else(|_| Err(timed_out()));
    Done::Greeted(Box::new(Greeting {
        peer,
        by_us: false,
        outcome,
    }))
}

/// Tells the peer that opened `stream` what this node announces.
pub(super) async fn tell_sites(mut stream: Stream, sites: Sites) -> Done {
    let tell = async {
        frame::write(&mut stream, &sites).await?;
        stream.shutdown().await
    };
    if !matches!(timeout(HELLO_TIMEOUT, tell).await, Ok(Ok(()))) {
        tracing::trace!("a peer did not hear what is served here");
    }
    Done::ToldSites
}

fn device_key(peer: &PeerId) -> Result<PublicKey, HelloError> {
    public_key_of(peer)
        .map(PublicKey)
        .map_err(|_| HelloError::Refused(Reject::PASSPORT_NOT_YOURS))
}

fn timed_out() -> HelloError {
    HelloError::Io(io::ErrorKind::TimedOut.into())
}

fn open_error(error: OpenError) -> HelloError {
    let kind = match error {
        OpenError::Unsupported => io::ErrorKind::Unsupported,
        OpenError::Timeout => io::ErrorKind::TimedOut,
        OpenError::Unreachable | OpenError::Busy | OpenError::Closed => io::ErrorKind::NotConnected,
    };
    HelloError::Io(kind.into())
}

/// Keeps the passport that `peer` has shown; whether it has shown a good one.
pub(super) fn take_passport(
    shared: &Shared,
    peer: PeerId,
    passport: Result<Option<Sealed<Passport>>, Reject>,
) -> bool {
    match passport {
        Ok(Some(passport)) => {
            shared.with(|inner| inner.verified.insert(peer, passport));
            true
        }
        Ok(None) => false,
        Err(reject) => {
            shared.refuse(Way::Hello, reject, peer);
            shared.with(|inner| inner.verified.remove(&peer));
            false
        }
    }
}

/// Holds a failed hello against the peer, if it said what it must not.
pub(super) fn blame(shared: &Shared, peer: PeerId, error: &HelloError, by_us: bool) {
    match error {
        HelloError::Refused(reject) => shared.refuse(Way::Hello, *reject, peer),
        HelloError::Io(error) => tracing::trace!(%peer, %error, by_us, "a hello ended early"),
    }
}

/// Dials an entrance. Its success shows as a connection.
pub(super) async fn dial(mesh: Handle, peer: PeerId, addresses: Vec<Multiaddr>) -> Done {
    if let Err(error) = mesh.dial(peer, addresses).await {
        tracing::debug!(%peer, %error, "an entrance did not answer");
    }
    Done::Nothing
}

/// Searches for the peers nearest to this node, and at random places.
pub(super) async fn search(mesh: Handle, search: Search) -> Done {
    let own = mesh.closest_peers(mesh.peer_id().to_bytes()).await;
    let random_searches = match search {
        Search::Near => 0,
        Search::Wide => RANDOM_SEARCHES,
    };
    for _ in 0..random_searches {
        let place: [u8; 32] = rand::random();
        // What it finds goes to the routing table by itself.
        let _ = mesh.closest_peers(place.to_vec()).await;
    }
    Done::Searched(own.is_ok())
}

/// Publishes one announcement: the record, the providers, and the news.
pub(super) async fn publish(mesh: Handle, publication: Publication) -> Done {
    let Publication {
        site,
        sequence,
        key,
        octets,
        life,
        provided,
        topic,
    } = publication;
    let mut outcome = mesh.put_record(key, octets.clone(), life).await;
    for key in provided {
        outcome = mesh.provide(key).await.and(outcome);
    }
    if let Some(topic) = topic {
        match mesh.publish(&topic, octets).await {
            // Whoever does not hear of it looks it up.
            Ok(()) | Err(PublishError::NoPeers | PublishError::Duplicate) => {}
            Err(error) => tracing::debug!(%error, "an announcement was not gossiped"),
        }
    }
    if let Err(error) = &outcome {
        tracing::debug!(%site, %error, "an announcement was not stored");
    }
    // Too few peers is no failure of a small network: one that has a single other node has stored it there.
    let has_succeeded = outcome.is_ok();
    Done::Published {
        site,
        sequence,
        has_succeeded,
    }
}

/// Stops providing `provided`.
pub(super) async fn stop_providing(mesh: Handle, provided: BTreeSet<Vec<u8>>) -> Done {
    for key in provided {
        if mesh.stop_providing(key).await.is_err() {
            break;
        }
    }
    Done::Nothing
}

/// Looks `site` up.
pub(super) async fn look_up(
    mesh: Handle,
    shared: Arc<Shared>,
    site: SiteName,
    thorough: bool,
) -> Done {
    match lookup::look_up(&mesh, &shared, &site, thorough).await {
        Ok(()) | Err(LookupError::NoPeers | LookupError::Failed | LookupError::Closed) => {}
        Err(error @ (LookupError::Busy | LookupError::TooLarge)) => {
            tracing::debug!(%error, "a lookup did not begin")
        }
    }
    Done::LookedUp(site)
}

/// Follows a gossip topic. What arrives is taken in by the policy, so nobody reads it a second time.
pub(super) async fn follow(mesh: Handle, topic: String) -> Done {
    if let Err(error) = mesh.subscribe(&topic).await {
        tracing::debug!(%topic, %error, "a topic is not followed");
    }
    Done::Nothing
}

/// Follows a gossip topic no more.
pub(super) async fn unfollow(mesh: Handle, topic: String) -> Done {
    // A mesh that has ended follows nothing.
    let _ = mesh.unsubscribe(&topic).await;
    Done::Nothing
}

/// Gossips a revocation list, if it fits.
pub(super) async fn spread_revocations(mesh: Handle, octets: Vec<u8>) -> Done {
    if octets.len() <= GOSSIPED_LIST_BYTES_MAX {
        // Without peers, or where they have it already, hello carries it.
        let _ = mesh.publish(keys::REVOCATIONS_TOPIC, octets).await;
    }
    Done::Nothing
}

/// Bans a peer.
pub(super) async fn ban(mesh: Handle, peer: PeerId) -> Done {
    // A mesh that has ended keeps everybody out.
    let _ = mesh.ban(peer).await;
    Done::Nothing
}

/// Takes bans back.
pub(super) async fn unban(mesh: Handle, peers: Vec<PeerId>) -> Done {
    for peer in peers {
        if mesh.unban(peer).await.is_err() {
            break;
        }
    }
    Done::Nothing
}

/// Closes the connections with a peer.
pub(super) async fn disconnect(mesh: Handle, peer: PeerId) -> Done {
    // A mesh that has ended has none.
    let _ = mesh.disconnect(peer).await;
    Done::Nothing
}

/// Closes idle connections beyond `keep`.
pub(super) async fn trim(mesh: Handle, keep: usize) -> Done {
    // A mesh that has ended has none.
    let _ = mesh.trim(keep).await;
    Done::Nothing
}

/// Has this node answer queries, or not.
pub(super) async fn serve(mesh: Handle, serves: bool) -> Done {
    // A mesh that has ended serves nobody.
    let _ = mesh.serve_directory(serves).await;
    Done::Nothing
}

/// Adds a peer to the routing table.
pub(super) async fn add_to_table(mesh: Handle, peer: PeerId, addresses: Vec<Multiaddr>) -> Done {
    for address in addresses {
        if mesh.add_directory_peer(peer, address).await.is_err() {
            break;
        }
    }
    Done::AddedToTable
}

/// Offers what `peer` wanted stored before its hello had ended.
pub(super) async fn offer(mesh: Handle, peer: PeerId, entries: Vec<Entry>) -> Done {
    for entry in entries {
        if mesh.offer(peer, entry).await.is_err() {
            break;
        }
    }
    Done::Nothing
}

/// Asks who is connected.
pub(super) async fn connected_peers(mesh: Handle) -> Done {
    Done::ConnectedPeers(mesh.connected_peers().await.unwrap_or_default())
}
