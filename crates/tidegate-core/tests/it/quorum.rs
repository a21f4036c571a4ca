//! The quorum against brute force: every small policy, every set of people, every assignment of
//! people to places, tried one by one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use tidegate_core::approval::quorum::{Bar, Question, Standing, weigh};
use tidegate_core::approval::{Approve, Change, Credential, Facts, Owned, Quorum, Rights, Vote};
use tidegate_core::digest::{Component, bind, parts};
use tidegate_core::ids::Actor;

const GROUPS: [&str; 3] = ["a", "b", "c"];

fn now() -> Timestamp {
    "2026-01-05T09:00:00Z".parse().unwrap()
}

fn rule(need: u32, groups: usize, round: u32) -> Quorum {
    Quorum {
        name: format!("{need} of {groups} in {round}"),
        need,
        from: in_set(groups).map(str::to_owned).collect(),
        round,
        touches: Vec::new(),
        applies: true,
        when: None,
        unless: None,
    }
}

/// The groups whose bits are set.
fn in_set(bits: usize) -> impl Iterator<Item = &'static str> {
    GROUPS
        .into_iter()
        .enumerate()
        .filter(move |(at, _)| bits >> at & 1 == 1)
        .map(|(_, group)| group)
}

fn facts(name: &str, groups: usize) -> Facts {
    Facts {
        person: name.to_owned(),
        names: BTreeSet::new(),
        groups: in_set(groups).map(str::to_owned).collect(),
        human: true,
        entitled: true,
    }
}

fn vote(name: &str, facts: Facts) -> Vote {
    Vote {
        by: Actor::Person(name.to_owned()),
        seq: 1,
        at: now(),
        expires: now().checked_add(SignedDuration::from_hours(1)).unwrap(),
        facts,
        credential: Credential::default(),
        condition: None,
        note: None,
    }
}

fn ask(
    policy: &Approve,
    votes: &[Vote],
    change: Option<&Change>,
    rights: Option<&Rights>,
) -> Standing {
    weigh(&Question {
        policies: vec![policy],
        change,
        trigger: &Actor::Person("starter".to_owned()),
        votes,
        rights,
        newest: 1,
        attested: &BTreeMap::new(),
        now: now(),
    })
}

/// Rights that say of everybody what the vote said.
fn same_rights(votes: &[Vote]) -> Rights {
    let facts = votes.iter().map(|vote| (vote.by.to_string(), vote.facts.clone())).collect();
    Rights { seq: 2, at: now(), facts }
}

/// Whether some assignment of different people fills every place: each is tried.
fn fillable(places: &[&Quorum], people: &[Facts], taken: &mut Vec<bool>) -> bool {
    let Some((place, rest)) = places.split_first() else {
        return true;
    };
    (0..people.len()).any(|at| {
        let fits =
            place.from.is_empty() || place.from.iter().any(|g| people[at].groups.contains(g));
        if taken[at] || !fits {
            return false;
        }
        taken[at] = true;
        let filled = fillable(rest, people, taken);
        taken[at] = false;
        filled
    })
}

/// All policies of two rules over three groups, needs of one and two, one or two rounds, against
/// all sets of four people with any groups: 2 x 2 x 8 x 8 x 2 policies, 330 sets each.
#[test]
fn every_small_policy_agrees_with_brute_force() {
    let mut met = 0_u64;
    let mut unmet = 0_u64;
    for bits in 0..(2 * 2 * 8 * 8 * 2) {
        let (needs, groups, round) = (bits & 3, bits >> 2 & 63, bits >> 8 & 1);
        let first = rule(1 + (needs & 1) as u32, groups & 7, 1);
        let second = rule(1 + (needs >> 1) as u32, groups >> 3, 1 + round as u32);
        let policy = Approve { rules: vec![first, second], ..Approve::anyone() };
        let places: Vec<&Quorum> =
            policy.rules.iter().flat_map(|rule| (0..rule.need).map(move |_| rule)).collect();
        // Three bits a person; the order of people is another test's matter.
        let sorted =
            |people: &usize| (0..3).all(|at| people >> (3 * at) & 7 <= people >> (3 * at + 3) & 7);
        for people in (0..4_096_usize).filter(sorted) {
            let people: Vec<Facts> =
                (0..4).map(|at| facts(&format!("p{at}"), people >> (3 * at) & 7)).collect();
            let votes: Vec<Vote> = people.iter().map(|f| vote(&f.person, f.clone())).collect();
            let standing = ask(&policy, &votes, None, Some(&same_rights(&votes)));
            let expected = fillable(&places, &people, &mut vec![false; people.len()]);
            assert_eq!(standing.met(), expected, "{policy:?}\n{people:?}\n{standing:?}");
            let distinct: BTreeSet<&String> = standing.rules.iter().flat_map(|r| &r.by).collect();
            let given: usize = standing.rules.iter().map(|rule| rule.by.len()).sum();
            assert_eq!(distinct.len(), given, "one person fills one place: {standing:?}");
            if expected { met += 1 } else { unmet += 1 }
        }
    }
    assert!(met > 20_000 && unmet > 20_000, "{met} {unmet}");
}

#[test]
fn no_order_of_votes_changes_the_answer() {
    let policy = Approve {
        rules: vec![rule(1, 0b011, 1), rule(1, 0b001, 1), rule(1, 0b100, 1)],
        ..Approve::anyone()
    };
    let people = [facts("x", 0b001), facts("y", 0b011), facts("z", 0b110)];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let votes: Vec<Vote> =
            order.iter().map(|at| vote(&people[*at].person, people[*at].clone())).collect();
        assert!(ask(&policy, &votes, None, Some(&same_rights(&votes))).met(), "{order:?}");
    }
}

#[test]
fn a_shared_policy_lets_one_person_speak_for_several_rules() {
    let rules = vec![rule(1, 0b001, 1), rule(1, 0b010, 1)];
    let votes = [vote("x", facts("x", 0b011))];
    let rights = same_rights(&votes);
    let alone = Approve { rules: rules.clone(), ..Approve::anyone() };
    assert!(!ask(&alone, &votes, None, Some(&rights)).met());
    let shared = Approve { rules, shared: true, ..Approve::anyone() };
    assert!(ask(&shared, &votes, None, Some(&rights)).met());
}

/// Each single reason, alone, keeps a vote from counting.
#[test]
fn every_bar_bars() {
    let policy = Approve::anyone();
    let good = facts("x", 0);
    let hands = Change { hands: BTreeSet::from(["x".to_owned()]), ..Change::default() };
    let mail = Change { hands: BTreeSet::from(["x@example.org".to_owned()]), ..Change::default() };
    let cases: Vec<(&str, Vote, Option<&Change>, Facts, Bar)> = vec![
        (
            "robot",
            vote("x", good.clone()),
            None,
            Facts { human: false, ..good.clone() },
            Bar::Robot,
        ),
        (
            "machine",
            Vote { by: Actor::Robot("x".to_owned()), ..vote("x", good.clone()) },
            None,
            good.clone(),
            Bar::Robot,
        ),
        (
            "disabled",
            vote("x", good.clone()),
            None,
            Facts { entitled: false, ..good.clone() },
            Bar::NotEntitled,
        ),
        ("author", vote("x", good.clone()), Some(&hands), good.clone(), Bar::Author),
        (
            "author's address",
            vote("x", good.clone()),
            Some(&mail),
            Facts { names: BTreeSet::from(["x@example.org".to_owned()]), ..good.clone() },
            Bar::Author,
        ),
        ("trigger", vote("Starter", facts("starter", 0)), None, facts("starter", 0), Bar::Trigger),
        (
            "expired",
            Vote { expires: now(), ..vote("x", good.clone()) },
            None,
            good.clone(),
            Bar::Expired,
        ),
    ];
    for (what, vote, change, told, bar) in cases {
        let name = vote.by.to_string();
        let rights = Rights { seq: 2, at: now(), facts: BTreeMap::from([(name.clone(), told)]) };
        let standing = ask(&policy, std::slice::from_ref(&vote), change, Some(&rights));
        assert!(!standing.met(), "{what}");
        assert_eq!(standing.barred, vec![(name, bar)], "{what}");
    }
    let standing = ask(
        &policy,
        &[vote("x", good.clone())],
        None,
        Some(&Rights { seq: 2, at: now(), facts: BTreeMap::new() }),
    );
    assert_eq!(standing.barred, vec![("x".to_owned(), Bar::Unknown)]);
    let linked = [vote("x", good.clone()), vote("y", Facts { person: "x".to_owned(), ..good })];
    let standing = ask(&policy, &linked, None, Some(&same_rights(&linked)));
    assert_eq!(standing.barred, vec![("y".to_owned(), Bar::SamePerson("x".to_owned()))]);
}

#[test]
fn nothing_opens_before_the_directory_has_spoken() {
    let votes = [vote("x", facts("x", 0))];
    let policy = Approve::anyone();
    assert!(!ask(&policy, &votes, None, None).met());
    let old = Rights { seq: 1, ..same_rights(&votes) };
    assert!(!ask(&policy, &votes, None, Some(&old)).met());
    assert!(ask(&policy, &votes, None, Some(&same_rights(&votes))).met());
}

/// Owners are matched by account, address, handle, and team; an empty file is not a pass.
#[test]
fn owners_cover_their_paths_and_no_others() {
    let policy = Approve { rules: Vec::new(), owners: true, ..Approve::anyone() };
    let owned = |owners: &[&str]| Change {
        owned: vec![Owned {
            path: "src/x".to_owned(),
            paths: 1,
            owners: owners.iter().map(|owner| (*owner).to_owned()).collect(),
        }],
        ..Change::default()
    };
    let known = Facts {
        names: BTreeSet::from(["@mira-dev".to_owned(), "m@example.org".to_owned()]),
        ..facts("mira", 0b001)
    };
    let votes = [vote("mira", known)];
    let rights = same_rights(&votes);
    for (owners, covered) in [
        (&["@mira"][..], true),
        (&["@MIRA"], true),
        (&["@mira-dev"], true),
        (&["m@example.org"], true),
        (&["@acme/a"], true),
        (&["@acme/b"], false),
        (&["@kofi"], false),
        (&["@kofi", "@mira"], true),
        (&[], true),
    ] {
        let standing = ask(&policy, &votes, Some(&owned(owners)), Some(&rights));
        assert_eq!(standing.met(), covered, "{owners:?} {standing:?}");
    }
    assert!(!ask(&policy, &[], Some(&owned(&[])), Some(&rights)).met());
    assert!(!ask(&policy, &[], Some(&Change::default()), Some(&rights)).met());
    assert!(!ask(&policy, &votes, None, Some(&rights)).met(), "a repository that was not read");
}

/// One byte of any of the twelve parts gives another D, and the part is named.
#[test]
fn each_part_of_d_counts() {
    let whole: BTreeMap<Component, Vec<u8>> =
        Component::ALL.into_iter().map(|part| (part, b"declared".to_vec())).collect();
    for part in Component::ALL {
        for bit in 0..8 {
            let mut other = whole.clone();
            other.get_mut(&part).unwrap()[3] ^= 1 << bit;
            assert_ne!(bind(&other), bind(&whole), "{part:?}");
            let differs = tidegate_core::approval::past::differing(&parts(&whole), &parts(&other));
            assert_eq!(differs, vec![part]);
        }
        let mut without = whole.clone();
        without.remove(&part);
        assert_ne!(bind(&without), bind(&whole), "{part:?} left away");
    }
}
