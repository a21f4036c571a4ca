//! `tidegate-audit BUNDLE --key KEY`: checks an evidence bundle on a machine that has only the
//! bundle and the log's public key. It reads those and nothing else, and must never say
//! "verified" for anything but a whole check.

use std::fs::{self, File};
use std::io::BufReader;
use std::process::ExitCode;

use tidegate_audit::bundle::{self, Checked};
use tidegate_audit::note::Key;

/// Longest file with a key, bytes.
const KEY_BYTES_MAX: u64 = 4096;
/// How it is called.
const USAGE: &str = "usage: tidegate-audit BUNDLE --key KEY\n\
    KEY is the log's public key, or the path of a file with it.\n\
    Exit: 0 verified, 1 something does not fit, 2 it cannot be checked.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (bundle, key) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [bundle, "--key", key] | ["--key", key, bundle] => (bundle, key),
        ["--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(bundle, key) {
        Ok(checked) => {
            print!("{}", words(&checked));
            if checked.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(what) => {
            eprintln!("not checked: {what}");
            ExitCode::from(2)
        }
    }
}

fn run(bundle: &str, key: &str) -> Result<Checked, String> {
    let text = match fs::metadata(key) {
        Ok(found) if found.len() <= KEY_BYTES_MAX => {
            fs::read_to_string(key).map_err(|error| format!("{key}: {error}"))?
        }
        _ => key.to_owned(),
    };
    let key = Key::parse(&text).map_err(|error| format!("the key: {error}"))?;
    let file = File::open(bundle).map_err(|error| format!("{bundle}: {error}"))?;
    bundle::check(BufReader::new(file), &key).map_err(|error| format!("{bundle}: {error}"))
}

fn words(checked: &Checked) -> String {
    let manifest = &checked.manifest;
    let mut text = format!(
        "{} of {}, {}\n{} entries and {} reports as in the log {} at {} entries\n",
        manifest.deployment,
        manifest.stream,
        manifest.version,
        checked.entries,
        checked.reports,
        checked.log,
        checked.size
    );
    for line in &checked.course {
        text.push_str(&format!("  #{} {} {}\n", line.seq, line.kind, line.actor));
    }
    if manifest.last_seq.is_none() {
        text.push_str("  it had not ended when the bundle was made\n");
    }
    for problem in &checked.problems {
        text.push_str(&format!("\u{2717} {problem}\n"));
    }
    text.push_str(if checked.problems.is_empty() {
        "\u{2713} verified\n"
    } else {
        "not verified\n"
    });
    text
}
