//! The truth: entries in files of bounded size, each naming the hash of the one before.
//!
//! `entry` is the form of one entry, `segment` that of a file, `head` the mark that says how far acknowledgements went,
//! `walk` reads and checks, `scan` finds the end at a start, `append` writes.

mod append;
mod entry;
mod head;
mod scan;
mod segment;
mod walk;

pub use append::AppendError;
pub(crate) use append::{Log, Sizes};
pub(crate) use entry::Position;
pub use entry::{Entry, Head};
pub use head::HeadMark;
pub use scan::ScanError;
pub(crate) use scan::find_end;
pub(crate) use segment::Segments;
pub(crate) use walk::Walk;
pub use walk::{Broken, WalkError};
