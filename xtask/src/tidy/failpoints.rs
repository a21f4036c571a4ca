//! Failpoints come in pairs around whatever must survive a death: appends, effects, renames and
//! acknowledgements. It must never let a call go without its pair for want of a reason.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::tree::{File, Tree};
use crate::points::{MARK, is_product};

/// How such a call looks.
const CALLS: [&str; 9] = [
    "fs::rename(",
    ".persist(",
    ".persist_noclobber(",
    "journal.append(",
    "within(SLOT_TIMEOUT, call)",
    "self.ports.steps.attempt(",
    "self.work(deployment, job, timeout))",
    "drop(reply.send(answer",
    "answer(request, said)",
];
/// Files in which such a call needs none, and why.
const WITHOUT: [(&str, &str); 7] = [
    ("crates/tidegate-drivers/src/scm/git.rs", "a build that is thrown away"),
    ("crates/tidegate-proxy/src/access.rs", "a log that is turned over"),
    ("crates/tidegate/src/server/logging.rs", "a log that is turned over"),
    ("crates/tidegate/src/cli/project.rs", "the file of whoever runs the command"),
    ("crates/tidegate/src/cli/audit.rs", "the file of whoever runs the command"),
    ("crates/tidegate-engine/src/foresee.rs", "nothing of it happens"),
    ("crates/tidegate-engine/src/simulate.rs", "nothing of it happens"),
];
/// Lines above a call in which its first point is, and below it for the second: what is between
/// them is the call itself.
const NEAR: usize = 6;
const MEND_PAIR: &str =
    "write `// failpoint: NAME.before` and `// failpoint: NAME.after` around it";
const MEND_NAME: &str = "points are called `NAME.before` and `NAME.after`, each once";

/// Checks every call and every point.
pub(crate) fn all(tree: &Tree) -> Vec<Finding> {
    let product: Vec<&File> = tree.files.iter().filter(|file| is_product(&file.path)).collect();
    let calls = product.iter().filter(|f| !WITHOUT.iter().any(|(path, _)| *path == f.path));
    let bare = calls.flat_map(|file| bare_calls(file));
    bare.chain(alone(&product)).collect()
}

/// The part of a file before its tests.
fn lines(file: &File) -> Vec<&str> {
    let text = file.text.as_deref().unwrap_or("");
    text.split("#[cfg(test)]").next().unwrap_or("").lines().map(str::trim).collect()
}

fn bare_calls(file: &File) -> Vec<Finding> {
    let lines = lines(file);
    let is_call = |line: &str| !line.starts_with("//") && CALLS.iter().any(|c| line.contains(c));
    let has = |some: &[&str], end: &str| {
        some.iter().any(|line| line.starts_with(MARK) && line.ends_with(end))
    };
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_call(line)) {
        let above = lines.get(at.saturating_sub(NEAR)..at).unwrap_or_default();
        let below = lines.get(at..(at + NEAR).min(lines.len())).unwrap_or_default();
        let is_inside = has(above, ".before") || has(below, ".before");
        if !is_inside || !has(below, ".after") {
            found.push(Finding::new(
                &file.path,
                at + 1,
                format!("`{line}` has no failpoints"),
                MEND_PAIR,
            ));
        }
    }
    found
}

/// Points without their other half, or with more than one.
fn alone(product: &[&File]) -> Vec<Finding> {
    let mut places: BTreeMap<&str, Vec<(&str, usize)>> = BTreeMap::new();
    for file in product {
        for (at, line) in lines(file).into_iter().enumerate() {
            if let Some(name) = line.strip_prefix(MARK) {
                places.entry(name).or_default().push((&file.path, at + 1));
            }
        }
    }
    let other = |name: &str| {
        let before = name.strip_suffix(".before").map(|site| format!("{site}.after"));
        before.or_else(|| name.strip_suffix(".after").map(|site| format!("{site}.before")))
    };
    let sound = |(name, at): (&&str, &Vec<_>)| {
        at.len() == 1 && other(name).is_some_and(|other| places.contains_key(other.as_str()))
    };
    let unsound = places.iter().filter(|place| !sound((place.0, place.1)));
    let of = |(name, at): (&&str, &Vec<(&str, usize)>)| {
        let (path, line) = at.first().copied().unwrap_or_default();
        Finding::new(path, line, format!("the failpoint {name} is no half of a pair"), MEND_NAME)
    };
    unsound.map(|place| of((place.0, place.1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> usize {
        let text =
            format!("fn f() {{\n{body}\n}}\n#[cfg(test)]\nmod tests {{ fs::rename(a, b) }}\n");
        all(&Tree::of(&[("crates/a/src/b.rs", &text)])).len()
    }

    #[test]
    fn a_call_without_its_pair_is_found() {
        let pair = "// failpoint: a.before\nfs::rename(a, b)?;\n// failpoint: a.after";
        assert_eq!(found(pair), 0);
        assert_eq!(found("fs::rename(a, b)?;"), 1);
        assert_eq!(found("// failpoint: a.before\nfs::rename(a, b)?;"), 2, "and half a pair");
        assert_eq!(found(&format!("{pair}\n{pair}")), 2, "a name is given once");
        assert_eq!(found("// of fs::rename(a, b)"), 0);
    }
}
