//! The two ends of a paying session as state machines without input or output.
//!
//! A session belongs to one buyer's device and one site of one seller's device, and outlives connections. Its frames travel on a stream of
//! [`frame::PROTOCOL`] beside the HTTP streams that they pay for. The shell of either end feeds its machine with verified frames, with what it
//! sends or receives and with the time, and after each input drains `poll_transmit` and `poll_event`, and waits for `poll_timeout`.
//!
//! * [`frame`]: what is said; [`wire`]: as octets.
//! * [`buyer`]: signs receipts for what it received. [`seller`]: serves ahead of receipts within a window of value.
//! * [`exposure`]: what each buyer owes a seller over all sessions, grants and devices.

pub mod buyer;
pub mod exposure;
pub mod frame;
pub mod moment;
pub mod seller;
pub mod wire;
