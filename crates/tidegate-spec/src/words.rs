//! Finds the word that somebody probably meant.
//! Must never guess when two words differ in more than a slip of the finger.

/// Longest word compared; more is no slip of a known word.
const WORD_CHARS_MAX: usize = 40;

/// The closest of `known`, when it is close enough to be meant.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let length = lower.chars().count();
    if length > WORD_CHARS_MAX {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (distance(&lower, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= slack(length.max(candidate.chars().count())))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// As [`nearest`], for words that are no constants and in any case.
pub(crate) fn nearest_word<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<String> {
    let lower: Vec<(String, &str)> =
        known.into_iter().map(|known| (known.to_lowercase(), known)).collect();
    let found = nearest(word, lower.iter().map(|(lower, _)| lower.as_str()))?;
    lower.iter().find(|(lower, _)| lower == found).map(|(_, known)| (*known).to_owned())
}

/// Slips allowed in a word of so many characters: one in three.
fn slack(length: usize) -> usize {
    (length / 3).max(1)
}

/// Number of insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut before_last = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, r) in right.iter().enumerate() {
            let replaced = last[j] + usize::from(l != r);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *l == right[j - 1] && left[i - 1] == *r {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[right.len()]
}

/// The words joined for a sentence: `a`, `b` or `c`.
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_found_and_another_word_is_not() {
        let known = ["traffic", "deploy", "service", "route"];
        assert_eq!(nearest("trafic", known), Some("traffic"));
        assert_eq!(nearest("Deploy", known), Some("deploy"));
        assert_eq!(nearest("rotue", known), Some("route"));
        assert_eq!(nearest("kubernetes", known), None);
        assert_eq!(nearest(&"x".repeat(5000), known), None);
    }
}
