//! The anchor of a Madang network: who is a subscriber, who is online, and what everybody owes.
//!
//! * [`app`]: the anchor as a whole; [`cli`]: the program around it; [`operator`]: its operator's commands.
//! * [`broker`]: X-Broker, the calls of `madang_protocol::broker`; [`problem`] is what its refusals look like over HTTP.
//! * [`ledger`]: money as a state machine; [`store`]: where it is kept.
//! * [`billing`]: what leaves for other programs and for paper.
//! * [`vault`]: what is kept on persons, sealed.
//! * [`edge`]: connections, before anything is known about who is on them.
//! * [`config`], [`home`], [`keys`], [`network`], [`clock`]: what an anchor is built from; [`open`] opens its home. [`metrics`]: what it counts.

pub mod app;
pub mod billing;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod edge;
pub mod home;
pub mod keys;
pub mod ledger;
pub mod metrics;
pub mod network;
pub mod open;
pub mod operator;
pub mod problem;
pub mod store;
pub mod vault;
