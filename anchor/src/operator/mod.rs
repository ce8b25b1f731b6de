//! The operator's commands: to a running anchor through a Unix socket of mode 0600, or on a home at rest.
//!
//! [`command`] is what is asked, [`answer`] and [`invoice_answer`] what is answered, [`ledger`] both of the books, [`desk`] does it,
//! [`socket`] and [`client`] carry it between processes as JSON.

pub mod answer;
mod books;
pub mod client;
pub mod command;
pub mod desk;
pub mod invoice_answer;
mod invoices;
pub mod ledger;
mod organisation;
mod persons;
pub mod socket;
pub mod statistics;
mod text;
