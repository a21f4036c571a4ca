//! Limits as runbooks write them: `Error rate > 1% for 5 consecutive minutes`.
//! Must never choose a percentile that nobody wrote without saying so.

use super::quantity::{Quantity, all};

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Threshold {
    /// The metric in the words of the format, or of the gate that has it.
    pub(super) metric: &'static str,
    /// `errors < 0.1%`, `p95 > 500ms for 5m`.
    pub(super) rule: String,
    /// `< 0.1%` alone.
    pub(super) limit: String,
    /// A latency for which no percentile is written.
    pub(super) percentile_unsaid: bool,
}

/// Words for metrics, each with the word of the format.
const METRICS: [(&str, &str); 14] = [
    ("health check failure", "sick"),
    ("error rate", "errors"),
    ("error_rate", "errors"),
    ("failed request", "errors"),
    ("response time", "p95"),
    ("response_time", "p95"),
    ("latency", "p95"),
    ("cpu", "cpu"),
    ("memory", "memory"),
    ("coverage", "coverage"),
    ("uptime", "uptime"),
    ("availability", "availability"),
    ("pass rate", "pass"),
    ("100% pass", "pass"),
];

/// The limit of a line, when it has one.
pub(super) fn read(text: &str) -> Option<Threshold> {
    let lower = text.to_lowercase();
    let (_, metric) = METRICS.iter().find(|(word, _)| lower.contains(word))?;
    let quantities = all(text);
    let value = quantities.iter().find(|quantity| {
        !quantity.sign.is_empty() && matches!(quantity.unit.as_str(), "%" | "ms" | "s")
    })?;
    let percentile = percentile(&lower, &quantities);
    let latency = *metric == "p95";
    let metric = match (latency, percentile) {
        (true, Some(99)) => "p99",
        (true, Some(50)) => "p50",
        _ => metric,
    };
    let sustained = quantities
        .iter()
        .find(|quantity| quantity.is_time() && quantity.sign.is_empty() && *quantity != value)
        .map(|quantity| format!(" for {}", quantity.show()))
        .unwrap_or_default();
    let limit = format!("{} {}", value.sign, value.show());
    Some(Threshold {
        metric,
        rule: format!("{metric} {limit}{sustained}"),
        limit,
        percentile_unsaid: latency && percentile.is_none(),
    })
}

fn percentile(lower: &str, quantities: &[Quantity]) -> Option<u8> {
    let written = quantities.iter().find(|quantity| quantity.unit == "th");
    if let Some(percentile) = written.and_then(|quantity| quantity.digits.parse().ok()) {
        return Some(percentile);
    }
    [("p99", 99), ("p95", 95), ("p50", 50), ("median", 50)]
        .iter()
        .find(|(word, _)| lower.contains(word))
        .map(|(_, percentile)| *percentile)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn limits_are_read_as_they_are_written() {
        for (text, rule) in [
            ("Error rate < 0.1%", "errors < 0.1%"),
            ("Response time < 200ms (95th percentile)", "p95 < 200ms"),
            ("Error rate > 1% for 5 consecutive minutes", "errors > 1% for 5m"),
            ("CPU utilization > 90% for 10 minutes", "cpu > 90% for 10m"),
            ("Health check failures > 50% for 3 minutes", "sick > 50% for 3m"),
            ("API Response Time (p99) < 1000ms", "p99 < 1000ms"),
        ] {
            assert_eq!(read(text).map(|found| found.rule).as_deref(), Some(rule), "{text}");
        }
        assert!(
            read("Performance Test: Response time < 200ms").is_some_and(|t| t.percentile_unsaid)
        );
        assert_eq!(read("Error rate exceeding threshold"), None);
    }
}
