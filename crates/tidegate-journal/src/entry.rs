//! One event as it is written: its columns, its canonical bytes, its leaf.
//! Must never write what cannot be read back, nor leave a column out of the leaf.

use jiff::Timestamp;
use tidegate_core::event::{EVENT_SCHEMA, Recorded};
use tidegate_core::ids::{Actor, EnvironmentName, Scope, ServiceName};
use tidegate_engine::ports::JournalError;

use crate::codes;
use crate::merkle::{Hash, leaf_hash};
use crate::upcast::decode;

/// Most bytes of one event: a plan of 16 parts with full environments stays below a tenth of it.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of one append, so that a group of them fits in memory.
pub const APPEND_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most events of one append: one decision gives a handful.
pub const APPEND_EVENTS_MAX: usize = 1024;

/// An event with everything that its row holds but the position.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) stream: String,
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
    pub(crate) at_us: i64,
    pub(crate) kind: String,
    pub(crate) schema: u32,
    pub(crate) actor: String,
    pub(crate) payload: String,
}

impl Entry {
    /// Encodes an event.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] with nothing written, when it is too large or would not come
    /// back as it is: a number that JSON has no word for.
    pub(crate) fn of(scope: &Scope, epoch: u64, event: &Recorded) -> Result<Self, JournalError> {
        let kind = event.event.kind();
        let named = || format!("{scope} entry {} ({kind})", event.seq);
        let payload = serde_json::to_string(event)
            .map_err(|error| refused(&format!("{} cannot be encoded: {error}", named())))?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(JournalError::Unavailable {
                code: codes::TOO_LARGE,
                what: format!(
                    "{} has {} bytes, more than {PAYLOAD_BYTES_MAX}; nothing was written",
                    named(),
                    payload.len()
                ),
            });
        }
        if decode(kind, EVENT_SCHEMA, &payload).ok().as_ref() != Some(event) {
            return Err(refused(&format!("{} does not read back as it was given", named())));
        }
        Ok(Self {
            stream: stream_of(scope),
            seq: event.seq,
            epoch,
            at_us: event.at.as_microsecond(),
            kind: kind.to_owned(),
            schema: EVENT_SCHEMA,
            actor: actor_text(&event.actor),
            payload,
        })
    }

    /// The leaf: SHA-256 over a zero byte (RFC 6962), `tidegate.event.v1` with a zero byte, then
    /// stream, seq, epoch, at_us, kind, schema, actor and payload. Before each stands its length
    /// in 8 bytes; numbers have 8 bytes, the schema 4; all are big-endian.
    pub(crate) fn leaf(&self) -> Hash {
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
        leaf_hash(&bytes)
    }

    /// The event.
    ///
    /// # Errors
    /// [`JournalError::Damaged`], naming the stream and the sequence, when this build cannot
    /// read it or when it is not the event that its columns speak of.
    pub(crate) fn recorded(&self) -> Result<Recorded, JournalError> {
        let event = decode(&self.kind, self.schema, &self.payload).map_err(|unreadable| {
            JournalError::Damaged {
                code: unreadable.code(),
                what: format!("{} entry {}: {unreadable}", self.stream, self.seq),
            }
        })?;
        if event.seq != self.seq || event.event.kind() != self.kind {
            return Err(JournalError::Damaged {
                code: codes::CHANGED,
                what: format!(
                    "{} entry {}: its content is entry {}, {}",
                    self.stream,
                    self.seq,
                    event.seq,
                    event.event.kind()
                ),
            });
        }
        Ok(event)
    }
}

fn refused(what: &str) -> JournalError {
    JournalError::Unavailable { code: codes::REFUSED, what: format!("{what}; nothing was written") }
}

/// The events of one append, encoded and in order.
///
/// # Errors
/// [`JournalError::Unavailable`] with nothing written, when they are not numbered
/// `expected + 1 ..` or are more than one append may have.
pub(crate) fn entries(
    scope: &Scope,
    expected: u64,
    epoch: u64,
    events: &[Recorded],
) -> Result<Vec<Entry>, JournalError> {
    if events.len() > APPEND_EVENTS_MAX {
        return Err(JournalError::Unavailable {
            code: codes::TOO_LARGE,
            what: format!(
                "an append to {scope} has {} events, more than {APPEND_EVENTS_MAX}; nothing was \
                 written",
                events.len()
            ),
        });
    }
    let mut entries = Vec::with_capacity(events.len());
    let mut bytes = 0;
    for (offset, event) in (1..).zip(events) {
        let next = expected.saturating_add(offset);
        if event.seq != next {
            return Err(refused(&format!(
                "{scope} entry {} stands where {next} is due",
                event.seq
            )));
        }
        let entry = Entry::of(scope, epoch, event)?;
        bytes += entry.payload.len();
        entries.push(entry);
    }
    if bytes > APPEND_BYTES_MAX {
        return Err(JournalError::Unavailable {
            code: codes::TOO_LARGE,
            what: format!(
                "an append to {scope} has {bytes} bytes, more than {APPEND_BYTES_MAX}; nothing \
                 was written"
            ),
        });
    }
    Ok(entries)
}

/// The stream's name in the store.
pub(crate) fn stream_of(scope: &Scope) -> String {
    scope.to_string()
}

/// The scope that a stream's name stands for.
///
/// # Errors
/// [`JournalError::Damaged`] when it stands for none.
pub(crate) fn scope_of(stream: &str) -> Result<Scope, JournalError> {
    let scope = stream.split_once('/').and_then(|(service, environment)| {
        Some(Scope {
            service: ServiceName::new(service).ok()?,
            environment: EnvironmentName::new(environment).ok()?,
        })
    });
    scope.ok_or_else(|| JournalError::Damaged {
        code: codes::CHANGED,
        what: format!("`{}` names no stream", stream.escape_debug()),
    })
}

/// An actor as a column: `person:ada`, `tidegate`, `proxy:main`.
pub(crate) fn actor_text(actor: &Actor) -> String {
    match actor {
        Actor::Person(name) => format!("person:{name}"),
        Actor::Robot(name) => format!("robot:{name}"),
        Actor::Tidegate => "tidegate".to_owned(),
        Actor::Proxy(name) => format!("proxy:{name}"),
    }
}

/// Reads [`actor_text`].
pub(crate) fn actor_of(text: &str) -> Option<Actor> {
    match text.split_once(':') {
        None => (text == "tidegate").then_some(Actor::Tidegate),
        Some(("person", name)) => Some(Actor::Person(name.to_owned())),
        Some(("proxy", name)) => Some(Actor::Proxy(name.to_owned())),
        Some(("robot", name)) => Some(Actor::Robot(name.to_owned())),
        Some(_) => None,
    }
}

/// A time as the store keeps it, in whole microseconds.
///
/// # Errors
/// [`JournalError::Damaged`] when no calendar has it.
pub(crate) fn time_of(at_us: i64) -> Result<Timestamp, JournalError> {
    Timestamp::from_microsecond(at_us).map_err(|error| JournalError::Damaged {
        code: codes::CHANGED,
        what: format!("{at_us} is no time: {error}"),
    })
}
