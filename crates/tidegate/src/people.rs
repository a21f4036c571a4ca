//! Who people are and what they may do: accounts with two factors, sessions, tokens of machines, and
//! the user of the machine who runs the server. Must never count somebody whom it does not know,
//! and never say whether it was the account, the password or the code that was wrong.

mod book;
mod link;
mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tidegate_core::approval::Facts;
use tidegate_core::digest::Digest;
use tidegate_core::ids::{Actor, Scope, valid_name};
use tidegate_core::rights::{Act, Grant, Role};
use tidegate_engine::ports::{Failure, People};

use crate::view::people::{Account as AccountView, Token as TokenView};
pub(crate) use book::Way;
use book::{Account, Book, Invitation, Session, Token};

/// An invitation is used within this.
const INVITATION: SignedDuration = SignedDuration::from_hours(72);
/// A session ends after this, however busy it is.
const SESSION: SignedDuration = SignedDuration::from_hours(12);
/// A session of a terminal ends when nobody used it for this long.
const SESSION_IDLE: SignedDuration = SignedDuration::from_hours(2);
/// One of a browser ends sooner: a browser is left open on a desk.
const BROWSER_IDLE: SignedDuration = SignedDuration::from_mins(15);
/// Acts that matter need both factors to be younger than this.
pub(crate) const STEP_UP: SignedDuration = SignedDuration::from_mins(5);
/// Wrong sign-ins of one account after which it waits.
const ATTEMPTS_MAX: u32 = 5;
/// How long it waits then.
const ATTEMPTS_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// Longest life of a machine's token.
pub(crate) const TOKEN_DAYS_MAX: i64 = 365;

/// The directory. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub(crate) struct Directory(Arc<Inner>);

struct Inner {
    path: PathBuf,
    owner: String,
    book: Mutex<Book>,
    /// Wrong sign-ins by account; only of accounts that exist, so that nobody can fill it.
    attempts: Mutex<BTreeMap<String, (u32, Timestamp)>>,
    /// Links that sign the owner in, once, by their hash, with their end. A restart forgets them.
    links: Mutex<BTreeMap<Digest, Timestamp>>,
    /// What watches repositories and may begin deployments, by its name as an actor.
    triggers: Mutex<BTreeSet<String>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A trigger as an actor: no account or token can have this name.
pub(crate) fn trigger_name(name: &str) -> String {
    format!("trigger/{name}")
}

/// Why the directory says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// Account, password or code is wrong; which of them is nobody's business.
    #[error("account, password or one-time code is wrong, or the code was used before")]
    Wrong,
    /// Too many wrong attempts.
    #[error("too many wrong attempts: wait until {until:.0}")]
    Wait {
        /// Until when.
        until: Timestamp,
    },
    /// What was asked for cannot be.
    #[error("{0}")]
    Cannot(String),
    /// The book could not be written: nothing was changed.
    #[error("the book of accounts could not be written: {0}")]
    Unwritten(String),
}

/// What is asked of a new account, or of a change to one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// What they are.
    pub(crate) roles: Option<BTreeSet<Role>>,
    /// Groups.
    pub(crate) groups: Option<BTreeSet<String>>,
    /// Addresses and handles.
    pub(crate) names: Option<BTreeSet<String>>,
    /// The account that is the same human being's.
    pub(crate) person: Option<String>,
    /// Whether it may be used.
    pub(crate) active: Option<bool>,
}

/// Whose session it is.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    /// The account.
    pub(crate) account: String,
    /// When both factors were shown.
    pub(crate) proven_at: Timestamp,
    /// The session, to end it.
    pub(crate) session: Digest,
    /// How it began.
    pub(crate) way: Way,
}

impl Directory {
    /// Opens the book of a state directory.
    ///
    /// # Errors
    /// What the file system says, or that the file is no book.
    pub(crate) fn open(path: PathBuf, owner: String) -> std::io::Result<Self> {
        let book = Mutex::new(Book::read(&path)?);
        Ok(Self(Arc::new(Inner {
            path,
            owner,
            book,
            attempts: Mutex::default(),
            links: Mutex::default(),
            triggers: Mutex::default(),
        })))
    }

    /// Lets triggers begin deployments, and nothing else.
    pub(crate) fn entitle_triggers<'a>(&self, names: impl Iterator<Item = &'a str>) {
        let mut triggers = self.0.triggers.lock().unwrap_or_else(PoisonError::into_inner);
        *triggers = names.map(trigger_name).collect();
    }

    fn is_trigger(&self, name: &str) -> bool {
        self.0.triggers.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn look<T>(&self, at: impl FnOnce(&Book) -> T) -> T {
        at(&self.0.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the book; what cannot be written is not so.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Book) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let mut book = self.0.book.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = book.clone();
        let answer = change(&mut next)?;
        next.write(&self.0.path).map_err(|error| Refused::Unwritten(error.to_string()))?;
        *book = next;
        Ok(answer)
    }

    /// What is known of an account; `None` for one that nobody has.
    pub(crate) fn facts_of(&self, name: &str) -> Option<Facts> {
        if name == self.0.owner {
            let person = name.to_owned();
            return Some(Facts { person, human: true, entitled: true, ..Facts::default() });
        }
        self.look(|book| {
            let Some(account) = book.accounts.get(name) else {
                // A machine is known, and known to be one.
                book.tokens.get(name)?;
                return Some(Facts { person: name.to_owned(), ..Facts::default() });
            };
            let may = account.roles.iter().any(|role| role.acts().contains(&Act::Approve));
            Some(Facts {
                person: account.person.clone().unwrap_or_else(|| name.to_owned()),
                names: account.names.clone(),
                groups: account.groups.clone(),
                human: true,
                entitled: account.active && may,
            })
        })
    }

    /// Invites somebody: the answer is the code that sets the account up, once.
    pub(crate) fn invite(
        &self,
        name: &str,
        wanted: Wanted,
        now: Timestamp,
    ) -> Result<String, Refused> {
        if !valid_name(name) || name == self.0.owner {
            return Err(Refused::Cannot(format!("`{name}` cannot be the name of an account")));
        }
        let (code, hash) = secret::token();
        self.change(|book| {
            let full = book.accounts.len() >= book::ACCOUNTS_MAX;
            if book.tokens.contains_key(name) || (full && !book.accounts.contains_key(name)) {
                return Err(Refused::Cannot(format!("`{name}` is taken, or there are too many")));
            }
            let account = book.accounts.entry(name.to_owned()).or_insert_with(|| Account {
                person: None,
                names: BTreeSet::new(),
                groups: BTreeSet::new(),
                roles: BTreeSet::from([Role::Developer]),
                active: true,
                password: None,
                totp: None,
                invitation: None,
            });
            fill(account, wanted);
            let expires = now.checked_add(INVITATION).unwrap_or(now);
            account.invitation = Some(Invitation { code: hash, expires });
            // Who is invited anew proves anew who they are.
            account.password = None;
            account.totp = None;
            book.sessions.retain(|_, session| session.account != name);
            Ok(code)
        })
    }

    /// Changes an account. A right that is taken is gone at once.
    pub(crate) fn set(&self, name: &str, wanted: Wanted) -> Result<(), Refused> {
        self.change(|book| {
            let account = book.accounts.get_mut(name);
            let account =
                account.ok_or_else(|| Refused::Cannot(format!("there is no account `{name}`")))?;
            fill(account, wanted);
            if !account.active {
                book.sessions.retain(|_, session| session.account != name);
            }
            Ok(())
        })
    }

    /// Uses an invitation: sets the password, and answers with the secret of the second factor.
    pub(crate) fn set_up(
        &self,
        name: &str,
        code: &str,
        password: &str,
        now: Timestamp,
    ) -> Result<String, Refused> {
        fits_as_password(password)?;
        let invited = |book: &Book| {
            let invitation = book.accounts.get(name)?.invitation.as_ref()?;
            Some(invitation.code == secret::hash_of(code) && now < invitation.expires)
        };
        if self.look(invited) != Some(true) {
            return Err(Refused::Wrong);
        }
        let password = secret::hash_password(password).map_err(Refused::Cannot)?;
        let factor = secret::factor();
        let shown = secret::base32(&factor.secret);
        self.change(|book| {
            // Asked again under the lock: of two who use it at once, one is late.
            if invited(book) != Some(true) {
                return Err(Refused::Wrong);
            }
            let account = book.accounts.get_mut(name).ok_or(Refused::Wrong)?;
            account.invitation = None;
            account.password = Some(password);
            account.totp = Some(factor);
            Ok(shown)
        })
    }

    /// Signs in with both factors: the answer is the session's token, and until when.
    pub(crate) fn sign_in(
        &self,
        name: &str,
        password: &str,
        code: &str,
        way: Way,
        now: Timestamp,
    ) -> Result<(String, Timestamp), Refused> {
        self.refuse_many(name, now)?;
        let kept = self.look(|book| {
            let account = book.accounts.get(name).filter(|account| account.active);
            account.and_then(|account| account.password.clone())
        });
        if !secret::password_fits(kept.as_deref(), password) {
            return Err(self.wrong(name, now));
        }
        let signed = self.change(|book| {
            use_code(book, name, code, now)?;
            Ok(begin(book, name, way, now))
        });
        match signed {
            Ok(begun) => {
                self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                Ok(begun)
            }
            Err(Refused::Wrong) => Err(self.wrong(name, now)),
            Err(other) => Err(other),
        }
    }

    /// Shows the second factor again, for an act that matters.
    pub(crate) fn confirm(
        &self,
        signed_in: &SignedIn,
        code: &str,
        now: Timestamp,
    ) -> Result<(), Refused> {
        self.refuse_many(&signed_in.account, now)?;
        let confirmed = self.change(|book| {
            use_code(book, &signed_in.account, code, now)?;
            let session = book.sessions.get_mut(&signed_in.session).ok_or(Refused::Wrong)?;
            session.proven_at = now;
            Ok(())
        });
        confirmed.map_err(|refused| match refused {
            Refused::Wrong => self.wrong(&signed_in.account, now),
            other => other,
        })
    }

    /// Ends a session.
    pub(crate) fn sign_out(&self, session: &Digest) -> Result<(), Refused> {
        self.change(|book| {
            book.sessions.remove(session);
            Ok(())
        })
    }

    /// Whose token this is: a session's account, or a machine.
    pub(crate) fn bearer(&self, token: &str, now: Timestamp) -> Option<Bearer> {
        let hash = secret::hash_of(token);
        let known = self.look(|book| {
            if let Some(session) = book.sessions.get(&hash) {
                let counts = session.account == self.0.owner
                    || book.accounts.get(&session.account).is_some_and(|account| account.active);
                return (counts && lives(session, now)).then(|| {
                    Bearer::Person(SignedIn {
                        account: session.account.clone(),
                        proven_at: session.proven_at,
                        session: hash.clone(),
                        way: session.way,
                    })
                });
            }
            let machine = book.tokens.iter().find(|(_, token)| token.hash == hash);
            machine
                .filter(|(_, token)| now < token.expires)
                .map(|(name, _)| Bearer::Machine(name.clone()))
        })?;
        if let Bearer::Person(signed_in) = &known {
            self.used(&signed_in.session, now);
        }
        Some(known)
    }

    /// When a session was used last is worth no write of its own: it goes with the next one.
    fn used(&self, session: &Digest, now: Timestamp) {
        let mut book = self.0.book.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = book.sessions.get_mut(session) {
            session.used_at = now;
        }
    }

    /// Makes a token for a machine. It never approves, refuses, vouches or looks after people.
    pub(crate) fn make_token(
        &self,
        name: &str,
        acts: BTreeSet<Act>,
        services: BTreeSet<String>,
        expires: Timestamp,
        by: &str,
    ) -> Result<String, Refused> {
        if let Some(act) = acts.iter().find(|act| act.is_human()) {
            return Err(Refused::Cannot(format!("no machine may {}", act.word())));
        }
        if !valid_name(name) || acts.is_empty() || name == self.0.owner {
            return Err(Refused::Cannot(format!(
                "`{name}` is no name of a token, or it may do nothing"
            )));
        }
        let (token, hash) = secret::token();
        self.change(|book| {
            let taken = book.tokens.contains_key(name) || book.accounts.contains_key(name);
            if taken || book.tokens.len() >= book::TOKENS_MAX {
                return Err(Refused::Cannot(format!("`{name}` is taken, or there are too many")));
            }
            let made = Token { hash, acts, services, expires, by: by.to_owned() };
            book.tokens.insert(name.to_owned(), made);
            Ok(token)
        })
    }

    /// Takes a token back.
    pub(crate) fn revoke(&self, name: &str) -> Result<(), Refused> {
        self.change(|book| match book.tokens.remove(name) {
            Some(_) => Ok(()),
            None => Err(Refused::Cannot(format!("there is no token `{name}`"))),
        })
    }

    /// The accounts.
    pub(crate) fn accounts(&self) -> Vec<AccountView> {
        self.look(|book| {
            let accounts = book.accounts.iter();
            accounts
                .map(|(name, account)| AccountView {
                    name: name.clone(),
                    person: account.person.clone(),
                    roles: account.roles.iter().map(|role| role.word().to_owned()).collect(),
                    groups: account.groups.iter().cloned().collect(),
                    names: account.names.iter().cloned().collect(),
                    active: account.active,
                    ready: account.totp.as_ref().is_some_and(|factor| factor.proven),
                })
                .collect()
        })
    }

    /// The tokens, without what makes them tokens.
    pub(crate) fn tokens(&self) -> Vec<TokenView> {
        self.look(|book| {
            let tokens = book.tokens.iter();
            tokens
                .map(|(name, token)| TokenView {
                    name: name.clone(),
                    acts: token.acts.iter().map(|act| act.word().to_owned()).collect(),
                    services: token.services.iter().cloned().collect(),
                    expires: token.expires,
                    by: token.by.clone(),
                })
                .collect()
        })
    }

    fn refuse_many(&self, name: &str, now: Timestamp) -> Result<(), Refused> {
        let attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        match attempts.get(name) {
            Some((count, until)) if *count >= ATTEMPTS_MAX && now < *until => {
                Err(Refused::Wait { until: *until })
            }
            _ => Ok(()),
        }
    }

    fn wrong(&self, name: &str, now: Timestamp) -> Refused {
        if self.look(|book| book.accounts.contains_key(name)) {
            let mut attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let (count, until) = attempts.entry(name.to_owned()).or_insert((0, now));
            if now >= *until && *count >= ATTEMPTS_MAX {
                *count = 0;
            }
            *count += 1;
            *until = now.checked_add(ATTEMPTS_WAIT).unwrap_or(now);
        }
        Refused::Wrong
    }
}

/// Whose token it is.
#[derive(Debug, Clone)]
pub(crate) enum Bearer {
    /// Somebody who signed in.
    Person(SignedIn),
    /// A machine.
    Machine(String),
}

/// A text that nobody can guess.
pub(crate) fn random_text() -> String {
    secret::token().0
}

fn fill(account: &mut Account, wanted: Wanted) {
    let lower = |names: BTreeSet<String>| names.iter().map(|name| name.to_lowercase()).collect();
    if let Some(roles) = wanted.roles {
        account.roles = roles;
    }
    if let Some(groups) = wanted.groups {
        account.groups = groups;
    }
    if let Some(names) = wanted.names {
        account.names = lower(names);
    }
    if let Some(person) = wanted.person {
        account.person = Some(person).filter(|person| !person.is_empty());
    }
    if let Some(active) = wanted.active {
        account.active = active;
    }
}

fn lives(session: &Session, now: Timestamp) -> bool {
    let idle = match session.way {
        Way::Terminal => SESSION_IDLE,
        Way::Browser | Way::Link => BROWSER_IDLE,
    };
    now.duration_since(session.since) < SESSION && now.duration_since(session.used_at) < idle
}

/// Begins a session: its token, and when it ends at the latest. The oldest gives way to the newest.
fn begin(book: &mut Book, account: &str, way: Way, now: Timestamp) -> (String, Timestamp) {
    let (token, hash) = secret::token();
    book.sessions.retain(|_, session| lives(session, now));
    while book.sessions.len() >= book::SESSIONS_MAX {
        let oldest = book.sessions.iter().min_by_key(|(_, session)| session.used_at);
        let Some(oldest) = oldest.map(|(hash, _)| hash.clone()) else { break };
        book.sessions.remove(&oldest);
    }
    let account = account.to_owned();
    book.sessions.insert(hash, Session { account, since: now, proven_at: now, used_at: now, way });
    (token, now.checked_add(SESSION).unwrap_or(now))
}

fn fits_as_password(password: &str) -> Result<(), Refused> {
    let least = secret::PASSWORD_CHARS_MIN;
    if password.chars().count() < least || password.len() > secret::PASSWORD_BYTES_MAX {
        return Err(Refused::Cannot(format!("a password has at least {least} characters")));
    }
    Ok(())
}

/// A code counts once.
fn use_code(book: &mut Book, name: &str, code: &str, now: Timestamp) -> Result<(), Refused> {
    let account = book.accounts.get_mut(name).filter(|account| account.active);
    let factor = account.and_then(|account| account.totp.as_mut()).ok_or(Refused::Wrong)?;
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    factor.last_step = secret::step_of(factor, code, seconds).ok_or(Refused::Wrong)?;
    factor.proven = true;
    Ok(())
}

#[async_trait]
impl People for Directory {
    async fn facts(
        &self,
        _scope: &Scope,
        accounts: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, Facts>, Failure> {
        let known = accounts.iter().filter_map(|name| Some((name.clone(), self.facts_of(name)?)));
        Ok(known.collect())
    }

    fn grant(&self, actor: &Actor) -> Grant {
        match actor {
            Actor::Person(name) if *name == self.0.owner => Grant::owner(),
            Actor::Person(name) => self.look(|book| {
                let account = book.accounts.get(name).filter(|account| account.active);
                let roles = account.map(|account| account.roles.clone()).unwrap_or_default();
                Grant { roles, human: true, ..Grant::default() }
            }),
            Actor::Robot(name) if self.is_trigger(name) => {
                Grant { acts: BTreeSet::from([Act::Deploy]), ..Grant::default() }
            }
            Actor::Robot(name) => self.look(|book| {
                let token = book.tokens.get(name);
                let (acts, services) = token
                    .map(|token| (token.acts.clone(), token.services.clone()))
                    .unwrap_or_default();
                Grant { acts, services, ..Grant::default() }
            }),
            Actor::Tidegate | Actor::Proxy(_) => Grant::default(),
        }
    }
}

#[cfg(test)]
mod tests;
