//! The records and rules that two parties of Madang must agree on.
//!
//! This crate performs no input or output, reads no clock, draws no random number and knows no runtime: time, keys and identifiers come in
//! as arguments. Whatever node and anchor must decide alike is decided here, once.
//!
//! * [`ids`], [`amount`], [`time`], [`name`], [`limits`]: the vocabulary.
//! * [`codec`] and [`sealed`]: how a record becomes signed bytes, and the only way back.
//! * [`reject`]: every refusal, numbered.
//! * [`record`]: what is signed.
//! * [`rules`]: pure decisions over records.
//! * [`session`]: the two ends of a paying session as state machines.
//! * [`broker`]: what a node and the anchor say to each other.

pub mod amount;
pub mod broker;
pub mod codec;
pub mod ids;
pub mod keyword;
pub mod limits;
pub mod name;
pub mod record;
pub mod reject;
pub mod rules;
pub mod sealed;
pub mod session;
pub mod time;
