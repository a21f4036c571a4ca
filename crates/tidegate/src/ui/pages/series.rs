//! What was measured over time, for the charts: the recording that the judge heard, thinned out.
//! Must never show a point that nobody measured: a gap stays a gap.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use tidegate_core::plan::{Plan, Rule};
use tidegate_engine::hearing::rules::limits_ms;
use tidegate_engine::ports::DeploymentRow;
use tidegate_engine::recording::{Entry, Recording};
use tidegate_judge::histogram::{Cells, Histogram};
use tidegate_judge::tick::Arm;

use crate::api::{Api, verdicts};
use crate::problem::Problem;
use crate::text::number;

/// Points of one line: a chart of half a screen has no room for more.
const POINTS_MAX: u64 = 240;
/// Lengths of a point that people can name, seconds.
const WIDTHS_S: [u64; 9] = [1, 2, 5, 10, 30, 60, 300, 900, 3_600];
/// Drawing area of a still chart.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 168.0;

/// A time series a part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Series {
    /// The part.
    pub(crate) part: String,
    /// Seconds between two points.
    pub(crate) width_s: u64,
    /// The middle of each point, seconds since the epoch.
    pub(crate) at: Vec<u64>,
    /// When each share of the candidate began, seconds since the epoch, with the share in percent.
    pub(crate) steps: Vec<(f64, f64)>,
    /// One chart each.
    pub(crate) charts: Vec<Chart>,
}

/// One metric on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Chart {
    /// What is measured.
    pub(crate) name: String,
    /// Its unit.
    pub(crate) unit: String,
    /// The live side, a value a point.
    pub(crate) live: Vec<Option<f64>>,
    /// The candidate.
    pub(crate) candidate: Vec<Option<f64>>,
    /// Limit of the advance rule.
    pub(crate) advance: Option<f64>,
    /// Limit of the rollback rule.
    pub(crate) rollback: Option<f64>,
}

/// The series of every part of a deployment; empty before users met it, and once its recording is
/// gone.
pub(crate) async fn of(
    api: &Api,
    row: &DeploymentRow,
    plan: &Plan,
) -> Result<Vec<Series>, Problem> {
    let mut found = Vec::new();
    for part in &plan.parts {
        let recording = verdicts::recorded(api, row, &part.name).await?;
        found.extend(recording.as_ref().and_then(thin));
    }
    Ok(found)
}

/// Counts of one point.
#[derive(Debug, Default)]
struct Sum {
    requests: u64,
    failures: u64,
    latency: Option<Histogram>,
    cpu: Option<f64>,
    memory: Option<f64>,
    heard_ms: u64,
}

impl Sum {
    fn add(&mut self, arm: &Arm, length_ms: u64) {
        self.requests += arm.requests;
        self.failures += arm.failures;
        self.heard_ms += length_ms;
        let worst = |a: Option<f64>, b: Option<f64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (one, other) => one.or(other),
        };
        self.cpu = worst(self.cpu, arm.cpu);
        self.memory = worst(self.memory, arm.memory);
        match &mut self.latency {
            None => self.latency = Some(arm.latency.clone()),
            // All ticks of a recording have the cells of its plan.
            Some(latency) => drop(latency.merge(&arm.latency)),
        }
    }

    fn rate(&self) -> Option<f64> {
        (self.heard_ms > 0).then(|| self.requests as f64 * 1_000.0 / self.heard_ms as f64)
    }

    fn errors(&self) -> Option<f64> {
        (self.requests > 0).then(|| self.failures as f64 * 100.0 / self.requests as f64)
    }

    fn p95(&self, cells: &Cells) -> Option<f64> {
        self.latency.as_ref().filter(|latency| latency.total() > 0)?.quantile_ms(0.95, cells)
    }
}

fn thin(recording: &Recording) -> Option<Series> {
    let ticks: Vec<_> = recording
        .entries
        .iter()
        .filter_map(|(entry, _)| match entry {
            Entry::Tick(tick) => Some(tick),
            Entry::Step { .. } => None,
        })
        .collect();
    let (first, last) = (ticks.first()?.at_ms / 1_000, ticks.last()?.at_ms / 1_000);
    let length = last - first + 1;
    let width_s = WIDTHS_S.into_iter().find(|width| length / width <= POINTS_MAX);
    let width_s = width_s.unwrap_or_else(|| length.div_ceil(POINTS_MAX));
    let plan = &recording.header.plan;
    let cells = Cells::new(&limits_ms(plan));
    // Points lie on a grid of the clock, so that a longer recording keeps the points it had.
    let origin = first / width_s;
    let points = usize::try_from(last / width_s - origin + 1).ok()?;
    let mut sums: Vec<(Sum, Sum)> = std::iter::repeat_with(Default::default).take(points).collect();
    for tick in ticks {
        let point = usize::try_from(tick.at_ms / 1_000 / width_s - origin).ok()?;
        let Some((live, candidate)) = sums.get_mut(point) else { continue };
        let heard = tick.tick(&cells);
        if let Some(arm) = &heard.live {
            live.add(arm, tick.length_ms);
        }
        if let Some(arm) = &heard.candidate {
            candidate.add(arm, tick.length_ms);
        }
    }
    let steps = recording.entries.iter().filter_map(|(entry, _)| match entry {
        Entry::Step { at_ms, share_bp, .. } => {
            Some((*at_ms as f64 / 1_000.0, f64::from(*share_bp) / 100.0))
        }
        Entry::Tick(_) => None,
    });
    Some(Series {
        part: recording.header.part.to_string(),
        width_s,
        at: (0..points as u64).map(|point| (origin + point) * width_s + width_s / 2).collect(),
        steps: steps.collect(),
        charts: charts(&sums, plan, &cells),
    })
}

fn charts(sums: &[(Sum, Sum)], plan: &Plan, cells: &Cells) -> Vec<Chart> {
    let limit = |rules: &[Rule], name: &str| {
        rules.iter().find(|rule| rule.metric.name() == name).map(|rule| rule.limit)
    };
    let chart = |name: &str, unit: &str, value: &dyn Fn(&Sum) -> Option<f64>| Chart {
        name: name.to_owned(),
        unit: unit.to_owned(),
        live: sums.iter().map(|(live, _)| value(live).map(rounded)).collect(),
        candidate: sums.iter().map(|(_, candidate)| value(candidate).map(rounded)).collect(),
        advance: limit(&plan.traffic.advance_if, name),
        rollback: limit(&plan.traffic.rollback_if, name),
    };
    let all = [
        chart("errors", "%", &Sum::errors),
        chart("p95", "ms", &|sum| sum.p95(cells)),
        chart("requests", "/s", &Sum::rate),
        chart("cpu", "%", &|sum| sum.cpu),
        chart("memory", "%", &|sum| sum.memory),
    ];
    let measured = |chart: &Chart| chart.live.iter().chain(&chart.candidate).any(Option::is_some);
    all.into_iter().filter(measured).collect()
}

/// Three digits behind the point: less than a pixel.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// A step of traffic behind the lines.
#[derive(Debug)]
pub(crate) struct Band {
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) opacity: String,
}

/// A chart that needs no script.
#[derive(Debug)]
pub(crate) struct Still {
    pub(crate) name: String,
    pub(crate) bands: Vec<Band>,
    pub(crate) live: String,
    pub(crate) candidate: String,
    /// Height of the advance limit and of the rollback limit.
    pub(crate) advance: Option<String>,
    pub(crate) rollback: Option<String>,
    /// What the chart says, for those who do not see it.
    pub(crate) words: String,
    /// The newest values.
    pub(crate) read: String,
    /// The same as a table: step, live, candidate.
    pub(crate) table: Vec<[String; 3]>,
}

/// The charts of a series as drawings.
pub(crate) fn stills(series: &Series) -> Vec<Still> {
    series.charts.iter().map(|chart| still(series, chart)).collect()
}

fn still(series: &Series, chart: &Chart) -> Still {
    let (first, last) = (series.at.first().copied(), series.at.last().copied());
    let begin = first.unwrap_or(0) as f64;
    let span = (last.unwrap_or(1) as f64 - begin).max(1.0);
    let x = |at: f64| ((at - begin) / span * WIDTH).clamp(0.0, WIDTH);
    let values = chart.live.iter().chain(&chart.candidate).flatten().copied();
    let highest = values.chain(chart.advance).fold(0.0, f64::max);
    // A rollback limit far above everything would press the lines to the floor.
    let top = match chart.rollback {
        Some(limit) if limit <= highest * 4.0 => highest.max(limit),
        _ => highest,
    } * 1.1;
    let top = if top > 0.0 { top } else { 1.0 };
    let y = |value: f64| HEIGHT - (value / top * HEIGHT).clamp(0.0, HEIGHT);
    let line = |values: &[Option<f64>]| {
        let mut path = String::new();
        let mut drawing = false;
        for (at, value) in series.at.iter().zip(values) {
            let Some(value) = value else {
                drawing = false;
                continue;
            };
            let verb = if drawing { 'L' } else { 'M' };
            // Writing to a string cannot fail.
            let _infallible = write!(path, "{verb}{:.0} {:.1}", x(*at as f64), y(*value));
            drawing = true;
        }
        path
    };
    let ends = series.steps.iter().skip(1).map(|(at, _)| *at).chain(last.map(|at| at as f64));
    let bands = series.steps.iter().zip(ends).map(|((at, share), end)| Band {
        x: format!("{:.1}", x(*at)),
        width: format!("{:.1}", (x(end) - x(*at)).max(0.0)),
        opacity: format!("{:.3}", 0.02 + share / 100.0 * 0.1),
    });
    let within = |limit: Option<f64>| {
        limit.filter(|limit| *limit <= top).map(|limit| format!("{:.1}", y(limit)))
    };
    let shown = |values: &[Option<f64>]| match values.iter().rev().find_map(|value| *value) {
        Some(value) => format!("{} {}", number(value), chart.unit),
        None => "–".to_owned(),
    };
    let read = format!("live {} · new {}", shown(&chart.live), shown(&chart.candidate));
    Still {
        name: chart.name.clone(),
        bands: bands.collect(),
        live: line(&chart.live),
        candidate: line(&chart.candidate),
        advance: within(chart.advance),
        rollback: within(chart.rollback),
        words: format!("{} over time: {read} at the end", chart.name),
        read,
        table: table(series, chart),
    }
}

/// The mean of each step on both sides.
fn table(series: &Series, chart: &Chart) -> Vec<[String; 3]> {
    let ends = series.steps.iter().skip(1).map(|(at, _)| *at).chain([f64::INFINITY]);
    series
        .steps
        .iter()
        .zip(ends)
        .map(|((begin, share), end)| {
            let mean = |values: &[Option<f64>]| {
                let points = series.at.iter().zip(values);
                let inside: Vec<f64> = points
                    .filter(|(at, _)| (*begin..end).contains(&(**at as f64)))
                    .filter_map(|(_, value)| *value)
                    .collect();
                if inside.is_empty() {
                    return "–".to_owned();
                }
                let mean = inside.iter().sum::<f64>() / inside.len() as f64;
                format!("{} {}", number(mean), chart.unit)
            };
            let at = Timestamp::from_millisecond((*begin * 1_000.0).round() as i64);
            let at = at.map(|at| at.strftime("%H:%M:%S").to_string()).unwrap_or_default();
            [
                format!("{} % from {at} UTC", number(*share)),
                mean(&chart.live),
                mean(&chart.candidate),
            ]
        })
        .collect()
}
