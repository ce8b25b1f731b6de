//! Many nodes in one process, on memory transport, with an issuer that signs without an anchor.
//!
//! Every part is the real one; only the issuer's key is at hand here, as it is in an anchor.

mod issuer;
mod mesh_node;

pub use issuer::Issuer;
pub use mesh_node::{MeshNode, NodeConfig};
