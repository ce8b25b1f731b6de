//! Between the ledger and the world: what leaves for other programs and for paper. Nothing here decides what a document says.
//!
//! [`export`] is for other programs. Documents of billing periods are plain [`text`], [`html`] and [`pdf`]: [`party`] is who a document names,
//! [`words`] in which language, [`clean`] what becomes of text that came from others.

mod clean;
pub mod export;
pub mod html;
pub mod party;
pub mod pdf;
mod sheet;
pub mod text;
pub mod words;

pub use sheet::Lines;
