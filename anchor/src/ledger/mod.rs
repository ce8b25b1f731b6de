//! Money as a state machine. Nothing here performs input or output, reads a clock or draws a random number.
//!
//! Every operation has a function that decides on the present rows (a [`View`](view::View)) and returns an [`Event`](event::Event) or a
//! refusal, and one function, [`apply`](event::apply), that turns any event into changes of rows. A running anchor and one that makes its
//! rows anew from the journal go through the same `apply`.
//!
//! * [`view`], [`table`], [`event`]: what rows and events are, and which there are.
//! * [`account`], [`organisation`], [`device`], [`entry`], [`books`], [`top_up`]: who has how much, and what moved it.
//! * [`grant`], [`terms`], [`tariff`], [`quota`], [`spending`]: permission to spend, and what is held for it.
//! * [`settle`], [`settled`], [`progress`], [`pass`]: receipts become money moved.
//! * [`promotion`], [`booking`], [`adjustment`]: credit that is given, and what corrects what was booked.
//! * [`mod@line`], [`dispute`]: what settled grants come to, when it is payable, and how it is taken back.
//! * [`month`], [`period`], [`late`], [`document`]: billing periods, and the invoices, statements and credit notes that close them.
//! * [`presence`], [`sweep`]: how holds end, and what time clears away.
//! * [`profile`], [`kept`], [`leave`]: the person behind an account, all that is kept on it, and how it goes; [`minor`]: what can be paid at all.
//! * [`bill`], [`usage`], [`audit`], [`position`], [`delta`], [`statement`], [`statistics`]: what is told about it.

pub mod account;
pub mod adjustment;
pub mod audit;
pub mod bill;
pub mod booking;
pub mod books;
mod deadline;
pub mod delta;
pub mod device;
pub mod dispute;
pub mod document;
pub mod entry;
pub mod event;
pub mod grant;
mod hold;
pub mod kept;
pub mod late;
pub mod leave;
pub mod line;
pub mod minor;
pub mod month;
pub mod organisation;
mod pack;
pub mod pass;
pub mod period;
pub mod policy;
pub mod position;
pub mod presence;
pub mod profile;
pub mod progress;
pub mod promotion;
pub mod quota;
pub mod settle;
pub mod settled;
pub mod spending;
pub mod statement;
pub mod statistics;
pub mod sweep;
pub mod table;
pub mod tariff;
pub mod terms;
#[cfg(test)]
mod testing;
pub mod top_up;
pub mod usage;
pub mod view;
