//! X-Broker: admits subscribers, knows who is online, grants credit, takes receipts. The calls are those of `madang_protocol::broker`.

mod bootstrap;
mod call;
pub(crate) mod describe;
pub mod descriptor;
pub mod directory;
mod enrol;
pub(crate) mod follower;
mod money;
pub mod password;
mod peer_id;
mod presence;
mod query;
pub mod routes;
pub mod service;
mod sign_in;
pub mod throttle;
pub mod work;
