//! The book of accounts, tokens and sessions: one file of mode 0600 that is replaced as a whole.
//! Must never hold a password, a code or a token that could be used: hashes and TOTP secrets only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tidegate_core::digest::Digest;
use tidegate_core::rights::{Act, Role};

use crate::durable;

/// Most accounts; past it an identity provider is the better place.
pub(super) const ACCOUNTS_MAX: usize = 5_000;
/// Most tokens.
pub(super) const TOKENS_MAX: usize = 1_000;
/// Most sessions: the oldest gives way.
pub(super) const SESSIONS_MAX: usize = 10_000;

/// Everything in the file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Book {
    /// By name.
    pub(super) accounts: BTreeMap<String, Account>,
    /// By name.
    pub(super) tokens: BTreeMap<String, Token>,
    /// By the hash of the session's token.
    pub(super) sessions: BTreeMap<Digest, Session>,
    /// The link by which a browser makes the first administrator, until it is used.
    #[serde(default)]
    pub(super) first: Option<Invitation>,
}

/// One account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Account {
    /// The human being, when another account is theirs too.
    #[serde(default)]
    pub(super) person: Option<String>,
    /// Addresses and handles, in lower case.
    #[serde(default)]
    pub(super) names: BTreeSet<String>,
    /// Groups.
    #[serde(default)]
    pub(super) groups: BTreeSet<String>,
    /// What they are.
    pub(super) roles: BTreeSet<Role>,
    /// Whether it may be used.
    pub(super) active: bool,
    /// Argon2id, in its own text form; absent until the invitation is used.
    #[serde(default)]
    pub(super) password: Option<String>,
    /// The second factor.
    #[serde(default)]
    pub(super) totp: Option<Factor>,
    /// The invitation, until it is used.
    #[serde(default)]
    pub(super) invitation: Option<Invitation>,
}

/// A second factor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Factor {
    /// The shared secret.
    pub(super) secret: Vec<u8>,
    /// The last time step that was used: a code counts once.
    pub(super) last_step: u64,
    /// Whether a first code proved that the secret arrived.
    pub(super) proven: bool,
}

/// A code that sets up an account, once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Invitation {
    /// Hash of the code.
    pub(super) code: Digest,
    /// Until when.
    pub(super) expires: Timestamp,
}

/// A machine's access.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Token {
    /// Hash of it.
    pub(super) hash: Digest,
    /// What it may do.
    pub(super) acts: BTreeSet<Act>,
    /// Only these services; empty is all of them.
    pub(super) services: BTreeSet<String>,
    /// Until when.
    pub(super) expires: Timestamp,
    /// Who made it.
    pub(super) by: String,
}

/// A sign-in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// Whose.
    pub(super) account: String,
    /// When it began.
    pub(super) since: Timestamp,
    /// When both factors were shown last.
    pub(super) proven_at: Timestamp,
    /// When it was used last.
    pub(super) used_at: Timestamp,
    /// How it began.
    #[serde(default)]
    pub(super) way: Way,
}

/// How a session began, and so what holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// Both factors, at a terminal.
    #[default]
    Terminal,
    /// Both factors, in a browser.
    Browser,
    /// A link that the socket's owner minted, in a browser.
    Link,
}

impl Book {
    /// Reads the file; an empty book when there is none.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Replaces the file: written beside it, made durable, renamed, and the folder made durable.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        durable::replace(path, &serde_json::to_vec(self).map_err(io::Error::other)?)
    }
}
