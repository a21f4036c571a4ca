//! What the benchmark has to reach, and whether it does.
//! Must never take a target for held on a figure that is not there.

use std::fmt;

use serde_json::json;

use super::book::Book;
use super::figures::{End, geometric, limits, mean, quantile, times};
use super::{RATES, RATES_COMPARED, REPLICAS};

/// Most false rollbacks of a good release, and of their upper 95 % limit.
const FALSE_MAX: f64 = 0.01;
const FALSE_UPPER_MAX: f64 = 0.015;

/// Families whose times are compared: F1, F5 and F6.
const COMPARED: [u64; 9] = [101, 102, 103, 104, 105, 111, 112, 113, 114];

/// Nats that a test with one false alarm in a hundred needs.
const NATS: f64 = 4.605_170_186;

/// A target and what was reached.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) what: String,
    pub(crate) value: f64,
    /// The 95 % limits of a share; the value itself where there are none.
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) pass: bool,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = if self.pass { "held  " } else { "MISSED" };
        write!(f, "{held} {:<4} {}: {:.4}", self.name, self.what, self.value)
    }
}

/// The closing line for machines.
pub(crate) fn line(targets: &[Target]) -> String {
    let number = |value: f64| if value.is_finite() { json!(value) } else { json!(null) };
    let all = targets.iter().map(|t| {
        json!({
            "name": t.name, "what": t.what, "value": number(t.value),
            "lower": number(t.lower), "upper": number(t.upper), "pass": t.pass,
        })
    });
    json!({ "targets": all.collect::<Vec<_>>() }).to_string()
}

fn plain(name: &'static str, what: impl Into<String>, value: f64, pass: bool) -> Target {
    Target { name, what: what.into(), value, lower: value, upper: value, pass }
}

fn at_most(name: &'static str, what: &str, value: f64, most: f64) -> Target {
    plain(name, format!("{what} (at most {most})"), value, value <= most)
}

/// Whether the committed result belongs to these sources.
pub(crate) fn fresh(is_fresh: bool) -> Target {
    let value = f64::from(u8::from(is_fresh));
    plain("hash", "the committed full run is of these sources", value, is_fresh)
}

/// Whether a target cannot be told in a quick run.
pub(crate) fn needs_full_run(name: &str) -> bool {
    matches!(name, "T2" | "T9" | "n")
}

/// All targets of a result. A quick run pools the rates of a family, and only fails where the lower
/// limit of its false rollbacks is too high.
pub(crate) fn of(book: &Book, quick: bool) -> Vec<Target> {
    let mut targets = if quick { vec![pooled(book)] } else { vec![every_cell(book), enough(book)] };
    targets.push(speed_up(book));
    targets.extend(efficiency(book));
    targets.extend(soon(book));
    targets.extend(by_evidence(book));
    targets.extend(cost(book));
    targets.push(never_later(book));
    targets
}

fn rollbacks(ends: &[End]) -> u64 {
    count(ends.iter().filter(|end| end.rolled_back.is_some()).count())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn share(k: u64, n: u64) -> f64 {
    let real = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if n == 0 { f64::NAN } else { real(k) / real(n) }
}

fn pooled(book: &Book) -> Target {
    let families = book.families().iter().filter(|family| family.is_quiet);
    let worst = families.map(|family| {
        let ends = RATES.iter().flat_map(|rate| book.ours(family.number, *rate));
        let ends: Vec<End> = ends.copied().collect();
        (rollbacks(&ends), count(ends.len()))
    });
    let worst = worst.max_by(|a, b| share(a.0, a.1).total_cmp(&share(b.0, b.1))).unwrap_or((0, 0));
    let (lower, upper) = limits(worst.0, worst.1);
    let pass = worst.1 > 0 && lower <= FALSE_MAX;
    let what = "false rollbacks of the worst family, by its lower limit".to_owned();
    Target { name: "T1", what, value: share(worst.0, worst.1), lower, upper, pass }
}

fn quiet_cells(book: &Book) -> impl Iterator<Item = &[End]> {
    let families = book.families().iter().filter(|family| family.is_quiet);
    families.flat_map(|family| RATES.iter().map(|rate| book.ours(family.number, *rate)))
}

fn every_cell(book: &Book) -> Target {
    let mut worst = (0.0_f64, 0.0_f64, 0.0_f64);
    let mut all = true;
    for ends in quiet_cells(book) {
        let (k, n) = (rollbacks(ends), count(ends.len()));
        let (lower, upper) = limits(k, n);
        all &= n > 0 && share(k, n) <= FALSE_MAX && upper <= FALSE_UPPER_MAX;
        // A cell that was not run yet is missed, and says nothing.
        if n > 0 && upper > worst.2 {
            worst = (share(k, n), lower, upper);
        }
    }
    let what = "false rollbacks of the worst cell (at most 1 %, upper limit 1.5 %)".to_owned();
    Target { name: "T1", what, value: worst.0, lower: worst.1, upper: worst.2, pass: all }
}

fn enough(book: &Book) -> Target {
    let least = quiet_cells(book).map(|ends| count(ends.len())).min().unwrap_or(0);
    let value = f64::from(u32::try_from(least).unwrap_or(u32::MAX));
    plain(
        "n",
        format!("replicas of every quiet cell (at least {REPLICAS})"),
        value,
        least >= REPLICAS,
    )
}

/// The worst share of false rollbacks of a rival's setting over all quiet cells.
pub(crate) fn worst_false(book: &Book, setting: usize) -> f64 {
    let families = book.families().iter().filter(|family| family.is_quiet);
    let cells = families.flat_map(|family| {
        RATES.iter().filter_map(|rate| {
            let cell = book.theirs(family.number, *rate)?;
            Some(share(cell.settings.get(setting)?.0, cell.count()))
        })
    });
    cells.reduce(f64::max).unwrap_or(f64::NAN)
}

/// How many times as long a rival's setting takes as we do: the geometric mean.
pub(crate) fn ratio(book: &Book, setting: usize) -> f64 {
    let cells = COMPARED.iter().flat_map(|family| {
        RATES_COMPARED.iter().filter_map(|rate| {
            let theirs = book.theirs(*family, *rate)?;
            let (_, total) = *theirs.settings.get(setting)?;
            let ours = seconds(book, *family, *rate);
            if ours.is_empty() {
                return None;
            }
            let replicas = f64::from(u32::try_from(theirs.count()).unwrap_or(u32::MAX));
            Some(total / replicas / mean(&ours))
        })
    });
    geometric(&cells.collect::<Vec<_>>())
}

/// Seconds from the onset to our rollback, sorted.
pub(crate) fn seconds(book: &Book, family: u64, rate: u64) -> Vec<f64> {
    let onset = book.families().iter().find(|known| known.number == family);
    let onset = onset.map_or(0.0, |family| family.onset);
    times(book.ours(family, rate).iter().map(|end| end.rolled_back), onset)
}

fn speed_up(book: &Book) -> Target {
    let settings: Vec<usize> = (0..book.rivals().len()).collect();
    let able = |setting: &usize| worst_false(book, *setting) <= FALSE_MAX;
    let matched: Vec<usize> = settings.iter().copied().filter(able).collect();
    let slowest = matched.iter().map(|setting| ratio(book, *setting)).reduce(f64::min);
    let value = slowest.unwrap_or(f64::NAN);
    let what = format!(
        "times as quick as the quickest of {} settings of others that hold 1 % false rollbacks \
         themselves (at least 10)",
        matched.len()
    );
    plain("T2", what, value, value >= 10.0)
}

fn efficiency(book: &Book) -> Vec<Target> {
    let mut worst = 0.0_f64;
    for family in [101, 102, 103, 104, 105] {
        for rate in RATES {
            let ends = book.ours(family, rate);
            let found = rollbacks(ends);
            let nats: Vec<f64> = ends.iter().map(|end| end.nats).collect();
            let times_bound = mean(&nats) / NATS;
            let bound = mean(&seconds(book, family, rate)) / times_bound;
            // A bound below three ticks measures the ticks; a cell cut off by the hour, the hour.
            if found == count(ends.len()) && found > 0 && bound >= 3.0 {
                worst = worst.max(times_bound);
            }
        }
    }
    let bare = &book.specials().bare;
    let mut bare_worst = 0.0_f64;
    for rate in [0.002, 0.005, 0.01, 0.05] {
        let runs = bare.iter().filter(|run| (run.0 - rate).abs() < 1e-9);
        let (seconds, nats): (Vec<f64>, Vec<f64>) = runs.map(|run| (run.1, run.2)).unzip();
        let times_bound = mean(&nats) / NATS;
        if mean(&seconds) / times_bound >= 3.0 {
            bare_worst = bare_worst.max(times_bound);
        }
    }
    vec![
        at_most("T3", "times the bound of its own null, with all guards", worst, 2.5),
        at_most("T3b", "times the bound without guards", bare_worst, 2.0),
    ]
}

fn soon(book: &Book) -> Vec<Target> {
    let p95 = |family, rate| quantile(&seconds(book, family, rate), 0.95);
    let failed: Vec<f64> = book.ours(104, 100).iter().map(|end| end.failed).collect();
    let half = RATES_COMPARED.iter().map(|rate| p95(105, *rate)).filter(|p95| !p95.is_nan());
    let mut scrapes: Vec<f64> =
        book.specials().scrapes.iter().map(|scrapes| scrapes.unwrap_or(f64::INFINITY)).collect();
    scrapes.sort_by(f64::total_cmp);
    vec![
        at_most("T4", "5 % errors at 100/s: p95 in s", p95(104, 100), 45.0),
        at_most("T4b", "the same: failed requests", mean(&failed), 10.0),
        at_most("T4c", "50 % errors: p95 in s", half.reduce(f64::max).unwrap_or(f64::NAN), 5.0),
        at_most("T4d", "50 % errors: p95 in scrapes of 15 s", quantile(&scrapes, 0.95), 2.0),
        at_most("T5", "latency x1.5 at 100/s: p95 in s", p95(112, 100), 25.0),
        at_most("T5b", "the same with pauses: p95 in s", p95(123, 100), 30.0),
    ]
}

fn by_evidence(book: &Book) -> Vec<Target> {
    let special = book.specials();
    let mut good: Vec<f64> =
        special.good.iter().map(|seconds| seconds.unwrap_or(f64::INFINITY)).collect();
    good.sort_by(f64::total_cmp);
    let minutes = quantile(&good, 0.5) / 60.0;
    let (k, n) = (count(special.bad.iter().flatten().count()), count(special.bad.len()));
    let (lower, upper) = limits(k, n);
    let what = "unsafe releases at 0.2 % passed by evidence (at most 0.05)".to_owned();
    let value = share(k, n);
    vec![
        at_most("T7", "three steps by evidence, median in min", minutes, 12.0),
        Target { name: "T7b", what, value, lower, upper, pass: n > 0 && value <= 0.05 },
    ]
}

fn cost(book: &Book) -> Vec<Target> {
    // Errors, latency, health, saturation, routing.
    const METRICS: f64 = 5.0;
    let costs = &book.specials().cost;
    // The fastest of all measurements at a rate: what is above it is the machine's other work.
    let best = |rate: f64| {
        let same = costs.iter().filter(|cost| (cost.0 - rate).abs() < 1e-9);
        same.map(|cost| cost.1 / 1_000.0).reduce(f64::min)
    };
    let worst = costs.iter().filter_map(|cost| best(cost.0)).reduce(f64::max);
    let worst = worst.unwrap_or(f64::NAN);
    vec![
        at_most("T8", "microseconds a metric tick", worst / METRICS, 10.0),
        at_most("T8b", "cores for 10,000 rollouts at one tick a second", worst / 100.0, 0.2),
        // A second of a rollout in so many microseconds.
        plain("T8c", "times real time a core (at least 1000)", 1e6 / worst, 1e6 / worst >= 1_000.0),
    ]
}

fn never_later(book: &Book) -> Target {
    let (mut later, mut compared) = (0_u32, 0_u32);
    for family in book.families() {
        for rate in RATES {
            let Some(theirs) = book.theirs(family.number, rate) else { continue };
            for (ours, literal) in book.ours(family.number, rate).iter().zip(&theirs.documents) {
                let Some(literal) = literal else { continue };
                let first = [ours.rolled_back, ours.literal].into_iter().flatten();
                compared += 1;
                later += u32::from(first.reduce(f64::min).is_none_or(|first| first > *literal));
            }
        }
    }
    let what = format!("rollouts later than the literal rules, of {compared}");
    plain("T9", what, f64::from(later), later == 0 && compared > 0)
}

#[cfg(test)]
mod tests {
    use super::super::book::Kind;
    use super::*;

    fn book(quiet: &str) -> Book {
        let mut book = Book::new("x");
        book.list("family 104 fault 0 F1\nfamily 201 quiet 0 N1\nrival documents\n").unwrap();
        let end = |rolled: &str| {
            format!(
                "0 End {{ rolled_back: {rolled}, braked: None, literal: None, held: None, \
                 failed: 4, requests: 9, nats: 9.0 }}\n"
            )
        };
        book.add(Kind::Ours, 201, 100, &end(quiet).repeat(400)).unwrap();
        book.add(Kind::Ours, 104, 100, &end("Some(20.0)").repeat(10)).unwrap();
        book.add(Kind::Rivals, 104, 100, &"0 [Some(400)]\n".repeat(10)).unwrap();
        book.add(Kind::Rivals, 201, 100, &"0 [None]\n".repeat(10)).unwrap();
        book
    }

    #[test]
    fn a_good_judge_holds_and_a_jumpy_one_does_not() {
        let good = of(&book("None"), true);
        let find = |targets: &[Target], name: &str| {
            targets.iter().find(|target| target.name == name).cloned().unwrap()
        };
        assert!(find(&good, "T1").pass);
        assert!(find(&good, "T2").pass);
        assert!((find(&good, "T2").value - 20.0).abs() < 1e-9);
        assert!(find(&good, "T9").pass);
        assert!(find(&good, "T4").pass && find(&good, "T4b").pass);
        assert!(!find(&good, "T5").pass, "not measured is not held");
        assert!(!find(&of(&book("Some(9.0)"), true), "T1").pass);
        assert!(!find(&of(&book("None"), false), "n").pass, "400 of 1,500");
        let line = line(&good);
        assert!(line.starts_with(r#"{"targets":[{"#) && !line.contains("NaN"), "{line}");
    }
}
