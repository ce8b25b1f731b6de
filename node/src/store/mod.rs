//! What a node must not forget: receipts it holds and has signed, grants, batches and verdicts, agreements, debts and passes.
//!
//! The journal is the truth ([`event`]), its rows are the fold of it ([`schema`]); [`sold`] and [`bought`] ask them in the words of each end.

mod bought;
mod event;
mod open;
mod row;
mod schema;
mod sold;

pub use event::Event;
pub use open::{NodeStore, ROWS_PAGE, StoreError, StoreRead};
pub use row::{AgreementRow, BoughtRow, GrantRow, HeldRow, PassRow};
pub use schema::ShownGrant;
