//! What the tests of the whole share: [`harness`] starts many nodes in one process; [`yard`] starts the programs that people run; [`shop`] is what
//! processes write until they are killed.

pub mod harness;
pub mod shop;
pub mod yard;
