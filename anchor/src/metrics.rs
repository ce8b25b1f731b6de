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

use crate::ledger::statistics::{
    figures::{Figure, Figures},
    holds::Holds,
    subject::SignInKind,
};
use madang_protocol::{
    record::settlement::{Judgement, Outcome},
    reject::Reject,
    time::UnixMillis,
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
    refusals: Family<Code, Counter>,
    settled: Family<CallResult, Counter>,
    sign_ins: Family<Kind, Counter>,
    open_grants: Gauge,
    held: Gauge,
    statistics: Family<FigureName, Gauge>,
    statistics_lag: Gauge,
    statistics_rolled_up: Gauge,
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: u16,
    slug: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallResult {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FigureName {
    figure: &'static str,
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
            refusals: Family::default(),
            settled: Family::default(),
            sign_ins: Family::default(),
            open_grants: Gauge::default(),
            held: Gauge::default(),
            statistics: Family::default(),
            statistics_lag: Gauge::default(),
            statistics_rolled_up: Gauge::default(),
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
        inner.register_money();
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

    /// Counts a call that was refused.
    pub fn call_refused(&self, reject: Reject) {
        let (code, slug) = (reject.0, reject.slug());
        self.0.refusals.get_or_create(&Code { code, slug }).inc();
    }

    /// Counts receipts by what became of them.
    pub fn settled(&self, outcomes: &[Outcome]) {
        for one in outcomes {
            let outcome = match one.judgement {
                Judgement::Applied => "applied",
                Judgement::Duplicate => "duplicate",
                Judgement::Stale => "stale",
                Judgement::Rejected(_) => "rejected",
            };
            self.0.settled.get_or_create(&CallResult { outcome }).inc();
        }
    }

    /// Counts a sign-in that went well.
    pub fn signed_in(&self, kind: SignInKind) {
        let kind = kind.name();
        self.0.sign_ins.get_or_create(&Kind { kind }).inc();
    }

    /// Says what is held.
    pub fn holds(&self, holds: &Holds) {
        self.0
            .open_grants
            .set(i64::try_from(holds.grants).unwrap_or(i64::MAX));
        self.0.held.set(clamped(holds.micros));
    }

    /// Says what the figures come to, when something was added last, and how many events they do not reach.
    pub fn statistics(&self, all: &Figures, rolled_up: UnixMillis, lag: u64) {
        for figure in Figure::ALL {
            if figure.is_distinct() || figure == Figure::Count {
                continue;
            }
            let name = FigureName {
                figure: figure.name(),
            };
            let gauge = self.0.statistics.get_or_create(&name);
            gauge.set(clamped(all.get(figure)));
        }
        let seconds = i64::try_from(rolled_up.0 / 1_000).unwrap_or(i64::MAX);
        self.0.statistics_rolled_up.set(seconds);
        self.0
            .statistics_lag
            .set(i64::try_from(lag).unwrap_or(i64::MAX));
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

impl Inner {
    fn register_money(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "refusals",
            "Calls that were refused, by code",
            self.refusals.clone(),
        );
        registry.register(
            "receipts",
            "Receipts that were shown for settlement, by what became of them",
            self.settled.clone(),
        );
        registry.register("sign_ins", "Sign-ins by kind", self.sign_ins.clone());
        registry.register(
            "open_grants",
            "Grants whose hold has not ended, summed over some ticks",
            self.open_grants.clone(),
        );
        registry.register(
            "held_micros",
            "What is held for open grants, in base units, summed over some ticks",
            self.held.clone(),
        );
        registry.register(
            "statistics",
            "Figures over all time, of all anchors of the network; money in base units",
            self.statistics.clone(),
        );
        registry.register(
            "statistics_lag_events",
            "Events that the figures do not reach yet",
            self.statistics_lag.clone(),
        );
        registry.register(
            "statistics_rolled_up_seconds",
            "When figures were added last, as a Unix time",
            self.statistics_rolled_up.clone(),
        );
    }
}

fn clamped(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
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
        metrics.call_refused(Reject::CREDENTIALS_WRONG);
        metrics.signed_in(SignInKind::Device);
        metrics.holds(&Holds {
            grants: 3,
            micros: 4_000_000,
        });
        let all = Figures::of(Figure::Debit, i128::MAX);
        metrics.statistics(&all, UnixMillis(5_999), 7);
        let open = metrics.connection_opened();
        let text = metrics.to_text().unwrap();
        for line in [
            "madang_anchor_calls_total{call=\"enrol\",outcome=\"credentials-wrong\"} 1",
            "madang_anchor_call_seconds_count{call=\"enrol\"} 2",
            "madang_anchor_connections_refused_total{reason=\"address\"} 1",
            "madang_anchor_connections 1",
            "madang_anchor_refusals_total{code=\"206\",slug=\"credentials-wrong\"} 1",
            "madang_anchor_sign_ins_total{kind=\"device\"} 1",
            "madang_anchor_open_grants 3",
            "madang_anchor_held_micros 4000000",
            "madang_anchor_statistics{figure=\"debit\"} 9223372036854775807",
            "madang_anchor_statistics_lag_events 7",
            "madang_anchor_statistics_rolled_up_seconds 5",
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
