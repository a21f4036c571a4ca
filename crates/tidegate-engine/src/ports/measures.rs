//! The ports of what is measured: numbers of other systems, and the recordings of what the judge
//! was told. Must never turn what is missing into a number.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use tidegate_core::ids::{DeploymentId, PartName, Scope};
use tidegate_core::plan::Source;

use super::{Failure, Place};

/// What other systems measure.
#[async_trait]
pub trait Metrics: Send + Sync + fmt::Debug {
    /// One number of one side. Missing, ambiguous or not a number is a [`Failure`], never a value.
    ///
    /// # Errors
    /// [`FailureKind::Unsupported`] when no driver of that name is there.
    async fn read(&self, source: &Source, side: &MetricSide) -> Result<Sample, Failure>;
}

/// The side that a number is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSide {
    /// Its slot.
    pub place: Place,
    /// The version it runs.
    pub version: String,
    /// The label of its revision, as `tidegate slot list` shows it.
    pub revision: String,
}

/// A number with its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The number, finite.
    pub value: f64,
    /// When it was true, by the other system's clock.
    pub at: Timestamp,
}

/// Where recordings of the judge are kept: bytes by name, in a bounded place.
///
/// # Guarantees
/// Bytes that were appended are there after a crash of the process; a crash of the machine may
/// cut the newest off.
#[async_trait]
pub trait Recordings: Send + Sync + fmt::Debug {
    /// Begins a recording, in place of one of the same name.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be kept.
    async fn create(&self, name: &RecordingName, bytes: &[u8]) -> Result<(), Failure>;

    /// Adds to the end of a recording.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be kept.
    async fn append(&self, name: &RecordingName, bytes: &[u8]) -> Result<(), Failure>;

    /// All bytes; `None` when there is no such recording (any more).
    ///
    /// # Errors
    /// [`Failure`] when it cannot be read.
    async fn read(&self, name: &RecordingName) -> Result<Option<Vec<u8>>, Failure>;

    /// What there is, oldest first.
    ///
    /// # Errors
    /// [`Failure`] when the place cannot be read.
    async fn list(&self) -> Result<Vec<RecordingName>, Failure>;
}

/// Names a recording: one for each part of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordingName {
    /// Whose.
    pub scope: Scope,
    /// The deployment.
    pub deployment: DeploymentId,
    /// The part.
    pub part: PartName,
}

impl fmt::Display for RecordingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.scope, self.deployment, self.part)
    }
}
