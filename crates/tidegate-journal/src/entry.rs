//! Between events and entries. Must never write what cannot be read back.

use jiff::Timestamp;
use tidegate_audit::Entry;
use tidegate_core::event::{EVENT_SCHEMA, Recorded};
use tidegate_core::ids::{Actor, EnvironmentName, Scope, ServiceName};
use tidegate_engine::ports::{JournalError, actor_text};

use crate::codes;
use crate::upcast::decode;

/// Most bytes of one event: a plan of 16 parts with full environments stays below a tenth of it.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of one append, so that a group of them fits in memory.
pub const APPEND_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most events of one append: one decision gives a handful.
pub const APPEND_EVENTS_MAX: usize = 1024;

/// Encodes an event.
///
/// # Errors
/// [`JournalError::Unavailable`] with nothing written, when it is too large or would not come back
/// as it is: a number that JSON has no word for.
pub(crate) fn encoded(scope: &Scope, epoch: u64, event: &Recorded) -> Result<Entry, JournalError> {
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
    Ok(Entry {
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

/// The event of an entry.
///
/// # Errors
/// [`JournalError::Damaged`], naming the stream and the sequence, when this build cannot read it
/// or when it is not the event that its columns speak of.
pub(crate) fn recorded(entry: &Entry) -> Result<Recorded, JournalError> {
    let event = decode(&entry.kind, entry.schema, &entry.payload).map_err(|unreadable| {
        JournalError::Damaged {
            code: unreadable.code(),
            what: format!("{} entry {}: {unreadable}", entry.stream, entry.seq),
        }
    })?;
    if event.seq != entry.seq || event.event.kind() != entry.kind {
        return Err(JournalError::Damaged {
            code: codes::CHANGED,
            what: format!(
                "{} entry {}: its content is entry {}, {}",
                entry.stream,
                entry.seq,
                event.seq,
                event.event.kind()
            ),
        });
    }
    Ok(event)
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
        let entry = encoded(scope, epoch, event)?;
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
