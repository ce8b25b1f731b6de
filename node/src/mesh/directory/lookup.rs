//! Looking a site up in the directory: who provides it, and what each of them announces. What is found is verified and goes to the cache.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use libp2p::PeerId;
use madang_protocol::{ids::PublicKey, name::SiteName, reject::Reject};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::keys;
use super::refusals::Way;
use super::shared::Shared;
use crate::mesh::handle::Handle;
use crate::mesh::hello::frame::{self, ReadError, Sites};
use crate::mesh::identity::public_key_of;
use crate::mesh::kademlia::{LookupError, REPLICATION};
use crate::mesh::streams::Protocol;

/// A lookup ends after this time with what it has.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(15);
/// Providers of one site that are asked about.
const PROVIDERS_MAX: usize = 32;
/// Of these, at once.
const PROVIDERS_AT_ONCE: usize = 8;
/// Copies of an announcement that are enough: as many as are stored. Each is signed; the number is for stores that still hold an older one.
const COPIES_ENOUGH: usize = REPLICATION.get();
/// How long further copies, and further devices, are waited for once there is one.
const GRACE: Duration = Duration::from_millis(250);
/// The same, where the one that is known does not answer.
const GRACE_THOROUGH: Duration = Duration::from_secs(2);
/// A device says what it serves within this time, being dialled and searched for included.
const SITES_TIMEOUT: Duration = Duration::from_secs(10);
/// Devices that one search by keyword names.
const SEARCH_DEVICES_MAX: usize = 64;

/// Fills the cache with what is announced for `site`. `thorough` waits longer for copies that are newer than the first, which is for a device
/// that has moved.
///
/// # Errors
/// [`LookupError`] if the search could not begin; an answer that is refused is none.
pub(in crate::mesh) async fn look_up(
    mesh: &Handle,
    shared: &Shared,
    site: &SiteName,
    thorough: bool,
) -> Result<(), LookupError> {
    let grace = if thorough { GRACE_THOROUGH } else { GRACE };
    let mut providers = mesh.find_providers(keys::site_key(site)).await?;
    let (mut asked, mut searches) = (BTreeSet::new(), FuturesUnordered::new());
    let mut has_more = true;
    let mut end = Instant::now() + LOOKUP_TIMEOUT;
    while has_more || !searches.is_empty() {
        tokio::select! {
            () = sleep_until(end) => break,
            provider = providers.recv(), if has_more && searches.len() < PROVIDERS_AT_ONCE => match provider {
                Some(peer) if asked.insert(peer) => {
                    searches.push(look_up_device(mesh, shared, site, peer, grace));
                    has_more = asked.len() < PROVIDERS_MAX;
                }
                Some(_) => {}
                None => has_more = false,
            },
            // Other devices of the site have a moment from the first on.
            Some(true) = searches.next() => end = end.min(Instant::now() + grace),
        }
    }
    Ok(())
}

/// Whether a good announcement was found.
async fn look_up_device(
    mesh: &Handle,
    shared: &Shared,
    site: &SiteName,
    peer: PeerId,
    grace: Duration,
) -> bool {
    // Only Ed25519 keys sign announcements.
    let Ok(device) = public_key_of(&peer) else {
        return false;
    };
    let key = keys::announcement_key(site, &PublicKey(device));
    let Ok(mut found) = mesh.find_records(key.clone()).await else {
        return false;
    };
    let mut copies = 0;
    let mut end = Instant::now() + LOOKUP_TIMEOUT;
    while copies < COPIES_ENOUGH
        && let Ok(Some(record)) = timeout_at(end, found.recv()).await
    {
        match shared.verifier.announcement_under(&key, &record.value) {
            Ok(believed) => {
                copies += 1;
                end = end.min(Instant::now() + grace);
                let now = shared.verifier.now();
                // An older copy than the one held is as good as none.
                let _ = shared.with(|inner| inner.cache.offer(believed, peer, now));
            }
            Err(reject) => match record.holder {
                Some(holder) => shared.refuse(Way::Lookup, reject, holder),
                None => shared.refusals.note(Way::Lookup, reject),
            },
        }
    }
    copies > 0
}

/// The devices that say that they announce `word`, which is in canonical form.
///
/// # Errors
/// [`LookupError`] if no shard of the word could be searched.
pub(in crate::mesh) async fn devices_of_keyword(
    mesh: &Handle,
    word: &str,
) -> Result<BTreeSet<PeerId>, LookupError> {
    let mut shards = FuturesUnordered::new();
    for shard in 0..keys::KEYWORD_SHARDS {
        shards.push(mesh.providers(keys::keyword_key(word, shard)));
    }
    let mut devices = BTreeSet::new();
    let mut outcome = Err(LookupError::NoPeers);
    let search = async {
        while let Some(found) = shards.next().await {
            match found {
                Ok(found) => {
                    outcome = Ok(());
                    devices.extend(found);
                }
                Err(error) if outcome.is_err() => outcome = Err(error),
                Err(_) => {}
            }
        }
    };
    // What was found in time counts.
    let _ = timeout(LOOKUP_TIMEOUT, search).await;
    outcome?;
    while devices.len() > SEARCH_DEVICES_MAX {
        devices.pop_last();
    }
    Ok(devices)
}

/// Asks `devices` what they serve, and fills the cache with it. Those that do not answer in time are left out.
pub(in crate::mesh) async fn sites_of_devices(
    mesh: &Handle,
    shared: &Shared,
    devices: BTreeSet<PeerId>,
) {
    let others = devices.into_iter().filter(|peer| *peer != mesh.peer_id());
    let ask = |peer| async move {
        match timeout(SITES_TIMEOUT, sites_of(mesh, peer)).await {
            Ok(Ok(sites)) => take_sites(shared, peer, sites),
            Ok(Err(ReadError::Refused(reject))) => shared.refuse(Way::Session, reject, peer),
            Ok(Err(ReadError::Io(error))) => {
                tracing::debug!(%peer, %error, "a device does not say what it serves")
            }
            Err(_) => tracing::debug!(%peer, "a device does not say in time what it serves"),
        }
    };
    futures::stream::iter(others)
        .for_each_concurrent(PROVIDERS_AT_ONCE, ask)
        .await;
}

async fn sites_of(mesh: &Handle, peer: PeerId) -> Result<Sites, ReadError> {
    let unreachable =
        |error| ReadError::Io(std::io::Error::new(std::io::ErrorKind::NotConnected, error));
    let mut stream = match mesh.open(peer, Protocol::Sites).await {
        Ok(stream) => stream,
        Err(_) => {
            // A provider is named without its addresses; whoever searches for it meets it.
            let _ = mesh.closest_peers(peer.to_bytes()).await;
            mesh.open(peer, Protocol::Sites)
                .await
                .map_err(unreachable)?
        }
    };
    // The protocol is agreed on with the first octets, of which this end has none.
    stream.shutdown().await.map_err(ReadError::Io)?;
    frame::read(&mut stream).await
}

fn take_sites(shared: &Shared, peer: PeerId, sites: Sites) {
    for announcement in sites.announcements {
        match shared.verifier.announcement(&announcement.to_bytes()) {
            Ok(believed) if public_key_of(&peer) == Ok(believed.announcement.device.0) => {
                let now = shared.verifier.now();
                // What is known already is as good.
                let _ = shared.with(|inner| inner.cache.offer(believed, peer, now));
            }
            Ok(_) => return shared.refuse(Way::Session, Reject::ANNOUNCEMENT_MISKEYED, peer),
            Err(reject) => return shared.refuse(Way::Session, reject, peer),
        }
    }
}
