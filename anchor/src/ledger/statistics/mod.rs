//! Figures on all use, free use included: rolled up by day, month and year, so that any range is a bounded number of rows.
//!
//! A follower of the events sums what it meets into increments and writes them down as one event of its own, decided on how far the figures reach: two
//! followers never count twice, a kill between loses nothing, and nothing is added to the path of a settlement. What follows from the events alone is the
//! same whatever the steps, and whoever takes them.
//!
//! Where each number comes from, so that none is counted twice:
//!
//! | from | what |
//! | --- | --- |
//! | settlements | paid requests, octets and time, passes, grants used, all money; on the day (UTC) of the settlement |
//! | refunds of lines, disputes upheld | what was given back; on the day of that decision |
//! | nodes' usage reports | free requests, connections, all octets served (free and paid); on the report's own day, the difference to the report before |
//! | sign-ins, enrolments | sign-ins by kind |
//! | calls and receipts that are refused | refusals by code; those of calls are counted in memory, and what one interval holds is lost by a kill |
//!
//! * L-45 The sums over all days are what the books say was moved by settlements and given back, up to where the figures reach.
//! * L-46 Increments are added where nothing was rolled up since they were summed, or not at all.
//!
//! Rows name accounts by their identifiers and sites by account and part, never by handle: what is left of a person who leaves is a pseudonym.
//!
//! * [`figures`], [`subject`], [`span`]: what is counted, of what, over which time.
//! * [`cursor`]: how far the figures reach. [`gather`], [`reported`]: from events to increments. [`rolled_up`]: from increments to rows.
//! * [`query`], [`holds`]: what is told. [`check`]: L-45.

pub mod check;
pub mod cursor;
pub mod figures;
pub mod gather;
pub mod holds;
pub mod query;
mod reported;
pub mod rolled_up;
pub(super) mod seen;
pub mod span;
pub mod subject;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
