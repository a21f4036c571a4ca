//! `tidegate-audit BUNDLE --key KEY`: checks an evidence bundle on a machine that has only the
//! bundle and the log's public key. It reads those and nothing else, and must never say
//! "verified" for anything but a whole check.

use std::fs::{self, File};
use std::io::{self, BufReader, Write};
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
    let (mut out, mut complaints) = (io::stdout().lock(), io::stderr().lock());
    let (code, said) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [bundle, "--key", key] | ["--key", key, bundle] => match run(bundle, key) {
            Ok(checked) => {
                let code = u8::from(!checked.problems.is_empty());
                (code, words(&mut out, &checked))
            }
            Err(what) => (2, writeln!(complaints, "not checked: {what}")),
        },
        ["--help" | "-h"] => (0, writeln!(out, "{USAGE}")),
        _ => (2, writeln!(complaints, "{USAGE}")),
    };
    // A reader that hangs up has not read it whole: that is no success.
    if said.is_ok() { ExitCode::from(code) } else { ExitCode::from(2) }
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

fn words(out: &mut impl Write, checked: &Checked) -> io::Result<()> {
    let manifest = &checked.manifest;
    writeln!(out, "{} of {}, {}", manifest.deployment, manifest.stream, manifest.version)?;
    writeln!(
        out,
        "{} entries and {} reports as in the log {} at {} entries",
        checked.entries, checked.reports, checked.log, checked.size
    )?;
    for line in &checked.course {
        writeln!(out, "  #{} {} {}", line.seq, line.kind, line.actor)?;
    }
    if manifest.last_seq.is_none() {
        writeln!(out, "  it had not ended when the bundle was made")?;
    }
    for problem in &checked.problems {
        writeln!(out, "\u{2717} {problem}")?;
    }
    let good = checked.problems.is_empty();
    writeln!(out, "{}", if good { "\u{2713} verified" } else { "\u{2717} not verified" })
}
