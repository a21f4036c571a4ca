//! The YAML of a smoke suite, checked before anything is asked.
//! Must never accept a key it does not know: an assertion that is misspelt must not be skipped.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

/// Most steps of one suite.
const STEPS_MAX: usize = 200;
/// Deepest nesting of the YAML.
const DEPTH_MAX: usize = 32;

/// The steps of a suite, in order.
pub(super) type Steps = Vec<Step>;

/// One request and what is expected of the answer.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: Option<String>,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) content: Content,
    pub(super) status: Vec<u16>,
    pub(super) expect_headers: BTreeMap<String, String>,
    pub(super) body: Vec<String>,
    pub(super) json: BTreeMap<String, Value>,
    pub(super) within: Option<Duration>,
    pub(super) capture: BTreeMap<String, Capture>,
    pub(super) cleanup: bool,
}

impl Step {
    /// How it is called in messages: `step 2 of 6 "sign in"`.
    pub(super) fn title(&self, number: usize, total: usize) -> String {
        let place = format!("step {} of {total}", number + 1);
        match &self.name {
            Some(name) => format!("{place} \"{}\"", crate::text::printable(name, 60)),
            None => place,
        }
    }
}

/// What a request carries.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Nothing,
    Form(BTreeMap<String, String>),
    Json(Value),
    Text(String),
    /// Fields, and files of the artifact by field.
    Upload(BTreeMap<String, String>, BTreeMap<String, String>),
}

/// Where a value is taken from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Capture {
    /// A JSON pointer, `/user/roles/0`.
    pub(super) json: Option<String>,
    /// A header.
    pub(super) header: Option<String>,
    /// The text of the body that follows this.
    pub(super) after: Option<String>,
    /// And ends before this.
    pub(super) before: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SuiteFile {
    #[serde(rename = "name")]
    _name: Option<String>,
    steps: Vec<StepFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepFile {
    name: Option<String>,
    get: Option<String>,
    head: Option<String>,
    post: Option<String>,
    put: Option<String>,
    patch: Option<String>,
    delete: Option<String>,
    #[serde(default)]
    header: BTreeMap<String, String>,
    form: Option<BTreeMap<String, String>>,
    json: Option<Value>,
    body: Option<String>,
    files: Option<BTreeMap<String, String>>,
    #[serde(default)]
    expect: ExpectFile,
    #[serde(default)]
    capture: BTreeMap<String, Capture>,
    #[serde(default)]
    cleanup: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectFile {
    #[serde(default)]
    status: OneOrMany<u16>,
    #[serde(default)]
    header: BTreeMap<String, String>,
    #[serde(default)]
    body: OneOrMany<String>,
    #[serde(default)]
    json: BTreeMap<String, Value>,
    within: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
    #[default]
    None,
}

impl<T> OneOrMany<T> {
    fn all(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
            Self::None => Vec::new(),
        }
    }
}

/// Reads a suite.
///
/// # Errors
/// One line that says what is wrong, and where.
pub(super) fn parse(text: &str) -> Result<Steps, String> {
    let budget = serde_saphyr::budget! {
        max_depth: DEPTH_MAX,
        max_documents: 1,
        max_aliases: 0,
        max_anchors: 0,
        max_merge_keys: 0,
    };
    let options = serde_saphyr::options! { budget: budget };
    let file: SuiteFile = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| crate::text::printable(&error.to_string(), 300))?;
    let count = file.steps.len();
    if count == 0 || count > STEPS_MAX {
        return Err(format!("it has {count} steps, allowed are 1 to {STEPS_MAX}"));
    }
    if file.steps.iter().all(|step| step.cleanup) {
        return Err("it has only steps that clean up".to_owned());
    }
    let numbered = file.steps.into_iter().enumerate();
    numbered
        .map(|(number, step)| check(step).map_err(|what| format!("step {}: {what}", number + 1)))
        .collect()
}

fn check(step: StepFile) -> Result<Step, String> {
    let asked = [
        (Method::GET, step.get),
        (Method::HEAD, step.head),
        (Method::POST, step.post),
        (Method::PUT, step.put),
        (Method::PATCH, step.patch),
        (Method::DELETE, step.delete),
    ];
    let mut asked = asked.into_iter().filter_map(|(method, path)| Some((method, path?)));
    let (Some((method, path)), None) = (asked.next(), asked.next()) else {
        return Err("say exactly one of get, head, post, put, patch, delete".to_owned());
    };
    let content = match (step.form, step.json, step.body, step.files) {
        (None, None, None, None) => Content::Nothing,
        (Some(form), None, None, None) => Content::Form(form),
        (None, Some(json), None, None) => Content::Json(json),
        (None, None, Some(body), None) => Content::Text(body),
        (form, None, None, Some(files)) => Content::Upload(form.unwrap_or_default(), files),
        _ => return Err("say at most one of form, json, body; files go with form".to_owned()),
    };
    let within = step.expect.within.map(|text| {
        let length = text.parse::<SignedDuration>().ok().filter(SignedDuration::is_positive);
        length
            .map(|length| length.unsigned_abs())
            .ok_or_else(|| format!("`{text}` is no length of time"))
    });
    for (name, capture) in &step.capture {
        let ways = [capture.json.is_some(), capture.header.is_some(), capture.after.is_some()];
        let one = ways.iter().filter(|way| **way).count() == 1;
        if !one || (capture.before.is_some() && capture.after.is_none()) {
            return Err(format!("capture {name}: say one of json, header, after (with before)"));
        }
    }
    Ok(Step {
        name: step.name,
        method,
        path,
        headers: step.header,
        content,
        status: step.expect.status.all(),
        expect_headers: step.expect.header,
        body: step.expect.body.all(),
        json: step.expect.json,
        within: within.transpose()?,
        capture: step.capture,
        cleanup: step.cleanup,
    })
}

/// A file of the artifact, by a path that stays in it.
///
/// # Errors
/// When it does not.
pub(super) fn inside(artifact: &Path, path: &str) -> Result<PathBuf, String> {
    let plain = !path.is_empty()
        && Path::new(path)
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
    if plain { Ok(artifact.join(path)) } else { Err(format!("`{path}` is not in the release")) }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn misspelt_and_doubtful_suites_are_refused() {
        let cases = [
            ("", "unexpected end"),
            ("steps: []", "0 steps"),
            ("steps: [{get: /, expects: {status: 200}}]", "expects"),
            ("steps: [{get: /, expect: {statuses: 200}}]", "statuses"),
            ("steps: [{get: /, post: /}]", "exactly one"),
            ("steps: [{name: x}]", "exactly one"),
            ("steps: [{post: /, form: {a: b}, json: {a: 1}}]", "at most one"),
            ("steps: [{get: /, expect: {within: 5}}]", "length of time"),
            ("steps: [{get: /, capture: {a: {json: /x, header: y}}}]", "one of json"),
            ("steps: [{get: /, cleanup: true}]", "only steps that clean up"),
            ("a: &a [x, x]\nsteps: *a", ""),
            ("steps: [{get: /, get: /b}]", ""),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(parse(&format!("steps: [{}]", "{get: /},".repeat(201))).is_err());
        assert!(parse(&"[".repeat(10_000)).is_err());
    }
}
