//! Whether what people said is enough. A pure function of the policies, the change, the votes, what
//! the directory says of everybody, and the time; the same words are shown to people as `missing`.
//! Must never count a robot, a stranger, whoever had a hand in the change, or one person twice.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Approve, Attestation, Change, Facts, Owned, Quorum, Rights, Vote};
use crate::ids::Actor;

/// Everything that the answer depends on.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    /// All of them must be met: the plan's own, and the one in force that it may loosen.
    pub policies: Vec<&'a Approve>,
    /// What the release changes; `None` when the repository was not asked.
    pub change: Option<&'a Change>,
    /// Who started the deployment.
    pub trigger: &'a Actor,
    /// The approvals of the D that would run.
    pub votes: &'a [Vote],
    /// What the directory said last.
    pub rights: Option<&'a Rights>,
    /// Sequence of the newest word of anybody: rights that are older say nothing about it.
    pub newest: u64,
    /// What somebody vouched for.
    pub attested: &'a BTreeMap<String, Attestation>,
    /// The time.
    pub now: Timestamp,
}

/// Where a decision stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The accounts whose votes count.
    pub counted: Vec<String>,
    /// The accounts whose votes do not, and why.
    pub barred: Vec<(String, Bar)>,
    /// Each rule that applies, in the order of the policies.
    pub rules: Vec<RuleStanding>,
    /// What is missing, a sentence each; empty when it is enough.
    pub missing: Vec<String>,
    /// Whether the directory has spoken since the newest word: before that nothing opens.
    pub fresh: bool,
}

impl Standing {
    /// Whether the way is open.
    #[must_use]
    pub fn met(&self) -> bool {
        self.missing.is_empty() && self.fresh
    }
}

/// Where one rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleStanding {
    /// Its name.
    pub name: String,
    /// How many it needs.
    pub need: u32,
    /// The accounts that count for it.
    pub by: Vec<String>,
    /// Its round.
    pub round: u32,
    /// Whether its round has come.
    pub open: bool,
}

/// Why a vote does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bar {
    /// It is a machine's.
    Robot,
    /// The account is not active, or its roles do not allow it.
    NotEntitled,
    /// The directory does not know the account.
    Unknown,
    /// They wrote, committed or tagged part of what would run.
    Author,
    /// They started this deployment.
    Trigger,
    /// The same human being voted with another account.
    SamePerson(String),
    /// It is too old.
    Expired,
}

impl Bar {
    /// The reason as the end of a sentence that begins with the name.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Robot => "is a machine, and machines do not approve".to_owned(),
            Self::NotEntitled => "may not approve here".to_owned(),
            Self::Unknown => "is not known to the directory".to_owned(),
            Self::Author => "has a hand in this change, as author, committer or tagger".to_owned(),
            Self::Trigger => "started this deployment".to_owned(),
            Self::SamePerson(other) => format!("is the same person as {other}, who approved"),
            Self::Expired => "approved too long ago".to_owned(),
        }
    }
}

/// Weighs what people said.
#[must_use]
pub fn weigh(question: &Question<'_>) -> Standing {
    let (valid, barred) = sift(question);
    let counted = valid.iter().map(|vote| name(vote.by)).collect();
    let mut rules = Vec::new();
    let mut missing = Vec::new();
    for policy in &question.policies {
        let standings = rules_of(policy, &valid);
        missing.extend(open_rules(policy, &standings));
        rules.extend(standings);
        if policy.owners {
            missing.extend(owners_missing(policy, question, &valid));
        }
        let counts = |item: &&String| {
            question.attested.get(*item).is_some_and(|word| word.counts(question.now))
        };
        let items = policy.attest.iter().filter(|item| !counts(item));
        missing.extend(items.map(|item| format!("somebody who vouches: {item}")));
    }
    let mut seen = BTreeSet::new();
    missing.retain(|what| seen.insert(what.clone()));
    let fresh = question.rights.is_some_and(|rights| rights.seq > question.newest);
    Standing { counted, barred, rules, missing, fresh }
}

/// Why an account may not approve this at all, as far as its facts tell.
#[must_use]
pub fn bar(
    by: &Actor,
    facts: &Facts,
    change: Option<&Change>,
    trigger: &Actor,
    trigger_facts: Option<&Facts>,
) -> Option<Bar> {
    if !facts.human || !matches!(by, Actor::Person(_)) {
        return Some(Bar::Robot);
    }
    if !facts.entitled {
        return Some(Bar::NotEntitled);
    }
    let own = name(by).to_lowercase();
    let is =
        |other: &str| other.to_lowercase() == own || facts.names.contains(&other.to_lowercase());
    if change.is_some_and(|change| change.hands.iter().any(|hand| is(hand))) {
        return Some(Bar::Author);
    }
    let same = trigger_facts.is_some_and(|known| known.person == facts.person);
    if same || is(&name(trigger)) || name(trigger) == facts.person {
        return Some(Bar::Trigger);
    }
    None
}

/// Whether an account is in a group, as the policy and the directory see it.
#[must_use]
pub fn belongs(policy: &Approve, group: &str, by: &Actor, facts: &Facts) -> bool {
    let Some(group) = policy.people.get(group) else {
        // A group that the file does not describe is one of the directory.
        return facts.groups.contains(group);
    };
    let by = name(by);
    group.members.contains(&by)
        || group.members.contains(&facts.person)
        || group.directory.as_ref().is_some_and(|known| facts.groups.contains(known))
}

/// Whether an account would fill a place of a rule.
#[must_use]
pub fn fits(policy: &Approve, rule: &Quorum, by: &Actor, facts: &Facts) -> bool {
    rule.from.is_empty() || rule.from.iter().any(|group| belongs(policy, group, by, facts))
}

/// Whether the owners file names this account: `@mira`, `mira@example.org` or `@acme/security`.
#[must_use]
pub fn owns(policy: &Approve, owner: &str, by: &Actor, facts: &Facts) -> bool {
    let plain = owner.strip_prefix('@').unwrap_or(owner).to_lowercase();
    if let Some((_, team)) = plain.split_once('/') {
        let handled = policy
            .people
            .iter()
            .filter(|(name, group)| *name == team || group.handles.contains(owner));
        let mut groups = handled.map(|(name, _)| name.as_str());
        return groups.any(|group| belongs(policy, group, by, facts))
            || facts.groups.contains(&plain)
            || (!policy.people.contains_key(team) && facts.groups.contains(team));
    }
    name(by).to_lowercase() == plain
        || facts.person.to_lowercase() == plain
        || facts.names.contains(&plain)
        || facts.names.contains(&owner.to_lowercase())
}

/// The name of an account.
pub(crate) fn name(actor: &Actor) -> String {
    match actor {
        Actor::Person(name) | Actor::Robot(name) | Actor::Proxy(name) => name.clone(),
        Actor::Tidegate => "tidegate".to_owned(),
    }
}

/// A vote that counts, with what is known of its account.
struct Valid<'a> {
    by: &'a Actor,
    facts: &'a Facts,
}

fn sift<'a>(question: &Question<'a>) -> (Vec<Valid<'a>>, Vec<(String, Bar)>) {
    let trigger_facts =
        question.rights.and_then(|rights| rights.facts.get(&name(question.trigger)));
    let mut valid: Vec<Valid<'a>> = Vec::new();
    let mut barred = Vec::new();
    for vote in question.votes {
        let told = question.rights.filter(|rights| rights.seq > vote.seq);
        let facts = match told {
            Some(rights) => rights.facts.get(&name(&vote.by)),
            None => Some(&vote.facts),
        };
        let found = match facts {
            None => Err(Bar::Unknown),
            Some(_) if question.now >= vote.expires => Err(Bar::Expired),
            Some(facts) => {
                let first = valid.iter().find(|known| known.facts.person == facts.person);
                match (
                    bar(&vote.by, facts, question.change, question.trigger, trigger_facts),
                    first,
                ) {
                    (Some(bar), _) => Err(bar),
                    (None, Some(first)) => Err(Bar::SamePerson(name(first.by))),
                    (None, None) => Ok(facts),
                }
            }
        };
        match found {
            Ok(facts) => valid.push(Valid { by: &vote.by, facts }),
            Err(bar) => barred.push((name(&vote.by), bar)),
        }
    }
    (valid, barred)
}

/// Gives people to rules. One person fills one place, unless the policy shares them; earlier rounds
/// are filled first, and a place once filled stays filled, so no order of votes matters.
fn rules_of(policy: &Approve, votes: &[Valid<'_>]) -> Vec<RuleStanding> {
    let mut rules: Vec<&Quorum> = policy.rules.iter().filter(|rule| rule.applies).collect();
    rules.sort_by_key(|rule| rule.round);
    let given = if policy.shared {
        rules.iter().map(|rule| everyone(policy, rule, votes)).collect()
    } else {
        matched(policy, &rules, votes)
    };
    let mut open = true;
    let mut round = 0;
    let mut standings: Vec<RuleStanding> = Vec::new();
    for (rule, people) in rules.iter().zip(given) {
        if rule.round != round {
            open = open && standings.iter().all(filled);
            round = rule.round;
        }
        standings.push(RuleStanding {
            name: rule.name.clone(),
            need: rule.need,
            by: people.into_iter().filter_map(|at| votes.get(at)).map(|v| name(v.by)).collect(),
            round: rule.round,
            open,
        });
    }
    standings
}

fn filled(rule: &RuleStanding) -> bool {
    u32::try_from(rule.by.len()).unwrap_or(u32::MAX) >= rule.need
}

fn everyone(policy: &Approve, rule: &Quorum, votes: &[Valid<'_>]) -> Vec<usize> {
    let need = usize::try_from(rule.need).unwrap_or(usize::MAX);
    let fitting =
        votes.iter().enumerate().filter(|(_, vote)| fits(policy, rule, vote.by, vote.facts));
    fitting.map(|(at, _)| at).take(need).collect()
}

/// The largest assignment of people to places, by augmenting paths.
fn matched(policy: &Approve, rules: &[&Quorum], votes: &[Valid<'_>]) -> Vec<Vec<usize>> {
    let places: Vec<usize> = rules
        .iter()
        .enumerate()
        .flat_map(|(at, rule)| (0..rule.need.min(super::NEED_MAX)).map(move |_| at))
        .collect();
    // For each person the place that they fill.
    let mut holder: Vec<Option<usize>> = vec![None; votes.len()];
    for place in 0..places.len() {
        let mut tried = vec![false; votes.len()];
        seat(policy, rules, votes, &places, place, &mut holder, &mut tried);
    }
    let mut given = vec![Vec::new(); rules.len()];
    for (person, place) in holder.iter().enumerate() {
        if let Some(rule) = place.and_then(|place| places.get(place))
            && let Some(people) = given.get_mut(*rule)
        {
            people.push(person);
        }
    }
    given
}

/// Finds a person for a place, moving others to other places where that helps.
fn seat(
    policy: &Approve,
    rules: &[&Quorum],
    votes: &[Valid<'_>],
    places: &[usize],
    place: usize,
    holder: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    let Some(rule) = places.get(place).and_then(|rule| rules.get(*rule)) else {
        return false;
    };
    for (person, vote) in votes.iter().enumerate() {
        if tried.get(person).copied().unwrap_or(true) || !fits(policy, rule, vote.by, vote.facts) {
            continue;
        }
        if let Some(seen) = tried.get_mut(person) {
            *seen = true;
        }
        let free = match holder.get(person).copied().flatten() {
            None => true,
            Some(other) => seat(policy, rules, votes, places, other, holder, tried),
        };
        if free && let Some(held) = holder.get_mut(person) {
            *held = Some(place);
            return true;
        }
    }
    false
}

fn open_rules(policy: &Approve, standings: &[RuleStanding]) -> Vec<String> {
    let open = standings.iter().filter(|rule| !filled(rule));
    open.map(|standing| {
        let rule = policy.rules.iter().find(|rule| rule.name == standing.name);
        let from = rule.map(|rule| rule.from.join(" or ")).unwrap_or_default();
        let from = if from.is_empty() { String::new() } else { format!(" from {from}") };
        let have = standing.by.len();
        let left = usize::try_from(standing.need).unwrap_or(usize::MAX).saturating_sub(have);
        let people = if left == 1 { "approval" } else { "approvals" };
        let then = if standing.open { "" } else { " (opens when the earlier round is met)" };
        format!("{left} more {people}{from}{then}")
    })
    .collect()
}

/// The touched paths of which no owner agreed. Paths that nobody owns are covered by any vote that
/// counts; without one they are missing, so that an empty owners file is not a pass.
fn owners_missing(policy: &Approve, question: &Question<'_>, votes: &[Valid<'_>]) -> Vec<String> {
    let Some(change) = question.change else {
        return vec!["what the release changes: the repository was not read".to_owned()];
    };
    if change.owned.is_empty() && votes.is_empty() {
        return vec!["an approval: no touched path has an owner".to_owned()];
    }
    let open = change.owned.iter().filter(|owned| !covered(policy, owned, votes));
    open.map(|owned| match owned.owners.as_slice() {
        [] => format!("an approval for {}, which nobody owns", owned.path),
        owners => format!("an owner of {}: {}", owned.path, owners.join(" or ")),
    })
    .collect()
}

fn covered(policy: &Approve, owned: &Owned, votes: &[Valid<'_>]) -> bool {
    votes.iter().any(|vote| {
        owned.owners.is_empty()
            || owned.owners.iter().any(|owner| owns(policy, owner, vote.by, vote.facts))
    })
}
