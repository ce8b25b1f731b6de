//! HTTP/1.1 over byte streams: the server's end of one stream, a pool of client connections, and what every HTTP face
//! of the node shares.
//!
//! All of it works on any stream; in a node it is a stream of the mesh under `/http/1.1`.

mod pool;
mod refusal;
mod serve;
mod tunnel;

#[cfg(test)]
mod tests;

pub use pool::{FetchError, Pool, PoolLimits};
pub use refusal::{PROBLEM_MEDIA_TYPE, Refusal, problem};
pub use serve::{ServeError, serve};
pub use tunnel::{BoxDuplex, Duplex, Tunnel, splice};

/// The body of every answer, whatever it comes from.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, std::io::Error>;
