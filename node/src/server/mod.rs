//! The personal web server: where what a node serves comes from, who may have it, and what it costs.
//!
//! * [`folder`], [`upstream`]: files, and applications of the owner's.
//! * `server` routes a request to its site, past the till where its path has a price ([`meter`], `paid`); `visitor` knows who asks, `own` lets the owner in.
//! * `usage` counts for statistics, `head` says how a paid answer is named, `address` sends other spellings of a path to its one address, `alias` finds other
//!   ways to a file that has a price, `well_known` says what is served, `refusal` what is not.

mod address;
mod alias;
pub mod folder;
mod head;
pub mod meter;
mod own;
mod paid;
mod refusal;
#[expect(clippy::module_inception, reason = "it is the server of this folder")]
mod server;
mod site;
#[cfg(test)]
mod testing;
pub mod upstream;
mod usage;
mod visitor;
mod well_known;

pub use meter::Direction;
pub use own::own_way;
pub use server::{Server, ServerParts};
pub use well_known::TARIFF;
