//! Where a client is placed: a bucket in 0..10,000 from a cookie the proxy sets itself. The same
//! cookie and seed always give the same bucket; nothing else about the client is looked at.

use http::header::{COOKIE, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use crate::wire::Cohort;

/// Buckets are basis points.
pub(crate) const BUCKETS: u16 = 10_000;

/// A client's place, and the cookie to set when it is new.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) bucket: u16,
    pub(crate) set_cookie: Option<HeaderValue>,
}

/// Places a request by its cookie, or by a new one, or at random when cohorts are off.
pub(crate) fn place(cohort: &Cohort, headers: &HeaderMap) -> Place {
    if !cohort.enabled {
        return Place { bucket: rand::random_range(0..BUCKETS), set_cookie: None };
    }
    if let Some(value) = cookie(headers, &cohort.cookie) {
        return Place { bucket: bucket(&cohort.seed, value), set_cookie: None };
    }
    let value = format!("{:032x}", rand::random::<u128>());
    let cookie = format!("{}={value}; Path=/; HttpOnly; SameSite=Lax", cohort.cookie);
    Place { bucket: bucket(&cohort.seed, &value), set_cookie: HeaderValue::try_from(cookie).ok() }
}

/// The first well-formed value of our cookie: 32 lower-case hexadecimal digits.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let mut ours = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    ours.find(|value| value.len() == 32 && value.bytes().all(hex))
}

fn bucket(seed: &str, value: &str) -> u16 {
    let digest = Sha256::new().chain_update(seed).chain_update([0]).chain_update(value).finalize();
    let first = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    // The remainder is below 10,000; the bias of 2^64 mod 10,000 is 1 in 10^15.
    u16::try_from(first % u64::from(BUCKETS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort(enabled: bool) -> Cohort {
        Cohort { cookie: "tidegate".into(), seed: "r7".into(), enabled }
    }

    #[test]
    fn a_cookie_keeps_its_bucket_and_a_new_seed_moves_it() {
        let first = place(&cohort(true), &HeaderMap::new());
        let set = first.set_cookie.unwrap();
        let value = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=b; tidegate=short".parse().unwrap());
        headers.append(COOKIE, format!("x=y; {value}").parse().unwrap());
        let again = place(&cohort(true), &headers);
        assert_eq!(again.bucket, first.bucket);
        assert!(again.set_cookie.is_none());
        let id = value.split_once('=').unwrap().1;
        let moved = (0..20).filter(|seed| bucket(&seed.to_string(), id) != first.bucket);
        assert!(moved.count() >= 19);
    }

    #[test]
    fn without_cohorts_nothing_is_set() {
        assert!(place(&cohort(false), &HeaderMap::new()).set_cookie.is_none());
    }

    #[test]
    fn buckets_are_even() {
        let mut counts = [0_u32; 10];
        for id in 0..20_000 {
            counts[usize::from(bucket("seed", &format!("{id:032x}")) / 1_000)] += 1;
        }
        // 2,000 expected, 4 sigma are 170.
        assert!(counts.iter().all(|count| (1_830..2_170).contains(count)), "{counts:?}");
    }
}
