//! Every signed record and every frame, octet by octet: what is sent today can be read tomorrow, and nothing that was altered is ever taken.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "one test binary of several files")]

mod forged;
mod frames;
mod pins;
mod samples;
