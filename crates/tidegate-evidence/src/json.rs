//! JSON reports, read while they come in: long lists are folded item by item.
//! Must never hold a whole list of a report.

use std::fmt;
use std::io::BufRead;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::Error;

/// What a list is folded into.
pub(crate) trait Fold: Default {
    /// One item.
    type Item: DeserializeOwned;

    /// Takes the next one.
    fn take(&mut self, item: Self::Item) -> Result<(), String>;
}

/// A list that is folded while it is read. `null` is an empty one.
#[derive(Debug, Default)]
pub(crate) struct Folded<F>(pub(crate) Option<F>);

impl<'de, F: Fold> Deserialize<'de> for Folded<F> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(List(PhantomData))
    }
}

struct List<F>(PhantomData<F>);

impl<'de, F: Fold> Visitor<'de> for List<F> {
    type Value = Folded<F>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Folded(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut folded = F::default();
        while let Some(item) = items.next_element()? {
            folded.take(item).map_err(A::Error::custom)?;
        }
        Ok(Folded(Some(folded)))
    }
}

/// A map whose values are folded while it is read, with their keys.
#[derive(Debug, Default)]
pub(crate) struct Keyed<F>(pub(crate) Option<F>);

impl<'de, T, F> Deserialize<'de> for Keyed<F>
where
    T: DeserializeOwned,
    F: Fold<Item = (String, T)>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Map(PhantomData))
    }
}

struct Map<F>(PhantomData<F>);

impl<'de, T, F> Visitor<'de> for Map<F>
where
    T: DeserializeOwned,
    F: Fold<Item = (String, T)>,
{
    type Value = Keyed<F>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Keyed(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut folded = F::default();
        while let Some(entry) = entries.next_entry()? {
            folded.take(entry).map_err(A::Error::custom)?;
        }
        Ok(Keyed(Some(folded)))
    }
}

/// What a document is folded into that is either one map or a list.
pub(crate) trait Either: Default {
    /// The document as a map.
    type Whole: DeserializeOwned;
    /// One item of the document as a list.
    type Each: DeserializeOwned;

    /// Takes the map.
    fn whole(&mut self, whole: Self::Whole) -> Result<(), String>;

    /// Takes the next item.
    fn each(&mut self, each: Self::Each) -> Result<(), String>;
}

/// A document that is either one map or a list.
pub(crate) struct OneOrMany<E>(pub(crate) E);

impl<'de, E: Either> Deserialize<'de> for OneOrMany<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Document(PhantomData))
    }
}

struct Document<E>(PhantomData<E>);

impl<'de, E: Either> Visitor<'de> for Document<E> {
    type Value = OneOrMany<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        let mut folded = E::default();
        let whole = E::Whole::deserialize(MapAccessDeserializer::new(entries))?;
        folded.whole(whole).map_err(A::Error::custom)?;
        Ok(OneOrMany(folded))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut folded = E::default();
        while let Some(item) = items.next_element()? {
            folded.each(item).map_err(A::Error::custom)?;
        }
        Ok(OneOrMany(folded))
    }
}

/// Reads one document, and nothing behind it.
pub(crate) fn read<T: DeserializeOwned>(from: impl BufRead) -> Result<T, Error> {
    let mut from = from;
    skip_mark(&mut from)?;
    serde_json::from_reader(from).map_err(|error| Error::Broken(error.to_string()))
}

/// A byte order mark before the text is no part of it.
pub(crate) fn skip_mark(from: &mut impl BufRead) -> Result<(), Error> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    let head = from.fill_buf().map_err(|error| Error::Broken(error.to_string()))?;
    if head.starts_with(MARK) {
        from.consume(MARK.len());
    }
    Ok(())
}

/// Counts the items of a list and looks at none.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Count(pub(crate) u64);

impl Fold for Count {
    type Item = serde::de::IgnoredAny;

    fn take(&mut self, _item: Self::Item) -> Result<(), String> {
        self.0 += 1;
        Ok(())
    }
}
