//! [`Metrics`]: what the anchor counts, in the OpenMetrics text format.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// The media type of [`Metrics::to_text`].
pub const METRICS_MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters and gauges. Cloning gives the same ones.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    calls: Family<CallOutcome, Counter>,
    call_seconds: Family<Call, Histogram, fn() -> Histogram>,
    connections: Gauge,
    connections_refused: Family<Reason, Counter>,
    devices_online: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    call: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallOutcome {
    call: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Counts one open connection; dropping it uncounts it.
pub struct ConnectionOpen(Gauge);

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_5, 2.0, 16));
        let mut inner = Inner {
            registry: Registry::with_prefix("madang_anchor"),
            calls: Family::default(),
            call_seconds: Family::new_with_constructor(seconds),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            devices_online: Gauge::default(),
        };
        let registry = &mut inner.registry;
        registry.register(
            "calls",
            "Calls by outcome: ok, a refusal's slug, or http",
            inner.calls.clone(),
        );
        registry.register(
            "call_seconds",
            "Time from a call's head to its answer",
            inner.call_seconds.clone(),
        );
        registry.register("connections", "Open connections", inner.connections.clone());
        registry.register(
            "connections_refused",
            "Connections closed at once, by the limit that was reached",
            inner.connections_refused.clone(),
        );
        registry.register(
            "devices_online",
            "Devices that report their presence",
            inner.devices_online.clone(),
        );
        Self(Arc::new(inner))
    }

    /// Counts an answered call: `outcome` is `ok`, `http` or a refusal's slug.
    pub fn call_answered(&self, call: &'static str, outcome: &'static str, took: Duration) {
        self.0
            .calls
            .get_or_create(&CallOutcome { call, outcome })
            .inc();
        self.0
            .call_seconds
            .get_or_create(&Call { call })
            .observe(took.as_secs_f64());
    }

    /// Counts an open connection.
    pub fn connection_opened(&self) -> ConnectionOpen {
        self.0.connections.inc();
        ConnectionOpen(self.0.connections.clone())
    }

    /// Counts a connection that was not taken.
    pub fn connection_refused(&self, reason: &'static str) {
        self.0
            .connections_refused
            .get_or_create(&Reason { reason })
            .inc();
    }

    /// Says how many devices are online.
    pub fn devices_online(&self, devices: usize) {
        self.0
            .devices_online
            .set(i64::try_from(devices).unwrap_or(i64::MAX));
    }

    /// All of it as text.
    pub fn to_text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Drop for ConnectionOpen {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may stop at a surprise")]

    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::new();
        metrics.call_answered("enrol", "ok", Duration::from_millis(3));
        metrics.call_answered("enrol", "credentials-wrong", Duration::from_millis(3));
        metrics.connection_refused("address");
        let open = metrics.connection_opened();
        let text = metrics.to_text().unwrap();
        for line in [
            "madang_anchor_calls_total{call=\"enrol\",outcome=\"credentials-wrong\"} 1",
            "madang_anchor_call_seconds_count{call=\"enrol\"} 2",
            "madang_anchor_connections_refused_total{reason=\"address\"} 1",
            "madang_anchor_connections 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        drop(open);
        assert!(
            metrics
                .to_text()
                .unwrap()
                .contains("madang_anchor_connections 0")
        );
    }
}
