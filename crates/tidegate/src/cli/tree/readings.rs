//! The verdict as a table: a row a metric with its zones, then what the evidence says and what is
//! to be expected. Must never place a mark where nothing was measured.

use crate::terminal::{Style, Terminal, styled};
use crate::text::{count, number};
use crate::view::{Reading, Verdict};
use crate::words::{self, percent, place, time, zone_icon};

/// Columns of one zone in a bar; three zones and two borders make a bar.
const ZONE: usize = 8;

/// The verdict's table: one row a metric, then the evidence and the outlook.
pub(crate) fn reading_rows(verdict: &Verdict, terminal: &Terminal) -> Vec<String> {
    if verdict.readings.is_empty() {
        return Vec::new();
    }
    let head = format!(
        "   |  {:8} {:>9} {:>9}  {:26} {:>14} {:>8}  verdict",
        "metric", "live", "new", "advance | hold | rollback", "sample", "evidence"
    );
    let mut lines = vec![styled(Style::Faint, &head)];
    lines.extend(verdict.readings.iter().map(|reading| reading_row(reading, terminal)));
    let proof = verdict.proof.iter().map(words::proof);
    let outlook = verdict.outlook.as_ref().and_then(words::outlook);
    lines.extend(proof.chain(outlook).map(|line| format!("   |  {line}")));
    lines
}

fn reading_row(reading: &Reading, terminal: &Terminal) -> String {
    let unit = &reading.unit;
    let value = |value: Option<f64>| match value {
        Some(value) if unit.is_empty() => number(value),
        Some(value) => format!("{} {unit}", number(value)),
        None => "-".to_owned(),
    };
    let sample = match (reading.sample, reading.needed) {
        (0, 0) => String::new(),
        (sample, 0) => count(sample),
        (sample, needed) => format!("{}/{}", count(sample), count(needed)),
    };
    let evidence = reading.strength.map_or_else(|| "-".to_owned(), percent);
    let (icon, style) = zone_icon(&reading.zone, terminal.unicode());
    let due = reading.due_in_ms.map(|ms| format!(" in {}", time(ms))).unwrap_or_default();
    let zone = format!("{icon} {}{due}", reading.zone.replace('_', "-"));
    format!(
        "   |  {:8} {:>9} {:>9}  {} {sample:>14} {evidence:>8}  {}",
        reading.metric,
        value(reading.live),
        value(reading.candidate),
        zone_bar(reading),
        styled(style, &zone),
    )
}

/// `<0.1    |    *   |      >1`: the zones with their limits, and where the new version stands.
fn zone_bar(reading: &Reading) -> String {
    let place = place(reading).map(|(zone, part)| (zone, column(part)));
    let limit = |rule: &Option<String>| {
        let bare = rule.as_deref().unwrap_or("-").split(" for ").next().unwrap_or_default();
        bare.replace(' ', "")
    };
    let (good, bad) = (limit(&reading.advance), limit(&reading.rollback));
    let both = reading.advance_limit.is_some() && reading.rollback_limit.is_some();
    let zone = |index: usize| -> String {
        let text = match index {
            0 => format!("{good:ZONE$.ZONE$}"),
            2 => format!("{bad:>ZONE$.ZONE$}"),
            // Without both limits there is nothing between them.
            _ => (if both { " " } else { "-" }).repeat(ZONE),
        };
        let mark = place.and_then(|(at, part)| (at == index).then_some(part));
        let cells = text.chars().enumerate();
        cells.map(|(cell, c)| if Some(cell) == mark { '*' } else { c }).collect()
    };
    format!("{}|{}|{}", zone(0), zone(1), zone(2))
}

/// The column of a place in its zone, 0 to 1.
fn column(part: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the columns of a zone"
    )]
    let column = (part * (ZONE - 1) as f64).round() as usize;
    column
}

#[cfg(test)]
mod tests {
    use super::{place, zone_bar};
    use crate::view::Reading;

    fn reading(candidate: Option<f64>, limits: (Option<f64>, Option<f64>)) -> Reading {
        let rule =
            |limit: Option<f64>, sign: &str| limit.map(|limit| format!("{sign} {limit} for 5m"));
        Reading {
            metric: "p95".to_owned(),
            unit: "ms".to_owned(),
            live: None,
            candidate,
            zone: "hold".to_owned(),
            sample: 0,
            needed: 0,
            advance: rule(limits.0, "<"),
            rollback: rule(limits.1, ">"),
            advance_limit: limits.0,
            rollback_limit: limits.1,
            strength: None,
            due_in_ms: None,
        }
    }

    #[test]
    fn a_mark_stands_in_its_zone() {
        let limits = (Some(200.0), Some(500.0));
        assert_eq!(zone_bar(&reading(Some(350.0), limits)), "<200    |    *   |    >500");
        assert_eq!(zone_bar(&reading(None, limits)), "<200    |        |    >500");
        assert_eq!(place(&reading(Some(0.0), limits)), Some((0, 0.0)));
        assert_eq!(place(&reading(Some(1e9), limits)), Some((2, 1.0)));
        assert_eq!(
            zone_bar(&reading(Some(600.0), (None, Some(500.0)))),
            "-       |--------| *  >500"
        );
        assert_eq!(place(&reading(Some(1.0), (None, None))), None);
    }

    #[test]
    fn where_high_is_good_the_axis_is_turned() {
        let mut reading = reading(Some(3.0), (Some(10.0), Some(5.0)));
        (reading.advance, reading.rollback) = (Some("> 10".to_owned()), Some("< 5".to_owned()));
        assert_eq!(place(&reading).map(|(zone, _)| zone), Some(2));
        reading.candidate = Some(7.0);
        assert_eq!(place(&reading).map(|(zone, _)| zone), Some(1));
        reading.candidate = Some(12.0);
        assert_eq!(place(&reading).map(|(zone, _)| zone), Some(0));
    }
}
