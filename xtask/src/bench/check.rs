//! `cargo xtask bench check`: how long `tidegate check` takes for a file of 1,000 lines, and how
//! much memory a report of 100 MB needs. Must never measure a file that the program refuses.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::Bench;
use super::machine::Machine;
use super::product::output;
use super::report::{Aim, Report};
use super::sample::Sample;

/// Lines of the file.
const LINES: usize = 1_000;
/// Runs; the first is dropped.
const RUNS: usize = 31;
/// From the start of the process to its end, milliseconds.
const CHECK_MS: f64 = 50.0;
/// Size of a report, bytes.
const REPORT_BYTES: usize = 100_000_000;
/// Most memory that its reader may need, MiB.
const REPORT_MIB: f64 = 64.0;
/// Bytes that a test of a report prints.
const PRINTED: usize = 1_500;

/// Measures.
///
/// # Errors
/// When a program fails, or refuses what it is given.
pub(crate) fn measure(bench: &Bench, machine: &Machine) -> anyhow::Result<Report> {
    let scratch = bench.scratch()?;
    let mut report = Report::new("check", "Files and reports", machine);
    let file = scratch.path().join("tidegate.yaml");
    std::fs::write(&file, configuration()).context("the file cannot be written")?;
    let mut all_ms = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let begun = Instant::now();
        let said = output(&bench.product.tidegate(), &["check".as_ref(), file.as_os_str()])?;
        all_ms.push(begun.elapsed().as_secs_f64() * 1_000.0);
        ensure!(said.contains("valid"), "the file is refused: {said}");
    }
    let check_ms = Sample::of(all_ms.into_iter().skip(1));
    report.median("`tidegate check` of 1,000 lines", "ms", Aim::Below(CHECK_MS), &check_ms);
    let reader = bench.product.example("bench_report");
    for (format, name) in [("junit", "report.xml"), ("trivy", "report.json")] {
        let path = scratch.path().join(name);
        written(format, &path).context("the report cannot be written")?;
        let begun = Instant::now();
        let said = output(&reader, &[format.as_ref(), path.as_os_str()])?;
        let seconds = begun.elapsed().as_secs_f64();
        let peak_kib: f64 = said.trim().parse().context("the reader says no number")?;
        let what = format!("peak memory of a {format} report of 100 MB");
        report.figure(&what, "MiB", Aim::Below(REPORT_MIB), peak_kib / 1_024.0);
        report.figure(&format!("time for the same, {format}"), "s", Aim::None, seconds);
    }
    report.note(format!(
        "{} runs of `tidegate check FILE` after one that is dropped, each a process of its own, \
         from its start to its end. The file has {LINES} lines: gates, steps, boxes, variables and \
         rules, all of them valid.",
        RUNS - 1
    ));
    report.note(
        "A report is read by a process of its own, `VmHWM` of which is the most that it ever had \
         in memory.",
    );
    Ok(report)
}

/// A valid configuration of [`LINES`] lines.
fn configuration() -> String {
    let mut text = String::from(
        "tidegate: 1\nservice: shop\ndeploy:\n  run: [node, server.js]\n  probes: {health: {get: \
         /health}}\n  smoke: {suite: smoke.yaml}\ntraffic:\n  route: {listen: \
         \"127.0.0.1:8080\"}\n  steps: [5%, 25%, 50%, 100%]\n  each: {for: 10m, at_least: 500 \
         requests}\n  advance_if: [errors < 1%, p95 < 200ms]\n  rollback_if: [errors > 2% for \
         1m]\nafter:\n  watch: {for: 30m}\ncheck:\n",
    );
    for gate in 0..60 {
        let _infallible = writeln!(
            text,
            "  tests-{gate}:\n    junit: reports/{gate}/*.xml\n    pass: 100%\n    at_least: 10 tests"
        );
    }
    text.push_str("steps:\n");
    for step in 0..32 {
        let _infallible = writeln!(
            text,
            "  step-{step}:\n    at: before-deploy\n    run: [./step, \"{step}\"]\n    env:\n      \
             NUMBER: \"{step}\"\n    idempotent: true"
        );
    }
    text.push_str("checklist:\n  before:\n");
    let mut number = 0;
    while text.lines().count() + 3 <= LINES && number < 180 {
        let gate = number % 60;
        let _infallible = writeln!(
            text,
            "    - box: the tests of part {number} pass\n      proof: check.tests-{gate}\n      \
             mandatory: true"
        );
        number += 1;
    }
    while text.lines().count() < LINES {
        let _infallible = writeln!(text, "# line {}", text.lines().count() + 1);
    }
    text
}

/// Writes a report of the size.
fn written(format: &str, path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let printed = "x".repeat(PRINTED);
    let (head, tail) = match format {
        "junit" => ("<testsuites><testsuite name=\"s\">", "</testsuite></testsuites>"),
        _ => ("{\"SchemaVersion\":2,\"Results\":[", "{\"Target\":\"last\"}]}"),
    };
    file.write_all(head.as_bytes())?;
    let (mut bytes, mut number) = (head.len(), 0_u32);
    while bytes < REPORT_BYTES {
        let item = match format {
            "junit" => format!(
                "<testcase name=\"t{number}\"><system-out>{printed}</system-out></testcase>"
            ),
            _ => format!(
                "{{\"Target\":\"t{number}\",\"Packages\":[{{\"Name\":\"p\"}}],\"Note\":\"{printed}\"}},"
            ),
        };
        file.write_all(item.as_bytes())?;
        bytes += item.len();
        number += 1;
    }
    file.write_all(tail.as_bytes())?;
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::{LINES, configuration};

    #[test]
    fn the_file_has_the_lines_that_the_page_says() {
        assert_eq!(configuration().lines().count(), LINES);
    }
}
