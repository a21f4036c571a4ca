//! What the judge of one part was told, entry by entry, and its bytes on disk.
//! Must never hold a verdict: verdicts are made again from this, bit for bit.
//!
//! A recording is a row of frames, each a length (32 bits, little-endian) and that many bytes. The
//! first frame is the [`Header`] as JSON, every other an [`Entry`] in the postcard encoding: about
//! 150 bytes for a busy second of two revisions, and 50 more an instance of live.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_core::digest::Digest;
use tidegate_core::ids::{DeploymentId, PartName};
use tidegate_core::plan::Plan;
use tidegate_judge::histogram::{Cells, Histogram};
use tidegate_judge::tick::{Arm, Tick};

/// Version of the encoding that this build writes.
pub const RECORDING_SCHEMA: u32 = 2;
/// The oldest one that it reads: of 1 no tick has streams, and without them both are alike.
const RECORDING_SCHEMA_OLDEST: u32 = 1;
/// Longest frame, in bytes: a plan is at most some 300 KiB as JSON.
const FRAME_BYTES_MAX: usize = 1 << 20;

/// What a recording is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`RECORDING_SCHEMA`] of the build that began it.
    pub schema: u32,
    /// Version of the judge that listened.
    pub judge: String,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The part.
    pub part: PartName,
    /// When the recording began.
    pub began_at: Timestamp,
    /// Instances of the candidate and of the live side.
    pub instances: (u32, u32),
    /// The plan with the policy.
    pub plan: Arc<Plan>,
}

/// One thing that the judge was told.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are ticks")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// The share of a step was read back.
    Step {
        /// When, in milliseconds since the epoch.
        at_ms: u64,
        /// The step, from 0.
        step: u32,
        /// The candidate's share in basis points.
        share_bp: u16,
    },
    /// A tick of the data plane, or one that did not come.
    Tick(Counted),
}

/// The counts of one tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counted {
    /// The data plane's number of it; 0 for a tick that did not come.
    pub number: u64,
    /// Its end, in milliseconds since the epoch.
    pub at_ms: u64,
    /// Its length, in milliseconds.
    pub length_ms: u64,
    /// What the candidate served; `None` when nothing was heard.
    pub candidate: Option<Side>,
    /// The same of the live side.
    pub live: Option<Side>,
}

/// The counts of one side in one tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Requests that ended.
    pub requests: u64,
    /// Of those, failed.
    pub failures: u64,
    /// Latencies: `(cell, count)` over the cells of the plan's limits.
    pub latency: Vec<(u16, u32)>,
    /// Percent of the processors of the busiest instance.
    pub cpu: Option<f64>,
    /// Percent of the memory of the fullest instance.
    pub memory: Option<f64>,
    /// Probes asked.
    pub probes: u64,
    /// Of those, failed.
    pub probes_failed: u64,
    /// Numbers of other systems, in the order of the plan's sources.
    pub gauges: Vec<Option<f64>>,
    /// The same by instance or cohort, as far as it is counted so.
    pub streams: Vec<Stream>,
}

/// The requests of one instance or cohort in one tick.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Requests that ended.
    pub requests: u64,
    /// Of those, failed.
    pub failures: u64,
    /// Latencies, as of the side; empty where they are not counted so.
    pub latency: Vec<(u16, u32)>,
}

impl Counted {
    /// The tick as the judge takes it.
    #[must_use]
    pub fn tick(&self, cells: &Cells) -> Tick {
        let arm = |side: &Option<Side>| side.as_ref().map(|side| side.arm(cells));
        Tick {
            at_ms: self.at_ms,
            length_ms: self.length_ms,
            candidate: arm(&self.candidate),
            live: arm(&self.live),
        }
    }
}

impl Side {
    fn arm(&self, cells: &Cells) -> Arm {
        // Latencies of the side and none of any instance: they are not counted by instance.
        let timed =
            self.latency.is_empty() || self.streams.iter().any(|stream| !stream.latency.is_empty());
        let of_stream = |stream: &Stream| match timed {
            true => histogram(&stream.latency, cells),
            false => Histogram::default(),
        };
        let stream = |stream: &Stream| tidegate_judge::tick::Stream {
            requests: stream.requests,
            failures: stream.failures,
            latency: of_stream(stream),
            ..tidegate_judge::tick::Stream::default()
        };
        Arm {
            requests: self.requests,
            failures: self.failures,
            latency: histogram(&self.latency, cells),
            cpu: self.cpu,
            memory: self.memory,
            probes: self.probes,
            probes_failed: self.probes_failed,
            gauges: self.gauges.clone(),
            streams: self.streams.iter().map(stream).collect(),
            ..Arm::default()
        }
    }
}

fn histogram(latency: &[(u16, u32)], cells: &Cells) -> Histogram {
    let mut counts = vec![0_u32; cells.len()];
    for (cell, count) in latency {
        // A cell that does not exist counts as the slowest: nothing slow is lost.
        let cell = usize::from(*cell).min(cells.len() - 1);
        if let Some(entry) = counts.get_mut(cell) {
            *entry = entry.saturating_add(*count);
        }
    }
    Histogram::from_counts(counts)
}

/// The digest over the frames so far: each frame changes it, and so does their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain(Digest);

impl Chain {
    /// The chain of a recording that has only its header.
    #[must_use]
    pub fn begin(header: &[u8]) -> Self {
        Self(Digest::of(header))
    }

    /// Takes one more frame.
    pub fn add(&mut self, frame: &[u8]) {
        let mut bytes = self.0.as_str().as_bytes().to_vec();
        bytes.extend_from_slice(frame);
        self.0 = Digest::of(&bytes);
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

/// Why bytes are no recording, or not one that this build reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The first frame is missing or no header.
    #[error("it does not begin with a header: {what}")]
    Header {
        /// What was found.
        what: String,
    },
    /// Written by another build.
    #[error(
        "it is of encoding {found}, and this build reads {RECORDING_SCHEMA_OLDEST} to {RECORDING_SCHEMA}"
    )]
    Schema {
        /// Its encoding.
        found: u32,
    },
    /// A whole frame that means nothing.
    #[error("entry {entry} cannot be read: {what}")]
    Entry {
        /// Which, from 1.
        entry: u64,
        /// What was found.
        what: String,
    },
    /// It could not be written.
    #[error("it cannot be written: {what}")]
    Unwritable {
        /// Why.
        what: String,
    },
}

/// A recording that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// What it is about.
    pub header: Header,
    /// The header's frame, for the chain.
    pub header_bytes: Vec<u8>,
    /// The entries with their frames, in order.
    pub entries: Vec<(Entry, Vec<u8>)>,
    /// Bytes up to the last whole frame: what is behind was cut off by a crash.
    pub whole_bytes: usize,
}

/// The header's frame content.
///
/// # Errors
/// [`Unreadable::Unwritable`] for a plan without a JSON form, which no parsed plan is.
pub fn encode_header(header: &Header) -> Result<Vec<u8>, Unreadable> {
    serde_json::to_vec(header).map_err(|error| Unreadable::Unwritable { what: error.to_string() })
}

/// An entry's frame content.
///
/// # Errors
/// [`Unreadable::Unwritable`] when it has no encoding, which none lacks.
pub fn encode_entry(entry: &Entry) -> Result<Vec<u8>, Unreadable> {
    postcard::to_allocvec(entry).map_err(|error| Unreadable::Unwritable { what: error.to_string() })
}

/// A frame around its content.
#[must_use]
pub fn framed(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    let mut frame = Vec::with_capacity(content.len() + 4);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(content);
    frame
}

/// Reads the bytes of a recording. A frame that was cut off at the end is left out.
///
/// # Errors
/// [`Unreadable`] when the header or a whole frame means nothing.
pub fn read(bytes: &[u8]) -> Result<Recording, Unreadable> {
    let mut rest = bytes;
    let header_bytes = next_frame(&mut rest)
        .ok_or_else(|| Unreadable::Header { what: "nothing whole is there".to_owned() })?
        .to_vec();
    let header: Header = serde_json::from_slice(&header_bytes)
        .map_err(|error| Unreadable::Header { what: error.to_string() })?;
    if !(RECORDING_SCHEMA_OLDEST..=RECORDING_SCHEMA).contains(&header.schema) {
        return Err(Unreadable::Schema { found: header.schema });
    }
    let mut entries = Vec::new();
    while let Some(frame) = next_frame(&mut rest) {
        let entry = postcard::from_bytes(frame).map_err(|error| Unreadable::Entry {
            entry: entries.len() as u64 + 1,
            what: error.to_string(),
        })?;
        entries.push((entry, frame.to_vec()));
    }
    let whole_bytes = bytes.len() - rest.len();
    Ok(Recording { header, header_bytes, entries, whole_bytes })
}

fn next_frame<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > FRAME_BYTES_MAX {
        return None;
    }
    let (frame, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(frame)
}
