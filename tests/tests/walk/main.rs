//! What a person types, as a shell runs it: real processes in a folder of their own.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

mod readme;
mod service;
mod tls;
mod yard;
