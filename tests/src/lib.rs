//! What the tests of the whole share: [`harness`] starts many nodes in one process.

pub mod harness;
