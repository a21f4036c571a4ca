//! A report of 100 MB is read within 64 MiB of memory. Each is read by a process of its own,
//! because a process only knows the most that it ever needed.

use std::io::Read;
use std::process::Command;

use tidegate_core::fact::{Fact, Format};
use tidegate_evidence::{Licences, read};

/// The variable by which the process knows what to read.
const CHILD: &str = "TIDEGATE_TEST_HEAVY_REPORT";
/// Size of the report, bytes.
const BYTES: usize = 100_000_000;
/// Most memory that the process may need, KiB.
const MEMORY_KIB: u64 = 64 * 1024;

/// A report that is made while it is read.
struct Made {
    head: &'static str,
    item: fn(usize) -> String,
    tail: fn(usize) -> String,
    made: usize,
    count: usize,
    buffer: Vec<u8>,
    done: bool,
}

impl Read for Made {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.buffer.is_empty() && !self.done {
            if self.made == 0 {
                self.buffer.extend(self.head.bytes());
            }
            if self.made < BYTES {
                self.buffer.extend((self.item)(self.count).bytes());
                self.count += 1;
            } else {
                self.buffer.extend((self.tail)(self.count).bytes());
                self.done = true;
            }
            self.made += self.buffer.len();
        }
        let count = self.buffer.len().min(into.len());
        into[..count].copy_from_slice(&self.buffer[..count]);
        self.buffer.drain(..count);
        Ok(count)
    }
}

fn comma(index: usize) -> &'static str {
    if index == 0 { "" } else { "," }
}

type Shape = (&'static str, fn(usize) -> String, fn(usize) -> String);

fn shape(format: Format) -> Shape {
    match format {
        Format::Junit => (
            "<testsuites><testsuite name=\"s\">",
            |n| {
                format!(
                    "<testcase name=\"t{n}\"><system-out>{}</system-out></testcase>",
                    "x".repeat(1_500)
                )
            },
            |n| format!("<testcase name=\"t{n}\"/></testsuite></testsuites>"),
        ),
        Format::Trivy => (
            "{\"SchemaVersion\":2,\"Results\":[",
            |n| {
                format!(
                    "{}{{\"Target\":\"t{n}\",\"Packages\":[{{\"Name\":\"p\"}}],\"Note\":\"{}\"}}",
                    comma(n),
                    "x".repeat(1_500)
                )
            },
            |_| "]}".to_owned(),
        ),
        _ => (
            "timeStamp,elapsed,label,success\n",
            |n| format!("1795602681644,{},{},true\n", n % 60_000, "x".repeat(100)),
            |_| String::new(),
        ),
    }
}

#[test]
fn the_child_reads() {
    let Ok(word) = std::env::var(CHILD) else { return };
    let format = Format::of_word(&word).unwrap();
    let (head, item, tail) = shape(format);
    let made = Made { head, item, tail, made: 0, count: 0, buffer: Vec::new(), done: false };
    let fact = read(format, made, &Licences::default()).unwrap();
    match fact {
        Fact::Tests(tests) => assert!(tests.passed > 50_000),
        Fact::Findings(findings) => assert!(findings.scanned > Some(50_000)),
        Fact::Timings(timings) => assert!(timings.requests > 700_000),
        other => panic!("{other:?}"),
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY_KIB, "{word} needed {peak} KiB");
}

#[test]
fn a_large_report_needs_little_memory() {
    // One of each way of reading: XML, JSON, lines.
    for format in [Format::Junit, Format::Trivy, Format::Jmeter] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "weight::the_child_reads", "--nocapture"])
            .env(CHILD, format.word())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{}: {said}", format.word());
        assert!(said.contains("1 passed"), "{said}");
    }
}
