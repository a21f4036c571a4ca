//! Reports against demands. Must never take a report that leaves something open for a good one.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use super::{Word, limit, short, shown, shown_all};
use crate::fact::{
    Components, Coverage, Document, Findings, Infrastructure, NAMED_MAX, Provenance, Ratio,
    Severity, Tests, Timings,
};
use crate::gate::{Bound, Demand, Versions};

pub(super) fn tests(pass: f64, at_least: u64, quarantine: &[String], found: &Tests) -> Word {
    let excused: Vec<&String> =
        found.failing.iter().filter(|name| quarantine.contains(name)).collect();
    let unnamed = found.failed > u64::try_from(found.failing.len()).unwrap_or(u64::MAX);
    let excused_count = if unnamed { 0 } else { u64::try_from(excused.len()).unwrap_or(0) };
    let ran = found.ran();
    let mut counts = format!("{} of {ran} tests passed", found.passed);
    if found.skipped > 0 {
        let _infallible = write!(counts, ", {} skipped", found.skipped);
    }
    if found.flaky > 0 {
        let _infallible = write!(counts, ", {} flaky", found.flaky);
    }
    if excused_count > 0 {
        let names = shown(excused.iter().map(|name| name.as_str()), excused.len());
        let _infallible = write!(counts, ", {excused_count} in quarantine failed ({names})");
    }
    // What is in quarantine neither passes nor fails, so it proves nothing either.
    let judged = ran.saturating_sub(excused_count);
    if judged == 0 {
        return Word::no_data(
            format!("no test ran ({counts})"),
            "run the tests and add the report",
        );
    }
    if judged < at_least {
        return Word::no_data(
            format!("{judged} tests ran, at least {at_least} must"),
            "add the reports of all suites",
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of tests are far below 2^52")]
    let share = found.passed as f64 * 100.0 / judged as f64;
    if share >= pass {
        return Word::pass(counts);
    }
    let blamed = found.failing.iter().filter(|name| !quarantine.contains(name));
    let names = shown(blamed.clone().map(String::as_str), blamed.count());
    Word::fail(
        format!("{counts}, {share:.2} % is less than {pass} %; failing: {names}"),
        "mend the tests, tag the commit that mends them, and add its report",
    )
}

pub(super) fn coverage(
    line: Option<Bound>,
    branch: Option<Bound>,
    critical: &[String],
    found: &Coverage,
) -> Word {
    let Some(lines) = found.lines.percent() else {
        return Word::no_data("the report covers no line", "run the tests with coverage");
    };
    let mut said = vec![format!("{lines:.2} % of {} lines", found.lines.whole)];
    let mut bad = Vec::new();
    if let Some(bound) = line.filter(|bound| !bound.holds(lines)) {
        bad.push(format!("lines must be {}", limit(&bound, "%")));
    }
    if let Some(bound) = branch {
        let Some(branches) = found.branches.and_then(Ratio::percent) else {
            return Word::no_data("the report counts no branches", "turn branch coverage on");
        };
        said.push(format!("{branches:.2} % of branches"));
        if !bound.holds(branches) {
            bad.push(format!("branches must be {}", limit(&bound, "%")));
        }
    }
    for pattern in critical {
        let Some(percent) = found.critical.get(pattern).copied().and_then(|r| r.percent()) else {
            return Word::no_data(
                format!("no covered file matches the critical path `{pattern}`"),
                "the pattern must match paths as the report writes them",
            );
        };
        said.push(format!("{percent:.2} % of {pattern}"));
        if found.critical.get(pattern).is_some_and(|ratio| ratio.part < ratio.whole) {
            bad.push(format!("every line of {pattern} must be reached"));
        }
    }
    let said = said.join(", ");
    if bad.is_empty() {
        return Word::pass(said);
    }
    Word::fail(format!("{said}; {}", bad.join(", ")), "write the tests that are missing")
}

pub(super) fn findings(demand: &Demand, found: &Findings, now: Timestamp) -> Word {
    let Demand::Findings { allow, scanned, fresh, except, .. } = demand else {
        return Word::no_data("no findings are asked for", "`tidegate check`");
    };
    let tool = if found.tool.is_empty() { "an unnamed scanner" } else { &found.tool };
    let counted: Vec<_> =
        found.found.iter().filter(|finding| !except.contains(&finding.id)).collect();
    let of = |severity: Severity| counted.iter().filter(move |f| f.severity == severity);
    let counts: Vec<String> = Severity::ALL
        .into_iter()
        .map(|severity| (severity, of(severity).count()))
        .filter(|(severity, count)| *count > 0 || allow.contains_key(severity))
        .map(|(severity, count)| format!("{count} {}", severity.word()))
        .collect();
    let excepted = found.found.len() - counted.len();
    let mut said = format!("{tool} found {}", counts.join(", "));
    if let Some(looked_at) = found.scanned {
        let _infallible = write!(said, " in {looked_at} scanned");
    }
    if excepted > 0 {
        let _infallible = write!(said, ", {excepted} excepted");
    }
    let over = allow.iter().find(|(severity, most)| {
        u64::try_from(of(**severity).count()).unwrap_or(u64::MAX) > **most
    });
    // What was found counts, whatever else the report leaves open.
    let Some((severity, most)) = over else {
        let unproven = unproven(found, tool, *scanned, *fresh, now);
        return unproven.unwrap_or_else(|| Word::pass(said));
    };
    let names = of(*severity).map(|finding| match &finding.fix {
        Some(fix) => format!("{} in {} (mended in {fix})", finding.id, finding.place),
        None => format!("{} in {}", finding.id, finding.place),
    });
    let names: Vec<String> = names.take(NAMED_MAX).collect();
    let count = of(*severity).count();
    Word::fail(
        format!(
            "{said}; at most {most} {} allowed: {}",
            severity.word(),
            shown(names.iter().map(String::as_str), count)
        ),
        "mend what was found, or name it under `except` with the reason in a comment",
    )
}

/// Why a scan that found little enough is no proof all the same.
fn unproven(
    found: &Findings,
    tool: &str,
    scanned: u64,
    fresh: Option<SignedDuration>,
    now: Timestamp,
) -> Option<Word> {
    let again = "run the scanner on this commit and add its report";
    let what = match (found.scanned, fresh, found.knowledge_of) {
        (None, ..) => format!("{tool} does not say how much it looked at"),
        (Some(looked_at), ..) if looked_at <= scanned => {
            format!("{tool} looked at {looked_at} things, it must be more than {scanned}")
        }
        (_, Some(_), None) => format!("{tool} does not say how old its knowledge is"),
        (_, Some(fresh), Some(of)) if now.duration_since(of) > fresh => {
            format!("what {tool} knows is of {of}, older than {fresh:#}")
        }
        _ => return None,
    };
    Some(Word::no_data(what, again))
}

pub(super) fn licences(unknown: u64, found: &Components) -> Word {
    if found.count == 0 {
        return Word::no_data(
            "the bill of materials lists nothing",
            "make it of the built release",
        );
    }
    let said = format!("{} components", found.count);
    if !found.refused.is_empty() {
        let count = found.refused.len();
        let names = shown(found.refused.iter().map(String::as_str), count);
        return Word::fail(
            format!("{said}, {count} under a licence that is not allowed: {names}"),
            "replace them, or allow the licence",
        );
    }
    let count = found.unknown.len();
    if u64::try_from(count).unwrap_or(u64::MAX) > unknown {
        let names = shown(found.unknown.iter().map(String::as_str), count);
        return Word::no_data(
            format!("{said}, {count} without a known licence, at most {unknown}: {names}"),
            "state their licences in the bill of materials, or raise `unknown`",
        );
    }
    Word::pass(format!("{said}, all under licences that are allowed"))
}

pub(super) fn timings(demand: &Demand, found: &Timings) -> Word {
    let Demand::Timings { limits, errors, at_least, .. } = demand else {
        return Word::no_data("no times are asked for", "`tidegate check`");
    };
    let needed = (*at_least).max(1);
    if found.requests < needed {
        return Word::no_data(
            format!("{} requests, at least {needed} must be made", found.requests),
            "let the load test run longer",
        );
    }
    let mut said = Vec::new();
    let mut bad = Vec::new();
    for (name, bound) in limits {
        let Some(value) = found.ms.get(name).copied().filter(|value| value.is_finite()) else {
            return Word::no_data(
                format!("the report has no {name}"),
                "ask the load tool for it: k6 by `--summary-trend-stats`",
            );
        };
        said.push(format!("{name} {value:.1} ms"));
        if !bound.holds(value) {
            bad.push(format!("{name} must be {}", limit(bound, "ms")));
        }
    }
    if let Some(bound) = errors {
        let Some(failed) = found.failed else {
            return Word::no_data("the report counts no failures", "add a report that does");
        };
        #[expect(clippy::cast_precision_loss, reason = "counts of requests are below 2^52")]
        let share = failed as f64 * 100.0 / found.requests as f64;
        said.push(format!("{share:.2} % failed"));
        if !bound.holds(share) {
            bad.push(format!("failures must be {}", limit(bound, "%")));
        }
    }
    let said = format!("{} of {} requests", said.join(", "), found.requests);
    if bad.is_empty() {
        return Word::pass(said);
    }
    Word::fail(format!("{said}; {}", bad.join(", ")), "make it quicker, or raise the limit")
}

pub(super) fn infrastructure(
    delete: u64,
    replace: u64,
    drift: bool,
    found: &Infrastructure,
) -> Word {
    let Infrastructure { create, update, unchanged, .. } = found;
    let (deleted, replaced) = (found.delete.len(), found.replace.len());
    let said = format!(
        "{create} created, {update} updated, {replaced} replaced, {deleted} deleted, \
         {unchanged} unchanged"
    );
    let over = |count: usize, most: u64| u64::try_from(count).unwrap_or(u64::MAX) > most;
    let bad = if over(deleted, delete) {
        format!("at most {delete} deleted: {}", shown_all(&found.delete))
    } else if over(replaced, replace) {
        format!("at most {replace} replaced: {}", shown_all(&found.replace))
    } else if !drift && !found.drifted.is_empty() {
        format!("changed from outside: {}", shown_all(&found.drifted))
    } else {
        return Word::pass(said);
    };
    Word::fail(format!("{said}; {bad}"), "review the plan, and allow what is meant in the file")
}

pub(super) fn provenance(demand: &Demand, found: &Provenance, versions: &Versions) -> Word {
    let Demand::Provenance { builder, source, signer, .. } = demand else {
        return Word::no_data("no provenance is asked for", "`tidegate check`");
    };
    let said = format!("built by {}, signed by {}", found.builder, found.signer);
    let wrong = |what: String| {
        Word::fail(format!("{said}; {what}"), "build the tagged commit with the declared builder")
    };
    if let Some(wanted) = builder.as_ref().filter(|wanted| **wanted != found.builder) {
        return wrong(format!("the builder must be {wanted}"));
    }
    if let Some(wanted) = signer.as_ref().filter(|wanted| **wanted != found.signer) {
        return wrong(format!("the signer must be {wanted}"));
    }
    if let Some(wanted) = source {
        match &found.source {
            None => return wrong("it names no source repository".to_owned()),
            Some(named) if named != wanted => {
                return wrong(format!("its source is {named}, it must be {wanted}"));
            }
            Some(_) => {}
        }
    }
    match &found.commit {
        None => wrong("it names no source commit".to_owned()),
        Some(commit) if *commit != versions.commit => {
            wrong(format!("it is of commit {}", short(commit)))
        }
        Some(commit) => Word::pass(format!("{said}, from commit {}", short(commit))),
    }
}

pub(super) fn document(within: Option<SignedDuration>, found: &Document, now: Timestamp) -> Word {
    let Document { name, at, by } = found;
    let age = now.duration_since(*at);
    match within.filter(|within| age > *within) {
        None => Word::pass(format!("{name} of {at}, by {by}")),
        Some(within) => Word::fail(
            format!("{name} is of {at}, by {by}: older than {within:#}"),
            "renew it and add it again",
        ),
    }
}
