//! A simulated run as a picture: the share of the new version, what failed, and the evidence.
//! Must never draw what was not computed: every point is one second's verdict.

use std::fmt::Write as _;

use tidegate_core::plan::{Metric, Plan};
use tidegate_engine::simulate::{Course, Point, Scenario};

/// Columns of the terminal's picture.
const COLUMNS: usize = 72;
/// Size of the drawing, pixels.
const WIDTH: f64 = 900.0;
const PANEL: f64 = 110.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 50.0;
const GAP: f64 = 30.0;

/// One row of the picture.
struct Row {
    name: &'static str,
    unit: &'static str,
    /// The value of the row in a point; `None` where nothing was measured.
    of: fn(&Point) -> Option<f64>,
    /// What a full row stands for, at least.
    least: f64,
}

const ROWS: [Row; 4] = [
    Row { name: "share", unit: "%", of: |p| Some(f64::from(p.share_bp) / 100.0), least: 100.0 },
    Row { name: "errors", unit: "%", of: |p| reading(p, &Metric::Errors), least: 1.0 },
    Row { name: "p95", unit: "ms", of: |p| reading(p, &Metric::P95), least: 100.0 },
    Row { name: "evidence", unit: "%", of: evidence, least: 100.0 },
];

fn reading(point: &Point, metric: &Metric) -> Option<f64> {
    point.verdict.readings.iter().find(|reading| reading.metric == *metric)?.candidate
}

fn evidence(point: &Point) -> Option<f64> {
    point.verdict.proof.as_ref().map(|proof| proof.strength * 100.0)
}

/// The picture for a terminal: a row of bars each.
pub(super) fn lines(course: &Course, unicode: bool) -> Vec<String> {
    let bars: &[char] = if unicode {
        &[
            '\u{2581}', '\u{2582}', '\u{2583}', '\u{2584}', '\u{2585}', '\u{2586}', '\u{2587}',
            '\u{2588}',
        ]
    } else {
        &['_', '.', ':', '-', '=', '+', '*', '#']
    };
    let shown =
        ROWS.iter().filter(|row| course.points.iter().any(|point| (row.of)(point).is_some()));
    shown
        .map(|row| {
            let most = scale(course, row);
            let columns = course.points.len().clamp(1, COLUMNS);
            let cells: String = (0..columns)
                .map(|column| {
                    let from = column * course.points.len() / columns;
                    let to = ((column + 1) * course.points.len() / columns).max(from + 1);
                    let points = course.points.get(from..to).unwrap_or_default();
                    let value = points.iter().filter_map(row.of).reduce(f64::max);
                    value.map_or(' ', |value| bar(value / most, bars))
                })
                .collect();
            format!("{:>9} {cells} {} {}", row.name, crate::text::number(most), row.unit)
        })
        .collect()
}

fn bar(share: f64, bars: &[char]) -> char {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the bars that there are"
    )]
    let index = (share.clamp(0.0, 1.0) * (bars.len() - 1) as f64).round() as usize;
    bars.get(index).copied().unwrap_or(' ')
}

fn scale(course: &Course, row: &Row) -> f64 {
    course.points.iter().filter_map(row.of).fold(row.least, f64::max)
}

/// The picture as a drawing of its own, without a script and without a font of its own.
pub(super) fn svg(course: &Course, plan: &Plan, scenario: &Scenario) -> String {
    let height = TOP + ROWS.len() as f64 * (PANEL + GAP) + 20.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{service}: simulation of {name}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{service}: simulation of {name}, {about}</text>\n",
        service = plan.scope.service,
        name = scenario.name,
        about = scenario.about,
    );
    let first = course.points.first().map(|point| point.at);
    let last = course.points.last().map(|point| point.at);
    if let (Some(first), Some(last)) = (first, last) {
        let length = last.duration_since(first).as_secs_f64().max(1.0);
        let across = |at: jiff::Timestamp| {
            LEFT + (WIDTH - LEFT - 20.0) * (at.duration_since(first).as_secs_f64() / length)
        };
        for (index, row) in ROWS.iter().enumerate() {
            panel(&mut text, course, row, index, &across);
        }
        let bottom = height - 20.0;
        for (at, word, colour) in
            [(course.fault_at, "fault", "#b45309"), (course.decided_at, "rolled back", "#b91c1c")]
        {
            let Some(at) = at.filter(|at| *at >= first && *at <= last) else { continue };
            let x = across(at);
            // Writing to a string cannot fail.
            let _fine = writeln!(
                text,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"{colour}\" \
                 stroke-dasharray=\"4 3\"/><text x=\"{x:.1}\" y=\"{}\" fill=\"{colour}\">{word}</text>",
                TOP - 6.0
            );
        }
        let minutes = length / 60.0;
        let _fine = writeln!(
            text,
            "<text x=\"{LEFT}\" y=\"{:.1}\">0</text><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{minutes:.1} min</text>",
            height - 6.0,
            WIDTH - 20.0,
            height - 6.0
        );
    }
    text.push_str("</svg>\n");
    text
}

fn panel(
    text: &mut String,
    course: &Course,
    row: &Row,
    index: usize,
    across: &impl Fn(jiff::Timestamp) -> f64,
) {
    let top = TOP + index as f64 * (PANEL + GAP);
    let base = top + PANEL;
    let most = scale(course, row);
    let points: Vec<String> = course
        .points
        .iter()
        .filter_map(|point| {
            let value = (row.of)(point)?;
            Some(format!("{:.1},{:.1}", across(point.at), base - PANEL * (value / most)))
        })
        .collect();
    let _fine = writeln!(
        text,
        "<line x1=\"{LEFT}\" x2=\"{}\" y1=\"{base}\" y2=\"{base}\" stroke=\"#999\"/>\
         <text x=\"6\" y=\"{:.1}\">{}</text><text x=\"6\" y=\"{:.1}\" fill=\"#666\">{} {}</text>\
         <polyline fill=\"none\" stroke=\"#1d4ed8\" stroke-width=\"1.5\" points=\"{}\"/>",
        WIDTH - 20.0,
        top + 14.0,
        row.name,
        top + 30.0,
        crate::text::number(most),
        row.unit,
        points.join(" "),
    );
}
