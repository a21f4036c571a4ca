//! From a stored payload of any age to the event of this build.
//!
//! To change the encoding of events: raise `EVENT_SCHEMA`, add one function to [`UPCASTERS`] that
//! brings the older JSON one schema further, keep the corpus of the older schema.
//! Must never guess: what it does not know it refuses, and its stream alone stands still.

use serde_json::Value;
use tidegate_core::event::{EVENT_SCHEMA, Event, Recorded};

use crate::codes;

/// Brings the JSON of one event, given its kind, one schema further.
type Upcaster = fn(kind: &str, payload: Value) -> Value;

/// The function at index `n` reads schema `n + 1` and gives schema `n + 2`.
const UPCASTERS: [Upcaster; EVENT_SCHEMA as usize - 1] = [];

/// Why a payload is not an event of this build.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    /// Written by a newer Tidegate, or by nobody.
    #[error("the kind `{0}` is unknown to this build")]
    UnknownKind(String),
    /// Written by a newer Tidegate.
    #[error("its schema {found} is not one of 1 to {EVENT_SCHEMA}, which this build reads")]
    UnknownSchema {
        /// What it says.
        found: u32,
    },
    /// Not the JSON that its kind and schema promise.
    #[error("its content is not readable: {0}")]
    Malformed(String),
}

impl Unreadable {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownKind(_) | Self::UnknownSchema { .. } => codes::UNKNOWN_KIND,
            Self::Malformed(_) => codes::CHANGED,
        }
    }
}

/// Reads one payload.
///
/// # Errors
/// [`Unreadable`], which the caller completes with the place.
pub(crate) fn decode(kind: &str, schema: u32, payload: &str) -> Result<Recorded, Unreadable> {
    if schema == 0 || schema > EVENT_SCHEMA {
        return Err(Unreadable::UnknownSchema { found: schema });
    }
    if schema == EVENT_SCHEMA && !Event::KINDS.contains(&kind) {
        let kind = kind.chars().take(64).flat_map(char::escape_debug).collect();
        return Err(Unreadable::UnknownKind(kind));
    }
    let older = UPCASTERS.get(schema as usize - 1..).unwrap_or_default();
    let read = if older.is_empty() {
        serde_json::from_str(payload)
    } else {
        serde_json::from_str(payload).and_then(|value: Value| {
            serde_json::from_value(older.iter().fold(value, |value, up| up(kind, value)))
        })
    };
    read.map_err(|error| Unreadable::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Kind, schema and text of every file of the corpus.
    fn corpus() -> Vec<(String, u32, String)> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tidegate-core/tests/corpus");
        let mut files = Vec::new();
        for schema in 1..=EVENT_SCHEMA {
            for file in fs::read_dir(corpus.join(format!("v{schema}"))).unwrap() {
                let path = file.unwrap().path();
                let kind = path.file_name().unwrap().to_str().unwrap().split('.').next().unwrap();
                files.push((kind.to_owned(), schema, fs::read_to_string(&path).unwrap()));
            }
        }
        assert!(files.len() >= Event::KINDS.len());
        files
    }

    #[test]
    fn every_event_of_the_corpus_is_read() {
        for (kind, schema, text) in corpus() {
            let read = decode(&kind, schema, &text);
            assert_eq!(read.as_ref().map(|r| r.event.kind()), Ok(kind.as_str()), "{read:?}");
        }
    }

    #[test]
    fn an_event_that_was_cut_or_flipped_is_never_a_crash_nor_half_read() {
        for (kind, schema, text) in corpus() {
            let text = text.trim_end();
            for at in (0..text.len()).step_by(3) {
                let cut = text.get(..at).unwrap_or_default();
                assert!(decode(&kind, schema, cut).is_err(), "{kind} cut at {at}");
                let mut flipped = text.as_bytes().to_vec();
                flipped[at] ^= 1;
                if let Ok(flipped) = String::from_utf8(flipped) {
                    // It may still be an event, another one: that is for the leaf to say.
                    drop(decode(&kind, schema, &flipped));
                }
            }
        }
    }

    const PAYLOAD: &str = r#"{"seq":1,"at":"2026-11-21T04:00:00Z","actor":{"kind":"tidegate"},
        "event":{"type":"faulted","code":"TG9001","what":"x"}}"#;

    #[test]
    fn reads_the_present_schema_and_refuses_others_by_name() {
        assert_eq!(decode("faulted", EVENT_SCHEMA, PAYLOAD).unwrap().event.kind(), "faulted");
        for found in [0, EVENT_SCHEMA + 1, u32::MAX] {
            assert_eq!(decode("faulted", found, PAYLOAD), Err(Unreadable::UnknownSchema { found }));
        }
        assert!(matches!(
            decode("moon_landed", EVENT_SCHEMA, PAYLOAD),
            Err(Unreadable::UnknownKind(kind)) if kind == "moon_landed"
        ));
        assert!(matches!(decode("faulted", EVENT_SCHEMA, "{"), Err(Unreadable::Malformed(_))));
    }

    #[test]
    fn nesting_without_end_is_an_error_and_not_a_crash() {
        let deep = "[".repeat(200_000);
        assert!(matches!(decode("faulted", EVENT_SCHEMA, &deep), Err(Unreadable::Malformed(_))));
    }
}
