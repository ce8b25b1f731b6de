//! The mesh as a whole: names are found without an anchor, whatever comes and goes, and nobody's lies are believed.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

use std::time::Duration;

use futures::future::join_all;
use madang::mesh::directory::{Located, ResolveError};
use madang_protocol::name::SiteName;
use madang_tests::harness::{Issuer, MeshNode, NodeConfig};
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
