//! Ways in that are used once: the link that makes the first administrator, and links by which the
//! owner of the socket opens a browser. Must never let one be used twice, or after its end.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use tidegate_core::ids::valid_name;
use tidegate_core::rights::Role;

use super::book::{Account, Book, Invitation};
use super::{Directory, Refused, Way, begin, fits_as_password, secret};

/// The set-up link of a server without an administrator is used within this.
const FIRST: SignedDuration = SignedDuration::from_hours(1);
/// A sign-in link of the owner is used within this.
const SIGN_IN: SignedDuration = SignedDuration::from_mins(10);
/// Most sign-in links at a time: the one that ends first gives way.
const LINKS_MAX: usize = 16;

impl Directory {
    /// The code of a link that makes the first administrator. `None` when there is one who can sign
    /// in; a code from before counts no more.
    pub(crate) fn first_link(&self, now: Timestamp) -> Result<Option<String>, Refused> {
        if self.look(|book| book.first.is_none() && has_administrator(book)) {
            return Ok(None);
        }
        let (code, hash) = secret::token();
        self.change(|book| {
            let needed = !has_administrator(book);
            let expires = now.checked_add(FIRST).unwrap_or(now);
            book.first = needed.then_some(Invitation { code: hash, expires });
            Ok(needed.then_some(code))
        })
    }

    /// Uses that code: makes the account, and answers with the secret of its second factor.
    pub(crate) fn set_up_first(
        &self,
        code: &str,
        name: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<String, Refused> {
        let fits = |book: &Book| {
            book.first
                .as_ref()
                .is_some_and(|first| first.code == secret::hash_of(code) && now < first.expires)
        };
        if !self.look(fits) {
            return Err(Refused::Wrong);
        }
        if !valid_name(name) || name == self.0.owner {
            return Err(Refused::Cannot(format!("`{name}` cannot be the name of an account")));
        }
        fits_as_password(password)?;
        let password = secret::hash_password(password).map_err(Refused::Cannot)?;
        let factor = secret::factor();
        let shown = secret::base32(&factor.secret);
        self.change(|book| {
            // Asked again under the lock: of two who use it at once, one is late.
            if !fits(book) {
                return Err(Refused::Wrong);
            }
            if book.accounts.contains_key(name) || book.tokens.contains_key(name) {
                return Err(Refused::Cannot(format!("`{name}` is taken")));
            }
            book.first = None;
            let account = Account {
                person: None,
                names: BTreeSet::new(),
                groups: BTreeSet::new(),
                roles: BTreeSet::from([Role::Administrator]),
                active: true,
                password: Some(password),
                totp: Some(factor),
                invitation: None,
            };
            book.accounts.insert(name.to_owned(), account);
            Ok(shown)
        })
    }

    /// The code of a link that signs the owner in, once, and until when.
    pub(crate) fn sign_in_link(&self, now: Timestamp) -> (String, Timestamp) {
        let (code, hash) = secret::token();
        let expires = now.checked_add(SIGN_IN).unwrap_or(now);
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, until| now < *until);
        while links.len() >= LINKS_MAX {
            let first = links.iter().min_by_key(|(_, until)| **until);
            let Some(first) = first.map(|(hash, _)| hash.clone()) else { break };
            links.remove(&first);
        }
        links.insert(hash, expires);
        (code, expires)
    }

    /// Uses such a link: the answer is the session's token, and until when it is one.
    pub(crate) fn use_link(
        &self,
        code: &str,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Refused> {
        let until = {
            let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
            links.remove(&secret::hash_of(code))
        };
        if until.is_none_or(|until| until <= now) {
            return Err(Refused::Wrong);
        }
        self.change(|book| Ok(begin(book, &self.0.owner, Way::Link, now)))
    }
}

/// Whether an administrator can sign in.
fn has_administrator(book: &Book) -> bool {
    book.accounts.values().any(|account| {
        account.active && account.password.is_some() && account.roles.contains(&Role::Administrator)
    })
}
