//! Ways in which nodes are connected: QUIC, TCP, and memory for tests.
//!
//! Relayed connections, and secure WebSocket for browsers, join here when they come.

use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, MemoryTransport, OrTransport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport as _, dns, quic, tcp};

use super::config::{BuildError, Transport};
use super::muxer::Yamux;
use super::paced::Paced;
use super::security::Security;

/// Time for everything between a TCP connection and the first stream.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// All addresses of a peer are dialed at once, and the first connection wins. QUIC needs fewer round trips than TCP and
/// TLS, and would win; but a megabyte costs both nodes 3.6 ms of processor time over TCP with TLS, 3.7 ms with Noise and
/// 6.4 ms over QUIC (`datapath` benchmark). So TCP starts earlier, by what its further round trips cost on most paths.
const TCP_HEAD_START: Duration = Duration::from_millis(150);

type BoxedTransport = Boxed<(PeerId, StreamMuxerBox)>;

/// Builds the transports that `chosen` names, joined into one.
///
/// # Errors
/// [`BuildError::NoTransport`] if it names none.
pub(super) fn build(keypair: &Keypair, chosen: &[Transport]) -> Result<BoxedTransport, BuildError> {
    let uses = |wanted: &[Transport]| chosen.iter().any(|transport| wanted.contains(transport));
    let network = |chosen: &[Transport]| -> Result<Option<BoxedTransport>, BuildError> {
        let with_tcp = uses(&[Transport::TcpTls, Transport::TcpNoise]);
        let quic = uses(&[Transport::Quic]).then(|| quic_transport(keypair, with_tcp));
        let tcp = with_tcp.then(|| tcp_transport(keypair, chosen));
        Ok(quic.into_iter().chain(tcp.transpose()?).reduce(join))
    };
    let network = match network(chosen)?.map(with_names) {
        Some(Err(error)) => {
            tracing::warn!(%error, "no name resolution for peer addresses");
            network(chosen)?
        }
        Some(Ok(named)) => Some(named),
        None => None,
    };
    let memory = uses(&[Transport::Memory])
        .then(|| memory_transport(keypair))
        .transpose()?;
    network
        .into_iter()
        .chain(memory)
        .reduce(join)
        .ok_or(BuildError::NoTransport)
}

fn quic_transport(keypair: &Keypair, beside_tcp: bool) -> BoxedTransport {
    // libp2p's own windows (10 MB a stream, 15 MB a connection), 256 streams and 10 s of silence suit us.
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    if beside_tcp {
        Paced::new(quic, TCP_HEAD_START).boxed()
    } else {
        quic.boxed()
    }
}

fn tcp_transport(keypair: &Keypair, chosen: &[Transport]) -> Result<BoxedTransport, BuildError> {
    Ok(
        tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1Lazy)
            .authenticate(Security::new(keypair, chosen)?)
            .multiplex(Yamux)
            .timeout(UPGRADE_TIMEOUT)
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed(),
    )
}

fn memory_transport(keypair: &Keypair) -> Result<BoxedTransport, BuildError> {
    Ok(MemoryTransport::default()
        .upgrade(Version::V1Lazy)
        .authenticate(Security::new(keypair, &[Transport::TcpNoise])?)
        .multiplex(Yamux)
        .timeout(UPGRADE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed())
}

fn join(first: BoxedTransport, second: BoxedTransport) -> BoxedTransport {
    OrTransport::new(first, second)
        .map(|either, _| either.into_inner())
        .boxed()
}

/// Adds addresses with names (`/dns4/…`). Fails on a machine without a resolver's configuration.
fn with_names(transport: BoxedTransport) -> Result<BoxedTransport, std::io::Error> {
    Ok(dns::tokio::Transport::system(transport)?.boxed())
}
