//! Events as they lie in journals of every release: a file of each kind in each form that was
//! ever written. A file here is never changed and never removed.
//!
//! After a change of an event, `TIDEGATE_BLESS=1 cargo test -p tidegate-core corpus` adds the new
//! form beside the old ones.

#![expect(clippy::disallowed_methods, reason = "the corpus is files, and these are its tests")]

mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;
use tidegate_core::event::{Event, Recorded};

/// The folder of the schema that this build writes.
fn folder() -> PathBuf {
    let schema = format!("v{}", tidegate_core::event::EVENT_SCHEMA);
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(schema)
}

/// `task_finished.json` and `task_finished.2.json` are both of the kind `task_finished`.
fn files() -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut files: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let kind = name.split('.').next().unwrap().to_owned();
        assert!(name.ends_with(".json"), "{name} is no event");
        let text = fs::read_to_string(&path).unwrap();
        files.entry(kind).or_default().push((path, text));
    }
    files
}

fn pretty(recorded: &Recorded) -> String {
    serde_json::to_string_pretty(recorded).unwrap() + "\n"
}

#[test]
fn corpus_has_every_kind_and_no_other() {
    let files = files();
    let kept: BTreeSet<&str> = files.keys().map(String::as_str).collect();
    let kinds: BTreeSet<&str> = Event::KINDS.into_iter().collect();
    assert_eq!(kept, kinds);
    assert_eq!(kinds.len(), Event::KINDS.len(), "a kind is listed twice");
}

#[test]
fn corpus_reads_as_its_kind_and_writes_nothing_of_it_away() {
    for (kind, forms) in files() {
        for (path, text) in forms {
            let recorded: Recorded = serde_json::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(recorded.event.kind(), kind, "{}", path.display());
            let again = pretty(&recorded);
            if again != text {
                // An older form: what it said is still said, and only defaults came to it.
                let (old, new) = (serde_json::from_str(&text), serde_json::from_str(&again));
                lost(&old.unwrap(), &new.unwrap(), &path.display().to_string());
            }
            let twice: Recorded = serde_json::from_str(&again).unwrap();
            assert_eq!(twice, recorded, "{}", path.display());
        }
    }
}

/// Panics where `new` lacks something of `old`, or says it otherwise.
fn lost(old: &Value, new: &Value, place: &str) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let place = format!("{place}.{key}");
                lost(value, new.get(key).unwrap_or_else(|| panic!("{place} is gone")), &place);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            assert_eq!(old.len(), new.len(), "{place}");
            for (at, (old, new)) in old.iter().zip(new).enumerate() {
                lost(old, new, &format!("{place}[{at}]"));
            }
        }
        _ => assert_eq!(old, new, "{place}"),
    }
}

/// Whoever changes an event adds its new form: what this build writes is in the corpus.
#[test]
fn corpus_has_the_form_that_this_build_writes() {
    let samples = samples::all();
    let bless = env::var_os("TIDEGATE_BLESS").is_some();
    let files = if bless { BTreeMap::new() } else { files() };
    let sampled: BTreeSet<&str> = samples.iter().map(|sample| sample.event.kind()).collect();
    assert_eq!(sampled, Event::KINDS.into_iter().collect(), "a sample of every kind");
    for sample in samples {
        let (kind, text) = (sample.event.kind(), pretty(&sample));
        if bless {
            keep(kind, &text);
            continue;
        }
        let kept = files.get(kind).is_some_and(|forms| forms.iter().any(|(_, form)| *form == text));
        assert!(kept, "the corpus lacks this form of {kind}; see the head of this file:\n{text}");
    }
}

/// Adds a form under the first free name, unless it is there.
fn keep(kind: &str, text: &str) {
    fs::create_dir_all(folder()).unwrap();
    for number in 1..100 {
        let name =
            if number == 1 { format!("{kind}.json") } else { format!("{kind}.{number}.json") };
        let path = folder().join(name);
        match fs::read_to_string(&path) {
            Ok(form) if form == text => return,
            Ok(_) => {}
            Err(_) => return fs::write(path, text).unwrap(),
        }
    }
    panic!("{kind} has too many forms");
}
