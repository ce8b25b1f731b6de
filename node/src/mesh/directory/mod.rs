//! The directory: what is found by name, from whom it is believed, and how it spreads.
//!
//! A site is announced by each device that serves it: a signed record in Kademlia under the hash of site and device, a provider under the hash
//! of the site, one under each of its keywords, and a gossiped message when something changes. Nothing of this is believed because of who
//! passed it on: [`verifier`] judges all of it, before it is stored for others and again when it is read.
//!
//! Code map: [`handle`] ([`Directory`], what the rest of the node holds), [`service`] (the task behind it) with [`jobs`] (what it starts),
//! [`shared`] (what they know together), [`policy`] (what peers may make us store and pass on), [`cache`], [`store`], [`keys`], [`lookup`],
//! and the schedules [`announcer`] and [`bootstrap`].

mod announcer;
mod bootstrap;
mod cache;
mod handle;
mod jobs;
mod keys;
mod lookup;
mod policy;
mod refusals;
mod service;
pub(super) mod shared;
pub(super) mod store;
pub(super) mod verifier;

#[cfg(test)]
mod tests;

pub use handle::{
    Directory, DirectoryConfig, Located, Prepared, ResolveError, Running, StartError,
};
pub use keys::announcement_key;
pub use refusals::{Refusals, Way};
