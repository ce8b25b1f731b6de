//! Both machines of a paying session against each other, and against cheats, over connections that break: the bounds of paying hold after every step.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unreachable_pub, reason = "one test binary of several files")]

mod buyers;
mod ending;
mod free;
mod honest;
mod issuer;
mod place;
mod sellers;
mod slots;
mod waiting;
mod world;
