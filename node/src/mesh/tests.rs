//! Tests of the mesh with real swarms, on loopback and in memory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use libp2p::kad::{ProviderRecord, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;

mod discovery;

const NETWORK: &str = "00c0ffee";
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Stores and forwards everything, as only a test may.
#[derive(Clone, Default)]
struct AllowAll {
    judged: Arc<AtomicUsize>,
}

impl Policy for AllowAll {
    fn store_record(&mut self, record: Record, _: PeerId, _: Option<&Record>) -> Option<Record> {
        Some(record)
    }

    fn store_provider(&mut self, record: ProviderRecord) -> Option<ProviderRecord> {
        Some(record)
    }

    fn judge_message(&mut self, _: &str, data: &[u8], _: PeerId) -> Verdict {
        self.judged.fetch_add(1, Ordering::SeqCst);
        if data.starts_with(b"bad") {
            Verdict::Reject
        } else {
            Verdict::Accept
        }
    }
}

/// A node on an address that the system chooses.
pub(crate) fn node(seed: u8, transport: Transport) -> Mesh {
    Mesh::build(config(seed, transport)).unwrap()
}

fn config(seed: u8, transport: Transport) -> MeshConfig {
    let mut config = MeshConfig::new([seed; 32], NETWORK);
    config.transports = vec![transport];
    config.policy = Box::new(AllowAll::default());
    config.listen.push(
        match transport {
            Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
            Transport::TcpTls | Transport::TcpNoise => "/ip4/127.0.0.1/tcp/0",
            Transport::Memory => "/memory/0",
        }
        .parse()
        .unwrap(),
    );
    config
}

/// Where a node listens.
pub(crate) async fn addresses(node: &Mesh) -> Vec<Multiaddr> {
    let mut listening = node.handle().listen_addresses();
    timeout(
        PATIENCE,
        listening.wait_for(|addresses| !addresses.is_empty()),
    )
    .await
    .unwrap()
    .unwrap()
    .clone()
}

/// Two nodes; the first knows the second's address.
pub(crate) async fn pair(transport: Transport) -> (Mesh, Mesh) {
    let (left, right) = (node(1, transport), node(2, transport));
    acquaint(&left, &right).await;
    (left, right)
}

async fn acquaint(left: &Mesh, right: &Mesh) {
    left.handle()
        .add_addresses(right.handle().peer_id(), addresses(right).await)
        .await
        .unwrap();
}

const ALL: [Transport; 4] = [
    Transport::Memory,
    Transport::TcpTls,
    Transport::TcpNoise,
    Transport::Quic,
];

#[tokio::test]
async fn a_stream_carries_bytes_both_ways_over_every_transport() {
    for transport in ALL {
        let (left, right) = pair(transport).await;
        let mut incoming = right.handle().accept(Protocol::Session).await.unwrap();
        let sent: Vec<u8> = (0..3_000_000_u32)
            .map(|i| i.to_le_bytes()[i as usize % 3])
            .collect();
        let expected = sent.clone();
        let echo = async {
            let mut stream = incoming.next().await.unwrap();
            assert_eq!(stream.peer(), left.handle().peer_id());
            assert!(!stream.is_relayed());
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            stream.write_all(&bytes).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let ask = async {
            let mut stream = left
                .handle()
                .open(right.handle().peer_id(), Protocol::Session)
                .await
                .unwrap();
            stream.write_all(&sent).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            bytes
        };
        let ((), received) = timeout(PATIENCE, async { tokio::join!(echo, ask) })
            .await
            .unwrap();
        assert!(received == expected, "over {transport:?}");
        left.shutdown().await;
        right.shutdown().await;
    }
}

#[tokio::test]
async fn a_burst_of_64_streams_on_one_connection_is_served() {
    for transport in ALL {
        let (left, right) = pair(transport).await;
        let mut incoming = right.handle().accept(Protocol::Hello).await.unwrap();
        let peer = right.handle().peer_id();
        let opened = join_all((0..64_u8).map(|number| {
            let handle = left.handle();
            async move {
                let mut stream = handle.open(peer, Protocol::Hello).await.unwrap();
                stream.write_all(&[number]).await.unwrap();
                stream.flush().await.unwrap();
                stream
            }
        }));
        let taken = async {
            let mut numbers = Vec::new();
            for _ in 0..64 {
                numbers.push(incoming.next().await.unwrap().read_u8().await.unwrap());
            }
            numbers.sort_unstable();
            numbers
        };
        let (_streams, numbers) = timeout(PATIENCE, async { tokio::join!(opened, taken) })
            .await
            .unwrap();
        assert_eq!(numbers, (0..64).collect::<Vec<u8>>(), "over {transport:?}");
        assert_eq!(left.handle().connected_peers().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn streams_beyond_the_queue_are_reset_and_the_others_live_on() {
    let mut small = config(2, Transport::Memory);
    small.limits.streams_queued = 4;
    let (left, right) = (node(1, Transport::Memory), Mesh::build(small).unwrap());
    acquaint(&left, &right).await;
    let mut incoming = right.handle().accept(Protocol::Hello).await.unwrap();
    let peer = right.handle().peer_id();
    let mut streams = Vec::new();
    for number in 0..10 {
        let mut stream = left.handle().open(peer, Protocol::Hello).await.unwrap();
        stream.write_u8(number).await.unwrap();
        stream.flush().await.unwrap();
        streams.push(stream);
    }
    // Those that were refused end; those that wait do not.
    let refused = streams.split_off(4);
    for mut stream in refused {
        let end = timeout(PATIENCE, stream.read_u8()).await.unwrap();
        assert!(end.is_err(), "a refused stream ends");
    }
    for mut stream in streams {
        let mut inbound = timeout(PATIENCE, incoming.next()).await.unwrap().unwrap();
        let number = inbound.read_u8().await.unwrap();
        inbound.write_u8(number).await.unwrap();
        inbound.flush().await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), number);
    }
}

#[tokio::test]
async fn one_peer_cannot_hold_more_streams_than_its_limit() {
    let mut strict = config(2, Transport::Memory);
    strict.limits.streams_per_peer = 3;
    let (left, right) = (node(1, Transport::Memory), Mesh::build(strict).unwrap());
    acquaint(&left, &right).await;
    let mut incoming = right.handle().accept(Protocol::Hello).await.unwrap();
    let peer = right.handle().peer_id();
    let mut held = Vec::new();
    for number in 0..3 {
        let mut stream = left.handle().open(peer, Protocol::Hello).await.unwrap();
        stream.write_u8(number).await.unwrap();
        stream.flush().await.unwrap();
        held.push((
            stream,
            timeout(PATIENCE, incoming.next()).await.unwrap().unwrap(),
        ));
    }
    let mut fourth = left.handle().open(peer, Protocol::Hello).await.unwrap();
    fourth.write_u8(3).await.unwrap();
    fourth.flush().await.unwrap();
    assert!(timeout(PATIENCE, fourth.read_u8()).await.unwrap().is_err());
    // A place given back can be taken again.
    held.pop();
    let mut fifth = left.handle().open(peer, Protocol::Hello).await.unwrap();
    fifth.write_u8(4).await.unwrap();
    fifth.flush().await.unwrap();
    assert_eq!(
        timeout(PATIENCE, incoming.next())
            .await
            .unwrap()
            .unwrap()
            .read_u8()
            .await
            .unwrap(),
        4
    );
}

#[tokio::test]
async fn a_protocol_without_acceptor_shows_as_unsupported() {
    for transport in ALL {
        let (left, right) = pair(transport).await;
        let peer = right.handle().peer_id();
        let error = match left.handle().open(peer, Protocol::Session).await {
            Err(error) => error,
            Ok(mut stream) => {
                stream.write_all(b"hello").await.unwrap();
                let error = timeout(PATIENCE, stream.read_u8())
                    .await
                    .unwrap()
                    .unwrap_err();
                assert_eq!(
                    error.kind(),
                    std::io::ErrorKind::Unsupported,
                    "over {transport:?}"
                );
                // Whoever holds the other half of it may not know yet.
                assert!(stream.read_u8().await.is_err());
                assert!(stream.write_all(b"hello").await.is_err());
                assert!(stream.flush().await.is_err());
                assert!(stream.shutdown().await.is_err());
                OpenError::Unsupported
            }
        };
        assert_eq!(error, OpenError::Unsupported, "over {transport:?}");
    }
}

#[tokio::test]
async fn a_protocol_is_accepted_once() {
    let node = node(1, Transport::Memory);
    let _incoming = node.handle().accept(Protocol::Http).await.unwrap();
    assert_eq!(
        node.handle().accept(Protocol::Http).await.unwrap_err(),
        AcceptError::Taken
    );
}

#[tokio::test]
async fn a_peer_without_address_or_answer_is_unreachable() {
    let (left, right) = (node(1, Transport::TcpTls), node(2, Transport::TcpTls));
    let peer = right.handle().peer_id();
    assert_eq!(
        left.handle().open(peer, Protocol::Http).await.unwrap_err(),
        OpenError::Unreachable
    );
    assert_eq!(
        left.handle().dial(peer, Vec::new()).await.unwrap_err(),
        DialError::NoAddress
    );
    let gone = addresses(&right).await;
    right.shutdown().await;
    assert_eq!(
        left.handle().dial(peer, gone.clone()).await.unwrap_err(),
        DialError::Unreachable
    );
    // Someone else at that address is noticed.
    let mut other = config(3, Transport::TcpTls);
    other.listen = gone.clone();
    let other = Mesh::build(other).unwrap();
    addresses(&other).await;
    assert_eq!(
        left.handle().dial(peer, gone).await.unwrap_err(),
        DialError::WrongPeer
    );
}

#[tokio::test]
async fn coming_and_going_is_told() {
    let (left, right) = pair(Transport::TcpNoise).await;
    let peer = right.handle().peer_id();
    let mut events = left.handle().peer_events().unwrap();
    left.handle().dial(peer, Vec::new()).await.unwrap();
    let PeerEvent::Connected(connected) = timeout(PATIENCE, events.recv()).await.unwrap().unwrap()
    else {
        panic!("expected a connection")
    };
    assert_eq!(connected.peer, peer);
    assert!(connected.dialed && !connected.relayed);
    assert_eq!(left.handle().connected_peers().await.unwrap(), [connected]);
    left.handle().disconnect(peer).await.unwrap();
    assert_eq!(
        timeout(PATIENCE, events.recv()).await.unwrap().unwrap(),
        PeerEvent::Disconnected(peer)
    );
}

#[tokio::test]
async fn a_banned_peer_stays_out_until_it_is_forgiven() {
    let (left, right) = pair(Transport::Memory).await;
    let peer = right.handle().peer_id();
    left.handle().dial(peer, Vec::new()).await.unwrap();
    let mut events = left.handle().peer_events().unwrap();
    left.handle().ban(peer).await.unwrap();
    assert_eq!(
        timeout(PATIENCE, events.recv()).await.unwrap().unwrap(),
        PeerEvent::Disconnected(peer)
    );
    assert_eq!(
        left.handle().dial(peer, Vec::new()).await.unwrap_err(),
        DialError::Denied
    );
    left.handle().unban(peer).await.unwrap();
    left.handle()
        .dial(peer, addresses(&right).await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_closed_mesh_answers_closed() {
    let (left, right) = pair(Transport::Memory).await;
    let handle = left.handle();
    let peer = right.handle().peer_id();
    let mut incoming = handle.accept(Protocol::Http).await.unwrap();
    left.shutdown().await;
    assert!(handle.is_closed());
    assert_eq!(
        handle.open(peer, Protocol::Http).await.unwrap_err(),
        OpenError::Closed
    );
    assert_eq!(handle.dial(peer, Vec::new()).await, Err(DialError::Closed));
    assert_eq!(handle.connected_peers().await, Err(Closed));
    assert_eq!(
        handle.accept(Protocol::Hello).await.unwrap_err(),
        AcceptError::Closed
    );
    assert_eq!(
        handle.get_records(Vec::new()).await,
        Err(LookupError::Closed)
    );
    assert_eq!(
        handle.publish("news", Vec::new()).await,
        Err(PublishError::Closed)
    );
    assert!(handle.peer_events().is_err());
    assert!(incoming.next().await.is_none());
}

#[tokio::test]
async fn shutdown_ends_every_task() {
    for transport in ALL {
        let (left, right) = pair(transport).await;
        left.handle()
            .dial(right.handle().peer_id(), Vec::new())
            .await
            .unwrap();
        left.shutdown().await;
        right.shutdown().await;
    }
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let ended = async {
        while alive() > 0 {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        timeout(PATIENCE, ended).await.is_ok(),
        "{} tasks are left",
        alive()
    );
}

#[tokio::test]
async fn a_wrong_configuration_is_refused() {
    let mut wrong = config(1, Transport::Memory);
    wrong.network = "not hexadecimal".to_owned();
    assert!(matches!(Mesh::build(wrong), Err(BuildError::Network(_))));
    let mut wrong = config(1, Transport::Memory);
    wrong.transports.clear();
    assert!(matches!(Mesh::build(wrong), Err(BuildError::NoTransport)));
    let mut wrong = config(1, Transport::Memory);
    wrong.listen.push("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    assert!(matches!(Mesh::build(wrong), Err(BuildError::Listen { .. })));
}
