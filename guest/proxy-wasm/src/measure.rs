//! The filter's own metrics, in the proxy's statistics under `wasmcustom.`.

use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

use crate::denial::Kind;

/// The metrics, by the numbers that the proxy gave them. One that it did not give is not counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) accepted: Option<u32>,
    pub(crate) cache_hits: Option<u32>,
    pub(crate) cache_misses: Option<u32>,
    pub(crate) decision_ms: Option<u32>,
    pub(crate) verification_us: Option<u32>,
    refused: Option<u32>,
    rejected: Option<u32>,
    undecided: Option<u32>,
    source_down: Option<u32>,
}

impl Metrics {
    pub(crate) fn define() -> Self {
        let counter = |name: &str| hostcalls::define_metric(MetricType::Counter, &format!("linkgate_{name}")).ok();
        let histogram = |name: &str| hostcalls::define_metric(MetricType::Histogram, &format!("linkgate_{name}")).ok();
        Self {
            accepted: counter("accepted"),
            cache_hits: counter("cache_hits"),
            cache_misses: counter("cache_misses"),
            decision_ms: histogram("decision_ms"),
            verification_us: histogram("verification_us"),
            refused: counter("refused"),
            rejected: counter("rejected"),
            undecided: counter("undecided"),
            source_down: counter("source_down"),
        }
    }

    pub(crate) fn denied(&self, kind: Kind) {
        count(match kind {
            Kind::Method | Kind::Refused | Kind::Unknown => self.refused,
            Kind::Rejected => self.rejected,
            Kind::Undecided => self.undecided,
            Kind::SourceDown => self.source_down,
        });
    }
}

pub(crate) fn count(metric: Option<u32>) {
    if let Some(metric) = metric {
        // What is decided does not depend on whether it is counted.
        let _ = hostcalls::increment_metric(metric, 1);
    }
}

pub(crate) fn record(metric: Option<u32>, value: u64) {
    if let Some(metric) = metric {
        let _ = hostcalls::record_metric(metric, value);
    }
}
