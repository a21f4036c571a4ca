//! The quantities in a line of prose: `48+ hours`, `< 0.1%`, `2-20 instances`, `P0 < 5 min`.
//! Must never take a name for a number: `m5.large`, `us-west-2` and `v1.0.0` count nothing.

/// One quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quantity {
    /// The digits as written: `0.1`, `1000`, `2025-12-31`.
    pub(super) digits: String,
    /// The unit in the words of the format: `%`, `ms`, `s`, `m`, `h`, `d`; empty without one.
    pub(super) unit: String,
    /// `<`, `>`, `<=`, `>=` when one stands before it.
    pub(super) sign: String,
}

impl Quantity {
    /// As the format writes it: `48h`, `0.1%`, `200ms`, `3`.
    pub(super) fn show(&self) -> String {
        format!("{}{}", self.digits, self.unit)
    }

    /// Whether it is a time.
    pub(super) fn is_time(&self) -> bool {
        matches!(self.unit.as_str(), "ms" | "s" | "m" | "h" | "d")
    }
}

/// Words for units, longest first where one begins another.
const UNITS: [(&str, &str); 24] = [
    ("milliseconds", "ms"),
    ("ms", "ms"),
    ("seconds", "s"),
    ("second", "s"),
    ("secs", "s"),
    ("sec", "s"),
    ("minutes", "m"),
    ("minute", "m"),
    ("mins", "m"),
    ("min", "m"),
    ("hours", "h"),
    ("hour", "h"),
    ("hrs", "h"),
    ("hr", "h"),
    ("days", "d"),
    ("day", "d"),
    ("s", "s"),
    ("m", "m"),
    ("h", "h"),
    ("d", "d"),
    ("x", "x"),
    ("th", "th"),
    ("rd", "th"),
    ("st", "th"),
];

/// Every quantity of a line, from left to right.
pub(super) fn all(text: &str) -> Vec<Quantity> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut at = enumerator(&chars);
    while at < chars.len() {
        if !chars.get(at).is_some_and(char::is_ascii_digit) {
            at += 1;
            continue;
        }
        let (end, digits) = number(&chars, at);
        if let Some((quantity, end)) = quantity(&chars, at, end, &digits) {
            found.push(quantity);
            at = end.max(at + 1);
        } else {
            // The rest of a name is a name.
            at = end;
            while chars.get(at).is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-'))
            {
                at += 1;
            }
        }
    }
    found
}

/// `3.` or `# 3.` at the beginning numbers the line.
fn enumerator(chars: &[char]) -> usize {
    let lead = chars.iter().take_while(|c| c.is_whitespace() || **c == '#').count();
    let digits = chars.iter().skip(lead).take_while(|c| c.is_ascii_digit()).count();
    let dot = chars.get(lead + digits) == Some(&'.');
    let space = chars.get(lead + digits + 1).is_none_or(|c| c.is_whitespace());
    if digits > 0 && dot && space { lead + digits + 1 } else { 0 }
}

/// Digits with one point, commas between thousands, or the dashes of a date.
fn number(chars: &[char], from: usize) -> (usize, String) {
    let digits = |at: usize| chars.iter().skip(at).take_while(|c| c.is_ascii_digit()).count();
    let mut end = from + digits(from);
    let date = end - from == 4
        && chars.get(end) == Some(&'-')
        && digits(end + 1) == 2
        && chars.get(end + 3) == Some(&'-')
        && digits(end + 4) == 2;
    if date {
        end += 6;
    } else {
        while matches!(chars.get(end), Some('.' | ',')) && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
    }
    let text: String = chars.get(from..end).unwrap_or_default().iter().collect();
    (end, text)
}

fn quantity(chars: &[char], from: usize, end: usize, digits: &str) -> Option<(Quantity, usize)> {
    let before = from.checked_sub(1).and_then(|at| chars.get(at)).copied();
    let earlier = from.checked_sub(2).and_then(|at| chars.get(at)).copied();
    let named = match before {
        None => false,
        Some('-') => !earlier.is_some_and(|c| c.is_ascii_digit()),
        Some('.') => earlier != Some('.'),
        Some('/') => !matches!(earlier, Some('*' | '4')),
        // `PT5M` is a time, `v1` a name.
        Some('T') => earlier != Some('P'),
        Some(c) => c.is_alphanumeric() || matches!(c, '_' | '#' | '@' | '$' | '+'),
    };
    // `1.0.0` is a version.
    if named || digits.matches('.').count() > 1 {
        return None;
    }
    let (unit, end) = unit(chars, end)?;
    let sign: String = {
        let lead: Vec<char> = chars.iter().take(from).copied().collect();
        let lead: String = lead.into_iter().collect();
        let lead = lead.trim_end();
        ["<=", ">=", "<", ">", "≤", "≥"]
            .iter()
            .find(|sign| lead.ends_with(**sign))
            .map_or_else(String::new, |sign| (*sign).to_owned())
    };
    let digits = if digits.contains(',') && digits.split(',').skip(1).all(|group| group.len() == 3)
    {
        digits.replace(',', "")
    } else {
        digits.trim_end_matches(',').to_owned()
    };
    Some((Quantity { digits, unit, sign }, end))
}

/// The unit behind a number; `None` when letters follow that are none: then it is a name.
fn unit(chars: &[char], end: usize) -> Option<(String, usize)> {
    let rest: String = chars.iter().skip(end).collect();
    let attached = rest.chars().next().is_some_and(char::is_alphabetic);
    let word: String = rest
        .trim_start_matches(['+', ' ', '-'])
        .chars()
        .take_while(|c| c.is_alphabetic())
        .collect::<String>()
        .to_lowercase();
    let spaced = rest.trim_start_matches('+').trim_start();
    if spaced.starts_with('%') {
        let skipped = rest.chars().count() - spaced.chars().count() + 1;
        return Some(("%".to_owned(), end + skipped));
    }
    let known = UNITS.iter().find(|(name, _)| *name == word);
    match known {
        // A letter alone is a unit only when it is written right behind the number.
        Some((name, unit)) if attached || name.len() > 2 || *name == "ms" => {
            Some(((*unit).to_owned(), end))
        }
        _ if attached && word == "m" => Some(("m".to_owned(), end)),
        _ if attached => None,
        _ => {
            // `5 consecutive minutes`.
            let later = rest.split_whitespace().nth(1).unwrap_or_default();
            let later = later.trim_end_matches([',', ')', '.']).to_lowercase();
            let unit = UNITS
                .iter()
                .find(|(name, _)| name.len() > 2 && *name == later && word == "consecutive")
                .map_or("", |(_, unit)| unit);
            Some((unit.to_owned(), end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::all;

    fn shown(text: &str) -> Vec<String> {
        all(text).iter().map(|q| format!("{}{}", q.sign, q.show())).collect()
    }

    #[test]
    fn quantities_are_found_and_names_are_not() {
        for (text, wanted) in [
            ("All tests passing in Staging for 48+ hours", vec!["48h"]),
            ("Error rate > 1% for 5 consecutive minutes", vec![">1%", "5m"]),
            ("Response time < 200ms (95th percentile)", vec!["<200ms", "95th"]),
            ("Auto-scaling 2-20 instances", vec!["2", "20"]),
            ("P0 - Critical: Immediate (< 5 min)", vec!["<5m"]),
            ("1. Activate DR site", vec![]),
            ("# 2. Scale up green environment if needed", vec![]),
            ("AWS EC2 m5.large in us-west-2, tag v1.0.0", vec![]),
            ("**Last Updated**: 2025-12-31", vec!["2025-12-31"]),
            ("\"window\": \"PT5M\",", vec!["5m"]),
            ("24/7 on-call rotation", vec!["24", "7"]),
            ("for i in {1..10}; do", vec!["1", "10"]),
            ("schedule: \"*/2 * * * *\"", vec!["2"]),
            ("Traffic (0% → 25% → 50% → 100%)", vec!["0%", "25%", "50%", "100%"]),
            ("Plan for 2x current load", vec!["2x"]),
            ("value: max-age=31536000", vec!["31536000"]),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
    }
}
