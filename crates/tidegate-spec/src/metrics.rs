//! Reads `sources` and `metrics`: numbers that other systems measure, and how they are asked for.
//! Must never accept a metric that hides one of Tidegate's own, nor a question that means both
//! sides at once: it could not tell the new version from the live one.

use jiff::SignedDuration;
use tidegate_core::ids::MetricName;
use tidegate_core::plan::{Metric, SOURCES_MAX, Source};

use crate::codes;
use crate::fields::{Field, Fields, shorten};
use crate::node::Kind;
use crate::read;
use crate::report::Report;
use crate::words;

/// Drivers that are served.
const DRIVERS: [&str; 1] = ["prometheus"];
/// Vendors whose drivers this version does not serve.
const LATER: [&str; 6] =
    ["app_insights", "cloudwatch", "datadog", "http_json", "new_relic", "sentry"];
/// What stands for a side in a query: one of these must be there.
const SIDES: [&str; 3] = ["$slot", "$version", "$revision"];
/// How often when nothing is said: the usual time between two scrapes.
const EVERY: SignedDuration = SignedDuration::from_secs(15);
/// How long an answer may take when nothing is said.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(5);
/// Longest query, in bytes.
const QUERY_BYTES_MAX: usize = 4_096;
/// Longest unit, in bytes: it is printed behind every value.
const UNIT_BYTES_MAX: usize = 16;
/// Longest name of a metric, in bytes: it is a column of a table.
const NAME_BYTES_MAX: usize = 32;

/// Where the drivers ask.
#[derive(Debug, Default)]
struct Endpoints {
    prometheus: Option<String>,
}

/// Reads both keys.
pub(crate) fn metrics(fields: &mut Fields<'_>, report: &mut Report<'_>) -> Vec<Source> {
    let endpoints =
        fields.get("sources").map_or_else(Endpoints::default, |field| endpoints(&field, report));
    let Some(field) = fields.get("metrics") else { return Vec::new() };
    let Kind::Map(entries) = &field.node.kind else {
        crate::fields::wrong_kind(&field, "a map of metrics", report);
        return Vec::new();
    };
    if entries.len() > SOURCES_MAX {
        let message = format!("`{}` has more than {SOURCES_MAX} metrics", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return Vec::new();
    }
    let mut sources = Vec::with_capacity(entries.len());
    for (key, node) in entries {
        let path = format!("{}.{}", field.path, shorten(&key.text));
        let Some(name) = read::name(&key.text, &path, key.at, MetricName::new, report) else {
            continue;
        };
        if Metric::ALL.iter().any(|known| known.name() == name.as_str()) {
            report
                .error(codes::CONFLICT, key.at, format!("`{path}` is a metric of Tidegate's own"))
                .help("give it another name, as in `checkout-errors`, and use that in the rules");
            continue;
        }
        if name.as_str().len() > NAME_BYTES_MAX {
            let message = format!("`{path}` is longer than {NAME_BYTES_MAX} bytes");
            report.error(codes::BAD_NAME, key.at, message);
            continue;
        }
        sources.extend(source(name, &Field { path, node }, &endpoints, report));
    }
    sources
}

fn endpoints(field: &Field<'_>, report: &mut Report<'_>) -> Endpoints {
    let mut fields = Fields::of(field, report);
    let prometheus = fields.get("prometheus").and_then(|field| {
        let mut fields = Fields::of(&field, report);
        let url = fields
            .need("url", "http://127.0.0.1:9090", report)
            .and_then(|field| endpoint(&field, report));
        fields.finish(&["token", "headers"], report);
        url
    });
    fields.finish(&LATER, report);
    Endpoints { prometheus }
}

/// An address of HTTP without a query: secrets in one would stand in the journal.
fn endpoint(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let plain = rest.is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with(['/', ':'])
            && rest.bytes().all(|b| b.is_ascii_graphic())
            && !rest.contains(['@', '?', '#', '\\', '"', '<', '>'])
    });
    if plain {
        return Some(text.trim_end_matches('/').to_owned());
    }
    let message = format!("`{}` is `{}`, not an address", field.path, shorten(text));
    report
        .error(codes::BAD_ROUTE, field.at(), message)
        .help("write `http://127.0.0.1:9090`: scheme, host and port, without user or query");
    None
}

fn source(
    name: MetricName,
    field: &Field<'_>,
    endpoints: &Endpoints,
    report: &mut Report<'_>,
) -> Option<Source> {
    let mut fields = Fields::of(field, report);
    let query = fields
        .need(DRIVERS[0], "'sum(rate(orders_total{slot=\"$slot\"}[1m]))'", report)
        .and_then(|field| query(&field, report));
    let unit = fields.get("unit").map_or_else(|| Some(String::new()), |field| unit(&field, report));
    let bounds = (SignedDuration::from_secs(1), SignedDuration::from_mins(10));
    let every = read::duration(fields.get("every"), EVERY, bounds, report);
    let timeout_bounds = (SignedDuration::from_millis(100), SignedDuration::from_mins(1));
    let timeout = read::duration(fields.get("timeout"), TIMEOUT, timeout_bounds, report);
    // Two readings may be lost before a value counts as missing.
    let patience = every.saturating_mul(3).saturating_add(timeout);
    let stale_bounds = (SignedDuration::from_secs(1), SignedDuration::from_hours(1));
    let stale_field = fields.get("stale_after");
    let stale_at = stale_field.as_ref().map(Field::at);
    let stale_after = read::duration(stale_field, patience, stale_bounds, report);
    if let Some(at) = stale_at.filter(|_| stale_after <= every) {
        let message = format!("`{}` is not longer than `every`", fields.path("stale_after"));
        report
            .error(codes::CONFLICT, at, message)
            .help("a value would be missing before the next one is asked for; raise it");
    }
    let at = fields.at();
    fields.finish(&LATER, report);
    let Some(endpoint) = endpoints.prometheus.clone() else {
        report
            .error(codes::MISSING_KEY, at, format!("`{}`: where is Prometheus?", field.path))
            .help("write `sources: {prometheus: {url: http://127.0.0.1:9090}}`");
        return None;
    };
    let driver = DRIVERS[0].to_owned();
    let (query, unit) = (query?, unit?);
    Some(Source { name, unit, driver, endpoint, query, every, timeout, stale_after })
}

fn query(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?;
    if text.trim().is_empty() || text.len() > QUERY_BYTES_MAX {
        let message = format!("`{}` is empty or longer than {QUERY_BYTES_MAX} bytes", field.path);
        report.error(codes::TOO_COMPLEX, field.at(), message);
        return None;
    }
    if !SIDES.iter().any(|side| text.contains(side)) {
        let message = format!("`{}` asks for both versions at once", field.path);
        report.error(codes::BAD_RULE, field.at(), message).help(format!(
            "use one of {} in it, as in `errors_total{{slot=\"$slot\"}}`",
            words::list(&SIDES)
        ));
        return None;
    }
    Some(text.to_owned())
}

fn unit(field: &Field<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = read::text(field, report)?.trim();
    if text.len() <= UNIT_BYTES_MAX && !text.contains([' ', '<', '>', '=']) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is `{}`, not a unit", field.path, shorten(text));
    report.error(codes::BAD_NUMBER, field.at(), message).help("write for example `\"/min\"`");
    None
}
