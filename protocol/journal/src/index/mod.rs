//! The index of the current rows: sled, told how far it has come, and checked before it is believed.
//!
//! It is never the only copy of anything. Whatever goes wrong in it, an error or a panic, ends in an `IndexError`, and
//! the rows are made anew from the journal.

mod digest;
mod engine;
mod filter;
mod meta;
mod rows;
mod scan;
pub(crate) mod seal;

pub use engine::IndexError;
#[cfg(test)]
pub(crate) use engine::{Engine, Visit};
pub(crate) use engine::{Opener, Scan, is_let_go, open_sled};
pub(crate) use meta::Applied;
pub(crate) use rows::Index;
pub use rows::Unsound;
