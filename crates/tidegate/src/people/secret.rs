//! Secrets: random codes and tokens, passwords, one-time codes.
//! Must never show one but in the answer that hands it out, nor compare one byte by byte.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tidegate_core::digest::Digest;
use totp_rs::{Algorithm, Builder};

use super::book::Factor;

/// Bytes of a token: 256 bits.
const TOKEN_BYTES: usize = 32;
/// Bytes of a TOTP secret: RFC 4226 recommends 160 bits.
const TOTP_BYTES: usize = 20;
/// Seconds of one step.
const STEP_SECONDS: u64 = 30;
/// Shortest password, in characters, of NIST SP 800-63B for one that is a factor of two: 8 is
/// allowed, 12 is asked for.
pub(super) const PASSWORD_CHARS_MIN: usize = 12;
/// Longest password, in bytes: hashing must not become work that strangers can order.
pub(super) const PASSWORD_BYTES_MAX: usize = 256;

/// A new token or code: 64 hex digits. Only its hash is kept, and one is found by its hash.
pub(super) fn token() -> (String, Digest) {
    let bytes: [u8; TOKEN_BYTES] = rand::random();
    let text = Digest::of(&bytes).as_str().to_owned();
    let hash = Digest::of(text.as_bytes());
    (text, hash)
}

/// The hash under which a token is kept.
pub(super) fn hash_of(token: &str) -> Digest {
    Digest::of(token.as_bytes())
}

/// A password as it is kept.
pub(super) fn hash_password(password: &str) -> Result<String, String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// Whether a password is the one that was kept. Without one, the same work is done for nothing, so
/// that the time does not tell whether an account exists.
pub(super) fn password_fits(kept: Option<&str>, password: &str) -> bool {
    match kept.and_then(|kept| PasswordHash::new(kept).ok()) {
        Some(kept) => Argon2::default().verify_password(password.as_bytes(), &kept).is_ok(),
        None => {
            drop(hash_password(password));
            false
        }
    }
}

/// A new second factor.
pub(super) fn factor() -> Factor {
    let secret: [u8; TOTP_BYTES] = rand::random();
    Factor { secret: secret.to_vec(), last_step: 0, proven: false }
}

/// The time step that a code belongs to, when it fits and is newer than the last one used.
pub(super) fn step_of(factor: &Factor, code: &str, unix_seconds: u64) -> Option<u64> {
    let totp = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_step_duration(STEP_SECONDS)
        .with_skew(1)
        .with_secret(factor.secret.clone())
        .build()
        .ok()?;
    let fitting = totp.check(code, unix_seconds)?;
    (fitting > factor.last_step).then_some(fitting)
}

/// The secret as authenticators take it.
pub(super) fn base32(bytes: &[u8]) -> String {
    data_encoding::BASE32_NOPAD.encode(bytes)
}
