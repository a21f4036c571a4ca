//! A deployment as a screen: headline, phases, splits, verdict table, ways out. A pure function
//! of what the server said. Must never show a state by colour alone, nor invent one.

use jiff::Timestamp;

use crate::terminal::{Style, Terminal, columns, styled};
use crate::text::{count, number, span};
use crate::view::{Deployment, Part, Phase, Slot, Split};
use crate::words::{phase_icon, state_icon, state_words, weight};

mod readings;

pub(crate) use readings::reading_rows;

#[cfg(test)]
mod tests;

/// Width of a split's bar, columns.
const BAR: usize = 38;

/// Whether the last line names the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// A screen that takes keys.
    Shown,
    /// A print-out.
    Hidden,
}

/// The deployment as lines.
pub(crate) fn render(shown: &Deployment, terminal: &Terminal, keys: Keys) -> Vec<String> {
    let mut lines = vec![title(shown, terminal)];
    lines.extend(headline(shown, terminal));
    lines.push(String::new());
    for phase in &shown.phases {
        lines.push(phase_line(phase, shown, terminal));
        let judged = matches!(phase.name.as_str(), "traffic" | "bake");
        if judged && phase.result == "running" {
            lines.extend(shown.parts.iter().flat_map(|part| part_lines(part, terminal)));
        }
        // What sent it back stands where it was found.
        let sent_back = phase.result == "failed" && shown.going_back.is_some();
        if judged && (phase.result == "running" || sent_back) {
            lines.extend(shown.verdict.iter().flat_map(|verdict| reading_rows(verdict, terminal)));
        }
        if phase.result == "failed" || (phase.result == "running" && phase.notes.len() > 1) {
            lines.extend(phase.notes.iter().map(|note| format!("   |  {note}")));
        }
    }
    lines.extend(unsettled(shown));
    lines.push(String::new());
    lines.extend(footer(shown, keys));
    lines
}

fn title(shown: &Deployment, terminal: &Terminal) -> String {
    let from = shown.from.as_deref().unwrap_or("nothing");
    let until = shown.ended_at.unwrap_or(shown.now);
    let took = span(until.duration_since(shown.started_at));
    let word = if shown.ended() { "in all" } else { "elapsed" };
    let back = if shown.kind == "return" { "   return" } else { "" };
    format!(
        "{}  {from} -> {}   {}   {}{back}   started {} by {}   {took} {word}",
        styled(Style::Strong, &shown.service),
        shown.version,
        shown.environment,
        shown.id,
        terminal.time(shown.started_at, shown.now),
        shown.started_by,
    )
}

fn headline(shown: &Deployment, terminal: &Terminal) -> Vec<String> {
    let (icon, style) = state_icon(&shown.state, terminal.unicode());
    let mut words = state_words(&shown.state).to_uppercase();
    if let (Some(weight), false) = (weight(shown), shown.ended()) {
        words.push_str(" at ");
        words.push_str(&weight);
    }
    let head = styled(style, &format!("{icon} {words}"));
    let mut lines = match &shown.waiting_on {
        Some(waiting) => vec![format!("{head}   waits for {}", waiting.on)],
        None => vec![format!("{head}   {}", shown.sentence)],
    };
    if let Some(back) = &shown.going_back
        && !shown.ended()
    {
        lines.push(format!("  going back: {}", back.why));
    }
    if let Some(waiting) = &shown.waiting_on {
        let end = match waiting.until {
            Some(until) => format!(
                "ends {} (in {}), then {}",
                terminal.time(until, shown.now),
                left(shown.now, until),
                waiting.then
            ),
            None => format!("ended by {}", waiting.who),
        };
        lines.push(format!("  {end}"));
    }
    lines
}

fn left(now: Timestamp, until: Timestamp) -> String {
    span(until.duration_since(now))
}

fn phase_line(phase: &Phase, shown: &Deployment, terminal: &Terminal) -> String {
    let (icon, style) = phase_icon(&phase.result, terminal.unicode());
    let text = match phase.result.as_str() {
        "not_required" => "not required".to_owned(),
        "skipped" => "skipped".to_owned(),
        "pending" => String::new(),
        "running" if phase.name == "traffic" => step_text(shown),
        "failed" => "failed".to_owned(),
        _ => phase.notes.last().cloned().unwrap_or_else(|| phase.result.clone()),
    };
    let took = match (phase.since, phase.until) {
        (Some(since), Some(until)) => span(until.duration_since(since)),
        (Some(since), None) => span(shown.now.duration_since(since)),
        _ => String::new(),
    };
    let head = format!(" {} {:12} {text}", styled(style, icon), phase.name);
    let (width, _) = terminal.size();
    let width = width.min(96);
    let head = crate::terminal::cut_columns(&head, width.saturating_sub(10));
    let gap = width.saturating_sub(columns(&head) + took.chars().count() + 1);
    if took.is_empty() || phase.result == "not_required" {
        head.trim_end().to_owned()
    } else {
        format!("{head}{}{}", " ".repeat(gap), styled(Style::Faint, &took))
    }
}

fn step_text(shown: &Deployment) -> String {
    let Some(step) = shown.steps.current else { return String::new() };
    let of = shown.steps.weights_bp.len();
    let begun = if shown.steps.converged_at.is_some() { "" } else { ", being set" };
    format!("step {step} of {of}{begun}")
}

fn part_lines(part: &Part, terminal: &Terminal) -> Vec<String> {
    let mut lines = Vec::new();
    if part.kind == "worker" {
        lines.push(format!("   |  {} (worker)", part.name));
    }
    let mut slots: Vec<&Slot> = part.slots.iter().collect();
    slots.sort_by_key(|slot| match slot.role.as_str() {
        "live" => 0,
        "candidate" => 1,
        _ => 2,
    });
    for slot in slots {
        lines.push(slot_line(slot, part.split.as_ref(), terminal));
    }
    lines
}

fn slot_line(slot: &Slot, split: Option<&Split>, terminal: &Terminal) -> String {
    let name = format!("   |  {:9} {:8}", slot.role, slot.name);
    let Some(split) = split else {
        let version = slot.version.as_deref().unwrap_or("empty");
        return format!("{name} {version}, {} of {} ready", slot.ready, slot.wanted);
    };
    let set = split.set.get(&slot.name).copied().unwrap_or(0.0);
    let read = match &split.read {
        Some(read) => number(read.get(&slot.name).copied().unwrap_or(0.0)),
        None => "?".to_owned(),
    };
    let seen = match &split.observed {
        Some(seen) => format!("{:.1} %", seen.get(&slot.name).copied().unwrap_or(0.0)),
        None => "no requests counted".to_owned(),
    };
    format!(
        "{name} {} set {:>4}  read {read:>4}  seen {seen}",
        bar(set, terminal.unicode()),
        number(set)
    )
}

fn bar(percent: f64, unicode: bool) -> String {
    let full = if unicode { '█' } else { '#' };
    let empty = if unicode { '░' } else { ' ' };
    let cells = (1..=BAR).map(|cell| {
        // The middle of a cell decides, so that 50 % fills half of them.
        let middle = (cell as f64 - 0.5) * 100.0 / BAR as f64;
        if middle < percent { full } else { empty }
    });
    std::iter::once('[').chain(cells).chain(std::iter::once(']')).collect()
}

/// Slots that are not as they should be, with what is wrong.
fn unsettled(shown: &Deployment) -> Vec<String> {
    if shown.ended() {
        return Vec::new();
    }
    let slots = shown.parts.iter().flat_map(|part| part.slots.iter().map(move |slot| (part, slot)));
    slots
        .filter_map(|(part, slot)| {
            let problem = slot.problem.as_ref()?;
            Some(format!("   !  {} in {}: {problem}", part.name, slot.name))
        })
        .collect()
}

fn footer(shown: &Deployment, keys: Keys) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(exposed) = shown.exposed {
        lines.push(format!("exposed so far {} requests", count(exposed)));
    }
    for part in &shown.parts {
        if let Some(url) = &part.url {
            lines.push(format!("{} is served at {url}", part.name));
        }
    }
    if !shown.ended() {
        lines.push(format!("rollback: {}, {}", shown.rollback.word, shown.rollback.sentence));
    }
    if keys == Keys::Shown {
        lines.push(styled(
            Style::Faint,
            "[w]hy [l]og [h]old [a]dvance [R]ollback [q] detach (keeps running)",
        ));
    }
    lines
}
