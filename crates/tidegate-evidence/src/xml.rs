//! XML reports as a stream of opened and closed elements.
//! Must never resolve an entity, follow a document type or recurse: a hostile report must not use
//! up the stack.

use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::{Error, broken, json};

/// Deepest nesting of elements: real reports have five levels.
const DEPTH_MAX: usize = 32;

/// What looks at the elements of a report.
pub(crate) trait Elements {
    /// An element begins; `open` are the names of those around it, the outermost first.
    fn open(&mut self, open: &[String], name: &str, element: &BytesStart<'_>) -> Result<(), Error>;

    /// The element that was opened last ends.
    fn close(&mut self, open: &[String], name: &str) -> Result<(), Error>;
}

/// Reads a document whose root is one of `roots`. A document type is allowed where a format
/// demands one, without declarations of its own.
pub(crate) fn read(
    mut from: impl BufRead,
    roots: &[&str],
    with_doctype: bool,
    elements: &mut impl Elements,
) -> Result<(), Error> {
    json::skip_mark(&mut from)?;
    let mut reader = Reader::from_reader(from);
    let mut buffer = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut root_seen = false;
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer);
        match event.map_err(|error| Error::Broken(error.to_string()))? {
            Event::Start(element) => {
                let name = name_of(&element);
                begin(&open, &name, roots, &mut root_seen)?;
                elements.open(&open, &name, &element)?;
                open.push(name);
            }
            Event::Empty(element) => {
                let name = name_of(&element);
                begin(&open, &name, roots, &mut root_seen)?;
                elements.open(&open, &name, &element)?;
                elements.close(&open, &name)?;
            }
            // That the names match is checked by the parser.
            Event::End(_) => {
                if let Some(name) = open.pop() {
                    elements.close(&open, &name)?;
                }
            }
            Event::Eof => break,
            Event::DocType(text) if !with_doctype || text.contains(&b'[') => {
                return Err(broken("it declares a document type"));
            }
            Event::DocType(_)
            | Event::Text(_)
            | Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::GeneralRef(_) => {}
        }
    }
    if root_seen && open.is_empty() { Ok(()) } else { Err(broken("it is empty or cut off")) }
}

fn name_of(element: &BytesStart<'_>) -> String {
    String::from_utf8_lossy(element.name().as_ref()).into_owned()
}

fn begin(open: &[String], name: &str, roots: &[&str], seen: &mut bool) -> Result<(), Error> {
    if open.len() >= DEPTH_MAX {
        return Err(Error::TooDeep);
    }
    if open.is_empty() {
        if *seen || !roots.contains(&name) {
            return Err(broken(format!("its root is not `{}`", roots.join("` or `"))));
        }
        *seen = true;
    }
    Ok(())
}

/// The text of an attribute, with the five entities of XML put in.
pub(crate) fn attribute(element: &BytesStart<'_>, key: &str) -> Result<Option<String>, Error> {
    let found = element.try_get_attribute(key).map_err(|error| Error::Broken(error.to_string()))?;
    Ok(found.map(|attribute| {
        let raw = String::from_utf8_lossy(&attribute.value).into_owned();
        quick_xml::escape::unescape(&raw).map(|text| text.into_owned()).unwrap_or(raw)
    }))
}

/// A count; `None` when the attribute is missing or empty.
pub(crate) fn count(element: &BytesStart<'_>, key: &str) -> Result<Option<u64>, Error> {
    match attribute(element, key)? {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(None),
        Some(text) => {
            text.parse().map(Some).map_err(|_no_number| broken(format!("`{key}` is no number")))
        }
    }
}
