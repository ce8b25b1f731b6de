//! What leaves for other programs.
//!
//! * [`books`]: entries of the books, with names.
//! * [`cloudevents`]: what was used, one event for each difference.
//! * [`journal`]: the books as a plain-text accounting journal, entry by entry; [`form`]: how hledger and beancount write it.

pub mod books;
pub mod cloudevents;
pub mod form;
pub mod journal;

pub use books::{BookEntry, BookLeg, Room};
pub use cloudevents::CloudEvent;
pub use form::Form;
pub use journal::{Days, Journal};
