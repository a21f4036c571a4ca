//! Guesses from the files of a repository how its application is built and started.
//! Must never read a file itself, and never hide a guess: what is not certain is a question.

use std::collections::BTreeMap;

use serde_json::Value;
use tidegate_core::ids::{NAME_BYTES_MAX, valid_name};

/// Files at the top of a repository that say something. Callers read those that exist, each up to
/// [`crate::SOURCE_BYTES_MAX`] bytes, and nothing else.
pub const FACT_FILES: [&str; 12] = [
    "Cargo.toml",
    "Dockerfile",
    "Procfile",
    "compose.yaml",
    "go.mod",
    "index.html",
    "manage.py",
    "package-lock.json",
    "package.json",
    "public/index.html",
    "requirements.txt",
    "smoke.yaml",
];

/// What the caller found.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Name of the directory, from which the service gets its name.
    pub directory: String,
    /// Text of each of [`FACT_FILES`] that is there.
    pub files: BTreeMap<String, String>,
}

/// How the application is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Program and arguments.
    Argv(Vec<String>),
    /// A line for the shell, which puts the port in.
    Shell(String),
    /// Nothing says so.
    Unknown,
}

/// What the files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// Name for the service; always a valid one.
    pub service: String,
    /// How it is built; `None` when the files run as they are.
    pub build: Option<Vec<String>>,
    /// How it is started.
    pub start: Start,
    /// Whether `GET /` is certain to answer 200.
    pub root_answers: bool,
    /// Whether there is a smoke suite, `smoke.yaml`.
    pub smoke: bool,
    /// What was found, a phrase each, for the person.
    pub found: Vec<String>,
    /// What the person must look at, a question each.
    pub questions: Vec<String>,
}

/// Guesses from the facts.
#[must_use]
pub fn detect(facts: &Facts) -> Detected {
    let package = facts.files.get("package.json").and_then(|text| package(text));
    let mut detected = Detected {
        service: service_name(facts, package.as_ref()),
        build: None,
        start: Start::Unknown,
        root_answers: false,
        smoke: facts.files.contains_key("smoke.yaml"),
        found: Vec::new(),
        questions: Vec::new(),
    };
    detected.build = build(facts, package.as_ref(), &mut detected.found);
    detected.start = start(facts, package.as_ref(), &mut detected);
    match &detected.start {
        Start::Unknown => {
            detected.questions.push("how is the application started?  `deploy.run`".to_owned());
        }
        Start::Argv(_) if !detected.root_answers => detected
            .questions
            .push("does it read its port from the variable PORT?  `deploy.port`".to_owned()),
        Start::Argv(_) | Start::Shell(_) => {}
    }
    if !detected.root_answers {
        detected.questions.push("which path says that it is well?  `deploy.probes`".to_owned());
    }
    detected
}

struct Package {
    name: Option<String>,
    start: Option<String>,
    has_dependencies: bool,
    has_build: bool,
}

fn package(text: &str) -> Option<Package> {
    let json: Value = serde_json::from_str(text).ok()?;
    let script = |name: &str| json.pointer(&format!("/scripts/{name}")).and_then(Value::as_str);
    let some =
        |key: &str| json.get(key).and_then(Value::as_object).is_some_and(|map| !map.is_empty());
    Some(Package {
        name: json.get("name").and_then(Value::as_str).map(str::to_owned),
        start: script("start").map(str::to_owned),
        has_dependencies: some("dependencies") || some("devDependencies"),
        has_build: script("build").is_some(),
    })
}

/// The package's name, else the directory's, with what no name may have left away.
fn service_name(facts: &Facts, package: Option<&Package>) -> String {
    let wished = package.and_then(|package| package.name.as_deref()).unwrap_or(&facts.directory);
    let wished = wished.rsplit('/').next().unwrap_or(wished);
    let plain: String = wished
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
        .collect();
    let plain: String = plain.trim_matches(['-', '_', '.']).chars().take(NAME_BYTES_MAX).collect();
    if valid_name(&plain) { plain } else { "app".to_owned() }
}

fn build(facts: &Facts, package: Option<&Package>, found: &mut Vec<String>) -> Option<Vec<String>> {
    let argv = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    if let Some(package) = package {
        found.push("package.json".to_owned());
        let locked = facts.files.contains_key("package-lock.json");
        let install = if locked { "npm ci" } else { "npm install" };
        return match (package.has_dependencies, package.has_build) {
            (true, true) => argv(&["/bin/sh", "-c", &format!("{install} && npm run build")]),
            (true, false) if locked => argv(&["npm", "ci"]),
            (true, false) => argv(&["npm", "install"]),
            (false, true) => argv(&["npm", "run", "build"]),
            (false, false) => None,
        };
    }
    if facts.files.contains_key("Cargo.toml") {
        found.push("Cargo.toml".to_owned());
        return argv(&["cargo", "build", "--release", "--locked"]);
    }
    if facts.files.contains_key("go.mod") {
        found.push("go.mod".to_owned());
        return argv(&["go", "build", "-o", "server", "."]);
    }
    None
}

fn start(facts: &Facts, package: Option<&Package>, detected: &mut Detected) -> Start {
    if let Some(line) = facts.files.get("Procfile").and_then(|text| procfile_web(text)) {
        detected.found.push("Procfile with a web process".to_owned());
        return command(line);
    }
    if let Some(line) = package.and_then(|package| package.start.as_deref()) {
        detected.found.push("a start script in package.json".to_owned());
        return command(line);
    }
    if let Some(argv) = facts.files.get("Dockerfile").and_then(|text| dockerfile_command(text)) {
        detected.found.push("the command of the Dockerfile".to_owned());
        detected.questions.push(
            "no container engine is used: do program and files of the image's command exist on \
             this machine?  `deploy.run`"
                .to_owned(),
        );
        return Start::Argv(argv);
    }
    for (file, directory) in [("index.html", "."), ("public/index.html", "public")] {
        if facts.files.contains_key(file) {
            detected.found.push(format!("{file}: a static site"));
            detected.root_answers = true;
            return Start::Shell(format!(
                "exec python3 -m http.server \"$PORT\" --bind 127.0.0.1 --directory {directory}"
            ));
        }
    }
    Start::Unknown
}

/// The command of the line `web: ...`.
fn procfile_web(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("web:")).map(str::trim).filter(|l| !l.is_empty())
}

/// The last `CMD` of a Dockerfile, in its list form.
fn dockerfile_command(text: &str) -> Option<Vec<String>> {
    let last = text.lines().rev().find_map(|line| line.trim().strip_prefix("CMD "))?;
    let argv: Vec<String> = serde_json::from_str(last).ok()?;
    let plain = !argv.is_empty() && argv.iter().all(|word| !word.contains("${"));
    plain.then_some(argv)
}

/// A line as a list when no shell is needed to understand it.
fn command(line: &str) -> Start {
    let line = line.replace("${PORT}", "$PORT");
    if line.contains("${") {
        return Start::Unknown;
    }
    if line.contains(['|', '&', ';', '<', '>', '$', '`', '*', '"', '\'', '\\', '=', '(', '~']) {
        return Start::Shell(line);
    }
    Start::Argv(line.split_whitespace().map(str::to_owned).collect())
}
