//! The messages of a paying session on a stream, each end of it by itself, so that reading never waits for writing.

use std::io;

use madang_protocol::{
    reject::Reject,
    session::wire::{Frame, Reader, to_bytes},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Octets read at once: most frames are a few hundred.
const READ_OCTETS: usize = 4 * 1_024;

/// Why no frame could be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The stream broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer sent what is none.
    #[error("{0}")]
    Peer(Reject),
}

/// Reads one direction's frames.
pub(super) struct FrameReader<S, F> {
    stream: S,
    reader: Reader<F>,
    octets: Vec<u8>,
    taken: usize,
}

impl<S: AsyncRead + Unpin, F: Frame> FrameReader<S, F> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            reader: Reader::default(),
            octets: Vec::with_capacity(READ_OCTETS),
            taken: 0,
        }
    }

    /// The next frame; `None` at the stream's end. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<F>, ReadError> {
        loop {
            let mut rest = &self.octets[self.taken..];
            let before = rest.len();
            let frame = self.reader.read(&mut rest).map_err(ReadError::Peer)?;
            self.taken += before - rest.len();
            if frame.is_some() {
                return Ok(frame);
            }
            if self.taken == self.octets.len() {
                self.octets.clear();
                self.taken = 0;
                if self.stream.read_buf(&mut self.octets).await? == 0 {
                    let is_whole = self.reader.is_between_frames();
                    return if is_whole {
                        Ok(None)
                    } else {
                        Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
                    };
                }
            }
        }
    }
}

/// Writes `frames` and flushes them.
pub(super) async fn write_all<F: Frame>(
    stream: &mut (impl AsyncWrite + Unpin),
    frames: &[F],
) -> io::Result<()> {
    let octets: Vec<u8> = frames.iter().flat_map(to_bytes).collect();
    stream.write_all(&octets).await?;
    stream.flush().await
}
