//! Ticks that somebody else recorded, as CSV: a row a version (or instance) and tick.
//! Must never guess at a number: a row that cannot be read ends the reading with its line.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use tidegate_core::ids::DeploymentId;
use tidegate_core::plan::Plan;
use tidegate_engine::backtest::Truth;
use tidegate_engine::hearing::rules::limits_ms;
use tidegate_engine::recording::{
    self, Counted, Entry, Header, RECORDING_SCHEMA, Recording, Side, Stream,
};
use tidegate_judge::histogram::Cells;

use crate::exit::Exit;
use crate::failure::Failure;

/// Rows of one file: a day of ten instances.
const ROWS_MAX: usize = 1_000_000;
/// Longest file, in bytes.
const BYTES_MAX: u64 = 256 << 20;

/// One row. `share` and `fault` may be left away.
#[derive(Debug, Deserialize)]
struct Row {
    time: String,
    version: String,
    #[serde(default)]
    instance: String,
    requests: u64,
    errors: u64,
    #[serde(default)]
    histogram: String,
    #[serde(default)]
    share: Option<f64>,
    #[serde(default)]
    fault: Option<u8>,
}

/// The counts of one version in one tick.
#[derive(Debug, Default)]
struct Heap {
    side: Side,
    instances: BTreeMap<String, Stream>,
}

/// Reads a file into recordings: each version after the first is a rollout over the one before.
///
/// # Errors
/// TG7032 with the line that cannot be read.
pub(super) fn read(path: &Path, plan: &Plan) -> Result<Vec<(Recording, Truth)>, Failure> {
    let failed = |what: String| {
        Failure::new(Exit::Usage, "TG7032", format!("{}: {what}", path.display()))
            .safe("nothing was replayed")
            .help("`tidegate explain TG7032` names the columns")
    };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > BYTES_MAX {
        return Err(failed(format!("it is longer than {BYTES_MAX} bytes")));
    }
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| failed(error.to_string()))?;
    let mut file = File::new(plan);
    for (index, row) in reader.deserialize().enumerate() {
        let line = index + 2;
        if index == ROWS_MAX {
            return Err(failed(format!("it has more than {ROWS_MAX} rows")));
        }
        let row: Row = row.map_err(|error| failed(error.to_string()))?;
        file.take(row).map_err(|what| failed(format!("line {line}: {what}")))?;
    }
    file.recordings().map_err(failed)
}

/// The rows of a file by time and version.
struct File<'p> {
    plan: &'p Plan,
    cells: Cells,
    order: Vec<String>,
    ticks: BTreeMap<u64, BTreeMap<String, Heap>>,
    shares: BTreeMap<u64, f64>,
    faulty: BTreeSet<String>,
    labelled: bool,
}

impl<'p> File<'p> {
    fn new(plan: &'p Plan) -> Self {
        Self {
            plan,
            cells: Cells::new(&limits_ms(plan)),
            order: Vec::new(),
            ticks: BTreeMap::new(),
            shares: BTreeMap::new(),
            faulty: BTreeSet::new(),
            labelled: false,
        }
    }

    fn take(&mut self, row: Row) -> Result<(), String> {
        let at_ms = time(&row.time)?;
        if row.errors > row.requests {
            return Err(format!("{} errors of {} requests", row.errors, row.requests));
        }
        let latency = self.latency(&row.histogram)?;
        if !self.order.contains(&row.version) {
            self.order.push(row.version.clone());
        }
        if let Some(share) = row.share {
            if !(0.0..=100.0).contains(&share) {
                return Err(format!("a share of {share} %"));
            }
            self.shares.insert(at_ms, share);
        }
        self.labelled |= row.fault.is_some();
        if row.fault.is_some_and(|fault| fault > 0) {
            self.faulty.insert(row.version.clone());
        }
        let heap = self.ticks.entry(at_ms).or_default().entry(row.version).or_default();
        heap.side.requests = heap.side.requests.saturating_add(row.requests);
        heap.side.failures = heap.side.failures.saturating_add(row.errors);
        heap.side.latency.extend(latency.iter().copied());
        if !row.instance.is_empty() {
            let stream = heap.instances.entry(row.instance).or_default();
            stream.requests = stream.requests.saturating_add(row.requests);
            stream.failures = stream.failures.saturating_add(row.errors);
            stream.latency.extend(latency);
        }
        Ok(())
    }

    /// `25:310 100:42 inf:1`: requests by the upper bound of their latency, in milliseconds.
    fn latency(&self, text: &str) -> Result<Vec<(u16, u32)>, String> {
        let one = |pair: &str| -> Option<(u16, u32)> {
            let (bound, count) = pair.split_once(':')?;
            let bound: f64 = if bound == "inf" { f64::INFINITY } else { bound.parse().ok()? };
            if bound.is_nan() || bound <= 0.0 {
                return None;
            }
            // All of it counts as slow as its bound: nothing is made faster than it was.
            let cell = (0..self.cells.len()).find(|cell| self.cells.upper_ms(*cell) >= bound)?;
            Some((u16::try_from(cell).ok()?, count.parse().ok()?))
        };
        let read = |pair| one(pair).ok_or_else(|| format!("`{pair}` is no bucket of a histogram"));
        text.split_whitespace().map(read).collect()
    }

    fn recordings(self) -> Result<Vec<(Recording, Truth)>, String> {
        if self.order.len() < 2 {
            let (found, what) =
                (self.order.len(), "a rollout needs the one before and the new one");
            return Err(format!("it has {found} versions: {what}"));
        }
        self.order
            .windows(2)
            .enumerate()
            .filter_map(|(index, pair)| match pair {
                [live, candidate] => Some(self.recording(index, live, candidate)),
                _ => None,
            })
            .collect()
    }

    fn recording(
        &self,
        index: usize,
        live: &str,
        candidate: &str,
    ) -> Result<(Recording, Truth), String> {
        let part = self.plan.parts.first().ok_or("the plan has no part")?;
        let ticks: Vec<(&u64, &BTreeMap<String, Heap>)> = self
            .ticks
            .iter()
            .filter(|(_, by)| by.contains_key(live) || by.contains_key(candidate))
            .collect();
        let requests = |version: &str| -> u64 {
            let both = ticks.iter().filter(|(_, by)| by.contains_key(candidate));
            both.filter_map(|(_, by)| by.get(version)).map(|heap| heap.side.requests).sum()
        };
        let (new, old) = (requests(candidate), requests(live));
        let measured = if new + old == 0 { 0.0 } else { 100.0 * new as f64 / (new + old) as f64 };
        let instances = |version: &str| {
            let names = ticks.iter().filter_map(|(_, by)| by.get(version));
            let most = names.map(|heap| heap.instances.len()).max().unwrap_or(1).max(1);
            u32::try_from(most).unwrap_or(u32::MAX)
        };
        let header = Header {
            schema: RECORDING_SCHEMA,
            judge: env!("CARGO_PKG_VERSION").to_owned(),
            deployment: DeploymentId::new(format!("ticks-{}", index + 1))
                .map_err(|error| error.to_string())?,
            part: part.name.clone(),
            began_at: Timestamp::UNIX_EPOCH,
            instances: (instances(candidate), instances(live)),
            plan: Arc::new(self.plan.clone()),
        };
        let encoded = |error: recording::Unreadable| error.to_string();
        let header_bytes = recording::encode_header(&header).map_err(encoded)?;
        let mut entries = Vec::new();
        let mut push = |entry: Entry| -> Result<(), String> {
            let frame = recording::encode_entry(&entry).map_err(encoded)?;
            entries.push((entry, frame));
            Ok(())
        };
        let mut share_bp = 0;
        let mut step = 0;
        let mut before_ms: Option<u64> = None;
        for (number, (at_ms, by)) in ticks.into_iter().enumerate() {
            let length_ms = before_ms.map_or(1_000, |before| at_ms.saturating_sub(before).max(1));
            before_ms = Some(*at_ms);
            if by.contains_key(candidate) {
                let percent = self.shares.get(at_ms).copied().unwrap_or(measured);
                let now_bp = basis_points(percent);
                if now_bp != share_bp {
                    share_bp = now_bp;
                    let at_ms = at_ms.saturating_sub(length_ms);
                    push(Entry::Step { at_ms, step, share_bp })?;
                    step += 1;
                }
            }
            let side = |version: &str| by.get(version).map(Heap::side);
            push(Entry::Tick(Counted {
                number: number as u64 + 1,
                at_ms: *at_ms,
                length_ms,
                candidate: side(candidate),
                live: side(live),
            }))?;
        }
        Ok((Recording { header, header_bytes, entries, whole_bytes: 0 }, self.truth(candidate)))
    }

    /// What the column `fault` says of a version, where there is one.
    fn truth(&self, candidate: &str) -> Truth {
        match (self.labelled, self.faulty.contains(candidate)) {
            (false, _) => Truth::Unknown,
            (true, true) => Truth::Bad,
            (true, false) => Truth::Good,
        }
    }
}

impl Heap {
    fn side(&self) -> Side {
        let streams = self.instances.values().cloned().collect::<Vec<_>>();
        // One instance is the whole: it tells nothing of how instances differ.
        let streams = if streams.len() > 1 { streams } else { Vec::new() };
        Side { streams, ..self.side.clone() }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a percentage was checked to be 0 to 100"
)]
fn basis_points(percent: f64) -> u16 {
    (percent * 100.0).round() as u16
}

/// RFC 3339, or seconds or milliseconds since the epoch.
fn time(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time: write RFC 3339, or seconds since 1970");
    if let Ok(at) = text.parse::<Timestamp>() {
        return u64::try_from(at.as_millisecond()).map_err(|_negative| wrong());
    }
    let seconds: f64 = text.parse().map_err(|_bad| wrong())?;
    // Ten digits before the point are seconds of this century, thirteen are milliseconds.
    let ms = if seconds < 1e11 { seconds * 1_000.0 } else { seconds };
    if !(0.0..1e15).contains(&ms) {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the bounds above"
    )]
    Ok(ms.round() as u64)
}
