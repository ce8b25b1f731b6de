//! Between the ledger and the world: what leaves for other programs and for paper.

pub mod export;
