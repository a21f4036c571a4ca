//! What the proxy counted since it began, in the words of OpenMetrics.
//!
//! It must never look at anything that a request is waiting for: it reads what the ticks added up.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tidegate_judge::histogram::Cells;

use crate::wire::{Failures, RevisionTick};

/// Media type of the text.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper edges of the latency buckets, seconds: Prometheus' own default ones.
const BUCKETS_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Everything a revision did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    started: u64,
    requests: u64,
    abandoned: u64,
    failures: Failures,
    /// Counts of each bucket alone, the one above the last edge at the end.
    latency: [u64; BUCKETS_SECONDS.len() + 1],
    /// At most what the latencies sum to, plus one cell's width each.
    latency_seconds: f64,
}

impl Totals {
    /// Adds a tick whose histogram has these cells.
    pub(crate) fn add(&mut self, tick: &RevisionTick, cells: &Cells) {
        self.started += tick.started;
        self.requests += tick.requests;
        self.abandoned += tick.abandoned;
        self.failures.add(tick.failures);
        for (cell, count) in &tick.latency {
            let upper = cells.upper_ms(usize::from(*cell)) / 1_000.0;
            let bucket = BUCKETS_SECONDS.partition_point(|edge| *edge < upper);
            self.latency[bucket] += u64::from(*count);
            // The cell without an upper edge counts as its lower one.
            let seconds = if upper.is_finite() { upper } else { 10.0 };
            self.latency_seconds += seconds * f64::from(*count);
        }
    }

    fn buckets(&self) -> Vec<(f64, u64)> {
        let edges = BUCKETS_SECONDS.iter().copied().chain([f64::INFINITY]);
        edges.zip(self.latency).collect()
    }
}

/// One revision of one service at this moment.
#[derive(Debug)]
pub(crate) struct OfRevision {
    pub(crate) service: String,
    pub(crate) revision: String,
    pub(crate) weight_basis_points: u16,
    pub(crate) in_flight: u64,
    pub(crate) tunnels: u64,
    pub(crate) endpoints_ejected: u64,
    pub(crate) totals: Totals,
}

/// One service at this moment.
#[derive(Debug)]
pub(crate) struct OfService {
    pub(crate) service: String,
    pub(crate) generation: u64,
    pub(crate) is_overridden: bool,
    pub(crate) no_backend: u64,
    /// Copies answered, failed and dropped.
    pub(crate) mirrored: [u64; 3],
}

/// The whole proxy at this moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) pulse_seconds: f64,
    pub(crate) connections: usize,
    pub(crate) access_log_lost: u64,
    pub(crate) services: Vec<OfService>,
    pub(crate) revisions: Vec<OfRevision>,
}

impl Snapshot {
    /// The text, or nothing when it cannot be written.
    pub(crate) fn text(self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("tidegate_proxy");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }

    fn gauges(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        read: impl Fn(&OfRevision) -> u64,
    ) -> std::fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for of in &self.revisions {
            let labels = [("service", of.service.as_str()), ("revision", of.revision.as_str())];
            let value = i64::try_from(read(of)).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        read: impl Fn(&Totals) -> u64,
    ) -> std::fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for of in &self.revisions {
            let labels = [("service", of.service.as_str()), ("revision", of.revision.as_str())];
            ConstCounter::new(read(&of.totals)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn failures(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "Requests that failed, by class";
        let mut family = encoder.encode_descriptor("failures", help, None, MetricType::Counter)?;
        for of in &self.revisions {
            let Failures { status_5xx, grpc, connect, timeout, reset } = of.totals.failures;
            for (class, count) in [
                ("status_5xx", status_5xx),
                ("grpc", grpc),
                ("connect", connect),
                ("timeout", timeout),
                ("reset", reset),
            ] {
                let labels = [
                    ("service", of.service.as_str()),
                    ("revision", of.revision.as_str()),
                    ("class", class),
                ];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn latencies(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let (name, help) = ("latency_seconds", "Time from request head to response head");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for of in &self.revisions {
            let labels = [("service", of.service.as_str()), ("revision", of.revision.as_str())];
            let count = of.totals.latency.iter().sum();
            let mut metric = family.encode_family(&labels)?;
            let sum = of.totals.latency_seconds;
            metric.encode_histogram::<NoLabelSet>(sum, count, &of.totals.buckets(), None)?;
        }
        Ok(())
    }

    fn of_services(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let help = "Requests answered 503 because no revision had a weight";
        let mut family =
            encoder.encode_descriptor("no_backend", help, None, MetricType::Counter)?;
        for of in &self.services {
            let labels = [("service", of.service.as_str())];
            ConstCounter::new(of.no_backend).encode(family.encode_family(&labels)?)?;
        }
        let help = "Copies of requests for a mirror, by what became of them";
        let mut family = encoder.encode_descriptor("mirrored", help, None, MetricType::Counter)?;
        for of in &self.services {
            for (result, count) in ["answered", "failed", "dropped"].iter().zip(of.mirrored) {
                let labels = [("service", of.service.as_str()), ("result", *result)];
                ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Generation of the route table in force";
        let mut family = encoder.encode_descriptor("generation", help, None, MetricType::Gauge)?;
        for of in &self.services {
            let labels = [("service", of.service.as_str())];
            let value = i64::try_from(of.generation).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        let help = "1 while the split in force is not the table's";
        let mut family = encoder.encode_descriptor("override", help, None, MetricType::Gauge)?;
        for of in &self.services {
            let labels = [("service", of.service.as_str())];
            ConstGauge::new(i64::from(of.is_overridden)).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let encoder = &mut encoder;
        let help = "Open client connections";
        let metric = encoder.encode_descriptor("connections", help, None, MetricType::Gauge)?;
        ConstGauge::new(i64::try_from(self.connections).unwrap_or(i64::MAX)).encode(metric)?;
        let (name, help) = ("pulse_seconds", "Time that the last tick of all services took");
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(self.pulse_seconds).encode(metric)?;
        let (name, help) = ("access_log_lost", "Lines of the access log that were dropped");
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(self.access_log_lost).encode(metric)?;
        self.of_services(encoder)?;
        let what = ("weight_basis_points", "Share of new requests, of 10000");
        self.gauges(encoder, what, |of| of.weight_basis_points.into())?;
        self.gauges(encoder, ("in_flight", "Requests in progress"), |of| of.in_flight)?;
        self.gauges(encoder, ("tunnels", "Upgraded connections"), |of| of.tunnels)?;
        let what = ("endpoints_ejected", "Endpoints that are passed over for a while");
        self.gauges(encoder, what, |of| of.endpoints_ejected)?;
        let what = ("requests_started", "User requests placed on the revision");
        self.counters(encoder, what, |totals| totals.started)?;
        let what = ("requests", "User requests that ended with an outcome");
        self.counters(encoder, what, |totals| totals.requests)?;
        let what = ("requests_abandoned", "User requests whose client left before an answer");
        self.counters(encoder, what, |totals| totals.abandoned)?;
        self.failures(encoder)?;
        self.latencies(encoder)
    }
}
