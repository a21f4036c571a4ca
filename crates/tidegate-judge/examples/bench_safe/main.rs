//! The time-to-safe benchmark: `bench_safe FAMILY_NUMBER RPS FROM TO` runs the replicas of one cell
//! and prints one line each; `cargo xtask bench time-to-safe` adds them up.
//!
//! It must never read a clock for anything but its own cost, so that a cell is the same everywhere.

mod draw;
mod family;
mod ours;
mod rivals;
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
        _ => Err(std::io::Error::other("usage: bench_safe ours FAMILY RPS FROM TO")),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
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
