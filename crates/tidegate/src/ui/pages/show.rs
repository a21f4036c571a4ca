//! Icons, lights, times and amounts as the pages write them. Words come from [`crate::words`], which
//! the terminal uses too. Must never return unescaped text of others: what is marked as markup here
//! is made of constants and of numbers.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::leaves::Leaf;
use crate::terminal::Style;
use crate::text;
use crate::view::Deployment;
use crate::view::service::Slots;
use crate::words;

/// A state as icon, word and tone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Light {
    /// Name of the icon.
    pub(crate) icon: &'static str,
    /// The word.
    pub(crate) word: String,
    /// The class of the style sheet that repeats the word.
    pub(crate) tone: &'static str,
}

/// The class of a style.
pub(crate) fn tone(style: Style) -> &'static str {
    match style {
        Style::Strong => "strong",
        Style::Faint => "faint",
        Style::Good => "good",
        Style::Doubtful => "doubtful",
        Style::Bad => "bad",
    }
}

/// A deployment's state.
pub(crate) fn state(word: &str) -> Light {
    let (sign, style) = words::state_icon(word, true);
    Light { icon: drawn(sign), word: words::state_words(word), tone: tone(style) }
}

/// A deployment's state with the share that the new version has.
pub(crate) fn headline(shown: &Deployment) -> Light {
    let mut light = state(&shown.state);
    if let (Some(weight), false) = (words::weight(shown), shown.ended()) {
        light.word = format!("{} at {weight}", light.word);
    }
    light
}

/// A phase's result.
pub(crate) fn phase(result: &str) -> Light {
    let (sign, style) = words::phase_icon(result, true);
    Light { icon: drawn(sign), word: result.replace('_', " "), tone: tone(style) }
}

/// A metric's zone.
pub(crate) fn zone(zone: &str) -> Light {
    let (sign, style) = words::zone_icon(zone, true);
    Light { icon: drawn(sign), word: zone.replace('_', "-"), tone: tone(style) }
}

/// A gate's result.
pub(crate) fn gate(result: &str) -> Light {
    let (icon, style) = match result {
        "pass" => ("check", Style::Good),
        "waived" => ("skip", Style::Doubtful),
        "fail" => ("cross", Style::Bad),
        "no-data" => ("question", Style::Doubtful),
        _ => ("skip", Style::Faint),
    };
    Light { icon, word: result.replace('-', " "), tone: tone(style) }
}

/// The icon that stands for a sign of the terminal.
fn drawn(sign: &str) -> &'static str {
    match sign {
        "✓" => "check",
        "▸" => "play",
        "‖" => "pause",
        "↩" => "back",
        "■" => "stop",
        "✗" => "cross",
        "–" => "skip",
        "·" => "dot",
        "~" => "wave",
        _ => "question",
    }
}

/// An icon as markup; decoration only, the word stands beside it.
pub(crate) fn icon(name: &str) -> String {
    let path = match name {
        "check" => "M4 10.5l4 4 8-9",
        "play" => "M6.5 4.5l9 5.5-9 5.5z",
        "pause" => "M7 4.5v11M13 4.5v11",
        "back" => "M4 8h8.5a4 4 0 0 1 0 8H9M7.5 4L3.7 8l3.8 4",
        "stop" => "M5.5 5.5h9v9h-9z",
        "cross" => "M5 5l10 10M15 5L5 15",
        "skip" => "M4.5 10h11",
        "dot" => "M10 10h.01",
        "wave" => "M3 11.5c2.3-4 4.7-4 7 0s4.7 4 7 0",
        "clock" => "M10 5.5V10l3 2M10 2.8a7.2 7.2 0 1 0 0 14.4 7.2 7.2 0 0 0 0-14.4z",
        "people" => {
            "M7.5 9.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2 16.5c.6-3.2 2.7-4.5 5.5-4.5s4.9 1.3 5.5 4.5M13.5 4a3 3 0 0 1 0 5.5M15 12.3c1.7.6 2.7 2 3 4.2"
        }
        "inbox" => "M3 11l2.5-7h9l2.5 7v5H3zM3 11h4l1.2 2.2h3.6L13 11h4",
        "arrow" => "M4 10h12M11.5 5.5L16 10l-4.5 4.5",
        "grid" => "M4 4h5v5H4zM11 4h5v5h-5zM4 11h5v5H4zM11 11h5v5h-5z",
        "list" => "M4 5.5h12M4 10h12M4 14.5h8",
        _ => "M7.5 7.5a2.5 2.5 0 1 1 3.6 2.3c-.7.4-1.1.9-1.1 1.7M10 15h.01",
    };
    format!(
        "<svg class=\"icon\" viewBox=\"0 0 20 20\" aria-hidden=\"true\"><path d=\"{path}\"/></svg>"
    )
}

/// A moment as markup: in UTC until the browser knows the viewer's zone.
pub(crate) fn clock(at: &Timestamp) -> String {
    let utc = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("<time datetime=\"{at:.3}\" title=\"{utc}\">{}</time>", at.strftime("%H:%M:%S"))
}

/// The same with its day, for lists that reach back.
pub(crate) fn day(at: &Timestamp) -> String {
    let utc = at.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!(
        "<time datetime=\"{at:.3}\" data-day title=\"{utc}\">{}</time>",
        at.strftime("%-d %b %H:%M")
    )
}

/// How long from one moment to another.
pub(crate) fn between(from: &Timestamp, to: &Timestamp) -> String {
    text::span(to.duration_since(*from))
}

/// A length of time in milliseconds.
pub(crate) fn span_ms(ms: i64) -> String {
    text::span(SignedDuration::from_millis(ms))
}

/// A share in basis points as percent.
pub(crate) fn share(bp: &u16) -> String {
    format!("{} %", text::number(f64::from(*bp) / 100.0))
}

/// CPU and memory of a slot, in percent.
pub(crate) fn usage(slots: &Slots, part: &str, slot: &str) -> (String, String) {
    let used = slots.usage.get(&format!("{part}/{slot}"));
    let percent = |value: Option<f64>| match value {
        Some(value) => format!("{} %", text::number(value)),
        None => "–".to_owned(),
    };
    (
        percent(used.and_then(|used| used.cpu_percent)),
        percent(used.and_then(|used| used.memory_percent)),
    )
}

/// The first letters of a digest, as people compare it.
pub(crate) fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

/// Rows of a plan, made safe for eyes.
pub(crate) fn plain_leaves(leaves: Vec<Leaf>) -> Vec<Leaf> {
    let safe = |leaf: Leaf| Leaf { path: text::plain(&leaf.path), value: text::plain(&leaf.value) };
    leaves.into_iter().map(safe).collect()
}

/// A struct of the API with every text made safe for eyes: no control characters, and none that turn
/// or hide the text behind them. Markup is escaped by the templates.
pub(crate) fn plain<T: Serialize + DeserializeOwned>(value: T) -> T {
    fn walk(value: &mut Value) {
        match value {
            Value::String(text) => *text = text::plain(text),
            Value::Array(values) => values.iter_mut().for_each(walk),
            Value::Object(values) => values.values_mut().for_each(walk),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let Ok(mut tree) = serde_json::to_value(&value) else { return value };
    walk(&mut tree);
    serde_json::from_value(tree).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sign_of_the_terminal_has_an_icon() {
        for word in ["succeeded", "running", "held", "rolling_back", "aborted", "faulted"] {
            assert_ne!(state(word).icon, "question", "{word}");
        }
        for word in ["passed", "failed", "running", "skipped", "pending"] {
            assert_ne!(phase(word).icon, "question", "{word}");
        }
        assert_eq!(state("nonsense").icon, "question");
    }

    #[test]
    fn what_hides_or_turns_text_is_taken_out_of_every_field() {
        let row = crate::view::evidence::Gate {
            name: "a\u{202e}b".to_owned(),
            result: "pass".to_owned(),
            sentence: "\u{1b}[31mx\ny".to_owned(),
            help: Some("\u{200b}z".to_owned()),
            evidence: vec!["\u{7}e".to_owned()],
        };
        let row = plain(row);
        assert_eq!((row.name.as_str(), row.sentence.as_str()), ("ab", "[31mx y"));
        assert_eq!((row.help.as_deref(), row.evidence[0].as_str()), (Some("z"), "e"));
    }
}
