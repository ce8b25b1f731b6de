//! An append-only, hash-chained journal that is the truth, and an index of rows that can be rebuilt from it.
//!
//! ```text
//! commit ── decide on the rows ── apply to memory ── queue ──▶ log file ── fdatasync ──▶ ticket ready
//!                                                                  └──▶ later, in batches ──▶ sled
//! start ── lock ── check sled's files or rows ── walk the log's end ── cut off a torn write ── apply what sled lacks, or all
//! ```
//!
//! - What was acknowledged is in the log, in order, each entry naming the hash of the one before. Damage to it stops the start.
//! - The rows are the fold of the entries by a `Schema`, and by nothing else: no other code writes rows.
//! - sled may lag, lose rows, alter them or panic: this is found at the start, by a digest over all rows or, after a clean stop, a seal over sled's files, and the rows are made anew.
//!
//! `log` is the truth, `index` is sled behind a checked interface, `state` is what is read, `core` connects the two threads,
//! `recover` brings an index to the journal's head.

mod cache;
mod core;
mod disk;
mod entries;
mod flusher;
mod index;
pub mod limits;
mod lock;
mod log;
mod options;
mod recover;
mod row;
mod rows;
mod state;
mod store;
mod ticket;
mod writer;

pub use disk::{Disk, DiskFile, RealDisk};
pub use entries::Entries;
pub use index::{IndexError, Unsound};
pub use log::{AppendError, Broken, Entry, Head, HeadMark, ScanError, WalkError};
pub use options::{OnProgress, Options, Progress};
pub use recover::{Rebuilt, ReplayError};
pub use row::{Row, RowError};
pub use rows::{ApplyError, Order, Reader, RowList, Rows, Schema};
pub use store::{CloseError, CommitError, OpenError, Payload, Recovery, Store, verify};
pub use ticket::{NotDurable, Ticket};
