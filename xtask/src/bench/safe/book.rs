//! The results so far, as they are kept in the repository: one entry a cell, with every rollout's
//! end that somebody may want to add up differently.
//! Must never be read when it was made by other sources.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use super::figures::{End, times};

/// Whose results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Tidegate's judge.
    Ours,
    /// All settings of all others.
    Rivals,
}

impl Kind {
    /// The word that the program knows it by.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Rivals => "rivals",
        }
    }
}

/// A family as the program lists it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    pub(crate) number: u64,
    pub(crate) is_quiet: bool,
    pub(crate) onset: f64,
    pub(crate) name: String,
}

/// Figures of the runs that are no cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Special {
    /// Seconds of a good release through three steps by evidence; `None` when it was not.
    pub(crate) good: Vec<Option<f64>>,
    /// The same of a bad one.
    pub(crate) bad: Vec<Option<f64>>,
    /// Scrapes of 15 s to a rollback.
    pub(crate) scrapes: Vec<Option<f64>>,
    /// Of the bare test: rate, seconds and nats of the best test by then.
    pub(crate) bare: Vec<(f64, f64, f64)>,
    /// Requests a second, nanoseconds of a tick, and with its verdict.
    pub(crate) cost: Vec<(f64, f64, f64)>,
}

/// A family and a rate.
type Cell = (u64, u64);

/// One cell of all rivals.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Theirs {
    /// Seconds of the rollout at which the literal rules fired, in order of the replicas.
    pub(crate) documents: Vec<Option<f64>>,
    /// Of every setting: rollbacks, and seconds from the onset in all.
    pub(crate) settings: Vec<(u64, f64)>,
}

impl Theirs {
    fn add(&mut self, ends: &[Option<f64>], onset: f64) {
        self.documents.push(ends.first().copied().flatten());
        self.settings.resize(ends.len(), (0, 0.0));
        for (sum, end) in self.settings.iter_mut().zip(ends) {
            sum.0 += u64::from(end.is_some());
            sum.1 += times([*end].into_iter(), onset).iter().sum::<f64>();
        }
    }

    /// Replicas.
    pub(crate) fn count(&self) -> u64 {
        u64::try_from(self.documents.len()).unwrap_or(u64::MAX)
    }
}

/// All results.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Book {
    hash: String,
    families: Vec<Family>,
    rivals: Vec<String>,
    ours: BTreeMap<Cell, Vec<End>>,
    theirs: BTreeMap<Cell, Theirs>,
    special: Special,
}

impl Book {
    /// An empty one.
    pub(crate) fn new(hash: &str) -> Self {
        Self { hash: hash.to_owned(), ..Self::default() }
    }

    /// The one at `path`, or an empty one when that is of other sources or not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(crate) fn open(path: &Path, hash: &str) -> anyhow::Result<Self> {
        if !path.exists() {
            return Ok(Self::new(hash));
        }
        let text = std::fs::read_to_string(path);
        let text = text.with_context(|| format!("{} cannot be read", path.display()))?;
        let value: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is no result", path.display()))?;
        if value["hash"] != hash {
            return Ok(Self::new(hash));
        }
        Self::from_json(&value, hash).with_context(|| format!("{} is no result", path.display()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ours.is_empty()
    }

    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }

    pub(crate) fn families(&self) -> &[Family] {
        &self.families
    }

    pub(crate) fn rivals(&self) -> &[String] {
        &self.rivals
    }

    pub(crate) fn specials(&self) -> &Special {
        &self.special
    }

    /// The rollouts of a cell of ours.
    pub(crate) fn ours(&self, family: u64, rate: u64) -> &[End] {
        self.ours.get(&(family, rate)).map_or(&[], Vec::as_slice)
    }

    /// A cell of the rivals.
    pub(crate) fn theirs(&self, family: u64, rate: u64) -> Option<&Theirs> {
        self.theirs.get(&(family, rate))
    }

    /// How many replicas of a cell there are.
    pub(crate) fn replicas(&self, kind: Kind, family: u64, rate: u64) -> u64 {
        match kind {
            Kind::Ours => u64::try_from(self.ours(family, rate).len()).unwrap_or(u64::MAX),
            Kind::Rivals => self.theirs(family, rate).map_or(0, Theirs::count),
        }
    }

    /// Takes the program's list of families and rivals.
    ///
    /// # Errors
    /// When a line is of another kind.
    pub(crate) fn list(&mut self, printed: &str) -> anyhow::Result<()> {
        self.families.clear();
        self.rivals.clear();
        for line in printed.lines() {
            if let Some(name) = line.strip_prefix("rival ") {
                self.rivals.push(name.to_owned());
                continue;
            }
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            let ["family", number, kind, onset, name] = words.as_slice() else {
                bail!("bench_safe said: {line}");
            };
            self.families.push(Family {
                number: number.parse()?,
                is_quiet: *kind == "quiet",
                onset: onset.parse()?,
                name: (*name).to_owned(),
            });
        }
        Ok(())
    }

    /// Takes what the program printed for a cell.
    ///
    /// # Errors
    /// When a line is of another kind.
    pub(crate) fn add(
        &mut self,
        kind: Kind,
        family: u64,
        rate: u64,
        printed: &str,
    ) -> anyhow::Result<()> {
        let onset = self.families.iter().find(|known| known.number == family);
        let onset = onset.map_or(0.0, |family| family.onset);
        for line in printed.lines() {
            let rest = line.split_once(' ').with_context(|| format!("bench_safe said: {line}"))?.1;
            match kind {
                Kind::Ours => self.ours.entry((family, rate)).or_default().push(end_of(rest)?),
                Kind::Rivals => {
                    let inside = rest.trim_start_matches('[').trim_end_matches(']');
                    let ends: anyhow::Result<Vec<Option<f64>>> =
                        inside.split(", ").map(maybe).collect();
                    self.theirs.entry((family, rate)).or_default().add(&ends?, onset);
                }
            }
        }
        Ok(())
    }

    /// Takes what the program printed for the runs that are no cells.
    ///
    /// # Errors
    /// When a line is of another kind.
    pub(crate) fn special(&mut self, printed: &str) -> anyhow::Result<()> {
        self.special = Special::default();
        let pair = |text: &str| -> anyhow::Result<Option<(f64, f64)>> {
            let Some(inside) = text.strip_prefix("Some((").and_then(|t| t.strip_suffix("))"))
            else {
                return Ok(None);
            };
            let (a, b) = inside.split_once(", ").context("no pair")?;
            Ok(Some((a.parse()?, b.parse()?)))
        };
        for line in printed.lines() {
            let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
            let first = rest.split_once(' ').unwrap_or((rest, ""));
            match what {
                "evidence" => {
                    self.special.good.push(maybe(first.0)?);
                    self.special.bad.push(maybe(first.1)?);
                }
                "scrapes" => self.special.scrapes.push(maybe(rest)?),
                "bare" => {
                    if let Some((seconds, nats)) = pair(first.1)? {
                        self.special.bare.push((first.0.parse()?, seconds, nats));
                    }
                }
                "cost" => {
                    if let Some((tick, verdict)) = pair(first.1)? {
                        self.special.cost.push((first.0.parse()?, tick, verdict));
                    }
                }
                _ => bail!("bench_safe said: {line}"),
            }
        }
        Ok(())
    }

    /// Writes it, whole, beside and then over the old one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!("{}\n", self.to_json());
        let beside = path.with_extension("json.new");
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, path))
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    fn to_json(&self) -> Value {
        let ours = self.ours.iter().map(|((family, rate), ends)| {
            // Of good releases nearly all end without an event; those are only counted.
            let quiet = self.families.iter().any(|f| f.number == *family && f.is_quiet);
            let kept = ends.iter().enumerate().filter(|(_, end)| !quiet || end.is_eventful());
            let (at, kept): (Vec<usize>, Vec<&End>) = kept.unzip();
            let row = |e: &&End| {
                let nats = (e.nats * 10.0).round() / 10.0;
                let times = [e.rolled_back, e.braked, e.literal, e.held, Some(e.failed)];
                let numbers = times.into_iter().chain([Some(nats)]);
                json!(numbers.map(|number| number.map(short)).collect::<Vec<_>>())
            };
            let rows: Vec<Value> = kept.iter().map(row).collect();
            json!([family, rate, ends.len(), if quiet { at } else { Vec::new() }, rows])
        });
        let theirs = self.theirs.iter().map(|((family, rate), cell)| {
            let settings: Vec<Value> = cell.settings.iter().map(|s| json!([s.0, s.1])).collect();
            json!([family, rate, cell.documents, settings])
        });
        let families = self.families.iter().map(|f| json!([f.number, f.is_quiet, f.onset, f.name]));
        let special = &self.special;
        json!({
            "hash": self.hash,
            "families": families.collect::<Vec<_>>(),
            "rivals": self.rivals,
            "ours": ours.collect::<Vec<_>>(),
            "theirs": theirs.collect::<Vec<_>>(),
            "special": {
                "good": special.good, "bad": special.bad, "scrapes": special.scrapes,
                "bare": special.bare.iter().map(|b| json!([b.0, b.1, b.2])).collect::<Vec<_>>(),
                "cost": special.cost.iter().map(|c| json!([c.0, c.1, c.2])).collect::<Vec<_>>(),
            },
        })
    }

    fn from_json(value: &Value, hash: &str) -> anyhow::Result<Self> {
        let array = |value: &Value| value.as_array().cloned().context("no list");
        let whole = |value: &Value| value.as_u64().context("no whole number");
        let real = |value: &Value| value.as_f64().context("no number");
        let mut book = Self::new(hash);
        for family in array(&value["families"])? {
            book.families.push(Family {
                number: whole(&family[0])?,
                is_quiet: family[1].as_bool().context("no truth value")?,
                onset: real(&family[2])?,
                name: family[3].as_str().context("no name")?.to_owned(),
            });
        }
        for name in array(&value["rivals"])? {
            book.rivals.push(name.as_str().context("no name")?.to_owned());
        }
        for cell in array(&value["ours"])? {
            let end = |e: &Value| -> anyhow::Result<End> {
                Ok(End {
                    rolled_back: e[0].as_f64(),
                    braked: e[1].as_f64(),
                    literal: e[2].as_f64(),
                    held: e[3].as_f64(),
                    failed: real(&e[4])?,
                    nats: real(&e[5])?,
                })
            };
            let mut ends = vec![End::default(); usize::try_from(whole(&cell[2])?)?];
            let numbers = array(&cell[3])?;
            for (at, row) in array(&cell[4])?.into_iter().enumerate() {
                let at = match numbers.get(at) {
                    Some(number) => usize::try_from(whole(number)?)?,
                    None => at,
                };
                *ends.get_mut(at).context("a replica beyond the last")? = end(&row)?;
            }
            book.ours.insert((whole(&cell[0])?, whole(&cell[1])?), ends);
        }
        for cell in array(&value["theirs"])? {
            let documents = array(&cell[2])?.iter().map(Value::as_f64).collect();
            let setting =
                |s: &Value| -> anyhow::Result<(u64, f64)> { Ok((whole(&s[0])?, real(&s[1])?)) };
            let settings: anyhow::Result<Vec<_>> = array(&cell[3])?.iter().map(setting).collect();
            let theirs = Theirs { documents, settings: settings? };
            book.theirs.insert((whole(&cell[0])?, whole(&cell[1])?), theirs);
        }
        Ok(book)
    }
}

/// Whole numbers without a point, to keep the file small.
fn short(number: f64) -> Value {
    if number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
}

/// `None`, `Some(3)` or `Some(3.5)`.
fn maybe(text: &str) -> anyhow::Result<Option<f64>> {
    if text == "None" {
        return Ok(None);
    }
    let inside = text.strip_prefix("Some(").and_then(|text| text.strip_suffix(')'));
    Ok(Some(inside.with_context(|| format!("bench_safe said: {text}"))?.parse()?))
}

/// `End { name: value, .. }` as the program prints it.
fn end_of(text: &str) -> anyhow::Result<End> {
    let inside = text.strip_prefix("End { ").and_then(|text| text.strip_suffix(" }"));
    let inside = inside.with_context(|| format!("bench_safe said: {text}"))?;
    let mut end = End::default();
    for field in inside.split(", ") {
        let (name, value) = field.split_once(": ").context("a field without a value")?;
        match name {
            "rolled_back" => end.rolled_back = maybe(value)?,
            "braked" => end.braked = maybe(value)?,
            "literal" => end.literal = maybe(value)?,
            "held" => end.held = maybe(value)?,
            "failed" => end.failed = value.parse()?,
            "nats" => end.nats = value.parse()?,
            "requests" => {}
            _ => bail!("bench_safe said: {text}"),
        }
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: &str = "0 End { rolled_back: Some(12.0), braked: Some(11.0), literal: None, \
                       held: None, failed: 5, requests: 60, nats: 9.5 }";

    #[test]
    fn what_the_program_says_is_kept_and_read_again() {
        let mut book = Book::new("abc");
        book.list("family 101 fault 600 F1 errors 1 %\nrival Flagger: x\nrival Argo: y\n").unwrap();
        book.add(Kind::Ours, 101, 10, END).unwrap();
        book.add(Kind::Rivals, 101, 10, "0 [None, Some(300)]\n1 [Some(2), None]\n").unwrap();
        let again = Book::from_json(&book.to_json(), "abc").unwrap();
        assert_eq!(again.ours(101, 10), book.ours(101, 10));
        assert_eq!(again.ours(101, 10)[0].rolled_back, Some(12.0));
        let theirs = again.theirs(101, 10).unwrap();
        assert_eq!(theirs.documents, [None, Some(2.0)]);
        // From 600 s on: the first never, the second at once.
        assert_eq!(theirs.settings, [(1, 3_000.0), (1, 3_000.0)]);
        assert_eq!(again.replicas(Kind::Rivals, 101, 10), 2);
        assert_eq!(again.families()[0].name, "F1 errors 1 %");
        assert!(book.add(Kind::Ours, 101, 10, "0 something else").is_err());
    }

    #[test]
    fn results_of_other_sources_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("result.json");
        let mut book = Book::new("abc");
        book.add(Kind::Ours, 101, 10, END).unwrap();
        book.write(&path).unwrap();
        assert!(!Book::open(&path, "abc").unwrap().is_empty());
        assert!(Book::open(&path, "other").unwrap().is_empty());
    }

    #[test]
    fn special_runs() {
        let mut book = Book::new("abc");
        book.special(
            "evidence Some(500) None\nscrapes Some(2)\nbare 0.05 Some((20, 7.5))\n\
             cost 100 Some((2000.5, 9000.0))\n",
        )
        .unwrap();
        let special = book.specials();
        assert_eq!(special.good, [Some(500.0)]);
        assert_eq!(special.bad, [None]);
        assert_eq!(special.bare, [(0.05, 20.0, 7.5)]);
        assert_eq!(special.cost, [(100.0, 2000.5, 9000.0)]);
    }
}
