//! Authentication and encryption of TCP connections: TLS 1.3 or Noise, in the order of the configuration.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncWrite, FutureExt};
use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use libp2p::core::UpgradeInfo;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise};
use thiserror::Error;

use super::config::{BuildError, Transport};
use super::tls;

/// Which of the two to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Tls,
    Noise,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Tls => "/tls/1.0.0",
            Scheme::Noise => "/noise",
        }
    }
}

impl AsRef<str> for Scheme {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

/// A handshake was not completed.
#[derive(Debug, Error)]
pub(super) enum SecurityError {
    #[error("TLS handshake")]
    Tls(#[source] io::Error),
    #[error("Noise handshake")]
    Noise(#[source] noise::Error),
}

/// The upgrade from a plain connection to an authenticated one.
#[derive(Clone)]
pub(super) struct Security {
    schemes: Vec<Scheme>,
    tls: tls::Configs,
    noise: noise::Config,
}

impl Security {
    /// Offers those of TLS and Noise that `transports` names, in their order; both for memory transport alone.
    pub(super) fn new(keypair: &Keypair, transports: &[Transport]) -> Result<Self, BuildError> {
        let wrong = |protocol, reason: String| BuildError::Protocol { protocol, reason };
        let mut schemes: Vec<_> = transports
            .iter()
            .filter_map(|transport| match transport {
                Transport::TcpTls => Some(Scheme::Tls),
                Transport::TcpNoise => Some(Scheme::Noise),
                Transport::Quic | Transport::Memory => None,
            })
            .collect();
        if schemes.is_empty() {
            schemes = vec![Scheme::Noise];
        }
        Ok(Self {
            schemes,
            tls: tls::Configs::new(keypair)?,
            noise: noise::Config::new(keypair)
                .map_err(|error| wrong("Noise", error.to_string()))?,
        })
    }
}

impl UpgradeInfo for Security {
    type Info = Scheme;
    type InfoIter = std::vec::IntoIter<Scheme>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.schemes.clone().into_iter()
    }
}

impl<C> InboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, Secured<C>);
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, io: C, scheme: Scheme) -> Self::Future {
        async move {
            match scheme {
                Scheme::Tls => {
                    let accepted = TlsAcceptor::from(self.tls.server).accept(io).await;
                    tls_secured(accepted.map(TlsStream::from))
                }
                Scheme::Noise => noise_secured(self.noise.upgrade_inbound(io, scheme.name()).await),
            }
        }
        .boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, Secured<C>);
    type Error = SecurityError;
    type Future = BoxFuture<'static, Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, io: C, scheme: Scheme) -> Self::Future {
        async move {
            match scheme {
                Scheme::Tls => {
                    let connector = TlsConnector::from(self.tls.client);
                    let connected = connector.connect(tls::no_name(), io).await;
                    tls_secured(connected.map(TlsStream::from))
                }
                Scheme::Noise => {
                    noise_secured(self.noise.upgrade_outbound(io, scheme.name()).await)
                }
            }
        }
        .boxed()
    }
}

fn tls_secured<C>(stream: io::Result<TlsStream<C>>) -> Result<(PeerId, Secured<C>), SecurityError> {
    let stream = stream.map_err(SecurityError::Tls)?;
    let peer = tls::peer(stream.get_ref().1)
        .map_err(|error| SecurityError::Tls(io::Error::other(error)))?;
    Ok((peer, Secured::Tls(Box::new(stream))))
}

fn noise_secured<C>(
    stream: Result<(PeerId, noise::Output<C>), noise::Error>,
) -> Result<(PeerId, Secured<C>), SecurityError> {
    let (peer, stream) = stream.map_err(SecurityError::Noise)?;
    Ok((peer, Secured::Noise(Box::new(stream))))
}

/// An authenticated, encrypted connection.
pub(super) enum Secured<C> {
    Tls(Box<TlsStream<C>>),
    Noise(Box<noise::Output<C>>),
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for Secured<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Secured::Tls(io) => Pin::new(io).poll_read(cx, buf),
            Secured::Noise(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Secured<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Secured::Tls(io) => Pin::new(io).poll_write(cx, buf),
            Secured::Noise(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Secured::Tls(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Secured::Noise(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Secured::Tls(io) => Pin::new(io).poll_flush(cx),
            Secured::Noise(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Secured::Tls(io) => Pin::new(io).poll_close(cx),
            Secured::Noise(io) => Pin::new(io).poll_close(cx),
        }
    }
}
