//! The command line. A mistake in it, or in the configuration, is one line and exit code 2; a failure is one line and exit code 1.

mod args;
mod background;
mod books;
mod copy;
mod export;
mod invoices;
mod ledger;
mod operate;
mod persons;
mod print;
mod serve;
mod stats;
mod table;

pub use run::run;

mod run;
