//! What leaves for other programs.
//!
//! * [`books`]: entries of the books, with names.
//! * [`cloudevents`]: what was used, one event for each difference.
//! * [`journal`]: the books as a plain-text accounting journal, entry by entry; [`form`]: how hledger and beancount write it.
//! * [`transfer`]: payments that a bank is to execute; [`pain001`] and [`transfer_csv`]: how they are written. [`latin`]: the letters that banks take.

pub mod books;
pub mod cloudevents;
pub mod form;
pub mod journal;
pub mod latin;
pub mod pain001;
pub mod transfer;
pub mod transfer_csv;

pub use books::{BookEntry, BookLeg, Room};
pub use cloudevents::CloudEvent;
pub use form::Form;
pub use journal::{Days, Journal};
