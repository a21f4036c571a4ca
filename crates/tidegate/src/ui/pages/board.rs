//! A deployment as its page shows it: pure functions from what the API says to rows, bars and marks.
//! Must never say more than the API: what is absent there is absent here.

use crate::text::{count, number};
use crate::view::evidence::Gate;
use crate::view::{Deployment, Part, Phase, Reading, Slot, Split, Verdict};
use crate::words;

use super::show::{self, Light};

/// Where the zones of a bar begin and end, in hundredths: the same for every metric, so that the
/// borders stand in one line down the table.
const ZONES: [(f64, f64); 3] = [(0.0, 40.0), (40.0, 65.0), (65.0, 100.0)];
/// A mark at the very end of a bar is drawn inside of it.
const LAST: f64 = 98.6;

/// One side of *from -> to*.
#[derive(Debug)]
pub(crate) struct Side {
    /// The version, or that there is none.
    pub(crate) version: String,
    /// Role and slot names.
    pub(crate) place: String,
}

/// One phase.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) name: String,
    pub(crate) result: String,
    pub(crate) light: Light,
    /// How long it took, or what it is at.
    pub(crate) note: String,
    /// What its checks said.
    pub(crate) title: String,
}

/// One bar of a part's traffic.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) label: &'static str,
    pub(crate) segments: Vec<Segment>,
    pub(crate) value: String,
}

/// A slot's piece of a bar.
#[derive(Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) role: String,
    pub(crate) x: String,
    pub(crate) width: String,
}

/// A slot in the legend.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) what: String,
}

/// The traffic of a part.
#[derive(Debug)]
pub(crate) struct PartBoard {
    pub(crate) name: String,
    pub(crate) worker: bool,
    pub(crate) url: Option<String>,
    pub(crate) shares: Vec<Share>,
    pub(crate) slots: Vec<Place>,
    pub(crate) problems: Vec<String>,
}

/// A three-zone bar.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) zones: Vec<Segment>,
    pub(crate) live: Option<String>,
    pub(crate) candidate: Option<String>,
    /// The same for those who do not see it.
    pub(crate) words: String,
}

/// A row of the verdict table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) metric: String,
    pub(crate) live: String,
    pub(crate) candidate: String,
    pub(crate) bar: Option<Bar>,
    pub(crate) rules: String,
    pub(crate) sample: String,
    pub(crate) light: Light,
}

/// The verdict.
#[derive(Debug)]
pub(crate) struct Judgement {
    pub(crate) sentence: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) lines: Vec<String>,
}

/// A gate with its light.
#[derive(Debug)]
pub(crate) struct Weighed<'a> {
    pub(crate) view: &'a Gate,
    pub(crate) light: Light,
}

/// Everything above the fold.
#[derive(Debug)]
pub(crate) struct Board<'a> {
    pub(crate) sentence: String,
    pub(crate) next: Option<String>,
    pub(crate) from: Side,
    pub(crate) to: Side,
    pub(crate) rail: Vec<Stop>,
    pub(crate) parts: Vec<PartBoard>,
    pub(crate) verdict: Option<Judgement>,
    pub(crate) can_go_back: bool,
    pub(crate) held_by_person: bool,
    pub(crate) exposed: String,
    pub(crate) failed: String,
    pub(crate) budget: Option<String>,
    /// Name and markup.
    pub(crate) times: Vec<(&'static str, String)>,
    pub(crate) gates: Vec<Weighed<'a>>,
    pub(crate) steps: Vec<String>,
    /// How long each lasts at least.
    pub(crate) dwell: Option<String>,
}

/// The board of a deployment.
pub(crate) fn of(d: &Deployment) -> Board<'_> {
    let outlook = d.verdict.as_ref().and_then(|verdict| verdict.outlook.as_ref());
    let unknown = || "–".to_owned();
    Board {
        sentence: sentence(d),
        next: next(d),
        from: Side {
            version: d.from.clone().unwrap_or_else(|| "nothing".to_owned()),
            place: places(d, "live"),
        },
        to: Side { version: d.version.clone(), place: places(d, "candidate") },
        rail: d.phases.iter().map(|phase| stop(phase, d)).collect(),
        parts: d.parts.iter().map(part).collect(),
        verdict: d.verdict.as_ref().map(judgement),
        can_go_back: !d.ended() && d.going_back.is_none() && d.state != "queued",
        held_by_person: d
            .hold
            .as_ref()
            .is_some_and(|hold| matches!(hold.cause.as_str(), "person" | "condition")),
        exposed: d.exposed.map_or_else(unknown, count),
        failed: outlook.map_or_else(unknown, |outlook| count(outlook.failed)),
        budget: outlook.and_then(|outlook| {
            let budget = outlook.budget?;
            let spent = number(outlook.charged);
            Some(format!("{spent} of {} failed requests of the budget spent", count(budget)))
        }),
        times: times(d),
        gates: gates(&d.gates),
        dwell: (d.steps.dwell_ms > 0).then(|| show::span_ms(d.steps.dwell_ms)),
        steps: d.steps.weights_bp.iter().map(|bp| percent(f64::from(*bp) / 100.0)).collect(),
    }
}

/// Those that hold it back first.
fn gates(gates: &[Gate]) -> Vec<Weighed<'_>> {
    let rank = |gate: &Gate| match gate.result.as_str() {
        "fail" => 0,
        "no-data" => 1,
        "waived" => 2,
        _ => 3,
    };
    let mut sorted: Vec<&Gate> = gates.iter().collect();
    sorted.sort_by_key(|gate| rank(gate));
    sorted.into_iter().map(|view| Weighed { view, light: show::gate(&view.result) }).collect()
}

fn percent(value: f64) -> String {
    format!("{} %", number(value))
}

/// The first letter large, a full stop at the end: the terminal's fragment as a headline.
fn sentence(d: &Deployment) -> String {
    let text =
        if d.sentence.is_empty() { words::state_words(&d.state) } else { d.sentence.clone() };
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

fn next(d: &Deployment) -> Option<String> {
    let back = d.going_back.as_ref().filter(|_| !d.ended())?;
    Some(format!("Going back: {}", back.why))
}

/// The slots with a role, by name.
fn places(d: &Deployment, role: &str) -> String {
    let mut names: Vec<&str> = d
        .parts
        .iter()
        .flat_map(|part| &part.slots)
        .filter(|slot| slot.role == role)
        .map(|slot| slot.name.as_str())
        .collect();
    names.dedup();
    if names.is_empty() || d.ended() {
        return String::new();
    }
    format!("{role} in {}", names.join(", "))
}

fn stop(phase: &Phase, d: &Deployment) -> Stop {
    let took = match (&phase.since, &phase.until) {
        (Some(since), Some(until)) => show::between(since, until),
        (Some(since), None) => show::between(since, &d.now),
        _ => String::new(),
    };
    let note = match (phase.result.as_str(), d.steps.current) {
        ("not_required", _) => "not required".to_owned(),
        ("skipped", _) => "skipped".to_owned(),
        ("running", Some(step)) if phase.name == "traffic" => {
            format!("step {step} of {}", d.steps.weights_bp.len())
        }
        _ => took,
    };
    Stop {
        name: phase.name.clone(),
        result: phase.result.clone(),
        light: show::phase(&phase.result),
        note,
        title: phase.notes.join("\n"),
    }
}

fn part(part: &Part) -> PartBoard {
    let mut slots: Vec<&Slot> = part.slots.iter().collect();
    slots.sort_by_key(|slot| match slot.role.as_str() {
        "live" => 0,
        "candidate" => 1,
        _ => 2,
    });
    PartBoard {
        name: part.name.clone(),
        worker: part.kind == "worker",
        url: part
            .url
            .clone()
            .filter(|url| url.starts_with("http://") || url.starts_with("https://")),
        shares: part.split.as_ref().map(|split| shares(split, &slots)).unwrap_or_default(),
        problems: slots
            .iter()
            .filter_map(|slot| Some(format!("{}: {}", slot.name, slot.problem.as_ref()?)))
            .collect(),
        slots: slots
            .into_iter()
            .map(|slot| Place {
                name: slot.name.clone(),
                role: slot.role.clone(),
                what: match &slot.version {
                    Some(version) => {
                        format!(": {version}, {} of {} ready", slot.ready, slot.wanted)
                    }
                    // What its events did not touch, a deployment that ended knows nothing of.
                    None => String::new(),
                },
            })
            .collect(),
    }
}

/// What is set, what was read back, what was counted.
fn shares(split: &Split, slots: &[&Slot]) -> Vec<Share> {
    let bar =
        |label, shares: Option<&std::collections::BTreeMap<String, f64>>, absent: &str, digits| {
            let mut x = 0.0;
            let mut segments = Vec::new();
            let mut values = Vec::new();
            for slot in slots {
                let share =
                    shares.and_then(|shares| shares.get(&slot.name)).copied().unwrap_or(0.0);
                if share > 0.0 {
                    segments.push(Segment {
                        role: slot.role.clone(),
                        x: format!("{x:.2}"),
                        width: format!("{share:.2}"),
                    });
                    x += share;
                }
                if slot.role != "standby" || share > 0.0 {
                    values.push(if digits { format!("{share:.1}") } else { number(share) });
                }
            }
            let value = match shares {
                Some(_) => format!("{} %", values.join(" / ")),
                None => absent.to_owned(),
            };
            Share { label, segments, value }
        };
    vec![
        bar("set", Some(&split.set), "", false),
        bar("read back", split.read.as_ref(), "not confirmed", false),
        bar("observed", split.observed.as_ref(), "nothing counted", true),
    ]
}

fn judgement(verdict: &Verdict) -> Judgement {
    let proof = verdict.proof.iter().map(words::proof);
    let outlook = verdict.outlook.as_ref().and_then(words::outlook);
    Judgement {
        sentence: verdict.sentence.clone(),
        rows: verdict.readings.iter().map(row).collect(),
        lines: proof.chain(outlook).collect(),
    }
}

fn row(reading: &Reading) -> Row {
    let value = |value: Option<f64>| match value {
        Some(value) => format!("{} {}", number(value), reading.unit).trim_end().to_owned(),
        None => "–".to_owned(),
    };
    let mut light = show::zone(&reading.zone);
    if let Some(ms) = reading.due_in_ms {
        light.word = format!("{} in {}", light.word, words::time(ms));
    }
    let rule = |rule: &Option<String>, what: &str| {
        rule.as_ref().map(|rule| format!("{} {what}", rule.trim()))
    };
    let rules: Vec<String> =
        [rule(&reading.advance, "advances"), rule(&reading.rollback, "rolls back")]
            .into_iter()
            .flatten()
            .collect();
    Row {
        metric: reading.metric.clone(),
        live: value(reading.live),
        candidate: value(reading.candidate),
        bar: bar(reading),
        rules: rules.join(" · "),
        sample: match (reading.sample, reading.needed) {
            (0, 0) => "–".to_owned(),
            (sample, 0) => count(sample),
            (sample, needed) => format!("{} of {}", count(sample), count(needed)),
        },
        light,
    }
}

fn bar(reading: &Reading) -> Option<Bar> {
    let both = match (reading.advance_limit, reading.rollback_limit) {
        (None, None) => return None,
        (Some(_), Some(_)) => true,
        _ => false,
    };
    let roles = ["advance", if both { "hold" } else { "none" }, "rollback"];
    let zones = ZONES.iter().zip(roles).map(|((from, to), role)| Segment {
        role: role.to_owned(),
        x: from.to_string(),
        width: (to - from - 0.6).to_string(),
    });
    let at = |value: Option<f64>| {
        let (zone, part) = words::place_of(reading, value)?;
        let (from, to) = ZONES.get(zone)?;
        Some(format!("{:.1}", (from + (to - from) * part).min(LAST)))
    };
    Some(Bar {
        zones: zones.collect(),
        live: at(reading.live),
        candidate: at(reading.candidate),
        words: format!("{} stands in the zone {}", reading.metric, reading.zone.replace('_', "-")),
    })
}

fn times(d: &Deployment) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    match &d.ended_at {
        Some(ended) => {
            rows.push(("ended", show::clock(ended)));
            rows.push(("took", show::between(&d.started_at, ended)));
        }
        None => rows.push(("elapsed", show::between(&d.started_at, &d.now))),
    }
    if let (Some(step), Some(converged), false) = (d.steps.current, d.steps.converged_at, d.ended())
    {
        let dwell = jiff::SignedDuration::from_millis(d.steps.dwell_ms);
        if let Ok(earliest) = converged.checked_add(dwell) {
            let name = if usize::try_from(step).is_ok_and(|step| step == d.steps.weights_bp.len()) {
                "bake from"
            } else {
                "next step from"
            };
            rows.push((name, show::clock(&earliest)));
        }
    }
    if let Some(ends) = &d.ends_at {
        let left = show::between(&d.now, ends);
        rows.push(("over at the earliest", format!("{} (in {left})", show::clock(ends))));
    }
    if let Some(window) = &d.window {
        let (name, never) = if window.open {
            ("window closes", "not in sight")
        } else {
            ("window opens", "not in sight")
        };
        let at = window.until.as_ref().map_or_else(|| never.to_owned(), show::day);
        rows.push((name, at));
    }
    rows
}
