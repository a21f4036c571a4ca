//! The policies and changes of scripts, a key at a time.

use std::collections::BTreeSet;

use tidegate_core::approval::{Approve, Change, Early, Group, Owned, Quorum};

use super::{duration, number};

/// `rules=2:security+leads,1:product@2`, `members=security:mira+kofi`, `owners=yes`, `attest=a,b`.
pub(super) fn policy(policy: &mut Approve, key: &str, value: &str) -> Result<(), String> {
    match key {
        "rules" => policy.rules = value.split(',').map(rule).collect::<Result<_, _>>()?,
        "members" => {
            let (name, members) = value.split_once(':').ok_or("say group:member+member")?;
            let group = Group { members: set(members), ..Group::default() };
            policy.people.insert(name.to_owned(), group);
        }
        "owners" => policy.owners = value == "yes",
        "shared" => policy.shared = value == "yes",
        "early" => policy.early = if value == "queue" { Early::Queue } else { Early::Refuse },
        "attest" => policy.attest = value.split(',').map(str::to_owned).collect(),
        "within" => policy.within = duration(value)?,
        _ => policy.expires = duration(value)?,
    }
    Ok(())
}

/// `hands=ada+bob`, `owned=docs/a.md:@ana+@acme/docs,src/x.rs:`, `base=<commit>`.
pub(super) fn change(change: &mut Change, key: &str, value: &str) {
    match key {
        "hands" => change.hands = set(value),
        "base" => change.base = Some(value.to_owned()),
        _ => {
            change.owned = value.split(',').map(owned).collect();
            change.paths = change.owned.iter().map(|owned| owned.paths).sum();
        }
    }
}

fn rule(text: &str) -> Result<Quorum, String> {
    let (text, round) = text.split_once('@').unwrap_or((text, "1"));
    let (need, from) = text.split_once(':').unwrap_or((text, ""));
    let from: Vec<String> = from.split('+').filter(|g| !g.is_empty()).map(str::to_owned).collect();
    let name = if from.is_empty() { "anybody".to_owned() } else { from.join(" or ") };
    let (need, round) = (number(need)?, number(round)?);
    Ok(Quorum {
        name,
        need,
        from,
        round,
        touches: Vec::new(),
        applies: true,
        when: None,
        unless: None,
    })
}

fn owned(text: &str) -> Owned {
    let (path, owners) = text.split_once(':').unwrap_or((text, ""));
    let owners = owners.split('+').filter(|owner| !owner.is_empty());
    Owned { path: path.to_owned(), paths: 1, owners: owners.map(str::to_owned).collect() }
}

fn set(text: &str) -> BTreeSet<String> {
    text.split('+').map(str::to_owned).collect()
}
