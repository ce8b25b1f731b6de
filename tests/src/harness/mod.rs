//! Many nodes in one process, every part the real one.
//!
//! * [`World`]: an anchor and the nodes of its subscribers, as their daemons build them, on loopback.
//! * [`Street`]: such a world with a seller and a buyer who has found it.
//! * [`Application`]: a local application behind a node's site, which remembers what it was asked.
//! * [`MeshNode`]: a node as far as the mesh and the directory, on memory transport, with an [`Issuer`] that signs without an anchor.

mod application;
mod issuer;
mod mesh_node;
mod pc;
mod street;
mod world;

pub use application::{Application, Asked};
pub use issuer::Issuer;
pub use mesh_node::{MeshNode, NodeConfig};
pub use pc::{Got, Pc, folder, get, read, serving};
pub use street::{PAID_IN, Street, by_the_mib, sum, total, won};
pub use world::{COMMISSION_BP, HUB, PATIENCE, TAX_BP, World, eventually};
