//! Samples of what people say, and of the policies that ask them.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_core::approval::{
    Approve, Category, Change, Credential, Early, Facts, Group, Owned, Quorum,
};

use super::*;

pub(super) fn events() -> Vec<Event> {
    let deployment = deployment();
    vec![
        Event::ApprovalGiven {
            deployment: deployment.clone(),
            binding: Digest::of(b"binding"),
            facts: Some(facts()),
            credential: Credential {
                door: "session".to_owned(),
                factor: "password+totp".to_owned(),
                at: Some(time(-60)),
            },
            expires: Some(time(86_400)),
            condition: Some(Weight::from_bp(5_000).unwrap()),
            note: Some("the migration is read".to_owned()),
        },
        Event::ApprovalWithdrawn {
            deployment: deployment.clone(),
            why: "too late today".to_owned(),
        },
        Event::RightsSeen {
            deployment: deployment.clone(),
            facts: BTreeMap::from([("ada".to_owned(), facts())]),
        },
        Event::Attested {
            deployment: deployment.clone(),
            item: "runbooks current".to_owned(),
            note: Some("read on Monday".to_owned()),
            expires: None,
        },
        Event::ConditionConfirmed { deployment: deployment.clone() },
        Event::ReviewOpened {
            deployment,
            category: Category::Tests,
            reason: "no test of the new price".to_owned(),
        },
    ]
}

fn facts() -> Facts {
    Facts {
        person: "ada".to_owned(),
        names: BTreeSet::from(["ada@example.org".to_owned()]),
        groups: BTreeSet::from(["security".to_owned()]),
        human: true,
        entitled: true,
    }
}

pub(super) fn approve() -> Approve {
    let rule = |name: &str, round| Quorum {
        name: name.to_owned(),
        need: 1,
        from: vec![name.to_owned()],
        round,
        touches: vec!["safety/**".to_owned()],
        applies: true,
        when: None,
        unless: None,
    };
    Approve {
        rules: vec![rule("security", 1), rule("product", 2)],
        owners: true,
        shared: false,
        early: Early::Queue,
        people: BTreeMap::from([(
            "security".to_owned(),
            Group {
                members: BTreeSet::from(["ada".to_owned()]),
                directory: Some("security-team".to_owned()),
                handles: BTreeSet::from(["@acme/security".to_owned()]),
            },
        )]),
        attest: vec!["runbooks current".to_owned()],
        within: SignedDuration::from_hours(24),
        expires: SignedDuration::from_hours(8),
    }
}

pub(super) fn change() -> Change {
    Change {
        base: Some("89abcdef0123456789abcdef0123456789abcdef".to_owned()),
        owners: Some(Digest::of(b"* @ada")),
        owned: vec![Owned {
            path: "safety/brake.rs".to_owned(),
            paths: 3,
            owners: vec!["@ada".to_owned(), "@acme/security".to_owned()],
        }],
        paths: 3,
        hands: BTreeSet::from(["bob".to_owned(), "bob@example.org".to_owned()]),
    }
}
