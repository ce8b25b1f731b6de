//! [`Limits`]: how much one anchor dares. Local policy; what two parties must agree on is in `madang_protocol::limits`.

use std::time::Duration;

/// How much the anchor takes on at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in total: each holds some 30 KiB.
    pub connections_max: usize,
    /// Connections of one address (of one /64 in IPv6): a household behind one address with several nodes stays well below.
    pub connections_per_address_max: usize,
    /// A request's head must be complete this long after the connection, or after the previous answer.
    pub header_timeout: Duration,
    /// A connection on which no octet moves this long is closed.
    pub idle_timeout: Duration,
    /// A request must be answered this long after its head.
    pub request_timeout: Duration,
    /// Octets of request bodies in memory at once.
    pub body_bytes_max: usize,
    /// Passwords that are hashed at once: each takes 19 MiB and tens of milliseconds of one core.
    pub password_hashes_max: usize,
    /// Calls on the store at once; others wait for their turn until `request_timeout`.
    pub store_calls_max: usize,
    /// Devices in the directory of who is online.
    pub present_devices_max: usize,
    /// Octets of announcements and tariffs in that directory.
    pub present_bytes_max: usize,
    /// The shortest time between two presence reports of a device that are asked for.
    pub presence_interval: Duration,
    /// Presence reports a second that the anchor wants at most, averaged: the interval grows so that it holds.
    pub presence_reports_per_second: u32,
    /// How often due holds are released and books are brought up to date.
    pub tick_interval: Duration,
    /// How often what happened is added to the statistics.
    pub statistics_interval: Duration,
    /// How long a shutdown waits for requests that are under way.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_address_max: 128,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(30),
            body_bytes_max: 64 * 1_024 * 1_024,
            password_hashes_max: 4,
            store_calls_max: 64,
            present_devices_max: 200_000,
            present_bytes_max: 512 * 1_024 * 1_024,
            presence_interval: Duration::from_secs(60),
            presence_reports_per_second: 1_000,
            tick_interval: Duration::from_secs(10),
            statistics_interval: Duration::from_secs(60),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}
