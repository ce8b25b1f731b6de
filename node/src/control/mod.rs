//! Commands of a node's owner to the running daemon: HTTP with JSON over a Unix socket of mode 0600 in the home folder.
//!
//! * [`Listener`] is the daemon's end, [`Client`] the command line's; each looks at who owns the other.
//! * [`model`]: what is said. Amounts are decimal text in the main unit, times are RFC 3339.
//! * Refusals are problem documents (RFC 9457).

mod buy;
mod client;
mod due;
mod listener;
pub mod model;
mod problem;
mod routes;
mod shop;
mod told;

pub(crate) use buy::ANSWERED_BY;
pub use client::{CallError, Client, Streamed};
pub(crate) use client::{collect, judge};
pub(crate) use due::DUE_BEFORE;
pub use listener::{BindError, Listener};
pub use problem::Problem;
pub use shop::{Shop, ShopOf};
pub(crate) use told::{LENGTH, TOLD};
