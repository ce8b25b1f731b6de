//! The ledger's events and rows in PostgreSQL, for several anchors at once.
//!
//! * [`schema`]: the tables, and how they come to be.
//! * [`link`]: one connection, and the statements it has prepared.
//! * [`view`]: rows as one transaction sees them; misses are gathered, so that a batch costs a few round trips and not one for each row.
//! * [`overlay`]: what a transaction has changed and not written yet.
//! * [`group`]: commands of many threads that share one transaction.
//! * [`engine`]: reads and commits, and what is tried again.
//! * [`chain`]: the hash chain over what this instance has written; [`events`]: all chains, to read.
//! * [`import`]: a folder's store as the beginning of a database.
//! * [`personal`]: the wrapped keys of personal data, apart from events and rows.
//! * [`connect`]: where the database is, and whose turn an instance's name is.

mod chain;
mod connect;
mod engine;
mod error;
mod events;
mod group;
mod import;
mod link;
mod overlay;
mod pending;
mod personal;
mod schema;
mod view;

pub use connect::PostgresOptions;
pub(super) use engine::Postgres;
pub use error::PostgresError;
pub(super) use import::Import;
pub(super) use personal::PgRoom;
pub(super) use view::PgView;
