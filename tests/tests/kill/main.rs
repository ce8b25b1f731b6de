//! kill −9, at random moments: no acknowledged settlement is lost, none is applied twice, and every store opens again.
//!
//! - [`anchor`]: an anchor's process, 150 times, while subscribers buy and settle over HTTP, and while it starts.
//! - [`node`]: a process that writes a node's store, 50 times.
//! - [`daemons`]: a seller's, a buyer's and the anchor's process, 24 times, while one downloads from the other and pays.
//! - [`opener`]: a process that only opens its store, 1,500 times.
//!
//! A run prints its seed; [`dice::SEED_VARIABLE`] replays its choices, though not what the machine makes of them.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

mod anchor;
mod books;
mod daemons;
mod dice;
mod node;
mod opener;
mod stall;
mod victim;
mod wire;
