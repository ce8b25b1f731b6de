//! The mesh as a whole: names are found without an anchor, whatever comes and goes, and nobody's lies are believed.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::future::join_all;
use madang::mesh::directory::{Located, ResolveError, Way, announcement_key};
use madang::mesh::{Mesh, MeshConfig, Protocol, Transport};
use madang_protocol::{ids::PublicKey, name::SiteName, reject::Reject};
use madang_tests::harness::{Issuer, MeshNode, NodeConfig};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

fn site(text: &str) -> SiteName {
    text.parse().unwrap()
}

async fn start(handle: &str, device: u16, issuer: &Issuer, bootstrap: &[String]) -> MeshNode {
    MeshNode::start(NodeConfig::new(handle, device).unwrap(), issuer, bootstrap)
        .await
        .unwrap()
}

/// Nodes that enter by the first of them, each one's handle with its number; all have found the mesh.
async fn mesh_of(handles: &[&str], issuer: &Issuer) -> Vec<MeshNode> {
    let first = start(handles[0], 0, issuer, &[]).await;
    let entrance = [first.entrance()];
    let rest = handles
        .iter()
        .enumerate()
        .skip(1)
        .map(|(n, handle)| start(handle, n as u16, issuer, &entrance));
    let mut nodes = vec![first];
    nodes.extend(join_all(rest).await);
    for node in &nodes {
        assert!(timeout(PATIENCE, node.directory().ready()).await.unwrap());
    }
    nodes
}

/// Asks until the answer is `wanted`: what is announced takes a moment to arrive.
async fn resolve_until(
    node: &MeshNode,
    name: &SiteName,
    wanted: impl Fn(&Result<Vec<Located>, ResolveError>) -> bool,
) -> Result<Vec<Located>, ResolveError> {
    let mut between = tokio::time::interval(Duration::from_millis(100));
    let ask = async {
        loop {
            between.tick().await;
            let answer = node.directory().resolve(name).await;
            if wanted(&answer) {
                return answer;
            }
        }
    };
    timeout(PATIENCE, ask).await.unwrap()
}

#[tokio::test]
async fn three_nodes_find_a_name_without_an_anchor() {
    let nodes = mesh_of(&["alice", "bob", "carol"], &Issuer::new(1)).await;
    let blog = site("blog--alice");
    let announced = nodes[0].announce(&blog, &["weather"]).await.unwrap();
    for node in &nodes[1..] {
        let found = resolve_until(node, &blog, Result::is_ok).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&found[0].announcement, found[0].peer),
            (&announced, nodes[0].peer())
        );
        assert_eq!(found[0].passport.handle, *blog.handle());
        assert_eq!(
            node.directory().resolve(&site("nobody")).await,
            Err(ResolveError::Unknown)
        );
    }
    assert!(nodes[1].directory().passport_of(&nodes[0].peer()).is_some());
}

#[tokio::test]
async fn a_device_that_moves_is_found_again_and_a_second_one_takes_over() {
    let issuer = Issuer::new(3);
    let nodes = mesh_of(&["hub1", "bob", "carol", "dave"], &issuer).await;
    let entrance = [nodes[0].entrance()];
    let blog = site("blog--alice");
    let home = start("alice", 100, &issuer, &entrance).await;
    let laptop = start("alice", 101, &issuer, &entrance).await;
    for device in [&home, &laptop] {
        assert!(timeout(PATIENCE, device.directory().ready()).await.unwrap());
        device.announce(&blog, &[]).await.unwrap();
    }
    let (home_peer, laptop_peer) = (home.peer(), laptop.peer());
    let both = resolve_until(&nodes[1], &blog, |found| {
        found.as_ref().is_ok_and(|found| found.len() == 2)
    })
    .await;
    let places: Vec<_> = both.unwrap().into_iter().map(|one| one.peer).collect();
    assert!(places.contains(&home_peer) && places.contains(&laptop_peer));

    // The PC goes away as in a power cut: whoever dials it in vain is sent to the laptop.
    let home = home.kill();
    let answer = resolve_until(&nodes[1], &blog, |found| {
        let found = found.as_ref().unwrap();
        for one in found
            .iter()
            .filter(|one| one.peer == home_peer && !one.connected)
        {
            nodes[1].directory().unreachable(&one.peer);
        }
        found.len() == 1
    });
    assert_eq!(answer.await.unwrap()[0].peer, laptop_peer);

    // The laptop goes too: offline, and when it was last seen.
    let last_seen = laptop.now();
    drop(laptop.kill());
    let offline = resolve_until(&nodes[1], &blog, |found| {
        for one in found.iter().flatten().filter(|one| !one.connected) {
            nodes[1].directory().unreachable(&one.peer);
        }
        found.is_err()
    });
    let Err(ResolveError::Offline { last_seen: seen }) = offline.await else {
        panic!("a site that was announced is offline, not unknown");
    };
    assert!(last_seen.since(seen) < Duration::from_secs(300));

    // The PC comes back at another address, and is dialled there.
    let home = MeshNode::start(home, &issuer, &entrance).await.unwrap();
    assert!(timeout(PATIENCE, home.directory().ready()).await.unwrap());
    home.announce(&blog, &[]).await.unwrap();
    let back = resolve_until(&nodes[1], &blog, Result::is_ok)
        .await
        .unwrap();
    assert_eq!(back[0].peer, home_peer);
    let address: Vec<String> = home.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(back[0].announcement.addresses, address);
    nodes[1].mesh().dial(home_peer, Vec::new()).await.unwrap();
}

#[tokio::test]
async fn a_node_that_knows_only_remembered_peers_finds_the_mesh() {
    let issuer = Issuer::new(4);
    let mut nodes = mesh_of(&["alice", "bob", "carol"], &issuer).await;
    let blog = site("blog--alice");
    nodes[0].announce(&blog, &[]).await.unwrap();
    resolve_until(&nodes[2], &blog, Result::is_ok)
        .await
        .unwrap();
    let carol = nodes.pop().unwrap().stop().await;
    assert!(carol.peers_file().exists());
    let carol = MeshNode::start(carol, &issuer, &[]).await.unwrap();
    assert!(timeout(PATIENCE, carol.directory().ready()).await.unwrap());
    resolve_until(&carol, &blog, Result::is_ok).await.unwrap();
}

#[tokio::test]
async fn a_withdrawn_site_is_gone_everywhere() {
    let nodes = mesh_of(&["alice", "bob", "carol"], &Issuer::new(5)).await;
    let blog = site("blog--alice");
    nodes[0].announce(&blog, &[]).await.unwrap();
    resolve_until(&nodes[1], &blog, Result::is_ok)
        .await
        .unwrap();
    let withdrawal = nodes[0].announcement(&blog, |announcement| {
        announcement.expires = announcement.issued
    });
    nodes[0]
        .directory()
        .announce(vec![withdrawal])
        .await
        .unwrap();
    let gone = resolve_until(&nodes[1], &blog, Result::is_err).await;
    assert_eq!(gone, Err(ResolveError::Unknown));
    let gone = resolve_until(&nodes[2], &blog, Result::is_err).await;
    assert_eq!(gone, Err(ResolveError::Unknown));
}

#[tokio::test]
async fn a_keyword_leads_to_the_sites_that_announce_it() {
    let nodes = mesh_of(&["alice", "bob", "carol"], &Issuer::new(6)).await;
    nodes[0]
        .announce(&site("blog--alice"), &["날씨"])
        .await
        .unwrap();
    nodes[1]
        .announce(&site("news--bob"), &["날씨", "news"])
        .await
        .unwrap();
    let mut between = tokio::time::interval(Duration::from_millis(100));
    let search = async {
        loop {
            between.tick().await;
            let found = nodes[2].directory().search(" 날씨 ").await.unwrap();
            if found.len() == 2 {
                return found;
            }
        }
    };
    let found = timeout(PATIENCE, search).await.unwrap();
    let mut sites: Vec<_> = found
        .iter()
        .map(|one| one.announcement.site.to_string())
        .collect();
    sites.sort();
    assert_eq!(sites, ["blog--alice", "news--bob"]);
    assert!(
        nodes[2]
            .directory()
            .search("nothing of the kind")
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_revocation_reaches_everyone_and_ends_what_its_device_announced() {
    let issuer = Issuer::new(7);
    let nodes = mesh_of(&["mallory", "alice", "bob"], &issuer).await;
    let shop = site("store--mallory");
    nodes[0].announce(&shop, &[]).await.unwrap();
    resolve_until(&nodes[2], &shop, Result::is_ok)
        .await
        .unwrap();
    let device = PublicKey::of(nodes[0].key());
    let list = issuer.revocations(1, vec![device], nodes[1].now());
    nodes[1].keeper().take_revocations(list).unwrap();
    let mut standing = nodes[2].keeper().subscribe();
    timeout(
        PATIENCE,
        standing.wait_for(|standing| standing.revocations.is_some()),
    )
    .await
    .unwrap()
    .unwrap();
    resolve_until(&nodes[2], &shop, Result::is_err)
        .await
        .unwrap_err();
    assert!(nodes[2].directory().passport_of(&nodes[0].peer()).is_none());
}

/// A peer of the mesh's own protocols that says what no honest program says.
#[tokio::test]
async fn hostile_hellos_leave_a_stranger_and_harm_nobody() {
    let issuer = Issuer::new(8);
    let nodes = mesh_of(&["alice", "bob"], &issuer).await;
    let cases = [
        (Some(vec![0xff; 64]), Reject::RECORD_TOO_LARGE),
        (
            Some([8_u32.to_le_bytes(), [0xff; 4], [0xff; 4]].concat()),
            Reject::RECORD_MALFORMED,
        ),
        // One that says nothing: what is refused is its neighbour's, and it waits out its time.
        (None, Reject::RECORD_MALFORMED),
    ];
    let target = nodes[0].peer();
    let mut kept = Vec::new();
    for (seed, (octets, reject)) in (0x61..).zip(cases) {
        let mut config = MeshConfig::new([seed; 32], &issuer.network().to_string());
        config.transports = vec![Transport::Memory];
        let mesh = Mesh::build(config).unwrap();
        let hostile = mesh.handle();
        hostile.dial(target, nodes[0].addresses()).await.unwrap();
        let mut stream = hostile.open(target, Protocol::Hello).await.unwrap();
        stream.write_all(&octets.unwrap_or_default()).await.unwrap();
        stream.flush().await.unwrap();
        let mut between = tokio::time::interval(Duration::from_millis(50));
        let refused = async {
            while nodes[0].directory().refusals().count(Way::Hello, reject) == 0 {
                between.tick().await;
            }
        };
        timeout(PATIENCE, refused).await.unwrap();
        assert!(
            nodes[0]
                .directory()
                .passport_of(&hostile.peer_id())
                .is_none()
        );
        kept.push((mesh, stream));
    }
    // The others do not notice.
    let blog = site("blog--alice");
    nodes[0].announce(&blog, &[]).await.unwrap();
    resolve_until(&nodes[1], &blog, Result::is_ok)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_poisoned_directory_gives_nobody_a_false_answer() {
    let issuer = Issuer::new(9);
    let nodes = mesh_of(&["alice", "bob", "carol"], &issuer).await;
    let blog = site("blog--alice");
    let first = nodes[0].announce(&blog, &[]).await.unwrap();
    resolve_until(&nodes[2], &blog, Result::is_ok)
        .await
        .unwrap();
    // Bob stores what he likes under Alice's key: his own word, hers bent, an older one of hers, too much.
    let key = announcement_key(&blog, &PublicKey::of(nodes[0].key()));
    let mut bent = first.to_bytes();
    *bent.last_mut().unwrap() ^= 1;
    let older = nodes[0].announcement(&blog, |announcement| announcement.sequence = 1);
    let own = nodes[1].announcement(&site("blog--bob"), |_| {});
    for value in [own.to_bytes(), older.to_bytes(), vec![0; 4_096], bent] {
        let _ = nodes[1]
            .mesh()
            .put_record(key.clone(), value, Duration::from_secs(3_600))
            .await;
    }
    let count = |reject| {
        nodes
            .iter()
            .map(|node| node.directory().refusals().count(Way::Record, reject))
            .sum::<u64>()
    };
    let mut between = tokio::time::interval(Duration::from_millis(50));
    let refused = async {
        while count(Reject::SIGNATURE_WRONG) + count(Reject::RECORD_MALFORMED) == 0 {
            between.tick().await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
    let dave = start("dave", 3, &issuer, &[nodes[0].entrance()]).await;
    assert!(timeout(PATIENCE, dave.directory().ready()).await.unwrap());
    for node in [&nodes[0], &nodes[2], &dave] {
        let found = resolve_until(node, &blog, Result::is_ok).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].announcement, first);
    }
}

#[expect(clippy::print_stdout, reason = "it reports what it measured")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_nodes_find_each_others_names_with_few_connections() {
    const NODES: usize = 50;
    const NAMES_EACH: usize = 2;
    const IDLE_CONNECTIONS: usize = 40;
    let began = Instant::now();
    let handles: Vec<String> = (0..NODES).map(|n| format!("person{n}")).collect();
    let handles: Vec<&str> = handles.iter().map(String::as_str).collect();
    let nodes = mesh_of(&handles, &Issuer::new(2)).await;
    let meshed = began.elapsed();

    let sites: Vec<SiteName> = handles.iter().map(|handle| site(handle)).collect();
    for (node, site) in nodes.iter().zip(&sites) {
        node.announce(site, &[]).await.unwrap();
    }
    let searching = Instant::now();
    let wanted = nodes.iter().enumerate().flat_map(|(n, node)| {
        let names = (1..=NAMES_EACH).map(move |step| (n + step * 7) % NODES);
        names.map(move |of| (node, of))
    });
    let searches = wanted.map(|(node, of)| {
        let (site, peer) = (&sites[of], nodes[of].peer());
        async move {
            let asked = Instant::now();
            let found = resolve_until(node, site, Result::is_ok).await.unwrap();
            assert_eq!(found[0].peer, peer);
            asked.elapsed()
        }
    });
    let mut took: Vec<Duration> = futures::stream::iter(searches)
        .buffer_unordered(4)
        .collect()
        .await;
    let searched = searching.elapsed();
    took.sort_unstable();

    let connections = || -> Vec<usize> {
        let count = |node: &MeshNode| {
            let (known, strangers) = node.directory().connected();
            known + strangers
        };
        nodes.iter().map(count).collect()
    };
    let busy = connections();
    let settling = Instant::now();
    let mut between = tokio::time::interval(Duration::from_millis(250));
    let settled = async {
        while connections().iter().any(|count| *count > IDLE_CONNECTIONS) {
            between.tick().await;
        }
    };
    timeout(PATIENCE, settled).await.unwrap();
    let idle = connections();
    println!(
        "{NODES} nodes: meshed in {meshed:.1?}; {} names found in {searched:.1?}, median {:.1?}, longest {:.1?}; \
         connections {} at most, and after {:.1?} {} at most, {} on average",
        took.len(),
        took[took.len() / 2],
        took[took.len() - 1],
        busy.iter().max().unwrap(),
        settling.elapsed(),
        idle.iter().max().unwrap(),
        idle.iter().sum::<usize>() / NODES,
    );
}
