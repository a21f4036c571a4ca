//! Holds facts against a demand. Must never look anywhere but at its arguments.

use jiff::Timestamp;

use super::{Bound, Demand, Found, Gate, GateResult, Missing, Versions, Waiver};
use crate::digest::Digest;
use crate::fact::Fact;
use crate::verdict::Outcome;

mod reports;
mod repository;
mod review;

/// Most names in one sentence.
const SHOWN_MAX: usize = 3;

/// A result in the making: pass, fail or no-data, the sentence, and what to do.
struct Word {
    outcome: Outcome,
    sentence: String,
    help: Option<String>,
}

impl Word {
    fn pass(sentence: impl Into<String>) -> Self {
        Self { outcome: Outcome::Pass, sentence: sentence.into(), help: None }
    }

    fn fail(sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, sentence: sentence.into(), help: Some(help.into()) }
    }

    fn no_data(sentence: impl Into<String>, help: impl Into<String>) -> Self {
        Self { outcome: Outcome::NoData, sentence: sentence.into(), help: Some(help.into()) }
    }
}

/// How a gate stands at a time.
///
/// A waiver counts while it has not expired, for exactly its version and commit; what it sets
/// aside stays in the sentence. A gate that passes needs no waiver.
#[must_use]
pub fn weigh(
    gate: &Gate,
    found: Option<&Found>,
    versions: &Versions,
    waivers: &[Waiver],
    now: Timestamp,
) -> GateResult {
    let evidence = found.map(|found| found.evidence.clone()).unwrap_or_default();
    if let Some(condition) = found.and_then(|found| found.not_needed.as_ref()) {
        return GateResult {
            gate: gate.name.clone(),
            outcome: Outcome::NoData,
            needed: false,
            sentence: format!("not needed: {condition}"),
            help: None,
            evidence,
        };
    }
    let word = match found.map(|found| &found.facts) {
        Some(Ok(facts)) => of_facts(gate, facts, versions, now),
        Some(Err(Missing { what, help })) => Word::no_data(what.clone(), help.clone()),
        None => Word::no_data("nobody looked", "`tidegate gate run`"),
    };
    let waiver = waivers.iter().rev().find(|waiver| {
        waiver.gate == gate.name
            && waiver.version == versions.version
            && waiver.commit == versions.commit
            && now < waiver.until
    });
    match waiver.filter(|_| !word.outcome.allows_progress()) {
        Some(waiver) => waived(gate, &word, waiver, evidence),
        None => GateResult {
            gate: gate.name.clone(),
            outcome: word.outcome,
            needed: true,
            sentence: word.sentence,
            help: word.help,
            evidence,
        },
    }
}

fn waived(gate: &Gate, word: &Word, waiver: &Waiver, evidence: Vec<Digest>) -> GateResult {
    let Waiver { by, reason, until, .. } = waiver;
    GateResult {
        gate: gate.name.clone(),
        outcome: Outcome::Waived,
        needed: true,
        sentence: format!(
            "waived by {by} until {until}, {reason}; without the waiver {}: {}",
            word.outcome.word(),
            word.sentence
        ),
        help: None,
        evidence,
    }
}

fn of_facts(gate: &Gate, facts: &[Fact], versions: &Versions, now: Timestamp) -> Word {
    match &gate.demand {
        Demand::Version { bump } => repository::version(*bump, versions),
        Demand::Unbound { what } => Word::no_data(
            format!("{what}: no source is configured that could tell"),
            "bind a source, or set the gate aside: `tidegate waive`",
        ),
        demand => match merged(facts) {
            Some(fact) => of_fact(demand, &fact, versions, now),
            None => Word::no_data("the reports say nothing", "`tidegate evidence list`"),
        },
    }
}

/// The facts of several reports of one gate as one.
fn merged(facts: &[Fact]) -> Option<Fact> {
    let mut facts = facts.iter().cloned();
    let first = facts.next()?;
    facts.try_fold(first, |whole, fact| {
        Some(match (whole, fact) {
            (Fact::Tests(mut a), Fact::Tests(b)) => {
                a.add(b);
                Fact::Tests(a)
            }
            (Fact::Findings(mut a), Fact::Findings(b)) => {
                a.add(b);
                Fact::Findings(a)
            }
            (Fact::Coverage(mut a), Fact::Coverage(b)) => {
                a.add(b);
                Fact::Coverage(a)
            }
            (Fact::Components(mut a), Fact::Components(b)) => {
                a.add(b);
                Fact::Components(a)
            }
            (Fact::Infrastructure(mut a), Fact::Infrastructure(b)) => {
                a.add(b);
                Fact::Infrastructure(a)
            }
            // The slowest of several runs, and the oldest of several documents, is what counts.
            (Fact::Timings(a), Fact::Timings(b)) => Fact::Timings(a.slower(&b)),
            (Fact::Document(a), Fact::Document(b)) => {
                Fact::Document(if a.at <= b.at { a } else { b })
            }
            (Fact::Provenance(a), Fact::Provenance(b)) if a.same_build(&b) => {
                Fact::Provenance(a.with_subjects(&b))
            }
            _ => return None,
        })
    })
}

fn of_fact(demand: &Demand, fact: &Fact, versions: &Versions, now: Timestamp) -> Word {
    match (demand, fact) {
        (Demand::Tests { pass, at_least, quarantine, .. }, Fact::Tests(found)) => {
            reports::tests(*pass, *at_least, quarantine, found)
        }
        (Demand::Coverage { line, branch, critical, .. }, Fact::Coverage(found)) => {
            reports::coverage(*line, *branch, critical, found)
        }
        (Demand::Findings { .. }, Fact::Findings(found)) => reports::findings(demand, found, now),
        (Demand::Licences { unknown, .. }, Fact::Components(found)) => {
            reports::licences(*unknown, found)
        }
        (Demand::Timings { .. }, Fact::Timings(found)) => reports::timings(demand, found),
        (Demand::Infrastructure { delete, replace, drift, .. }, Fact::Infrastructure(found)) => {
            reports::infrastructure(*delete, *replace, *drift, found)
        }
        (Demand::Provenance { .. }, Fact::Provenance(found)) => {
            reports::provenance(demand, found, versions)
        }
        (Demand::Document { within, .. }, Fact::Document(found)) => {
            reports::document(*within, found, now)
        }
        (Demand::Tag { signed }, Fact::Tag(found)) => repository::tag(*signed, found),
        (Demand::Commits { signed, conventional }, Fact::Commits(found)) => {
            repository::commits(*signed, *conventional, found, versions)
        }
        (Demand::Branch { into, from }, Fact::Branches(found)) => {
            repository::branch(into, from, found)
        }
        (Demand::Changelog { file }, Fact::Changelog(found)) => {
            repository::changelog(file, found, versions)
        }
        (Demand::Files { .. }, Fact::Files(found)) => repository::files(found),
        (Demand::Reviews { need, .. }, Fact::Reviews(found)) => review::reviews(*need, found),
        (Demand::Ci { .. }, Fact::Ci(found)) => review::ci(found),
        (Demand::Soak { environment, lasts }, Fact::Soak(found)) => {
            repository::soak(environment, *lasts, found, versions, now)
        }
        _ => Word::no_data(
            "the reports are about something else than the gate asks for",
            "`tidegate evidence list` shows what each report is",
        ),
    }
}

fn limit(bound: &Bound, unit: &str) -> String {
    format!("{} {} {unit}", bound.comparison.sign(), bound.limit)
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

fn shown_all(names: &[String]) -> String {
    shown(names.iter().map(String::as_str), names.len())
}

fn shown<'a>(names: impl Iterator<Item = &'a str>, count: usize) -> String {
    let first: Vec<&str> = names.take(SHOWN_MAX).collect();
    match count.saturating_sub(first.len()) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
