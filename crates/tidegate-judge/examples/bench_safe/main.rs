//! The time-to-safe benchmark: `bench_safe FAMILY_NUMBER RPS FROM TO` runs the replicas of one cell
//! and prints one line each; `cargo xtask bench time-to-safe` adds them up.
//!
//! It must never read a clock for anything but its own cost, so that a cell is the same everywhere.

mod draw;
mod family;
mod ours;
mod rivals;
mod special;
mod world;

use std::io::Write as _;
use std::process::ExitCode;

use family::Family;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut out = std::io::stdout().lock();
    let written = match words.as_slice() {
        ["ours", family, rps, from, to] => ours(&mut out, [family, rps, from, to]),
        ["rivals", family, rps, from, to] => rivals(&mut out, [family, rps, from, to]),
        ["special", replicas] => special(&mut out, replicas),
        ["cells"] => cells(&mut out),
        _ => Err(std::io::Error::other(
            "usage: bench_safe ours|rivals FAMILY RPS FROM TO | special REPLICAS | cells",
        )),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody is left to hear that standard error is closed.
        Err(error) => match writeln!(std::io::stderr(), "{error}") {
            Ok(()) | Err(_) => ExitCode::FAILURE,
        },
    }
}

fn ours(out: &mut impl std::io::Write, words: [&&str; 4]) -> std::io::Result<()> {
    let (family, rps, replicas) = cell(words)?;
    for replica in replicas {
        let end = ours::rollout(family, rps, replica);
        writeln!(out, "{replica} {end:?}")?;
    }
    Ok(())
}

/// Families and rivals, for whoever adds the cells up.
fn cells(out: &mut impl std::io::Write) -> std::io::Result<()> {
    for family in family::ALL.iter() {
        let kind = if family.is_quiet() { "quiet" } else { "fault" };
        writeln!(out, "family {} {kind} {} {}", family.number, family.onset(), family.name)?;
    }
    for (name, _) in &rivals::SETTINGS {
        writeln!(out, "rival {name}")?;
    }
    Ok(())
}

fn special(out: &mut impl std::io::Write, replicas: &str) -> std::io::Result<()> {
    let replicas = replicas.parse::<u64>().map_err(std::io::Error::other)?;
    for replica in 0..replicas {
        let good = special::by_evidence(1_000.0, family::ERRORS_OF_LIVE, replica);
        let bad = special::by_evidence(1_000.0, 0.002, replica);
        writeln!(out, "evidence {good:?} {bad:?}")?;
        writeln!(out, "scrapes {:?}", special::scrapes(100.0, 15, replica))?;
        for rate in [0.002, 0.005, 0.01, 0.05] {
            writeln!(out, "bare {rate} {:?}", special::bare(100.0, rate, replica))?;
        }
    }
    for rps in [1.0, 100.0, 1_000.0] {
        writeln!(out, "cost {rps} {:?}", special::cost(rps))?;
    }
    Ok(())
}

fn rivals(out: &mut impl std::io::Write, words: [&&str; 4]) -> std::io::Result<()> {
    let (family, rps, replicas) = cell(words)?;
    for replica in replicas {
        writeln!(out, "{replica} {:?}", rivals::rollout(family, rps, replica))?;
    }
    Ok(())
}

fn cell(words: [&&str; 4]) -> std::io::Result<(&'static Family, f64, std::ops::Range<u64>)> {
    let number = |word: &str| word.parse::<u64>().map_err(std::io::Error::other);
    let [family, rps, from, to] = words;
    let (family, rps) = (number(family)?, number(rps)?);
    let family = family::ALL.iter().find(|known| known.number == family);
    let Some(family) = family else { return Err(std::io::Error::other("no such family")) };
    Ok((family, rps as f64, number(from)?..number(to)?))
}
