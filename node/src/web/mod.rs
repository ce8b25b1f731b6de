//! What every HTTP face of the node shares.

/// The body of every answer, whatever it comes from.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, std::io::Error>;
