//! Money as a state machine. Nothing here performs input or output, reads a clock or draws a random number.
//!
//! Every operation has a function that decides on the present rows (a [`View`](view::View)) and returns an [`Event`](event::Event) or a
//! refusal, and one function, [`apply`](event::apply), that turns any event into changes of rows. A running anchor and one that makes its
//! rows anew from the journal go through the same `apply`.
//!
//! * [`view`], [`table`]: what rows are, and which there are.
//! * [`account`], [`device`], [`entry`], [`top_up`]: who has how much.

pub mod account;
pub mod device;
pub mod entry;
pub mod event;
mod pack;
pub mod policy;
pub mod table;
pub mod top_up;
pub mod view;
