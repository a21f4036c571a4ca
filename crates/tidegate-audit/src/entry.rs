//! One entry of the journal as it is written and hashed.
//! Must never leave a column out of the leaf.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::merkle::{Hash, leaf_hash};

/// Everything that the row of an event holds but its position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// The stream, `service/environment`.
    pub stream: String,
    /// Its number in the stream, from 1, without gaps.
    pub seq: u64,
    /// Of the server that wrote it.
    pub epoch: u64,
    /// When, microseconds since 1970 in UTC.
    pub at_us: i64,
    /// What kind of event.
    pub kind: String,
    /// Version of the payload's form.
    pub schema: u32,
    /// Who caused it, `person:ada`.
    pub actor: String,
    /// The event, JSON.
    pub payload: String,
}

impl Entry {
    /// The bytes that the leaf is made of: `tidegate.event.v1` with a zero byte, then stream, seq,
    /// epoch, at_us, kind, schema, actor and payload. Before each stands its length in 8 bytes;
    /// numbers have 8 bytes, the schema 4; all are big-endian.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.payload.len() + 128);
        bytes.extend_from_slice(b"tidegate.event.v1\0");
        let mut field = |value: &[u8]| {
            // Length first, so that a byte cannot move into the neighbour.
            bytes.extend_from_slice(&(value.len() as u64).to_be_bytes());
            bytes.extend_from_slice(value);
        };
        field(self.stream.as_bytes());
        field(&self.seq.to_be_bytes());
        field(&self.epoch.to_be_bytes());
        field(&self.at_us.to_be_bytes());
        field(self.kind.as_bytes());
        field(&self.schema.to_be_bytes());
        field(self.actor.as_bytes());
        field(self.payload.as_bytes());
        bytes
    }

    /// The leaf (RFC 6962): SHA-256 over a zero byte and [`Self::bytes`].
    #[must_use]
    pub fn leaf(&self) -> Hash {
        leaf_hash(&self.bytes())
    }
}

/// SHA-256 over the bytes of a file, lower-case hex.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    crate::merkle::hex(&Sha256::digest(bytes))
}
