//! The anchor's store: the ledger's events in a journal, its rows in an index.
//!
//! [`Embedded`](embedded::Embedded) has one method for each thing that the anchor does, in the domain's words. A method that changes
//! something returns after the change is durable, and blocks its thread until then; many at once share one fsync.
//! An error other than a refusal means "unknown": the caller asks again with the same identifier.

pub mod embedded;
pub mod error;

mod accounts;
mod grants;
mod parallel;
mod rows;
mod settling;
mod upkeep;
mod wallets;

pub use accounts::{Authorised, NewAccount, NewDevice};
