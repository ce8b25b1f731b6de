//! The anchor as its nodes and its operator see it: real HTTP, real sockets, real processes.

#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

mod calls;
mod edge;
mod harness;
mod http;
mod ledger;
mod money;
mod operator;
mod persons;
mod process;
mod refusals;
mod restart;
mod statistics;
