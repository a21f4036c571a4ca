//! The end-of-test summary of k6: of `--summary-export`, and of `handleSummary` with its data.
//! Must never read an unknown unit or a percentile that the summary does not hold.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::Timings;

use crate::json;
use crate::{Error, broken};

/// Most metrics of one summary: k6 makes some twenty, and one for each tagged threshold.
const METRICS_MAX: usize = 10_000;

#[derive(Deserialize)]
struct Summary {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Deserialize)]
struct Metric {
    #[serde(default)]
    contains: Option<String>,
    #[serde(default)]
    values: Option<BTreeMap<String, f64>>,
    #[serde(flatten)]
    plain: BTreeMap<String, serde_json::Value>,
}

impl Metric {
    fn value(&self, key: &str) -> Option<f64> {
        match &self.values {
            Some(values) => values.get(key).copied(),
            None => self.plain.get(key).and_then(serde_json::Value::as_f64),
        }
    }

    fn keys(&self) -> Vec<String> {
        match &self.values {
            Some(values) => values.keys().cloned().collect(),
            None => self.plain.keys().cloned().collect(),
        }
    }
}

/// Reads a summary.
///
/// # Errors
/// [`Error`] when it is cut off or has no HTTP requests in it.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Timings, Error> {
    let summary: Summary = json::read(from)?;
    if summary.metrics.len() > METRICS_MAX {
        return Err(Error::TooMany { most: METRICS_MAX, what: "metrics" });
    }
    let Some(duration) = summary.metrics.get("http_req_duration") else {
        return Err(broken("it has no `http_req_duration`: no HTTP request was made"));
    };
    if duration.contains.as_deref().is_some_and(|unit| unit != "time") {
        return Err(broken("`http_req_duration` holds no times"));
    }
    let count = summary.metrics.get("http_reqs").and_then(|metric| metric.value("count"));
    let requests = whole(count.ok_or_else(|| broken("it has no `http_reqs`"))?)?;
    // A rate counts how often its condition held: here, that the request failed.
    let failed = summary.metrics.get("http_req_failed").and_then(|metric| metric.value("passes"));
    let mut timings =
        Timings { requests, failed: failed.map(whole).transpose()?, ms: BTreeMap::new() };
    for key in duration.keys() {
        if let (Some(name), Some(value)) = (name_of(&key), duration.value(&key)) {
            timings.ms.insert(name, value);
        }
    }
    Ok(timings)
}

fn whole(value: f64) -> Result<u64, Error> {
    /// Most requests of a test; also far inside what a float counts exactly.
    const MOST: f64 = 1e12;
    if (0.0..=MOST).contains(&value) && value.fract() == 0.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        return Ok(value as u64);
    }
    Err(broken("a count is no whole number"))
}

/// `p95` of `p(95)`; the median is `p50`.
fn name_of(key: &str) -> Option<String> {
    match key {
        "avg" | "min" | "max" => Some(key.to_owned()),
        "med" => Some("p50".to_owned()),
        _ => key.strip_prefix("p(")?.strip_suffix(')').map(|number| format!("p{number}")),
    }
}
