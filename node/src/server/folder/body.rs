//! Sends pieces of a file as an HTTP body of exact length.
//!
//! What the kernel has in memory is read on the spot (preadv2 with RWF_NOWAIT), without a hop to another thread; what
//! has to come from a disk is read on a blocking thread, one chunk ahead. Buffers go round through a pool.
//! A file that shrinks, or changes under a promise of its tag, ends the body with an error: nothing is padded.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::open::OpenFile;

/// Octets read at once: large enough to make calls cheap, small enough to stay in a core's second-level cache on its
/// way to the socket.
pub(super) const CHUNK_OCTETS: usize = 256 * 1024;
/// A page of memory. The kernel copies a file's page three times slower to an address whose offset in its page is a few octets
/// larger (measured on AMD, 1.7 against 5.6 GB/s), and large allocations begin exactly 16 octets into a page. So a buffer
/// is filled from the same offset in a page as the file's.
const PAGE_OCTETS: usize = 4096;
/// Buffers kept for the next reader, 2 MiB in all.
const POOL_BUFFERS_MAX: usize = 8;
/// After a read that had to wait for a disk, how many more chunks are read ahead before memory is tried again.
const PATIENT_CHUNKS: u32 = 16;

/// Buffers of `CHUNK_OCTETS` that have been used and may be used again.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    fn take(&self) -> Vec<u8> {
        self.free
            .lock()
            .pop()
            .unwrap_or_else(|| vec![0; CHUNK_OCTETS + 2 * PAGE_OCTETS])
    }

    fn give(&self, buffer: Vec<u8>) {
        let mut free = self.free.lock();
        if free.len() < POOL_BUFFERS_MAX {
            free.push(buffer);
        }
    }
}

/// A buffer on loan, shown as far as it is filled. Returns to its pool when the last reader drops it.
struct Loan {
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    pool: Option<Arc<Pool>>,
}

impl Loan {
    /// A buffer for these octets of a file, of one chunk at most: a small one of its own, or one of the pool's.
    fn of(pool: &Arc<Pool>, range: &Range<u64>) -> Self {
        let wanted = length_of(range);
        if wanted <= CHUNK_OCTETS / 4 {
            return Self {
                buffer: vec![0; wanted],
                start: 0,
                filled: 0,
                pool: None,
            };
        }
        let buffer = pool.take();
        let aligned = buffer.as_ptr().align_offset(PAGE_OCTETS);
        let within = usize::try_from(range.start % PAGE_OCTETS as u64).unwrap_or(0);
        Self {
            start: if aligned < PAGE_OCTETS {
                aligned + within
            } else {
                0
            },
            buffer,
            filled: 0,
            pool: Some(Arc::clone(pool)),
        }
    }

    /// Where `wanted` octets are to be written.
    fn room(&mut self, wanted: usize) -> &mut [u8] {
        &mut self.buffer[self.start..self.start + wanted]
    }

    fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Loan {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.filled]
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.give(std::mem::take(&mut self.buffer));
        }
    }
}

/// A part of a body.
#[derive(Debug)]
pub(super) enum Segment {
    /// Ready octets.
    Octets(Bytes),
    /// Octets of a file; not empty.
    Piece(Arc<OpenFile>, Range<u64>),
}

impl Segment {
    fn length(&self) -> u64 {
        match self {
            Self::Octets(octets) => u64::try_from(octets.len()).unwrap_or(u64::MAX),
            Self::Piece(_, piece) => piece.end - piece.start,
        }
    }
}

/// The body. Exactly as long as its segments, or an error.
pub(super) struct FileBody {
    pool: Arc<Pool>,
    segments: VecDeque<Segment>,
    remaining: u64,
    /// The tag promises these very octets, so a change of the file is an error.
    strict: bool,
    ahead: Option<JoinHandle<io::Result<Bytes>>>,
    patient_chunks: u32,
}

impl FileBody {
    /// A body of these segments. With `strict`, a change of a file while it is sent ends the body with an error.
    pub(super) fn new(segments: VecDeque<Segment>, pool: Arc<Pool>, strict: bool) -> Self {
        let remaining = segments.iter().map(Segment::length).sum();
        Self {
            pool,
            segments,
            remaining,
            strict,
            ahead: None,
            patient_chunks: 0,
        }
    }

    /// Takes the next range to read off the front segment, of one chunk at most.
    fn next_range(&mut self) -> Option<(Arc<OpenFile>, Range<u64>)> {
        let Some(Segment::Piece(source, piece)) = self.segments.front_mut() else {
            return None;
        };
        let range = piece.start..piece.end.min(piece.start + CHUNK_OCTETS as u64);
        piece.start = range.end;
        let source = Arc::clone(source);
        if piece.start == piece.end {
            self.segments.pop_front();
        }
        Some((source, range))
    }

    /// Puts back what a short read has left over.
    fn put_back(&mut self, source: Arc<OpenFile>, rest: Range<u64>) {
        match self.segments.front_mut() {
            Some(Segment::Piece(_, piece)) if piece.start == rest.end => piece.start = rest.start,
            Some(_) | None => self.segments.push_front(Segment::Piece(source, rest)),
        }
    }

    /// Reads what is in memory; nothing if the disk would have to be waited for.
    fn read_now(&mut self) -> Option<io::Result<Bytes>> {
        let (source, range) = self.next_range()?;
        let mut loan = Loan::of(&self.pool, &range);
        let wanted = length_of(&range);
        match read_cached(&source.file, loan.room(wanted), range.start) {
            Ok(0) => Some(Err(shrunk())),
            Ok(filled) => {
                loan.filled = filled;
                let kept = unchanged(&source, self.strict);
                if filled < wanted {
                    self.put_back(source, range.start + filled as u64..range.end);
                }
                Some(kept.map(|()| loan.into_bytes()))
            }
            Err(_) => {
                self.put_back(source, range);
                None
            }
        }
    }

    /// Starts to read the next chunk on a blocking thread.
    fn read_ahead(&mut self) {
        if let Some((source, range)) = self.next_range() {
            let (pool, strict) = (Arc::clone(&self.pool), self.strict);
            self.ahead = Some(tokio::task::spawn_blocking(move || {
                let mut loan = Loan::of(&pool, &range);
                loan.filled = length_of(&range);
                source
                    .file
                    .read_exact_at(loan.room(length_of(&range)), range.start)
                    .map_err(|error| {
                        if error.kind() == io::ErrorKind::UnexpectedEof {
                            shrunk()
                        } else {
                            error
                        }
                    })?;
                unchanged(&source, strict)?;
                Ok(loan.into_bytes())
            }));
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.ahead.is_none() {
            if let Some(Segment::Octets(_)) = self.segments.front()
                && let Some(Segment::Octets(octets)) = self.segments.pop_front()
            {
                return Poll::Ready(Ok(octets));
            }
            if self.patient_chunks == 0
                && let Some(chunk) = self.read_now()
            {
                return Poll::Ready(chunk);
            }
            self.patient_chunks = PATIENT_CHUNKS;
            self.read_ahead();
        }
        let Some(ahead) = &mut self.ahead else {
            return Poll::Ready(Err(shrunk()));
        };
        let chunk = ready!(Pin::new(ahead).poll(context))
            .unwrap_or_else(|error| Err(io::Error::other(error)));
        self.ahead = None;
        self.patient_chunks = self.patient_chunks.saturating_sub(1);
        if chunk.is_ok() && self.patient_chunks > 0 {
            self.read_ahead();
        }
        Poll::Ready(chunk)
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.remaining == 0 {
            return Poll::Ready(None);
        }
        let chunk = ready!(self.poll_chunk(context));
        match &chunk {
            Ok(octets) => self.remaining = self.remaining.saturating_sub(octets.len() as u64),
            Err(_) => {
                self.remaining = 0;
                self.segments.clear();
            }
        }
        Poll::Ready(Some(chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// Reads a whole file of `size` octets, which the caller has bounded; an error if it has become shorter. Blocks.
pub(super) fn read_whole(source: &OpenFile) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; usize::try_from(source.version.size).map_err(io::Error::other)?];
    source.file.read_exact_at(&mut octets, 0)?;
    unchanged(source, true)?;
    Ok(octets)
}

/// Reads what is in memory; any error means that it has to be waited for.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};
    Ok(preadv2(
        file,
        &mut [io::IoSliceMut::new(buffer)],
        offset,
        ReadWriteFlags::NOWAIT,
    )?)
}

/// Other systems cannot tell what is in memory.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

fn unchanged(source: &OpenFile, strict: bool) -> io::Result<()> {
    if strict && !source.version_now()?.same_content(&source.version) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file changed while it was sent",
        ));
    }
    Ok(())
}

fn shrunk() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file shrank while it was sent",
    )
}

/// The length of a range of one chunk at most.
fn length_of(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start)
        .unwrap_or(CHUNK_OCTETS)
        .min(CHUNK_OCTETS)
}
