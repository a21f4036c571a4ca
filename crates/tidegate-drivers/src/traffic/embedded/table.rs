//! The engine's route table in the words of the proxy, and names back again.
//! Must never let two scopes, two parts or two slots share a name.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tidegate_core::digest::Digest;
use tidegate_core::effect::{Brake, RouteTable};
use tidegate_core::ids::{EnvironmentName, PartName, Scope, ServiceName, SlotName};
use tidegate_core::plan::{CohortBy, Comparison, Floor, Metric, Rule};
use tidegate_core::state::Backend;
use tidegate_core::weight::Split;
use tidegate_engine::ports::Failure;
use tidegate_proxy::wire::{self, limits};

use super::edge;

/// Least number of requests before the proxy's own brake may fire: one bad answer among a few is
/// no reason to act without being asked.
const BRAKE_REQUESTS_MIN: u64 = 20;
/// Shortest window of a brake: one tick.
const BRAKE_MS_MIN: u64 = 1_000;
/// Length of the end of a revision's label that tells artifacts apart: `-` and eight digits.
const LABEL_TAIL: usize = 9;

/// The proxy's name of a part: `shop@production/web`. Neither `@` nor `/` can be in a name, so
/// that no two parts share one.
#[must_use]
pub fn service_key(scope: &Scope, part: &PartName) -> String {
    format!("{}@{}/{part}", scope.service, scope.environment)
}

/// The part that a proxy's name stands for, when it is one of this scope.
pub(super) fn part_of(scope: &Scope, service: &str) -> Option<PartName> {
    let (found, part) = service.rsplit_once('/')?;
    let ours = found == format!("{}@{}", scope.service, scope.environment);
    PartName::new(part).ok().filter(|_| ours)
}

/// The scope that a proxy's name belongs to, when it is one of ours.
pub(super) fn scope_of(service: &str) -> Option<Scope> {
    let (scope, _part) = service.rsplit_once('/')?;
    let (service, environment) = scope.split_once('@')?;
    Some(Scope {
        service: ServiceName::new(service).ok()?,
        environment: EnvironmentName::new(environment).ok()?,
    })
}

/// The slot of a revision's name at the proxy.
pub(super) fn slot_of(revision: &str) -> Option<SlotName> {
    SlotName::new(revision.split_once('/')?.0).ok()
}

// `north/v2-1f3a9c0d`: two slots with the same bytes stay apart. The label is part of a version
// that people wrote; what the proxy does not accept in names becomes `_`, and its end, which tells
// artifacts apart, is kept when it is too long.
fn revision_name(backend: &Backend) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+:@".contains(c);
    let label: Vec<char> =
        backend.revision.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let slot = backend.slot.as_str();
    let room = limits::NAME_BYTES.saturating_sub(slot.len() + 1);
    let label: String = if label.len() <= room {
        label.into_iter().collect()
    } else {
        let (head, tail) = label.split_at(label.len() - LABEL_TAIL);
        head.iter().take(room.saturating_sub(LABEL_TAIL)).chain(tail).collect()
    };
    format!("{slot}/{label}")
}

/// The sealed table.
///
/// # Errors
/// [`Failure`] when it cannot be said in the proxy's words.
pub(super) fn seal(scope: &Scope, table: &RouteTable, epoch: u64) -> Result<wire::Table, Failure> {
    let service = service_key(scope, &table.part);
    let odd = |what: String| Failure::permanent("TG5903", format!("{service}: {what}"));
    let listen: SocketAddr = table
        .route
        .listen
        .parse()
        .map_err(|_odd| odd(format!("`{}` is no address and port", table.route.listen)))?;
    let backends: Vec<wire::Backend> = table
        .backends
        .iter()
        .map(|b| backend(b, table.split.as_ref()))
        .collect::<Result<_, _>>()
        .map_err(odd)?;
    check_split(table).map_err(odd)?;
    let fallback = table.fallback.as_ref().map(|split| shares(split, &table.backends));
    let brake = table.brake.as_ref().filter(|_| fallback.is_some());
    let lease = table.lease.map(|lease| u64::try_from(lease.as_millis()).unwrap_or(0));
    let tls = table.route.tls.as_ref().map(|tls| edge::tls(tls, &table.route)).transpose();
    let behind = table.route.behind.as_ref().map(edge::behind).transpose();
    let parts = wire::TableParts {
        tls: tls.map_err(odd)?,
        behind: behind.map_err(odd)?,
        epoch,
        generation: table.generation,
        listen,
        routes: vec![wire::Route {
            host: table.route.host.as_ref().map(|host| host.to_ascii_lowercase()),
            path_prefix: table.route.path.clone(),
        }],
        preview: preview(table, &backends),
        cohort: cohort(&service, table),
        lease_ms: lease.filter(|_| fallback.is_some()),
        brake: brake.map(|brake| brakes(&brake.rules)).unwrap_or_default(),
        judge: brake.map(judge),
        limits_ms: table.limits_ms.clone(),
        acknowledges_override: table.adopted_override,
        mirror: mirror(table, &backends),
        access_log: table.route.access_log.and_then(|share| wire::Weight::new(share.bp())),
        fallback,
        backends,
        service: service.clone(),
    };
    wire::Table::seal(parts).map_err(|error| odd(error.to_string()))
}

fn backend(backend: &Backend, split: Option<&Split>) -> Result<wire::Backend, String> {
    let bp = split.map_or(0, |split| split.share(&backend.slot).bp());
    let endpoints = backend.endpoints.iter().map(|endpoint| {
        endpoint.parse::<SocketAddr>().map_err(|_odd| format!("`{endpoint}` is no address"))
    });
    Ok(wire::Backend {
        revision: revision_name(backend),
        slot: backend.slot.as_str().to_owned(),
        weight: wire::Weight::new(bp).ok_or_else(|| format!("{bp} basis points"))?,
        endpoints: endpoints.collect::<Result<_, _>>()?,
        protocol: edge::protocol(backend.protocol),
    })
}

// A share of a slot that is not among the backends would silently go to the others.
fn check_split(table: &RouteTable) -> Result<(), String> {
    for split in table.split.iter().chain(&table.fallback) {
        for (slot, weight) in split.shares() {
            if weight.bp() > 0 && !table.backends.iter().any(|backend| backend.slot == *slot) {
                return Err(format!("{slot} has {weight} and no backend"));
            }
        }
    }
    Ok(())
}

fn shares(split: &Split, backends: &[Backend]) -> Vec<wire::Share> {
    let share = |backend: &Backend| {
        let weight = wire::Weight::new(split.share(&backend.slot).bp())?;
        let revision = revision_name(backend);
        (weight > wire::Weight::ZERO).then_some(wire::Share { revision, weight })
    };
    backends.iter().filter_map(share).collect()
}

fn preview(table: &RouteTable, backends: &[wire::Backend]) -> Option<wire::Preview> {
    let header = table.route.preview_header.as_ref()?.to_ascii_lowercase();
    let roles = [("candidate", &table.candidate), ("live", &table.live)];
    let values: BTreeMap<String, String> = roles
        .into_iter()
        .filter_map(|(role, slot)| {
            let slot = slot.as_ref()?.as_str();
            let reachable = |b: &&wire::Backend| b.slot == slot && !b.endpoints.is_empty();
            let backend = backends.iter().find(reachable)?;
            Some((role.to_owned(), backend.revision.clone()))
        })
        .collect();
    Some(wire::Preview { header, values })
}

// The seed is the candidate's revision: the same throughout one deployment, another in the next,
// so that not always the same people go first.
fn cohort(service: &str, table: &RouteTable) -> wire::Cohort {
    let first = table.candidate.as_ref().or(table.live.as_ref());
    let revision = first
        .and_then(|slot| table.backends.iter().find(|backend| backend.slot == *slot))
        .map_or("none", |backend| backend.revision.as_str());
    let short = |text: &str| Digest::of(text.as_bytes()).as_str().chars().take(16).collect();
    let cookie: String = short(service);
    wire::Cohort {
        cookie: format!("tidegate-{cookie}"),
        seed: short(revision),
        enabled: table.route.sticky,
        by: match &table.route.cohort {
            CohortBy::Cookie => wire::CohortBy::Cookie,
            CohortBy::Header(name) => wire::CohortBy::Header(name.clone()),
            CohortBy::Address => wire::CohortBy::Address,
        },
    }
}

// A candidate is looked at by copies for as long as it is one.
fn mirror(table: &RouteTable, backends: &[wire::Backend]) -> Option<wire::Mirror> {
    let share = wire::Weight::new(table.route.mirror?.bp())?;
    let candidate = table.candidate.as_ref().filter(|slot| table.live.as_ref() != Some(slot))?;
    let reachable = |b: &&wire::Backend| b.slot == candidate.as_str() && !b.endpoints.is_empty();
    let revision = backends.iter().find(reachable)?.revision.clone();
    Some(wire::Mirror { revision, share })
}

// The numbers by which the judge of the engine goes, for the same judge in the proxy.
fn judge(brake: &Brake) -> wire::BrakeJudge {
    let ms = |time: jiff::SignedDuration| u64::try_from(time.as_millis()).unwrap_or(0);
    let evidence = brake.evidence.map(|declared| wire::BrakeEvidence {
        objective: declared.objective,
        rho: declared.worse,
        latency_margin: declared.slower,
        warm_up_ms: ms(declared.warm_up),
        horizon_ms: ms(brake.horizon).max(1),
        changes: brake.changes,
    });
    wire::BrakeJudge { attributed: brake.floor == Floor::Attributed, evidence }
}

// Only the error rate is known to the proxy by itself. A rule of a longer time than the proxy
// remembers stays with the judge.
fn brakes(rules: &[Rule]) -> Vec<wire::BrakeRule> {
    let brake = |rule: &Rule| {
        let upward = matches!(rule.comparison, Comparison::Above | Comparison::AtLeast);
        let over_ms = u64::try_from(rule.sustained.as_millis()).ok()?.max(BRAKE_MS_MIN);
        let known = rule.metric == Metric::Errors && upward && over_ms <= limits::BRAKE_MS;
        let sane = (0.0..=100.0).contains(&rule.limit);
        (known && sane).then_some(wire::BrakeRule {
            errors_above_percent: rule.limit,
            over_ms,
            min_requests: BRAKE_REQUESTS_MIN,
        })
    };
    rules.iter().filter_map(brake).take(limits::BRAKES).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tidegate_core::effect::{Brake, RouteTable};
    use tidegate_core::ids::{EnvironmentName, PartName, Scope, ServiceName, SlotName};
    use tidegate_core::plan::{
        CohortBy, Comparison, Evidence, Floor, Metric, Protocol, Route, Rule,
    };
    use tidegate_core::state::Backend;
    use tidegate_core::weight::{Split, Weight};

    use tidegate_proxy::wire;

    use super::{part_of, scope_of, seal, service_key, slot_of};

    fn slot(name: &str) -> SlotName {
        SlotName::new(name).unwrap()
    }

    fn scope(service: &str, environment: &str) -> Scope {
        Scope {
            service: ServiceName::new(service).unwrap(),
            environment: EnvironmentName::new(environment).unwrap(),
        }
    }

    fn table() -> RouteTable {
        let backend = |name: &str, revision: &str, port: u16| Backend {
            slot: slot(name),
            revision: revision.to_owned(),
            endpoints: vec![format!("127.0.0.1:{port}")],
            protocol: Protocol::default(),
        };
        RouteTable {
            part: PartName::new("web").unwrap(),
            generation: 7,
            route: Route {
                listen: "127.0.0.1:8080".to_owned(),
                host: Some("Shop.Example".to_owned()),
                path: "/".to_owned(),
                preview_header: Some("X-Preview".to_owned()),
                sticky: true,
                cohort: CohortBy::Cookie,
                mirror: None,
                access_log: None,
                tls: None,
                behind: None,
            },
            split: Some(Split::between(
                &slot("south"),
                &slot("north"),
                Weight::from_bp(500).unwrap(),
            )),
            backends: vec![
                backend("north", "v1-aaaaaaaa", 4001),
                backend("south", "v1-aaaaaaaa", 4002),
            ],
            candidate: Some(slot("south")),
            live: Some(slot("north")),
            fallback: Some(Split::all_to(slot("north"))),
            lease: Some(SignedDuration::from_secs(60)),
            brake: Some(Brake {
                floor: Floor::Attributed,
                evidence: Some(Evidence::default()),
                horizon: SignedDuration::from_mins(60),
                changes: 3,
                rules: vec![
                    Rule {
                        metric: Metric::Errors,
                        comparison: Comparison::Above,
                        limit: 1.0,
                        sustained: SignedDuration::from_mins(5),
                    },
                    Rule {
                        metric: Metric::P95,
                        comparison: Comparison::Above,
                        limit: 500.0,
                        sustained: SignedDuration::from_mins(5),
                    },
                ],
            }),
            limits_ms: vec![200.0, 500.0],
            adopted_override: Some(3),
        }
    }

    #[test]
    fn the_table_says_the_same_in_the_proxys_words() {
        let sealed = seal(&scope("shop", "production"), &table(), 41).unwrap();
        assert_eq!(sealed.fence(), (41, 7));
        assert_eq!(sealed.service, "shop@production/web");
        let shares: Vec<_> = sealed
            .shares()
            .into_iter()
            .map(|share| (share.revision, share.weight.basis_points()))
            .collect();
        let expected = [("north/v1-aaaaaaaa", 9_500), ("south/v1-aaaaaaaa", 500)];
        assert_eq!(shares, expected.map(|(name, bp)| (name.to_owned(), bp)));
        assert_eq!(sealed.fallback.as_ref().unwrap().len(), 1);
        assert_eq!((sealed.lease_ms, sealed.acknowledges_override), (Some(60_000), Some(3)));
        assert_eq!(sealed.brake.len(), 1);
        let judge = sealed.judge.unwrap();
        assert!(judge.attributed);
        let evidence = judge.evidence.unwrap();
        assert_eq!((evidence.rho, evidence.horizon_ms, evidence.changes), (1.5, 3_600_000, 3));
        assert_eq!(sealed.routes[0].host.as_deref(), Some("shop.example"));
        let preview = sealed.preview.as_ref().unwrap();
        assert_eq!(preview.header, "x-preview");
        assert_eq!(preview.values["candidate"], "south/v1-aaaaaaaa");
        assert_eq!(slot_of("south/v1-aaaaaaaa"), Some(slot("south")));
    }

    #[test]
    fn a_route_says_who_is_who_and_who_gets_copies() {
        let mut table = table();
        table.route.cohort = CohortBy::Header("x-user".to_owned());
        table.route.mirror = Some(Weight::from_bp(500).unwrap());
        table.route.access_log = Some(Weight::from_bp(100).unwrap());
        let sealed = seal(&scope("shop", "production"), &table, 1).unwrap();
        assert_eq!(sealed.cohort.by, wire::CohortBy::Header("x-user".to_owned()));
        assert_eq!(sealed.access_log, wire::Weight::new(100));
        let copied = sealed.mirror.as_ref().unwrap();
        assert_eq!(
            (copied.revision.as_str(), copied.share.basis_points()),
            ("south/v1-aaaaaaaa", 500)
        );
        // At rest there is nobody to look at.
        table.candidate = None;
        assert_eq!(seal(&scope("shop", "production"), &table, 1).unwrap().mirror, None);
    }

    #[test]
    fn the_cohort_stays_through_a_deployment_and_changes_with_the_next() {
        let shop = scope("shop", "production");
        let first = seal(&shop, &table(), 1).unwrap();
        let later =
            RouteTable { generation: 9, split: Some(Split::all_to(slot("south"))), ..table() };
        assert_eq!(seal(&shop, &later, 1).unwrap().cohort, first.cohort);
        let mut next = table();
        next.backends[1].revision = "v2-bbbbbbbb".to_owned();
        assert_ne!(seal(&shop, &next, 1).unwrap().cohort, first.cohort);
    }

    #[test]
    fn what_cannot_be_said_is_refused() {
        let shop = scope("shop", "production");
        let mut lost = table();
        lost.backends.pop();
        assert!(seal(&shop, &lost, 1).unwrap_err().what.contains("south has 5 % and no backend"));
        let mut nowhere = table();
        nowhere.route.listen = "8080".to_owned();
        assert_eq!(seal(&shop, &nowhere, 1).unwrap_err().code, "TG5903");
        let long = scope(&"s".repeat(64), &"e".repeat(64));
        assert_eq!(seal(&long, &table(), 1).unwrap_err().code, "TG5903");
        let mut odd = table();
        odd.backends[0].revision = format!("v1~ü/{}-aaaaaaaa", "x".repeat(200));
        let sealed = seal(&shop, &odd, 1).unwrap();
        assert!(sealed.backends[0].revision.starts_with("north/v1___x"));
        assert!(sealed.backends[0].revision.ends_with("x-aaaaaaaa"));
    }

    #[test]
    fn names_lead_back_to_one_scope_only() {
        let web = PartName::new("web").unwrap();
        let (one, two) = (scope("a.b", "c"), scope("a", "b.c"));
        let key = service_key(&one, &web);
        assert_eq!(part_of(&one, &key), Some(web));
        assert_eq!(part_of(&two, &key), None);
        assert_eq!(scope_of(&key), Some(one));
    }
}
