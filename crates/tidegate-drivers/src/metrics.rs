//! Drivers that read numbers which other systems measure. Must never answer with a number that is
//! not certainly about the side that was asked for.

use async_trait::async_trait;
use tidegate_core::plan::Source;
use tidegate_engine::ports::{Failure, FailureKind, MetricSide, Metrics, Sample};

mod prometheus;

use prometheus::Prometheus;

/// Every driver of this build, chosen by the name in the plan.
#[derive(Debug, Default)]
pub struct Sources {
    prometheus: Prometheus,
}

#[async_trait]
impl Metrics for Sources {
    async fn read(&self, source: &Source, side: &MetricSide) -> Result<Sample, Failure> {
        match source.driver.as_str() {
            "prometheus" => self.prometheus.read(source, side).await,
            other => Err(Failure {
                kind: FailureKind::Unsupported,
                code: "TG4405",
                what: format!("no driver named `{other}` is in this build"),
            }),
        }
    }
}

/// A question with its side put in: `$slot`, `$version`, `$revision`, `$part`, `$service` and
/// `$environment` as whole words; every other `$` stays.
///
/// # Errors
/// `TG4403` for a version with a character that could end a quoted text of the question.
fn about(query: &str, side: &MetricSide) -> Result<String, Failure> {
    let mut text = String::with_capacity(query.len());
    let mut rest = query;
    while let Some(at) = rest.find('$') {
        let (before, behind) = rest.split_at(at);
        text.push_str(before);
        let ends = |(at, c): (usize, char)| {
            (at > 0 && !c.is_ascii_alphanumeric() && c != '_').then_some(at)
        };
        let end = behind.char_indices().find_map(ends);
        let word = end.and_then(|end| behind.get(..end)).unwrap_or(behind);
        let (name, left) = (word, behind.get(word.len()..).unwrap_or_default());
        match value(name, side) {
            Some(value) if is_plain(value) => text.push_str(value),
            Some(value) => {
                return Err(Failure::permanent(
                    "TG4403",
                    format!("`{name}` is `{value}`, which cannot stand in a query"),
                ));
            }
            None => text.push_str(name),
        }
        rest = left;
    }
    text.push_str(rest);
    Ok(text)
}

/// What a placeholder, or a label of that name, means for a side.
fn value<'s>(name: &str, side: &'s MetricSide) -> Option<&'s str> {
    Some(match name.strip_prefix('$').unwrap_or(name) {
        "slot" => side.place.slot.as_str(),
        "version" => &side.version,
        "revision" => &side.revision,
        "part" => side.place.part.as_str(),
        "service" => side.place.scope.service.as_str(),
        "environment" => side.place.scope.environment.as_str(),
        _ => return None,
    })
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use tidegate_core::ids::{EnvironmentName, PartName, Scope, ServiceName, SlotName};
    use tidegate_engine::ports::{MetricSide, Place};

    use super::about;

    fn side(version: &str) -> Option<MetricSide> {
        let scope = Scope {
            service: ServiceName::new("shop").ok()?,
            environment: EnvironmentName::new("production").ok()?,
        };
        let (part, slot) = (PartName::new("web").ok()?, SlotName::new("north").ok()?);
        Some(MetricSide {
            place: Place { scope, part, slot },
            version: version.to_owned(),
            revision: format!("{version}-1f3a9c0d"),
        })
    }

    #[test]
    fn words_are_replaced_whole_and_everything_else_stays() -> Result<(), &'static str> {
        let side = side("v2.1.0").ok_or("no side")?;
        let query = r#"up{slot="$slot",v=~"$version",e!~"5..$",x="$slots"} $"#;
        let asked = about(query, &side).map_err(|_refused| "refused")?;
        assert_eq!(asked, r#"up{slot="north",v=~"v2.1.0",e!~"5..$",x="$slots"} $"#);
        let all =
            about("$revision$part-$service/$environment", &side).map_err(|_refused| "refused")?;
        assert_eq!(all, "v2.1.0-1f3a9c0dweb-shop/production");
        Ok(())
    }

    #[test]
    fn a_version_that_would_end_the_text_is_refused() -> Result<(), &'static str> {
        let side = side(r#"v2"} or up{x=""#).ok_or("no side")?;
        let refused = about(r#"up{version="$version"}"#, &side);
        assert_eq!(refused.err().map(|failure| failure.code), Some("TG4403"));
        assert!(about("up", &side).is_ok(), "what is not asked for does no harm");
        Ok(())
    }
}
