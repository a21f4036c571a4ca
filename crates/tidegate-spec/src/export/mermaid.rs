//! The process as a Mermaid flowchart: a box for each phase, in it a node for each value of the
//! configuration, in its words. Must never draw what cannot be read back: the picture of what is
//! read from a picture is the same picture.

use std::fmt::Write as _;

use tidegate_core::plan::Plan;

use super::Value;
use crate::format::{PHASES, ROOT};

/// Keys and the phase in which they are drawn, longer paths before shorter ones.
const DRAWN_IN: [(&str, &str); 18] = [
    ("traffic.rollback_if", "rollback"),
    ("deploy.probes", "health"),
    ("deploy.smoke", "smoke"),
    ("after.watch", "bake"),
    ("before", "backup"),
    ("backup", "backup"),
    ("check", "gates"),
    ("plan", "plan"),
    ("build", "plan"),
    ("approve", "approvals"),
    ("people", "approvals"),
    ("deploy", "deploy"),
    ("parts", "deploy"),
    ("traffic", "traffic"),
    ("sources", "traffic"),
    ("metrics", "traffic"),
    ("load", "traffic"),
    ("after", "finish"),
];
/// What opens and closes the words of a node.
const WORDS: (&str, &str) = ("[\"", "\"]");

/// Draws a process.
pub(super) fn write(plan: &Plan, values: &[Value]) -> String {
    let mut text = format!(
        "%% The process of {}, drawn by `tidegate export mermaid`; `tidegate import mermaid` reads \
         it back.\nflowchart TD\n",
        plan.scope
    );
    let phases = || PHASES.iter().filter(|phase| **phase != "rollback").chain(["rollback"].iter());
    let mut node = 0;
    for phase in phases() {
        let _infallible = writeln!(text, "  subgraph {phase}");
        let inside = values.iter().filter(|value| phase_of(plan, value) == *phase);
        for value in inside {
            node += 1;
            let words = escaped(&format!("{}: {}", value.path, value.text));
            let _infallible = writeln!(text, "    n{node}{}{words}{}", WORDS.0, WORDS.1);
        }
        text.push_str("  end\n");
    }
    let forward: Vec<&str> = PHASES.iter().copied().filter(|phase| *phase != "rollback").collect();
    for pair in forward.windows(2) {
        if let [before, after] = pair {
            let _infallible = writeln!(text, "  {before} --> {after}");
        }
    }
    // From its start on, everything leads back.
    for phase in forward.iter().skip_while(|phase| **phase != "deploy") {
        let _infallible = writeln!(text, "  {phase} -.-> rollback");
    }
    text
}

/// The phase in which a value is drawn. A step stands where it is carried out, and what belongs to
/// no phase at the beginning.
fn phase_of(plan: &Plan, value: &Value) -> &'static str {
    if let Some(name) = value.path.strip_prefix("steps.") {
        let name = name.split(['.', '[']).next().unwrap_or(name);
        let step =
            plan.custom.iter().find(|step| step.name.as_str().split('.').next() == Some(name));
        if let Some(step) = step {
            return crate::checklist::phase_of_moment(step.at);
        }
    }
    let drawn = DRAWN_IN.iter().find(|(key, _)| value.is_under(key));
    drawn.map_or("ready", |(_, phase)| phase)
}

/// A text with nothing in it that a picture, or a repair of broken encodings, would read as its
/// own.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '#' | '&' | ';' | '`' => {
                let _infallible = write!(out, "#{};", u32::from(c));
            }
            c if c.is_ascii() && !c.is_control() => out.push(c),
            c => {
                let _infallible = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}

fn unescaped(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('#') {
        out.push_str(before);
        let (name, behind) = behind.split_once(';')?;
        out.push(match name {
            "quot" => '"',
            "lt" => '<',
            "gt" => '>',
            number => char::from_u32(number.parse().ok()?)?,
        });
        rest = behind;
    }
    out.push_str(rest);
    Some(out)
}

/// The path and the value that a line of such a picture stands for; `None` when it is another line
/// or another picture.
pub(crate) fn value_of(line: &str) -> Option<(String, String)> {
    let (name, words) = line.trim().split_once(WORDS.0)?;
    name.strip_prefix('n').filter(|number| number.bytes().all(|b| b.is_ascii_digit()))?;
    let words = unescaped(words.strip_suffix(WORDS.1)?)?;
    let (path, value) = words.split_once(": ")?;
    let root = path.split(['.', '[']).next()?;
    let known = ROOT.iter().any(|key| key.name == root);
    known.then(|| (path.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{escaped, unescaped, value_of};

    #[test]
    fn texts_come_back_from_a_picture() {
        for text in ["errors < 1%", "a \"b\" #c; &amp; `d`", "Grüße \u{1f600}", "a\tb", ""] {
            let drawn = escaped(text);
            assert!(drawn.is_ascii() && !drawn.contains(['"', '<', '>', '&', '`']), "{drawn}");
            assert_eq!(unescaped(&drawn).as_deref(), Some(text));
        }
        for broken in ["#", "#quot", "#nothing;", "#55296;"] {
            assert_eq!(unescaped(broken), None, "{broken}");
        }
    }

    #[test]
    fn only_lines_of_our_own_are_values() {
        let line = "  n1[\"traffic.steps: [5%, 100%]\"]";
        assert_eq!(value_of(line), Some(("traffic.steps".to_owned(), "[5%, 100%]".to_owned())));
        for other in ["A[\"Deploy: now\"]", "n1[\"traffic.steps\"]", "n1 --> n2", "n1[\"a: b\""] {
            assert_eq!(value_of(other), None, "{other}");
        }
    }
}
