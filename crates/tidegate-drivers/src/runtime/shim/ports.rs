//! A free port for an instance, away from the range that outgoing connections take theirs from:
//! an instance that is started again must find its port free.
//! Must never hand out a port that somebody listens on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// First port given out: below lie the registered services that people know.
const FIRST: u16 = 20_000;
/// End of the range when the system does not tell where outgoing connections begin.
const END_DEFAULT: u16 = 32_768;
/// Fewest ports that make the preferred range worth using.
const RANGE_MIN: u16 = 1_000;

/// Whether an instance could listen there.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).is_ok()
}

/// A free port. Equal seeds begin the search at the same place, different ones far apart, so that
/// shims that search at the same moment do not meet.
pub(super) fn pick(seed: &str, avoid: &[u16]) -> Option<u16> {
    let end = outgoing_begin().unwrap_or(END_DEFAULT);
    let length = end.saturating_sub(FIRST);
    if length >= RANGE_MIN {
        let offset = seed.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let start = u16::try_from(offset % u64::from(length)).unwrap_or(0);
        let found = (0..length)
            .map(|step| FIRST + (start + step) % length)
            .find(|port| !avoid.contains(port) && is_free(*port));
        if found.is_some() {
            return found;
        }
    }
    let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Some(any.local_addr().ok()?.port())
}

fn outgoing_begin() -> Option<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::{is_free, pick};

    #[test]
    fn a_port_somebody_listens_on_is_not_given() {
        let first = pick("seed", &[]).unwrap();
        let holder = TcpListener::bind(("127.0.0.1", first)).unwrap();
        assert!(!is_free(first));
        assert_ne!(pick("seed", &[]), Some(first));
        drop(holder);
        assert_ne!(pick("seed", &[first]), Some(first));
    }
}
