//! Holds a line against the rules and writes into the draft what the first that fits says.
//! Must never count a number as bound that is not in the value that was written.

use super::How;
use super::code::key_of;
use super::draft::{self, Draft};
use super::quantity::{self, Quantity};
use super::rules::{EVIDENCE, OPERATION, PERSON, Put, Rule};

/// What became of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) how: How,
    pub(super) to: Vec<String>,
    pub(super) value: String,
    pub(super) why: String,
}

impl Bound {
    pub(super) fn dropped(why: &str) -> Self {
        Self { how: How::Dropped, to: Vec::new(), value: String::new(), why: why.to_owned() }
    }

    /// Written at a path as the line says.
    pub(super) fn exact(path: &str, value: impl Into<String>) -> Self {
        Self { how: How::Exact, to: vec![path.to_owned()], value: value.into(), why: String::new() }
    }

    /// Written at a path, with a difference.
    pub(super) fn near(path: &str, value: impl Into<String>, why: &str) -> Self {
        Self { how: How::Approximated, why: why.to_owned(), ..Self::exact(path, value) }
    }
}

/// What values are made from.
#[derive(Debug)]
pub(super) struct Words<'w> {
    pub(super) line: u32,
    pub(super) text: &'w str,
    pub(super) quantities: Vec<Quantity>,
    /// Further names, for values of structured files.
    pub(super) names: Vec<(&'static str, String)>,
}

impl<'w> Words<'w> {
    pub(super) fn of(line: u32, text: &'w str) -> Self {
        Self { line, text, quantities: quantity::all(text), names: Vec::new() }
    }

    /// The template with its places filled; `None` when one has nothing.
    fn fill(&self, template: &str) -> Option<String> {
        let mut value = template.to_owned();
        for (place, text) in &self.names {
            value = value.replace(place, text);
        }
        for (index, place) in ["$1", "$2"].iter().enumerate() {
            if value.contains(place) {
                value = value.replace(place, &self.quantities.get(index)?.show());
            }
        }
        if value.contains("$d") {
            value = value.replace("$d", &date(self.text)?);
        }
        if value.contains("$h") {
            let host = self
                .text
                .split_whitespace()
                .find(|word| word.contains(".com") || word.contains(".za"))?;
            value = value.replace("$h", host.split([':', '/']).next()?);
        }
        if value.contains("$n") {
            value = value.replace("$n", &key_of(self.text.split(':').next()?));
        }
        if value.contains("$r") {
            let behind = self.text.split_once(':').map_or(self.text, |(_, behind)| behind);
            value = value.replace("$r", behind.trim().trim_start_matches('✅').trim());
        }
        if value.contains("$t") {
            let text = self.text.trim().replace('\\', "\\\\").replace('"', "\\\"");
            value = value.replace("$t", &text);
        }
        Some(value)
    }
}

/// The first rule of the usual table that fits.
pub(super) fn usual(
    words: &Words<'_>,
    under: &dyn Fn(&str) -> bool,
    draft: &mut Draft,
) -> Option<Bound> {
    let text = words.text.to_lowercase();
    [EVIDENCE, OPERATION].into_iter().find_map(|rules| bind(rules, &text, words, under, draft))
}

/// The first rule of a table that fits.
pub(super) fn bind(
    rules: &[Rule],
    matched: &str,
    words: &Words<'_>,
    under: &dyn Fn(&str) -> bool,
    draft: &mut Draft,
) -> Option<Bound> {
    let fits = |rule: &&Rule| {
        (rule.under.is_empty() || under(rule.under))
            && rule.words.iter().all(|group| group.split('|').any(|word| matched.contains(word)))
    };
    rules.iter().filter(fits).find_map(|rule| carry_out(rule, words, draft))
}

fn carry_out(rule: &Rule, words: &Words<'_>, draft: &mut Draft) -> Option<Bound> {
    let by_hand = rule.but == PERSON;
    let mut bound = Bound {
        how: if rule.but.is_empty() { How::Exact } else { How::Approximated },
        to: Vec::new(),
        value: String::new(),
        why: words.fill(rule.but).unwrap_or_else(|| rule.but.to_owned()),
    };
    if rule.puts.is_empty() {
        bound.how = if rule.but.is_empty() { How::Dropped } else { How::Approximated };
        if rule.but.is_empty() {
            bound.why = "an argument of the command above, which is taken as a whole".to_owned();
        } else {
            bound.to.push("phase:rollback".to_owned());
        }
    }
    for put in rule.puts {
        let (path, value) = match put {
            Put::Set(path, value) => {
                let (path, value) = (words.fill(path)?, words.fill(value)?);
                draft.set(&path, &value);
                (path, value)
            }
            Put::Say(path) => {
                let path = words.fill(path)?;
                draft.add(&path, draft::plain(words.text));
                (path, words.text.trim().to_owned())
            }
            Put::Add(path, value) => {
                let value = words.fill(value)?;
                let node = if value.starts_with('{') {
                    draft::snippet(&value)?
                } else {
                    draft::plain(&value)
                };
                draft.add(path, node);
                ((*path).to_owned(), value)
            }
            Put::Phase(phase) => ((*phase).to_owned(), String::new()),
            Put::Ask(about, question, proposal) => {
                ask(draft, words.line, about, question, proposal);
                bound.how = How::NeedsAnswer;
                (*question).clone_into(&mut bound.why);
                continue;
            }
        };
        bound.to.push(path);
        if !bound.value.is_empty() && !value.is_empty() {
            bound.value.push_str("; ");
        }
        bound.value.push_str(&value);
    }
    if by_hand {
        bound.how = How::NeedsAnswer;
        return Some(bound);
    }
    // A line that is half bound and half a question is bound, and the question stays in the draft.
    if bound.how == How::NeedsAnswer && !bound.to.is_empty() {
        bound.how = How::Approximated;
    }
    Some(bound)
}

/// Adds a question, once for each key.
pub(super) fn ask(draft: &mut Draft, line: u32, about: &str, question: &str, proposal: &str) {
    if draft.asks(about, question) {
        return;
    }
    let line = line.to_string();
    let mut entries = vec![("question", question), ("for", about), ("line", line.as_str())];
    if !proposal.is_empty() {
        entries.push(("propose", proposal));
    }
    draft.add("ask", draft::map(&entries));
}

/// `September 24, 2025` and `2025-09-24` as the format writes days.
fn date(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    if let Some(plain) = quantity::all(text).iter().find(|found| found.digits.contains('-')) {
        return Some(plain.digits.clone());
    }
    let lower = text.to_lowercase();
    let month = MONTHS.iter().position(|month| lower.contains(month))? + 1;
    let numbers: Vec<u32> =
        quantity::all(text).iter().filter_map(|found| found.digits.parse().ok()).collect();
    let day = numbers.iter().find(|number| **number <= 31)?;
    let year = numbers.iter().find(|number| **number > 1_000)?;
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_are_read_in_both_ways() {
        assert_eq!(date("Next Review: September 24, 2025").as_deref(), Some("2025-09-24"));
        assert_eq!(date("Last Updated: 2025-12-31").as_deref(), Some("2025-12-31"));
        assert_eq!(date("Date: August 2025"), None);
    }
}
