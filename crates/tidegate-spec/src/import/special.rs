//! Lines whose form says more than their words: limits, steps of traffic, tables, contacts, paths.
//! Must never read a form that the line does not have: what fits none is left to the rules.

use super::binding::{self, Bound, Words};
use super::code::key_of;
use super::document::{Line, What};
use super::draft::Draft;
use super::quantity;
use super::threshold;

/// The first form that the line has.
pub(super) fn bind(line: &Line, words: &Words<'_>, draft: &mut Draft) -> Option<Bound> {
    severity(line, draft)
        .or_else(|| shares(words, draft))
        .or_else(|| limit(line, words, draft))
        .or_else(|| target(line, words, draft))
        .or_else(|| dwell(words, draft))
        .or_else(|| endpoint(line, draft))
        .or_else(|| contact(line, draft))
        .or_else(|| secret(line, draft))
}

/// A row of severities, each with how soon somebody answers.
fn severity(line: &Line, draft: &mut Draft) -> Option<Bound> {
    let What::Row { head } = &line.what else { return None };
    let first = head.first()?.to_lowercase();
    if first != "severity" {
        return None;
    }
    let [name, means, within, ..] = line.cells.as_slice() else { return None };
    let class = key_of(name.split_whitespace().next()?);
    let within = quantity::all(within).into_iter().find(quantity::Quantity::is_time)?.show();
    let path = format!("incident.severity.{class}");
    draft.set_text(&format!("{path}.means"), means);
    draft.set(&format!("{path}.within"), &within);
    Some(Bound::exact(&path, format!("within {within}")))
}

/// `5% → 25% → 50% → 100%`, and a step that names its one share.
fn shares(words: &Words<'_>, draft: &mut Draft) -> Option<Bound> {
    let lower = words.text.to_lowercase();
    let shares: Vec<&str> = words
        .quantities
        .iter()
        .filter(|quantity| quantity.unit == "%" && quantity.sign.is_empty())
        .map(|quantity| quantity.digits.as_str())
        .collect();
    let row = shares.len() >= 3 && (lower.contains('→') || lower.contains("->"));
    if row {
        let steps: Vec<String> =
            shares.iter().filter(|share| **share != "0").map(|share| format!("{share}%")).collect();
        let placed = draft.set("traffic.steps", &format!("[{}]", steps.join(", ")));
        let from = if shares.first() == Some(&"0") { "from 0%: " } else { "" };
        let value = format!("{from}{}", steps.join(", "));
        return Some(match placed {
            super::draft::Placed::There => Bound::exact("traffic.steps", value),
            super::draft::Placed::Taken => Bound::near(
                "traffic.steps",
                value,
                "another line says other steps, and the first line stands",
            ),
        });
    }
    let moves = lower.contains("traffic") || lower.contains("rollout");
    let [share] = shares.as_slice() else { return None };
    if !moves || lower.contains("back to") && !lower.contains("rollback") {
        // All of the traffic goes back: that is what a rollback does.
        return (lower.contains("back") && *share == "100").then(|| {
            draft.add("incident.rollback.steps", super::draft::plain(words.text));
            Bound::near("incident.rollback.steps", words.text, "`tidegate rollback` does it")
        });
    }
    if lower.contains("back") {
        draft.add("incident.rollback.steps", super::draft::plain(words.text));
        return Some(Bound::near(
            "incident.rollback.steps",
            words.text,
            "`tidegate rollback` does it",
        ));
    }
    draft.add("traffic.steps", super::draft::plain(&format!("{share}%")));
    Some(Bound::exact("traffic.steps", format!("{share}%")))
}

/// A limit, where the heading says what it is for.
fn limit(line: &Line, words: &Words<'_>, draft: &mut Draft) -> Option<Bound> {
    let text = if line.cells.len() >= 2 { line.cells.join(": ") } else { words.text.to_owned() };
    let found = threshold::read(&text)?;
    let rolls_back = line.is_under("rollback") && found.limit.starts_with('>');
    let advances = line.is_under("metric|traffic") && found.limit.starts_with('<');
    let promised = line.is_under("sla|slo|objective");
    let traffic =
        matches!(found.metric, "errors" | "p50" | "p95" | "p99" | "cpu" | "memory" | "sick");
    let bound = if promised && matches!(found.metric, "errors" | "p95" | "p99") {
        let path = format!("targets.{}", found.metric);
        draft.set_text(&path, &found.limit);
        Bound::exact(&path, format!("{} {}", found.metric, found.limit))
    } else if traffic && rolls_back {
        draft.add("traffic.rollback_if", super::draft::plain(&found.rule));
        Bound::exact("traffic.rollback_if", found.rule.clone())
    } else if traffic && advances {
        draft.add("traffic.advance_if", super::draft::plain(&found.rule));
        Bound::exact("traffic.advance_if", found.rule.clone())
    } else if found.metric == "p95" {
        draft.set("check.performance.k6", "reports/k6.json");
        draft.set_text("check.performance.p95", &found.limit);
        Bound::near(
            "check.performance",
            format!("p95 {}", found.limit),
            "the document names no report: the path is a proposal",
        )
    } else {
        return None;
    };
    if found.percentile_unsaid {
        let question = format!("which percentile must be {}?", found.limit);
        binding::ask(draft, words.line, &bound.to[0], &question, &format!("p95 {}", found.limit));
        return Some(Bound {
            how: super::How::Approximated,
            why: "no percentile is written: the 95th is a proposal".to_owned(),
            ..bound
        });
    }
    Some(bound)
}

/// What the team wants of its deployments.
fn target(line: &Line, words: &Words<'_>, draft: &mut Draft) -> Option<Bound> {
    let text = if line.cells.is_empty() {
        words.text.to_lowercase()
    } else {
        line.cells.join(" ").to_lowercase()
    };
    let (path, sign) = if text.contains("success rate") {
        ("targets.success", ">")
    } else if text.contains("deployment time") {
        ("targets.duration", "<")
    } else if text.contains("rollback time") {
        ("targets.rollback", "<")
    } else if text.contains("time to detect") {
        ("targets.detect", "<")
    } else if text.contains("time to resolve") {
        ("targets.resolve", "<")
    } else if text.contains("100% uptime") {
        draft.set("targets.downtime", "none");
        return Some(Bound::exact("targets.downtime", "none: 100% uptime"));
    } else if text.contains("uptime") && !words.quantities.is_empty() {
        let value = words.quantities.iter().find(|quantity| quantity.unit == "%")?.show();
        draft.set("targets.uptime", &value);
        return Some(Bound::exact("targets.uptime", value));
    } else {
        return None;
    };
    let quantity = words.quantities.iter().find(|quantity| !quantity.unit.is_empty())?;
    let value = format!("{sign} {}", quantity.show());
    draft.set_text(path, &value);
    Some(Bound::exact(path, value))
}

/// How long a step or the watch lasts, in brackets behind what is watched.
fn dwell(words: &Words<'_>, draft: &mut Draft) -> Option<Bound> {
    let lower = words.text.to_lowercase();
    let [time] = words.quantities.as_slice() else { return None };
    if !time.is_time() || !time.sign.is_empty() {
        return None;
    }
    let path = if lower.contains("stability") {
        "after.watch.for"
    } else if lower.contains("monitor key metrics") || lower.contains("each step") {
        "traffic.each.for"
    } else {
        return None;
    };
    draft.set(path, &time.show());
    Some(Bound::exact(path, time.show()))
}

/// `/health/database: Database connectivity`.
fn endpoint(line: &Line, draft: &mut Draft) -> Option<Bound> {
    let (path, words) = line.text.split_once(':')?;
    let path = path.trim();
    if !path.starts_with('/') || path.contains(' ') {
        return None;
    }
    let last = path.rsplit('/').next().filter(|last| *last != "health").unwrap_or("basic");
    let mut key = format!("deploy.probes.{}", key_of(last));
    // A probe asks one question: a command of the same name keeps its own.
    if draft.has(&format!("{key}.exec")) || draft.has(&format!("{key}.tls")) {
        key.push_str("-endpoint");
    }
    draft.set(&key, &format!("{{get: {path}}}"));
    if words.to_lowercase().contains("external") {
        draft.set(&format!("{key}.owner"), "theirs");
    }
    Some(Bound::exact(&key, format!("get {path}")))
}

/// `DevOps Lead: +1-555-DEVOPS (24/7)`.
fn contact(line: &Line, draft: &mut Draft) -> Option<Bound> {
    let (name, rest) = line.text.split_once(':')?;
    let phone = rest
        .split_whitespace()
        .find(|word| word.starts_with('+') && word.contains(|c: char| c.is_ascii_digit()))?;
    let key = format!("people.{}", key_of(name));
    draft.set_text(&format!("{key}.phone"), phone);
    let hours =
        rest.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(hours, _)| hours);
    if let Some(hours) = hours {
        draft.set_text(&format!("{key}.hours"), hours);
    }
    Some(Bound::exact(&key, format!("{phone} {}", hours.unwrap_or_default())))
}

/// A name in capitals in a list of secrets.
fn secret(line: &Line, draft: &mut Draft) -> Option<Bound> {
    let name = line.text.trim();
    let capitals = name.len() > 4
        && name.contains('_')
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    if !capitals || !line.is_under("secret|key vault") {
        return None;
    }
    let path = format!("secrets.{name}");
    let value = format!("secret://keyvault/{name}");
    draft.set_text(&path, &value);
    Some(Bound::exact(&path, value))
}
