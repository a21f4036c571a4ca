//! The hash that a result of the benchmark belongs to: of what decides, and of what it decides on.
//! Must never cover what only words a decision, lest a comma makes hours of results stale.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::book::Kind;

/// The judge, and the generator with the ports of others.
const SOURCES: [&str; 2] = ["crates/tidegate-judge/src", "crates/tidegate-judge/examples"];

/// Files of the judge that say what was decided, or for which input, and decide nothing.
const WORDS: [&str; 4] =
    ["/src/words.rs", "/src/inputs.rs", "/evidence/interval.rs", "/evidence/report.rs"];

/// Files that only our own rollouts come from, those that only the others' do, and what the others
/// have of the judge: how requests are counted.
const OF_OURS: [&str; 2] = ["/bench_safe/ours.rs", "/bench_safe/special.rs"];
const OF_RIVALS: &str = "/bench_safe/rivals";
const COUNTS: [&str; 2] = ["/src/histogram.rs", "/src/tick.rs"];

/// The hash of a part of the result by name and content, without comments and tests: FNV-1a with 64
/// bits. It tells versions apart; nobody is asked to trust it.
///
/// # Errors
/// When a file cannot be read.
pub(crate) fn of(root: &Path, kind: Kind) -> anyhow::Result<String> {
    let mut files = Vec::new();
    for source in SOURCES {
        gather(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).to_string_lossy().into_owned();
        if !decides(&name, kind) {
            continue;
        }
        let text = std::fs::read_to_string(&file);
        let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
        take(name.as_bytes());
        for line in code(&text) {
            take(line.as_bytes());
        }
    }
    Ok(format!("{hash:016x}"))
}

fn decides(name: &str, kind: Kind) -> bool {
    let is_any = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if is_any(&WORDS) || name.ends_with("_vectors.rs") {
        return false;
    }
    match kind {
        Kind::Ours => !name.contains(OF_RIVALS),
        Kind::Rivals if name.starts_with(SOURCES[0]) => is_any(&COUNTS),
        Kind::Rivals => !is_any(&OF_OURS),
    }
}

/// The lines that are no comments, up to the tests at the end.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    let lines = lines.take_while(|line| *line != "#[cfg(test)]");
    lines.filter(|line| !line.is_empty() && !line.starts_with("//"))
}

fn gather(directory: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(directory);
    let entries = entries.with_context(|| format!("{} is missing", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            gather(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decides_counts() {
        let root = tempfile::tempdir().unwrap();
        for source in SOURCES {
            std::fs::create_dir_all(root.path().join(source).join("evidence")).unwrap();
        }
        let put = |name: &str, text: &str| {
            std::fs::write(root.path().join(SOURCES[0]).join(name), text).unwrap();
            of(root.path(), Kind::Ours).unwrap()
        };
        let before = put("judge.rs", "//! A judge.\nfn alarm() -> f64 { 100.0 }\n");
        let worded = "//! The judge.\n\nfn alarm() -> f64 { 100.0 }\n#[cfg(test)]\nmod tests {}\n";
        assert_eq!(put("judge.rs", worded), before, "a comment and a test decide nothing");
        assert_eq!(put("words.rs", "fn a() {}"), before);
        assert_eq!(put("evidence/report.rs", "fn a() {}"), before);
        assert_ne!(put("judge.rs", "fn alarm() -> f64 { 99.0 }\n"), before);
        assert_ne!(put("evidence/srm.rs", "fn a() {}"), before);
        let (ours, theirs) = (of(root.path(), Kind::Ours), of(root.path(), Kind::Rivals));
        let port = root.path().join(SOURCES[1]).join("bench_safe/rivals");
        std::fs::create_dir_all(&port).unwrap();
        std::fs::write(port.join("argo.rs"), "fn a() {}").unwrap();
        assert_eq!(of(root.path(), Kind::Ours).unwrap(), ours.unwrap());
        assert_ne!(of(root.path(), Kind::Rivals).unwrap(), theirs.unwrap());
    }
}
