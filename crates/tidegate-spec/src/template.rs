//! Writes the file that `tidegate init` leaves behind: short, commented, and accepted as it is.
//! Must never contain a key that does nothing, nor a guess that is not marked as one.

use crate::detect::{Detected, Start};

/// The text of a `tidegate.yaml` for what was found.
#[must_use]
pub fn template(detected: &Detected) -> String {
    let mut text = String::with_capacity(4096);
    text.push_str("# How this repository gets to production, and back.\n");
    text.push_str("# `tidegate check` reads this file, `tidegate deploy TAG` follows it.\n");
    text.push_str("tidegate: 1\n");
    text.push_str(&line("service", &scalar(&detected.service)));
    text.push_str("environment: production\n");
    text.push_str("release: {tag: \"v*\"}                  # tags that are releases\n");
    if let Some(build) = &detected.build {
        text.push_str("\n# Runs once a release, in a clean export of its tag.\n");
        text.push_str(&line("build", &argv_or_shell(build)));
    }
    text.push_str(&deploy(detected));
    text.push_str(TRAFFIC);
    text
}

fn line(key: &str, value: &str) -> String {
    format!("{key}: {value}\n")
}

fn deploy(detected: &Detected) -> String {
    let (run, remark) = match &detected.start {
        Start::Argv(words) => (argv(words), ""),
        Start::Shell(line) => (format!("{{shell: {}}}", quoted(line)), ""),
        Start::Unknown => ("[./server]".to_owned(), "   # QUESTION: how is it started?"),
    };
    let probe = if detected.root_answers {
        "    basic: {get: /, expect: 200, within: 1s}\n"
    } else {
        "    port: {tcp: true}                   # it listens\n    \
         # QUESTION: which path says that it is well?\n    \
         # health: {get: /health, expect: 200, within: 1s}\n"
    };
    let smoke = if detected.smoke {
        "  smoke: {suite: smoke.yaml}            # asked before any user is\n"
    } else {
        ""
    };
    format!(
        "\ndeploy:\n  \
         slots: [north, south]                 # two places; one is live, the other takes the next\n  \
         run: {run}{remark}\n  \
         port: PORT                            # the variable that says where to listen\n  \
         instances: 2                          # processes in each slot\n  \
         # env: {{NODE_ENV: production}}\n  \
         # memory: 256 MiB                     # what reads as 100 % memory\n  \
         probes:                               # asked on each instance's own address\n{probe}{smoke}"
    )
}

const TRAFFIC: &str = "
traffic:
  route: {listen: \"127.0.0.1:8080\"}     # where users come in; 0.0.0.0:80 for everybody
  steps: [5%, 25%, 50%, 100%]           # the new version's share
  each: {for: 5m, at_least: 50 requests}
  advance_if:  [errors < 1%, p95 < 500ms]                         # all of them
  rollback_if: [errors > 2% for 1m, p95 > 2s for 3m, sick > 50% for 1m]   # any of them
  otherwise: {hold: 30m, then: rollback}  # between the limits: wait, then go back
  floor: attributed                     # what the old version suffers too holds, instead of going back

after:
  watch: {for: 30m, keep_previous: warm}  # rules stay armed; going back takes about a second
";

/// A build that already asks the shell is written as a shell line.
fn argv_or_shell(words: &[String]) -> String {
    match words {
        [shell, option, line] if shell == "/bin/sh" && option == "-c" => {
            format!("{{shell: {}}}", quoted(line))
        }
        words => argv(words),
    }
}

fn argv(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| scalar(word)).collect();
    format!("[{}]", words.join(", "))
}

/// The text without quotes where YAML reads it as itself.
fn scalar(text: &str) -> String {
    let plain = !text.is_empty()
        && !matches!(text, "null" | "Null" | "NULL")
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./-".contains(&b));
    if plain { text.to_owned() } else { quoted(text) }
}

/// A JSON string is a double-quoted YAML text.
fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}
