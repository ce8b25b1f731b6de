//! X-Broker: admits subscribers, knows who is online, grants credit, takes receipts. The calls are those of `madang_protocol::broker`.

pub mod directory;
pub mod password;
pub mod throttle;
pub mod work;
