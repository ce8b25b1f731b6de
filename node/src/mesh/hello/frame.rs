//! The frames of `/madang/hello/1` and `/madang/sites/1`: four octets of length, little-endian, and the canonical encoding of one message.

use std::io;

use madang_protocol::{
    codec,
    limits::{ANNOUNCEMENT_BYTES_MAX, REVOCATION_LIST_BYTES_MAX, SITES_PER_DEVICE_MAX},
    record::{announcement::Announcement, passport::Passport, revocation::RevocationList},
    reject::Reject,
    sealed::{Record, Unverified},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The lengths, tags and numbers around the records of a message.
const MARGIN: usize = 64;
/// Octets of a message that holds a passport at most.
const SMALL_BYTES_MAX: usize = Passport::BYTES_MAX + MARGIN;
/// Octets of a message that holds a revocation list.
const LARGE_BYTES_MAX: usize = REVOCATION_LIST_BYTES_MAX + MARGIN;

/// A message, and how long it may be.
pub(in crate::mesh) trait Message: Serialize + DeserializeOwned {
    /// Octets of its encoding.
    const BYTES_MAX: usize;
}

/// What the dialler says first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Opening {
    /// Its passport; `None` if it has none.
    pub(super) passport: Option<Unverified<Passport>>,
    /// The sequence of its revocation list; zero without one.
    pub(super) revocations: u64,
}

/// What the listener says to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Why it does not take the dialler's passport; `None` if it does, or if none was shown.
    pub(super) verdict: Option<Reject>,
    /// Its own passport; `None` if it has none.
    pub(super) passport: Option<Unverified<Passport>>,
    /// The sequence of its revocation list; zero without one.
    pub(super) revocations: u64,
}

/// What the dialler says last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Close {
    /// Why it does not take the listener's passport; `None` if it does, or if none was shown.
    pub(super) verdict: Option<Reject>,
    /// Its revocation list, if the listener's is older.
    pub(super) list: Option<Unverified<RevocationList>>,
}

/// The listener's revocation list, if the dialler's is older.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct List {
    /// The list.
    pub(super) list: Unverified<RevocationList>,
}

/// Everything that a node announces: the only message of `/madang/sites/1`, from the listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::mesh) struct Sites {
    /// The announcements.
    pub(in crate::mesh) announcements: Vec<Unverified<Announcement>>,
}

impl Message for Sites {
    const BYTES_MAX: usize = SITES_PER_DEVICE_MAX * ANNOUNCEMENT_BYTES_MAX + MARGIN;
}

impl Message for Opening {
    const BYTES_MAX: usize = SMALL_BYTES_MAX;
}

impl Message for Answer {
    const BYTES_MAX: usize = SMALL_BYTES_MAX;
}

impl Message for Close {
    const BYTES_MAX: usize = LARGE_BYTES_MAX;
}

impl Message for List {
    const BYTES_MAX: usize = LARGE_BYTES_MAX;
}

/// Why a message did not come.
#[derive(Debug)]
pub(in crate::mesh) enum ReadError {
    /// The stream broke or ended.
    Io(io::Error),
    /// What came is not the message.
    Refused(Reject),
}

/// Writes one message.
///
/// # Errors
/// Those of the stream.
pub(in crate::mesh) async fn write<M: Message>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
) -> io::Result<()> {
    let payload = codec::encode(message);
    let length = u32::try_from(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut octets = Vec::with_capacity(4 + payload.len());
    octets.extend_from_slice(&length.to_le_bytes());
    octets.extend_from_slice(&payload);
    stream.write_all(&octets).await?;
    stream.flush().await
}

/// Reads one message. No more room is taken than has arrived, so that a length that lies costs its sender the octets.
///
/// # Errors
/// [`ReadError`]
pub(in crate::mesh) async fn read<M: Message>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<M, ReadError> {
    let mut length = [0; 4];
    stream
        .read_exact(&mut length)
        .await
        .map_err(ReadError::Io)?;
    let length = u32::from_le_bytes(length);
    if length as usize > M::BYTES_MAX {
        return Err(ReadError::Refused(Reject::RECORD_TOO_LARGE));
    }
    let mut payload = Vec::new();
    stream
        .take(u64::from(length))
        .read_to_end(&mut payload)
        .await
        .map_err(ReadError::Io)?;
    if payload.len() < length as usize {
        return Err(ReadError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    codec::decode(&payload, M::BYTES_MAX).map_err(|error| ReadError::Refused(error.into()))
}
