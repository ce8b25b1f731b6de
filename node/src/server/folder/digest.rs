//! SHA-256 of whole files for `Repr-Digest` (RFC 9530), computed once per version on blocking threads.
//!
//! Few run at once. Whoever asked waits a while and then gets its file without a digest; the work goes on, so that the
//! next request, a resumed download for example, has it. Dropping the folder stops the work.

use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use lru::LruCache;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::open::{OpenFile, Version};

/// The answer's field.
pub(super) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
/// The question's field.
const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");
/// Digests kept: about 150 octets each.
const DIGESTS_MAX: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// Files digested at once: each takes a whole core.
const RUNNING_MAX: usize = 1;
/// How long a response waits for its digest. Ten gigabytes take about this long.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Octets read at once.
const READ_OCTETS: usize = 256 * 1024;

/// SHA-256.
pub(super) type Sum = [u8; 32];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Running,
    Done(Sum),
}

/// The digests of one folder's files.
#[derive(Debug)]
pub(super) struct Digests {
    known: Mutex<LruCache<Version, watch::Sender<State>>>,
    permits: Arc<Semaphore>,
    stopped: Arc<AtomicBool>,
}

impl Digests {
    pub(super) fn new() -> Self {
        Self {
            known: Mutex::new(LruCache::new(DIGESTS_MAX)),
            permits: Arc::new(Semaphore::new(RUNNING_MAX)),
            stopped: Arc::new(AtomicBool::new(false)),
        }
    }

    /// The digest, if it has been computed.
    pub(super) fn known(&self, version: &Version) -> Option<Sum> {
        match *self.known.lock().get(version)?.borrow() {
            State::Done(sum) => Some(sum),
            State::Idle | State::Running => None,
        }
    }

    /// The digest, computed if need be; nothing if that takes too long or the file changes meanwhile.
    pub(super) async fn of(&self, source: &Arc<OpenFile>) -> Option<Sum> {
        let slot = {
            let mut known = self.known.lock();
            known
                .get_or_insert(source.version, || watch::Sender::new(State::Idle))
                .clone()
        };
        tokio::time::timeout(WAIT_MAX, self.wait(&slot, source))
            .await
            .ok()
            .flatten()
    }

    async fn wait(&self, slot: &watch::Sender<State>, source: &Arc<OpenFile>) -> Option<Sum> {
        if *slot.borrow() == State::Idle {
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
            self.start(slot, source, permit);
        }
        let state = *slot
            .subscribe()
            .wait_for(|state| *state != State::Running)
            .await
            .ok()?;
        match state {
            State::Done(sum) => Some(sum),
            State::Idle | State::Running => None,
        }
    }

    /// Starts the work, unless somebody has while we waited for the permit.
    fn start(
        &self,
        slot: &watch::Sender<State>,
        source: &Arc<OpenFile>,
        permit: OwnedSemaphorePermit,
    ) {
        let ours = slot.send_if_modified(|state| {
            let idle = *state == State::Idle;
            if idle {
                *state = State::Running;
            }
            idle
        });
        if !ours {
            return;
        }
        let running = Running {
            slot: slot.clone(),
            result: State::Idle,
            _permit: permit,
        };
        let (source, stopped) = (Arc::clone(source), Arc::clone(&self.stopped));
        tokio::task::spawn_blocking(move || {
            let mut running = running;
            if let Ok(Some(sum)) = sum_of(&source, &stopped) {
                running.result = State::Done(sum);
            }
        });
    }
}

impl Drop for Digests {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Work under way: says how it ended, also when it panics or never gets to run.
struct Running {
    slot: watch::Sender<State>,
    result: State,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.slot.send_replace(self.result);
    }
}

/// Reads a whole file; nothing if it was stopped or the file is not what it was.
fn sum_of(source: &OpenFile, stopped: &AtomicBool) -> io::Result<Option<Sum>> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_OCTETS];
    let mut at = 0;
    while at < source.version.size {
        if stopped.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let wanted = usize::try_from(source.version.size - at)
            .unwrap_or(READ_OCTETS)
            .min(READ_OCTETS);
        source.file.read_exact_at(&mut buffer[..wanted], at)?;
        hash.update(&buffer[..wanted]);
        at += wanted as u64;
    }
    let unchanged = source.version_now()?.same_content(&source.version);
    Ok(unchanged.then(|| hash.finalize().into()))
}

/// The digest of octets at hand.
pub(super) fn sum_of_octets(octets: &[u8]) -> Sum {
    Sha256::digest(octets).into()
}

/// The value of `Repr-Digest`.
pub(super) fn header(sum: &Sum) -> HeaderValue {
    let text = format!("sha-256=:{}:", data_encoding::BASE64.encode(sum));
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// Whether a request wants the whole representation's SHA-256. A preference of 0 means that it does not.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    headers
        .get_all(WANT_REPR_DIGEST)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| {
            let (algorithm, preference) = item.split_once('=').unwrap_or((item, "10"));
            algorithm.trim() == "sha-256"
                && preference
                    .trim()
                    .parse::<u8>()
                    .is_ok_and(|preference| (1..=10).contains(&preference))
        })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "the values are literals")]
mod tests {
    use super::*;

    #[test]
    fn the_wish_for_a_digest_is_read() {
        for (value, expected) in [
            ("sha-256=1", true),
            ("sha-512=3, sha-256=10", true),
            ("sha-256", true),
            ("sha-256=0", false),
            ("sha-256=11", false),
            ("sha-256=x", false),
            ("sha-512=3", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("want-repr-digest", HeaderValue::from_str(value).unwrap());
            assert_eq!(is_wanted(&headers), expected, "{value}");
        }
    }

    #[test]
    fn a_digest_is_written_as_the_standard_shows_it() {
        // RFC 9530, appendix B.1.
        let value = header(&sum_of_octets(b"{\"hello\": \"world\"}\n"));
        assert_eq!(
            value,
            "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
        );
    }
}
