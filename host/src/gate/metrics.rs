//! What the gate counts, in Prometheus' text form. Labels have few values: none holds an image or a policy's text.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::decision::Decision;
use super::face::Face;
use crate::memory::Memory;

/// The gate's metrics.
pub struct Metrics {
    registry: Registry,
    decisions: Family<Decided, Counter>,
    requests: Family<Answered, Counter>,
    request_seconds: Histogram,
    fetch_seconds: Family<Fetched, Histogram>,
    verify_seconds: Histogram,
    cache: Family<Looked, Counter>,
    queue: Gauge,
    in_flight: Gauge,
    overloaded: Counter,
    memory: Gauge,
    memory_bound: Gauge,
    memory_refused: Counter,
    policies: Gauge,
    reloads: Family<Reloaded, Counter>,
    broken: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decided {
    face: &'static str,
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    face: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fetched {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Looked {
    cache: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reloaded {
    what: &'static str,
    result: &'static str,
}

/// From a tenth of a millisecond to some 26 s.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 19))
}

impl Default for Metrics {
    fn default() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("linkgate"),
            decisions: Family::default(),
            requests: Family::default(),
            request_seconds: seconds(),
            fetch_seconds: Family::new_with_constructor(seconds),
            verify_seconds: seconds(),
            cache: Family::default(),
            queue: Gauge::default(),
            in_flight: Gauge::default(),
            overloaded: Counter::default(),
            memory: Gauge::default(),
            memory_bound: Gauge::default(),
            memory_refused: Counter::default(),
            policies: Gauge::default(),
            reloads: Family::default(),
            broken: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "decisions",
            "Decisions by face, outcome and reason",
            self.decisions.clone(),
        );
        registry.register(
            "requests",
            "Requests answered by face and status",
            self.requests.clone(),
        );
        registry.register(
            "request_seconds",
            "Time from a request's head to its answer",
            self.request_seconds.clone(),
        );
        registry.register(
            "fetch_seconds",
            "Time to bring a policy's evidence, from caches too",
            self.fetch_seconds.clone(),
        );
        registry.register(
            "verify_seconds",
            "Time in the verifier for one verdict that was in no cache",
            self.verify_seconds.clone(),
        );
        registry.register("cache", "What was looked for in a cache", self.cache.clone());
        registry.register("queue_length", "Verifications that wait", self.queue.clone());
        registry.register("requests_in_flight", "Requests under way", self.in_flight.clone());
        registry.register(
            "overloaded",
            "Requests refused with 503 because too much was asked at once",
            self.overloaded.clone(),
        );
        registry.register(
            "evidence_memory_bytes",
            "Bytes of evidence, of requests and of answers that are held, kept evidence among them",
            self.memory.clone(),
        );
        registry.register(
            "evidence_memory_bound_bytes",
            "How many there may be: --evidence-memory",
            self.memory_bound.clone(),
        );
        registry.register(
            "evidence_memory_refused",
            "Requests and questions refused because there was no room for their bytes",
            self.memory_refused.clone(),
        );
        registry.register("policies", "Policies in force", self.policies.clone());
        registry.register(
            "policies_broken",
            "1 while the policies on the disk are not those in force",
            self.broken.clone(),
        );
        registry.register(
            "reloads",
            "Reloads of policies and certificates by result",
            self.reloads.clone(),
        );
    }

    /// A decision was made.
    pub fn decided(&self, face: Face, decision: &Decision) {
        let labels = Decided {
            face: face.name(),
            outcome: decision.outcome.name(),
            reason: decision.reason.name(),
        };
        self.decisions.get_or_create(&labels).inc();
    }

    /// A request was answered.
    pub fn answered(&self, face: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&Answered { face, status }).inc();
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// A policy's evidence was brought, or not.
    pub fn fetched(&self, took: Duration, brought: bool) {
        let result = if brought { "ok" } else { "error" };
        self.fetch_seconds
            .get_or_create(&Fetched { result })
            .observe(took.as_secs_f64());
    }

    /// The verifier answered.
    pub fn judged(&self, took: Duration) {
        self.verify_seconds.observe(took.as_secs_f64());
    }

    /// A cache was asked.
    pub fn asked_cache(&self, cache: &'static str, found: bool) {
        let result = if found { "hit" } else { "miss" };
        self.cache.get_or_create(&Looked { cache, result }).inc();
    }

    /// A request was refused for too many others.
    pub fn overloaded(&self) {
        self.overloaded.inc();
    }

    /// A request or a question was refused because there was no room for its bytes.
    pub fn refused_for_memory(&self) {
        self.memory_refused.inc();
    }

    /// How much of the memory for what others send is taken.
    pub fn memory(&self, memory: &Memory) {
        let gauged = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.memory.set(gauged(memory.used()));
        self.memory_bound.set(gauged(memory.bound()));
    }

    /// What is under way.
    pub fn under_way(self: &Arc<Self>) -> UnderWay {
        self.in_flight.inc();
        UnderWay(Arc::clone(self))
    }

    /// How many requests are under way.
    pub fn requests_in_flight(&self) -> i64 {
        self.in_flight.get()
    }

    /// How many verifications wait.
    pub fn queue(&self, waiting: usize) {
        self.queue.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// How many policies are in force.
    pub fn policies(&self, count: usize) {
        self.policies.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Whether the policies on the disk are those in force.
    pub fn broken(&self, broken: bool) {
        self.broken.set(i64::from(broken));
    }

    /// Something was read anew.
    pub fn reloaded(&self, what: &'static str, succeeded: bool) {
        let result = if succeeded { "ok" } else { "error" };
        self.reloads.get_or_create(&Reloaded { what, result }).inc();
    }

    /// All of it in Prometheus' text form.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A request under way, for as long as this lives.
pub struct UnderWay(Arc<Metrics>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}
