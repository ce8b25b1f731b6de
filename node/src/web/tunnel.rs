//! What a connection becomes after it changed its protocol (101): a stream both ways, and the joining of two of them.

use std::{fmt, future::Future, io, pin::Pin, sync::Arc};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};

/// Octets of each direction's buffer in [`splice`].
const BUFFER_BYTES: usize = 64 * 1024;

/// A stream both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Any stream both ways.
pub type BoxDuplex = Box<dyn Duplex>;

type Opening = Pin<Box<dyn Future<Output = io::Result<BoxDuplex>> + Send>>;

/// The far end of an answer 101, which travels in the answer's extensions and is taken out once.
#[derive(Clone)]
pub struct Tunnel(Arc<Mutex<Option<Opening>>>);

impl Tunnel {
    /// A far end that `opening` gives as soon as the change of protocol is complete.
    pub fn new(opening: impl Future<Output = io::Result<BoxDuplex>> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(opening)))))
    }

    /// Waits for the far end.
    ///
    /// # Errors
    /// Of the change of protocol; `NotConnected` when the far end was taken already.
    pub async fn open(&self) -> io::Result<BoxDuplex> {
        let opening = self.0.lock().take();
        match opening {
            Some(opening) => opening.await,
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tunnel")
    }
}

/// Joins two streams until both directions have ended; the end of one direction is passed on and leaves the other open.
///
/// # Errors
/// Of either stream.
pub async fn splice(mut near: impl Duplex, mut far: impl Duplex) -> io::Result<()> {
    copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER_BYTES, BUFFER_BYTES)
        .await
        .map(|_| ())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test]
    async fn one_directions_end_leaves_the_other_open() {
        let (mut browser, near) = duplex(64);
        let (far, mut application) = duplex(64);
        let joined = tokio::spawn(splice(near, far));
        browser.write_all(b"question").await.unwrap();
        browser.shutdown().await.unwrap();
        let mut heard = Vec::new();
        application.read_to_end(&mut heard).await.unwrap();
        application.write_all(b"answer").await.unwrap();
        application.shutdown().await.unwrap();
        let mut answered = Vec::new();
        browser.read_to_end(&mut answered).await.unwrap();
        assert_eq!(
            (heard.as_slice(), answered.as_slice()),
            (&b"question"[..], &b"answer"[..])
        );
        joined.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_far_end_is_taken_once() {
        let (far, _application) = duplex(64);
        let tunnel = Tunnel::new(async { Ok(Box::new(far) as BoxDuplex) });
        assert!(tunnel.open().await.is_ok());
        assert_eq!(
            tunnel.clone().open().await.err().map(|error| error.kind()),
            Some(io::ErrorKind::NotConnected)
        );
    }
}
