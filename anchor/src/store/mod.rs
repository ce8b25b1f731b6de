//! The anchor's store: the ledger's events, and the rows that follow from them.
//!
//! [`Store`] has one method for each thing that the anchor does, in the domain's words. A method that changes
//! something returns after the change is durable, and blocks its thread until then; many at once share one fsync.
//! An error other than a refusal means "unknown": the caller asks again with the same identifier.
//!
//! Two engines run the same ledger: a journal with its index in one folder, and PostgreSQL.

pub mod error;

mod accounts;
mod anchor_store;
mod book_entries;
mod chains;
mod copy;
mod disputes;
mod engine;
mod events;
mod grants;
mod organisations;
mod parallel;
mod periods;
mod persons;
mod postgres;
mod remade;
mod rows;
mod settling;
mod statements;
mod statistics;
mod upkeep;
mod usage_deltas;
mod wallets;

pub use accounts::{Authorised, NewAccount, NewDevice};
pub use anchor_store::{Done, Options, Place, Store};
pub use chains::Walked;
pub use copy::{Copied, CopyError};
pub use persons::{Leaving, PersonalFiles};
pub use postgres::{PostgresError, PostgresOptions};
pub use remade::Remade;
pub use statistics::Step;
pub use usage_deltas::UsageDelta;
pub use wallets::{Money, NewAdjustment};
