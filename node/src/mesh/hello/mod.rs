//! `/madang/hello/1`: two nodes that have just been connected show each other their passports and compare their revocation lists.
//!
//! The connection has proved who the peer is; a passport says whose device that is. A peer without a good one stays a stranger: it may read what
//! is open to anyone, and nothing of it is stored.
//!
//! ```text
//! dialler                                      listener
//!    │  Opening { passport, revocations }         │
//!    ├───────────────────────────────────────────▶│ judges the passport
//!    │  Answer { verdict, passport, revocations } │
//!    │◀───────────────────────────────────────────┤
//!    │  Close { verdict, list? }                  │ the list if the listener's is older
//!    ├───────────────────────────────────────────▶│
//!    │  List                                      │ if the dialler's is older
//!    │◀───────────────────────────────────────────┤
//! ```
//!
//! Code map: [`frame`] (what is said, and its bounds), [`exchange`] (both ends, over any byte stream).

pub(super) mod exchange;
pub(super) mod frame;
