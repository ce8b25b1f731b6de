//! Sweeps over real stores: what must stay stays, and nothing else does.
#![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

mod any_order;
mod old_rows;
mod records;
mod thousands;
