//! The node's daemon and its commands, as libraries and as real processes, against a double of the anchor.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

mod broker;
mod life;
mod mistakes;
mod process;
mod support;
