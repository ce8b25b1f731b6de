//! What every engine of the store must do. Each test takes the store from [`support::open`], so that another engine can take its place.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod holds;
mod quotas;
mod settling;
#[path = "../support/mod.rs"]
mod support;
mod town;
