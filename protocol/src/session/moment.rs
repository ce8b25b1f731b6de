//! [`Moment`]: one point in time, by both clocks.

use std::time::Instant;

use crate::time::UnixMillis;

/// Now: the monotonic clock for what is waited for and metered, the shared one for what is signed and expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// By this process's monotonic clock.
    pub instant: Instant,
    /// By the network's time.
    pub time: UnixMillis,
}
