//! Asks a Prometheus, or whatever speaks its HTTP API, one instant query at a time.
//! Must never take a doubtful answer for a number: more than one series, NaN, a stale sample or a
//! label of the other side are no data.
//!
//! It needs to read `/api/v1/query` and writes nothing there, so there is nothing to undo by hand.
//! Fields are those of <https://prometheus.io/docs/prometheus/latest/querying/api/>.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use tidegate_core::plan::Source;
use tidegate_engine::ports::{Failure, MetricSide, Sample};

use super::{about, value};
use crate::probe::http;
use crate::text;

/// Largest answer, in bytes: one series with its labels is a few hundred.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The driver. Touches nothing until it is asked.
#[derive(Debug)]
pub(super) struct Prometheus {
    http: Result<Client, String>,
}

impl Default for Prometheus {
    fn default() -> Self {
        let http = Client::builder()
            // A redirect would lead the question, and its answer, to somebody else.
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| error.to_string());
        Self { http }
    }
}

/// What the API answers.
#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    data: Option<Found>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "snake_case")]
enum Found {
    Vector(Vec<Series>),
    Scalar(Point),
}

#[derive(Debug, Deserialize)]
struct Series {
    metric: Labels,
    value: Point,
}

/// Seconds since the epoch, and the number as text.
#[derive(Debug, Deserialize)]
struct Point(f64, String);

/// Labels, each name once: of two values for one name neither can be believed.
#[derive(Debug)]
struct Labels(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Labels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
                let mut labels = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, String>()? {
                    if labels.insert(name, value).is_some() {
                        return Err(A::Error::custom("a label is given twice"));
                    }
                }
                Ok(Labels(labels))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

impl Prometheus {
    /// One number of one side.
    pub(super) async fn read(&self, source: &Source, side: &MetricSide) -> Result<Sample, Failure> {
        let query = about(&source.query, side)?;
        let http = self.http.as_ref().map_err(|error| Failure::permanent("TG4401", error))?;
        let address = format!("{}/api/v1/query", source.endpoint);
        let lookback = format!("{}ms", source.stale_after.as_millis());
        let asked = http
            .get(&address)
            .timeout(source.timeout.unsigned_abs())
            // Without it a series that ended would be answered for five more minutes.
            .query(&[("query", query.as_str()), ("lookback_delta", lookback.as_str())]);
        let silent = |error: &reqwest::Error| {
            let what = format!("`{}` at {address}: {}", source.name, http::cause(error));
            Failure::retryable("TG4401", what)
        };
        let response = asked.send().await.map_err(|error| silent(&error))?;
        let status = response.status();
        // One byte more than is read tells an answer that is too long from one that just fits.
        let body = http::read(response, ANSWER_BYTES_MAX + 1).await.map_err(|e| silent(&e))?;
        if body.len() > ANSWER_BYTES_MAX {
            return Err(unusable(source, &format!("longer than {ANSWER_BYTES_MAX} bytes")));
        }
        let answer: Result<Answer, _> = serde_json::from_slice(&body);
        if status != StatusCode::OK {
            let said = answer.ok().and_then(|answer| answer.error).unwrap_or_default();
            let what = format!("`{}` at {address}: {status} {}", source.name, printable(&said));
            return Err(Failure::retryable("TG4401", what.trim_end()));
        }
        let answer = answer.map_err(|error| unusable(source, &format!("unreadable: {error}")))?;
        sample(source, side, answer)
    }
}

/// The one number of an answer.
fn sample(source: &Source, side: &MetricSide, answer: Answer) -> Result<Sample, Failure> {
    let refuse = |what: &str| Err(unusable(source, what));
    if answer.status != "success" {
        let said = printable(answer.error.as_deref().unwrap_or("no reason given"));
        return refuse(&format!("`{}`: {said}", printable(&answer.status)));
    }
    // A part of the data is missing, and nobody can say which.
    if let Some(warning) = answer.warnings.first() {
        return refuse(&format!("incomplete: {}", printable(warning)));
    }
    let point = match answer.data {
        Some(Found::Scalar(point)) => point,
        Some(Found::Vector(mut series)) => match (series.pop(), series.len()) {
            (Some(one), 0) => {
                if let Some(found) = of_another(&one.metric, side) {
                    return refuse(&format!("about another side: {found}"));
                }
                one.value
            }
            (Some(_), more) => return refuse(&format!("{} series, not one", more + 1)),
            (None, _) => return refuse("empty: there is no such series"),
        },
        None => return refuse("without data"),
    };
    let Point(seconds, number) = point;
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite());
    let Some(value) = value else {
        return refuse(&format!("`{}`, which is no number", printable(&number)));
    };
    #[expect(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    let at = Timestamp::from_millisecond((seconds * 1_000.0) as i64).ok();
    let Some(at) = at.filter(|_| seconds.is_finite()) else {
        return refuse("of no time that there is");
    };
    Ok(Sample { value, at })
}

/// A label that names another side than the one that was asked for.
fn of_another(labels: &Labels, side: &MetricSide) -> Option<String> {
    let wrong = labels.0.iter().find(|(name, found)| {
        !name.starts_with('$') && value(name, side).is_some_and(|wanted| wanted != found.as_str())
    });
    wrong.map(|(name, found)| printable(&format!("{name}=\"{found}\"")))
}

fn unusable(source: &Source, what: &str) -> Failure {
    Failure::retryable("TG4402", format!("the answer to `{}` is {what}", source.name))
}

fn printable(said: &str) -> String {
    text::printable(said, text::EXCERPT_CHARS_MAX)
}
