//! Reads one report and prints the most memory that it took, KiB: a process only knows the most
//! that it ever needed. Must never read two.

use std::error::Error;
use std::fs::{self, File};

use tidegate_core::fact::Format;
use tidegate_evidence::{Licences, read};

#[expect(clippy::print_stdout, reason = "a program that answers the benchmark")]
fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: bench_report FORMAT FILE";
    let (format, path) = arguments.next().zip(arguments.next()).ok_or(usage)?;
    let format = Format::of_word(&format).ok_or(usage)?;
    read(format, File::open(path)?, &Licences::default())?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.ok_or("the kernel does not say it")?.trim().trim_end_matches(" kB");
    println!("{peak}");
    Ok(())
}
