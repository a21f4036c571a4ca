//! The launcher of a custom step: a process that reads its orders, gives rights away, takes the
//! secrets into memory files, and then becomes the program.
//! Must never hand a secret on in an argument or a variable, and never run the program with more
//! rights than its orders say.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};
use rustix::fs::MemfdFlags;
use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};

/// Longest orders, bytes: arguments have a limit of 128 KiB each in the kernel itself.
const ORDERS_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Files that one step may hold open: a database dump in parallel needs some hundreds.
const FILES_MAX: u64 = 4096;
/// What every step may write to besides its own.
const WRITES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/shm"];

/// What the launcher is told on standard input.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// Secrets by the variable that names their file.
    pub(super) secrets: BTreeMap<String, Vec<u8>>,
    /// Paths below which it may write.
    pub(super) writes: Vec<PathBuf>,
    /// The file through which it enters its control group.
    pub(super) cage: Option<PathBuf>,
}

/// Becomes the program. Returns only when that failed.
///
/// # Errors
/// What stood in the way; nothing ran then.
pub fn run() -> io::Result<std::convert::Infallible> {
    let mut text = Vec::new();
    io::stdin().lock().take(ORDERS_BYTES_MAX).read_to_end(&mut text)?;
    let orders: Orders = serde_json::from_slice(&text).map_err(io::Error::other)?;
    drop(text);
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    if let Some(door) = &orders.cage {
        std::fs::write(door, "0")?;
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)?;
    let files = Rlimit { current: Some(FILES_MAX), maximum: Some(FILES_MAX) };
    rustix::process::setrlimit(Resource::Nofile, files)?;
    rustix::thread::set_no_new_privs(true)?;
    confine(&orders.writes)?;
    let (program, arguments) =
        orders.argv.split_first().ok_or_else(|| io::Error::other("the command is empty"))?;
    let mut command = Command::new(program);
    command.args(arguments);
    // Kept open until the program has taken the place of this one.
    let mut held: Vec<OwnedFd> = Vec::new();
    for (name, secret) in &orders.secrets {
        let file = in_memory(secret)?;
        command.env(name, format!("/proc/self/fd/{}", file.as_raw_fd()));
        held.push(file);
    }
    Err(command.exec())
}

/// A file without a name, which the program inherits.
fn in_memory(secret: &[u8]) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("secret", MemfdFlags::ALLOW_SEALING)?;
    let mut writer = std::fs::File::from(file);
    writer.write_all(secret)?;
    let file = OwnedFd::from(writer);
    let seals = rustix::fs::SealFlags::SEAL
        | rustix::fs::SealFlags::SHRINK
        | rustix::fs::SealFlags::GROW
        | rustix::fs::SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// From here on nothing is written elsewhere, by nobody in this family.
fn confine(writes: &[PathBuf]) -> io::Result<()> {
    let abi = ABI::V3;
    let writing = AccessFs::from_write(abi);
    let allowed = WRITES.iter().map(PathBuf::from).chain(writes.iter().cloned());
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writing)
        .map_err(io::Error::other)?
        .create()
        .map_err(io::Error::other)?
        .add_rules(path_beneath_rules(allowed, writing))
        .map_err(io::Error::other)?
        .restrict_self()
        .map_err(io::Error::other)?;
    if status.ruleset == RulesetStatus::NotEnforced {
        let what = "[tidegate: this kernel has no Landlock: the step may write where its user may]";
        writeln!(io::stderr(), "{what}")?;
    }
    Ok(())
}
