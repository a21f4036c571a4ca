//! `docs/benchmarks/time-to-safe.md` and its pictures, from a result.
//! Must never leave out a setting that does better, or a family that does worse.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::book::Book;
use super::figures::{End, limits, mean, quantile};
use super::plot::{Bar, Dot, bars, dots};
use super::targets::{Target, ratio, seconds, worst_false};
use super::{RATES, RATES_COMPARED};

const PAGE: &str = "docs/benchmarks/time-to-safe.md";

/// The family and the rate whose times stand for a judge in the picture.
const SHOWN: (u64, u64) = (104, 100);

/// Writes the page and its pictures.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn write(root: &Path, book: &Book, targets: &[Target]) -> anyhow::Result<()> {
    let mut text = String::new();
    compose(&mut text, book, targets).context("the page cannot be composed")?;
    put(root, PAGE, &text)?;
    put(root, "docs/benchmarks/time-to-safe-judges.svg", &judges(book))?;
    put(root, "docs/benchmarks/time-to-safe-faults.svg", &faults(book))
}

fn put(root: &Path, path: &str, text: &str) -> anyhow::Result<()> {
    std::fs::write(root.join(path), text).with_context(|| format!("{path} cannot be written"))
}

fn compose(text: &mut String, book: &Book, targets: &[Target]) -> std::fmt::Result {
    writeln!(text, "{HEAD}")?;
    writeln!(text, "Sources: `{}`.\n", book.hash())?;
    writeln!(text, "## What it has to reach\n")?;
    writeln!(text, "| Target | Figure | Reached | 95 % limits | Held |\n|---|---|---|---|---|")?;
    for target in targets {
        let limits = if (target.upper - target.lower).abs() > 0.0 {
            format!("{:.4} to {:.4}", target.lower, target.upper)
        } else {
            String::new()
        };
        let (name, what, value) = (target.name, &target.what, target.value);
        let held = if target.pass { "yes" } else { "**no**" };
        writeln!(text, "| {name} | {what} | {value:.4} | {limits} | {held} |")?;
    }
    writeln!(text, "\n![Judges: how soon and how often wrong](time-to-safe-judges.svg)\n")?;
    others(text, book)?;
    writeln!(text, "\n## Faults: seconds to the rollback\n")?;
    writeln!(text, "![Faults at 100 requests a second](time-to-safe-faults.svg)\n")?;
    writeln!(text, "Median / p95, and failed requests of the candidate on average.\n")?;
    fault_table(text, book)?;
    writeln!(text, "\n## Good releases that were rolled back\n")?;
    writeln!(
        text,
        "Rollbacks of replicas, and the upper 95 % limit; in brackets how many the literal rules alone would have rolled back.\n"
    )?;
    quiet_table(text, book)?;
    writeln!(text, "\n{FOOT}")
}

fn header(text: &mut String, first: &str) -> std::fmt::Result {
    let rates: Vec<String> = RATES.iter().map(|rate| format!("{rate}/s")).collect();
    writeln!(text, "| {first} | {} |\n|---|---|---|---|---|", rates.join(" | "))
}

fn others(text: &mut String, book: &Book) -> std::fmt::Result {
    writeln!(
        text,
        "| Judge and setting | Worst false rollbacks | 5 % errors, 100/s: mean s | Times as long as Tidegate |"
    )?;
    writeln!(text, "|---|---|---|---|")?;
    let ours = mean(&seconds(book, SHOWN.0, SHOWN.1));
    writeln!(text, "| **Tidegate** | {:.1} % | {ours:.0} | 1 |", 100.0 * worst_of_ours(book))?;
    for (setting, name) in book.rivals().iter().enumerate() {
        let wrong = 100.0 * worst_false(book, setting);
        let (theirs, times) = (theirs(book, setting), ratio(book, setting));
        writeln!(text, "| {name} | {wrong:.0} % | {theirs:.0} | {times:.1} |")?;
    }
    Ok(())
}

fn theirs(book: &Book, setting: usize) -> f64 {
    let cell = book.theirs(SHOWN.0, SHOWN.1);
    let total = cell.and_then(|cell| Some(cell.settings.get(setting)?.1 / number(cell.count())));
    total.unwrap_or(f64::NAN)
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn rolled_back(ends: &[End]) -> u64 {
    let count = ends.iter().filter(|end| end.rolled_back.is_some()).count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn worst_of_ours(book: &Book) -> f64 {
    let quiet = book.families().iter().filter(|family| family.is_quiet);
    let cells = quiet.flat_map(|family| RATES.iter().map(|rate| book.ours(family.number, *rate)));
    let shares = cells.filter(|ends| !ends.is_empty()).map(|ends| {
        number(rolled_back(ends)) / number(u64::try_from(ends.len()).unwrap_or(u64::MAX))
    });
    shares.reduce(f64::max).unwrap_or(f64::NAN)
}

fn fault_table(text: &mut String, book: &Book) -> std::fmt::Result {
    header(text, "Fault")?;
    for family in book.families().iter().filter(|family| !family.is_quiet) {
        write!(text, "| {} |", family.name)?;
        for rate in RATES {
            let ends = book.ours(family.number, rate);
            let times = seconds(book, family.number, rate);
            let failed: Vec<f64> = ends.iter().map(|end| end.failed).collect();
            let held: Vec<f64> = ends.iter().filter_map(|end| end.held).collect();
            let found = rolled_back(ends);
            let all = u64::try_from(ends.len()).unwrap_or(u64::MAX);
            if all == 0 {
                write!(text, " |")?;
            } else if found == 0 && !held.is_empty() {
                write!(text, " held after {:.0} |", mean(&held))?;
            } else if found == 0 {
                write!(text, " not found |")?;
            } else {
                let (median, p95) = (quantile(&times, 0.5), quantile(&times, 0.95));
                let part = if found < all { format!(", {found} of {all}") } else { String::new() };
                write!(text, " {median:.0} / {p95:.0}, {:.1} failed{part} |", mean(&failed))?;
            }
        }
        writeln!(text)?;
    }
    Ok(())
}

fn quiet_table(text: &mut String, book: &Book) -> std::fmt::Result {
    header(text, "What is not the release's fault")?;
    for family in book.families().iter().filter(|family| family.is_quiet) {
        write!(text, "| {} |", family.name)?;
        for rate in RATES {
            let ends = book.ours(family.number, rate);
            let (k, n) = (rolled_back(ends), u64::try_from(ends.len()).unwrap_or(u64::MAX));
            let literal = ends.iter().filter(|end| end.literal.is_some()).count();
            let literal = if literal > 0 { format!(" ({literal})") } else { String::new() };
            if n == 0 {
                write!(text, " not run yet |")?;
            } else {
                write!(text, " {k} of {n}, {:.2} %{literal} |", 100.0 * limits(k, n).1)?;
            }
        }
        writeln!(text)?;
    }
    Ok(())
}

fn judges(book: &Book) -> String {
    let ours = Dot {
        name: "Tidegate".to_owned(),
        seconds: mean(&seconds(book, SHOWN.0, SHOWN.1)),
        wrong: worst_of_ours(book),
        is_ours: true,
    };
    let theirs = book.rivals().iter().enumerate().map(|(setting, name)| Dot {
        name: name.clone(),
        seconds: theirs(book, setting),
        wrong: worst_false(book, setting),
        is_ours: false,
    });
    let all: Vec<Dot> = std::iter::once(ours).chain(theirs).collect();
    dots("5 % errors at 100/s: time to the rollback, and worst share of good releases blamed", &all)
}

fn faults(book: &Book) -> String {
    let faulty = book.families().iter().filter(|family| !family.is_quiet);
    let found =
        faulty.filter(|family| rolled_back(book.ours(family.number, RATES_COMPARED[0])) > 0);
    let all: Vec<Bar> = found
        .map(|family| {
            let times = seconds(book, family.number, RATES_COMPARED[0]);
            let (median, p95) = (quantile(&times, 0.5), quantile(&times, 0.95));
            Bar { name: family.name.clone(), median, p95 }
        })
        .collect();
    bars("Time to the rollback at 100 requests/s, median and p95", &all)
}

const HEAD: &str = include_str!("head.md");
const FOOT: &str = include_str!("foot.md");
