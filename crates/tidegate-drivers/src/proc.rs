//! What Linux says about processes under `/proc`: who is whose child, and since when.
//! Must never name a process by its number alone: numbers are given out again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// Variable that marks every process of an instance, or of a command, however far it forked away.
pub(crate) const MARK: &str = "TIDEGATE_INSTANCE";
/// Longest environment that is searched for the mark, in bytes: Linux allows 2 MiB for arguments
/// and environment together.
const ENVIRON_BYTES_MAX: u64 = 2 * 1024 * 1024;
/// Passes over the process table when killing: a process that forks during a pass is met by the
/// next one; what survives this many is reported by the caller, who comes again.
const KILL_PASSES_MAX: u32 = 8;

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) pid: i32,
    /// When it was started, in clock ticks since the boot.
    pub(crate) start: u64,
}

/// One line of the process table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stat {
    /// Who.
    pub(crate) identity: Identity,
    /// Its parent's number.
    pub(crate) parent: i32,
    /// Its process group.
    pub(crate) group: i32,
    /// Whether it ended and only waits to be collected.
    pub(crate) zombie: bool,
    /// Processor time used, in clock ticks.
    pub(crate) ticks: u64,
}

/// The process of that number, if there is one.
pub(crate) fn stat(pid: i32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

// The second field is the program's name in brackets and may itself contain brackets and spaces.
fn parse(pid: i32, line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        identity: Identity { pid, start: number(19)? },
        parent: fields.get(1)?.parse().ok()?,
        group: fields.get(2)?.parse().ok()?,
        zombie: matches!(*fields.first()?, "Z" | "X" | "x"),
        ticks: number(11)?.saturating_add(number(12)?),
    })
}

/// Every process that can be seen.
pub(crate) fn table() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(stat)
        .collect()
}

/// The identity of this process.
pub(crate) fn own() -> Option<Identity> {
    stat(rustix::process::getpid().as_raw_nonzero().get()).map(|stat| stat.identity)
}

/// Whether exactly this process lives.
pub(crate) fn alive(identity: Identity) -> bool {
    stat(identity.pid).is_some_and(|stat| stat.identity == identity && !stat.zombie)
}

/// Names this boot of the machine: process start times are counted from it.
pub(crate) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// The value of the mark in a process's environment at its start.
pub(crate) fn mark_of(pid: i32) -> Option<String> {
    let path = format!("/proc/{pid}/environ");
    let environ = crate::files::read_capped(path.as_ref(), ENVIRON_BYTES_MAX).ok()??;
    environ.split(|byte| *byte == 0).find_map(|entry| {
        let value = entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"=")?;
        String::from_utf8(value.to_vec()).ok()
    })
}

/// Everything that belongs to an instance and lives: its process group, all their descendants,
/// and whoever carries its mark.
///
/// `search_marks` reads the environment of every process: thorough, and too dear for each second.
/// Without it only orphans that were given to `foster` (the shim) are searched.
pub(crate) fn family(
    table: &[Stat],
    leader: Identity,
    mark: &str,
    foster: Option<i32>,
    search_marks: bool,
) -> Vec<Stat> {
    // A process with the leader's number but another start: the group is somebody else's.
    let group_is_ours = table
        .iter()
        .find(|stat| stat.identity.pid == leader.pid)
        .is_none_or(|stat| stat.identity.start == leader.start);
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let marked = |stat: &Stat| {
        (search_marks || foster == Some(stat.parent))
            && mark_of(stat.identity.pid).as_deref() == Some(mark)
    };
    let mut members: BTreeSet<i32> = table
        .iter()
        .filter(|stat| (group_is_ours && stat.group == leader.pid) || marked(stat))
        .map(|stat| stat.identity.pid)
        .collect();
    if group_is_ours {
        members.insert(leader.pid);
    }
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for stat in table {
        children.entry(stat.parent).or_default().push(stat.identity.pid);
    }
    let mut unvisited: Vec<i32> = members.iter().copied().collect();
    while let Some(pid) = unvisited.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if members.insert(*child) {
                unvisited.push(*child);
            }
        }
    }
    table
        .iter()
        .filter(|stat| !stat.zombie && stat.identity.pid != me)
        .filter(|stat| members.contains(&stat.identity.pid))
        .copied()
        .collect()
}

/// Sends a signal to exactly this process. One that is gone is none to miss.
pub(crate) fn signal(identity: Identity, signal: Signal) {
    if !alive(identity) {
        return;
    }
    if let Some(pid) = Pid::from_raw(identity.pid)
        && let Err(error) = rustix::process::kill_process(pid, signal)
        && error != rustix::io::Errno::SRCH
    {
        tracing::warn!(pid = identity.pid, %error, "could not signal a process");
    }
}

/// Kills the instance's whole family. True when nothing of it is left.
pub(crate) fn kill_family(leader: Identity, mark: &str) -> bool {
    for _ in 0..KILL_PASSES_MAX {
        let members = family(&table(), leader, mark, None, true);
        if members.is_empty() {
            return true;
        }
        for member in members {
            signal(member.identity, Signal::KILL);
        }
    }
    family(&table(), leader, mark, None, true).is_empty()
}

/// Kills everything that carries a mark. True when nothing of it is left.
pub(crate) fn kill_marked(mark: &str) -> bool {
    let marked = || {
        let all = table().into_iter().filter(|stat| !stat.zombie);
        all.filter(|stat| mark_of(stat.identity.pid).as_deref() == Some(mark)).collect::<Vec<_>>()
    };
    for _ in 0..KILL_PASSES_MAX {
        let members = marked();
        if members.is_empty() {
            return true;
        }
        for member in members {
            signal(member.identity, Signal::KILL);
        }
    }
    marked().is_empty()
}

/// Addresses on which these processes listen for TCP connections, sorted.
pub(crate) fn listening(pids: &BTreeSet<i32>) -> Vec<SocketAddr> {
    let mut found: Vec<SocketAddr> = Vec::new();
    let inodes: BTreeSet<u64> = pids.iter().flat_map(|pid| socket_inodes(*pid)).collect();
    for (address, inode) in listeners() {
        if inodes.contains(&inode) {
            found.push(address);
        }
    }
    found.sort();
    found.dedup();
    found
}

fn socket_inodes(pid: i32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let target = fs::read_link(entry.ok()?.path()).ok()?;
            let inode = target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect()
}

fn listeners() -> Vec<(SocketAddr, u64)> {
    let mut all = Vec::new();
    for path in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
        let text = fs::read_to_string(path).unwrap_or_default();
        all.extend(text.lines().skip(1).filter_map(listener));
    }
    all
}

// Fields: sl, local_address, rem_address, st (0A is LISTEN), four more, then the inode.
fn listener(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    if *fields.get(3)? != "0A" {
        return None;
    }
    let (address, port) = fields.get(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(kernel_address(address)?, port), fields.get(9)?.parse().ok()?))
}

// The kernel prints each 32-bit word of an address in the byte order of the machine.
fn kernel_address(text: &str) -> Option<IpAddr> {
    let word = |index: usize| {
        let digits = text.get(index * 8..index * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    if text.len() == 8 {
        return Some(IpAddr::V4(Ipv4Addr::from(word(0)?)));
    }
    let mut bytes = [0; 16];
    for index in 0..4 {
        for (place, byte) in bytes.iter_mut().skip(index * 4).zip(word(index)?) {
            *place = byte;
        }
    }
    Some(IpAddr::V6(Ipv6Addr::from(bytes)))
}

/// Memory that a process takes, in bytes: its share of what it shares (PSS) where Linux tells it,
/// else all it has resident.
pub(crate) fn memory_bytes(pid: i32) -> Option<u64> {
    let kib = |path: String, key: &str| {
        let text = fs::read_to_string(path).ok()?;
        let line =
            text.lines().find_map(|line| line.strip_prefix(key)?.trim().split(' ').next())?;
        line.parse::<u64>().ok()
    };
    kib(format!("/proc/{pid}/smaps_rollup"), "Pss:")
        .or_else(|| kib(format!("/proc/{pid}/status"), "VmRSS:"))
        .map(|kib| kib.saturating_mul(1024))
}

/// Memory of this machine, in bytes.
pub(crate) fn machine_memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().split(' ').next()?.parse::<u64>().ok().map(|kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;

    use super::{alive, kernel_address, listening, own, parse};

    #[test]
    fn a_program_may_have_brackets_in_its_name() {
        let line = "7 (a) R (b)) S 3 7 1 0 -1 4194304 98 0 0 0 5 6 0 0 20 0 1 0 191849 31";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.parent, stat.group, stat.ticks), (3, 7, 11));
        assert_eq!(stat.identity.start, 191_849);
        assert!(!stat.zombie);
    }

    #[test]
    fn another_start_time_is_another_process() {
        let me = own().unwrap();
        assert!(alive(me));
        assert!(!alive(super::Identity { start: me.start + 1, ..me }));
    }

    #[test]
    fn finds_where_this_process_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pids = BTreeSet::from([own().unwrap().pid]);
        assert!(listening(&pids).contains(&listener.local_addr().unwrap()));
    }

    #[test]
    fn reads_addresses_in_the_kernels_order() {
        assert_eq!(kernel_address("0100007F").unwrap().to_string(), "127.0.0.1");
        assert_eq!(kernel_address("00000000000000000000000001000000").unwrap().to_string(), "::1");
        assert!(kernel_address("01").is_none());
    }
}
