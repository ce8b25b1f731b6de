//! Compresses text files of moderate size as they are asked for, and remembers the result per version.
//!
//! Whole and in memory, so that the length is known before the first octet and HEAD says the same as GET.

use std::io;
use std::sync::Arc;

use async_compression::Level;
use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;

use super::body::read_whole;
use super::negotiate::Coding;
use super::open::{OpenFile, Version};

/// Smaller files fit into a packet or two as they are.
pub(super) const PLAIN_OCTETS_MIN: u64 = 1024;
/// Larger files would keep their reader waiting: about a tenth of a second at this size.
pub(super) const PLAIN_OCTETS_MAX: u64 = 2 * 1024 * 1024;
/// Memory for results.
const KEPT_OCTETS_MAX: usize = 8 * 1024 * 1024;
/// Files compressed at once, of `PLAIN_OCTETS_MAX` and a result each.
const RUNNING_MAX: usize = 2;

/// The compressed forms of one folder's files.
#[derive(Debug)]
pub(super) struct Compressor {
    kept: Mutex<Kept>,
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct Kept {
    /// Empty octets stand for a file that does not shrink.
    results: LruCache<(Version, Coding), Bytes>,
    octets: usize,
}

/// What remembering one result costs beside its octets.
const ENTRY_OCTETS: usize = 256;

impl Kept {
    fn insert(&mut self, key: (Version, Coding), result: Bytes) {
        self.octets += result.len() + ENTRY_OCTETS;
        if let Some((_, old)) = self.results.push(key, result) {
            self.octets -= old.len() + ENTRY_OCTETS;
        }
        while self.octets > KEPT_OCTETS_MAX {
            let Some((_, old)) = self.results.pop_lru() else {
                break;
            };
            self.octets -= old.len() + ENTRY_OCTETS;
        }
    }
}

impl Compressor {
    pub(super) fn new() -> Self {
        Self {
            kept: Mutex::new(Kept {
                results: LruCache::unbounded(),
                octets: 0,
            }),
            permits: Arc::new(Semaphore::new(RUNNING_MAX)),
        }
    }

    /// The file in this coding; nothing if that is no smaller.
    pub(super) async fn compressed(
        &self,
        source: &Arc<OpenFile>,
        coding: Coding,
    ) -> io::Result<Option<Bytes>> {
        let key = (source.version, coding);
        if let Some(result) = self.known(&key) {
            return Ok(result);
        }
        let permit = Arc::clone(&self.permits)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        if let Some(result) = self.known(&key) {
            return Ok(result);
        }
        let source = Arc::clone(source);
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let plain = read_whole(&source)?;
            let coded = encode(&plain, coding)?;
            Ok::<_, io::Error>(if coded.len() < plain.len() {
                Bytes::from(coded)
            } else {
                Bytes::new()
            })
        });
        let result = work.await.map_err(io::Error::other)??;
        self.kept.lock().insert(key, result.clone());
        Ok((!result.is_empty()).then_some(result))
    }

    fn known(&self, key: &(Version, Coding)) -> Option<Option<Bytes>> {
        let result = self.kept.lock().results.get(key)?.clone();
        Some((!result.is_empty()).then_some(result))
    }
}

/// Levels at which a page takes milliseconds.
fn encode(plain: &[u8], coding: Coding) -> io::Result<Vec<u8>> {
    let mut coded = Vec::with_capacity(plain.len() / 3);
    futures::executor::block_on(async {
        match coding {
            Coding::Brotli => {
                BrotliEncoder::with_quality(plain, Level::Precise(5))
                    .read_to_end(&mut coded)
                    .await
            }
            Coding::Zstd => {
                ZstdEncoder::with_quality(plain, Level::Precise(6))
                    .read_to_end(&mut coded)
                    .await
            }
            Coding::Gzip => {
                GzipEncoder::with_quality(plain, Level::Precise(6))
                    .read_to_end(&mut coded)
                    .await
            }
        }
    })?;
    Ok(coded)
}
