//! Where a client is placed: a bucket in 0..10,000 from a cookie that the proxy sets and signs, from
//! a header, or from its address. The same client and seed always give the same bucket; nothing
//! else about the client is looked at, and nobody can choose a bucket by making a cookie up.

use std::net::{IpAddr, Ipv6Addr};

use hmac::{Hmac, KeyInit, Mac};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use crate::wire::{Cohort, CohortBy};

/// Buckets are basis points.
pub(crate) const BUCKETS: u16 = 10_000;
/// Hexadecimal digits of a cookie's identity: 128 bits, so that no two clients share one.
const ID_DIGITS: usize = 32;
/// Hexadecimal digits of its signature: 64 bits. Who guesses at a million a second needs half a
/// million years for one place in a split.
const SIGNATURE_DIGITS: usize = 16;
/// An address is one of many of the same client in IPv6: providers give 64 bits to each.
const CLIENT_BITS_V6: u128 = !0 << 64;

/// Signs cookies. Proxies that serve the same users need the same key.
#[derive(Clone, Debug)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    pub(crate) const BYTES: usize = 32;

    pub(crate) fn new(bytes: [u8; Self::BYTES]) -> Self {
        // HMAC fills a short key up with zeros to the block of its hash.
        let mut block = [0; 64];
        block[..Self::BYTES].copy_from_slice(&bytes);
        Self(Hmac::new(&block.into()))
    }

    /// The signature of an identity in one cookie: that of another service is none here.
    fn sign(&self, cookie: &str, id: &str) -> [u8; SIGNATURE_DIGITS / 2] {
        let mut mac = self.0.clone();
        mac.update(cookie.as_bytes());
        mac.update(&[0]);
        mac.update(id.as_bytes());
        let digest = mac.finalize().into_bytes();
        std::array::from_fn(|at| digest[at])
    }

    fn verifies(&self, cookie: &str, id: &str, signature: &str) -> bool {
        let made = hexadecimal(&self.sign(cookie, id));
        // All bytes are compared, whichever differs.
        let differ = made.bytes().zip(signature.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
        differ == 0 && made.len() == signature.len()
    }
}

/// A client's place, and the cookie to set when it is new.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) bucket: u16,
    pub(crate) set_cookie: Option<HeaderValue>,
}

/// Places a request of a client, or at random when cohorts are off.
pub(crate) fn place(cohort: &Cohort, key: &Key, headers: &HeaderMap, client: IpAddr) -> Place {
    if !cohort.enabled {
        return Place { bucket: rand::random_range(0..BUCKETS), set_cookie: None };
    }
    let placed = |name: &[u8]| Place { bucket: bucket(&cohort.seed, name), set_cookie: None };
    match &cohort.by {
        CohortBy::Cookie => {}
        // Who sends no such header is at least always the same.
        CohortBy::Header(name) => {
            return match headers.get(name) {
                Some(value) => placed(value.as_bytes()),
                None => placed(&of_address(client)),
            };
        }
        CohortBy::Address => return placed(&of_address(client)),
    }
    if let Some(id) = known(headers, &cohort.cookie, key) {
        return placed(id.as_bytes());
    }
    let id = format!("{:032x}", rand::random::<u128>());
    let signature = hexadecimal(&key.sign(&cohort.cookie, &id));
    let cookie = format!("{}={id}{signature}; Path=/; HttpOnly; SameSite=Lax", cohort.cookie);
    let set_cookie = HeaderValue::try_from(cookie).ok();
    Place { bucket: bucket(&cohort.seed, id.as_bytes()), set_cookie }
}

/// The identity in the first cookie of ours that we have signed.
fn known<'a>(headers: &'a HeaderMap, name: &str, key: &Key) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let ours = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let mut signed = ours.filter_map(|value| value.split_at_checked(ID_DIGITS));
    signed.find(|(id, signature)| key.verifies(name, id, signature)).map(|(id, _)| id)
}

fn of_address(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from_bits(address.to_bits() & CLIENT_BITS_V6);
            network.octets().to_vec()
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bucket(seed: &str, client: &[u8]) -> u16 {
    let digest = Sha256::new().chain_update(seed).chain_update([0]).chain_update(client).finalize();
    let first = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    // The remainder is below 10,000; the bias of 2^64 mod 10,000 is 1 in 10^15.
    u16::try_from(first % u64::from(BUCKETS)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

    fn cohort(by: CohortBy) -> Cohort {
        Cohort { cookie: "tidegate".into(), seed: "r7".into(), enabled: true, by }
    }

    fn key() -> Key {
        Key::new([7; Key::BYTES])
    }

    #[test]
    fn a_cookie_keeps_its_bucket_and_a_new_seed_moves_it() {
        let cohort = cohort(CohortBy::Cookie);
        let first = place(&cohort, &key(), &HeaderMap::new(), NOBODY);
        let set = first.set_cookie.unwrap();
        let value = set.to_str().unwrap().split(';').next().unwrap().to_owned();
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=b; tidegate=short".parse().unwrap());
        headers.append(COOKIE, format!("x=y; {value}").parse().unwrap());
        let again = place(&cohort, &key(), &headers, NOBODY);
        assert_eq!(again.bucket, first.bucket);
        assert!(again.set_cookie.is_none());
        let id = value.split_once('=').unwrap().1.as_bytes();
        let moved = (0..20).filter(|seed| bucket(&seed.to_string(), id) != first.bucket);
        assert!(moved.count() >= 19);
    }

    #[test]
    fn a_cookie_that_we_did_not_sign_is_nobodys() {
        let ours = cohort(CohortBy::Cookie);
        let made_up = format!("tidegate={:032x}{:016x}", 1, 2);
        let of_another = {
            let mut other = cohort(CohortBy::Cookie);
            other.cookie = "other".into();
            let set = place(&other, &key(), &HeaderMap::new(), NOBODY).set_cookie.unwrap();
            let value = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            value.replace("other=", "tidegate=")
        };
        for line in [made_up.as_str(), of_another.as_str(), "tidegate=", "tidegate=\u{e9}"] {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            assert!(place(&ours, &key(), &headers, NOBODY).set_cookie.is_some(), "{line}");
        }
    }

    #[test]
    fn a_header_or_an_address_places_without_a_cookie() {
        let by_header = cohort(CohortBy::Header("x-user".into()));
        let mut headers = HeaderMap::new();
        let without = place(&by_header, &key(), &headers, NOBODY);
        headers.insert("x-user", "ada".parse().unwrap());
        let with = place(&by_header, &key(), &headers, "10.0.0.1".parse().unwrap());
        let elsewhere = place(&by_header, &key(), &headers, "10.0.0.2".parse().unwrap());
        assert_eq!(with.bucket, elsewhere.bucket);
        let by_address = cohort(CohortBy::Address);
        let at = |address: &str| {
            let place = place(&by_address, &key(), &headers, address.parse().unwrap());
            assert!(place.set_cookie.is_none());
            place.bucket
        };
        assert_eq!(without.bucket, at("::"));
        assert_eq!(at("10.0.0.9"), at("::ffff:10.0.0.9"));
        assert_eq!(at("2001:db8::1"), at("2001:db8::2"), "one client has many addresses");
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
    }

    #[test]
    fn without_cohorts_nothing_is_set() {
        let mut cohort = cohort(CohortBy::Cookie);
        cohort.enabled = false;
        assert!(place(&cohort, &key(), &HeaderMap::new(), NOBODY).set_cookie.is_none());
    }

    #[test]
    fn buckets_are_even() {
        let mut counts = [0_u32; 10];
        for id in 0..20_000 {
            let id = format!("{id:032x}");
            counts[usize::from(bucket("seed", id.as_bytes()) / 1_000)] += 1;
        }
        // 2,000 expected, 4 sigma are 170.
        assert!(counts.iter().all(|count| (1_830..2_170).contains(count)), "{counts:?}");
    }
}
