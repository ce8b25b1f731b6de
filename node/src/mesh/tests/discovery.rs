//! The directory and gossip between real nodes.

use super::*;

#[tokio::test]
async fn records_and_providers_are_found_at_those_who_serve_the_directory() {
    let (left, right) = pair(Transport::Memory).await;
    right.handle().serve_directory(true).await.unwrap();
    let (peer, address) = (right.handle().peer_id(), addresses(&right).await[0].clone());
    left.handle()
        .add_directory_peer(peer, address.clone())
        .await
        .unwrap();
    let third = node(3, Transport::Memory);
    third
        .handle()
        .add_directory_peer(peer, address)
        .await
        .unwrap();
    let hour = Duration::from_secs(3_600);
    timeout(
        PATIENCE,
        left.handle()
            .put_record(b"key".to_vec(), b"value".to_vec(), hour),
    )
    .await
    .unwrap()
    .unwrap();
    // A provider without a confirmed address is announced, and then not told to anyone.
    left.handle()
        .add_external_address(addresses(&left).await[0].clone())
        .await
        .unwrap();
    timeout(PATIENCE, left.handle().provide(b"thing".to_vec()))
        .await
        .unwrap()
        .unwrap();
    let found = timeout(PATIENCE, third.handle().get_records(b"key".to_vec()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        found,
        [FoundRecord {
            value: b"value".to_vec(),
            holder: Some(peer)
        }]
    );
    // Nobody acknowledges an announced provider: it may still be on its way.
    let providers = async {
        loop {
            let found = third.handle().providers(b"thing".to_vec()).await.unwrap();
            if !found.is_empty() {
                return found;
            }
        }
    };
    let providers = timeout(PATIENCE, providers).await.unwrap();
    assert_eq!(providers, [left.handle().peer_id()]);
    assert!(
        third
            .handle()
            .get_records(b"other".to_vec())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn nothing_is_stored_for_peers_unless_the_policy_says_so() {
    let mut strict = config(2, Transport::Memory);
    strict.policy = Box::new(RefuseAll);
    let (left, right) = (node(1, Transport::Memory), Mesh::build(strict).unwrap());
    right.handle().serve_directory(true).await.unwrap();
    let (peer, address) = (right.handle().peer_id(), addresses(&right).await[0].clone());
    left.handle()
        .add_directory_peer(peer, address.clone())
        .await
        .unwrap();
    let hour = Duration::from_secs(3_600);
    timeout(
        PATIENCE,
        left.handle()
            .put_record(b"key".to_vec(), b"value".to_vec(), hour),
    )
    .await
    .unwrap()
    .unwrap();
    let third = node(3, Transport::Memory);
    third
        .handle()
        .add_directory_peer(peer, address)
        .await
        .unwrap();
    assert!(
        timeout(PATIENCE, third.handle().get_records(b"key".to_vec()))
            .await
            .unwrap()
            .unwrap()
            .is_empty()
    );
}

/// Publishes until a peer follows the topic; subscriptions travel after connections.
async fn publish(node: &Mesh, topic: &str, data: &[u8]) {
    let publish = async {
        while let Err(error) = node.handle().publish(topic, data.to_vec()).await {
            assert_eq!(error, PublishError::NoPeers);
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, publish).await.unwrap();
}

#[tokio::test]
async fn gossip_is_judged_before_it_is_forwarded() {
    // A line of three: what the last one hears was forwarded by the one between.
    let (first, last) = (node(1, Transport::Memory), node(3, Transport::Memory));
    let policy = AllowAll::default();
    let mut middle = config(2, Transport::Memory);
    middle.policy = Box::new(policy.clone());
    let middle = Mesh::build(middle).unwrap();
    acquaint(&first, &middle).await;
    acquaint(&last, &middle).await;
    let mut heard = last.handle().subscribe("news").await.unwrap();
    let _followed = (
        middle.handle().subscribe("news").await.unwrap(),
        first.handle().subscribe("news").await.unwrap(),
    );
    let peer = middle.handle().peer_id();
    first.handle().dial(peer, Vec::new()).await.unwrap();
    last.handle().dial(peer, Vec::new()).await.unwrap();
    publish(&first, "news", b"bad news").await;
    publish(&first, "news", b"good news").await;
    // The message reaches the last one at once, or by a later heartbeat's gossip.
    let message = timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(
        message,
        GossipMessage {
            source: peer,
            data: b"good news".to_vec()
        }
    );
    assert_eq!(policy.judged.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn another_network_shares_no_gossip() {
    let left = node(1, Transport::Memory);
    let mut other = config(2, Transport::Memory);
    other.network = "ffff".to_owned();
    let right = Mesh::build(other).unwrap();
    let _followed = right.handle().subscribe("news").await.unwrap();
    left.handle()
        .dial(right.handle().peer_id(), addresses(&right).await)
        .await
        .unwrap();
    assert_eq!(
        left.handle().publish("news", b"hello".to_vec()).await,
        Err(PublishError::NoPeers)
    );
}

/// Counts gossipsub's heartbeats by what each says about a topic without peers.
struct Heartbeats(tokio::sync::watch::Sender<usize>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Heartbeats {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct IsHeartbeat(bool);
        impl tracing::field::Visit for IsHeartbeat {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 |= format!("{value:?}").starts_with("HEARTBEAT: Mesh low");
            }
        }
        let mut is_heartbeat = IsHeartbeat(false);
        event.record(&mut is_heartbeat);
        if is_heartbeat.0 {
            self.0.send_modify(|count| *count += 1);
        }
    }
}

#[tokio::test]
async fn gossip_keeps_its_heartbeat_in_an_idle_swarm() {
    use tracing_subscriber::layer::SubscriberExt as _;
    let (sender, mut heartbeats) = tokio::sync::watch::channel(0);
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(Heartbeats(sender)));
    let idle = node(1, Transport::Memory);
    let _lonely = idle.handle().subscribe("news").await.unwrap();
    // One a second; left to itself, gossipsub stalls after the second.
    timeout(PATIENCE, heartbeats.wait_for(|count| *count >= 4))
        .await
        .unwrap()
        .unwrap();
}
