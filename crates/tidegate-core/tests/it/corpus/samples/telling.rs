//! Samples of messages and incidents, and of the policies behind them.

use tidegate_core::ids::IncidentId;
use tidegate_core::incident::{ActionItem, Class, Duty, Owed, Policy, Severity};
use tidegate_core::message::{Family, Message, Occasion, Receiver, Route, Signal};

use super::*;

fn incident() -> IncidentId {
    IncidentId::new("i-7").unwrap()
}

fn receiver() -> Receiver {
    Receiver { family: Family::Slack, address: "#incidents".to_owned() }
}

pub(super) fn routes() -> Vec<Route> {
    let says = vec!["{service} {version}".to_owned()];
    vec![Route { on: Occasion::Rollback, to: vec![receiver()], says }]
}

pub(super) fn policy() -> Policy {
    let class = Class {
        means: Some("users have nothing".to_owned()),
        within: SignedDuration::from_mins(5),
    };
    Policy {
        severity: BTreeMap::from([(Severity::P0, class)]),
        ladder: vec!["lead".to_owned()],
        steps: vec!["look at the logs".to_owned()],
        investigate: Some(SignedDuration::from_mins(15)),
        postmortem: Some(SignedDuration::from_hours(48)),
        contains: vec!["lessons".to_owned()],
        contact: vec!["ops@shop.example".to_owned()],
        regulator: Some(Duty {
            owner: "compliance".to_owned(),
            within: SignedDuration::from_hours(72),
        }),
    }
}

pub(super) fn events() -> Vec<Event> {
    let incident = incident();
    vec![
        Event::MessageQueued {
            message: Message {
                on: Occasion::Rollback,
                to: receiver(),
                signal: Signal::Trigger,
                about: "d-7".to_owned(),
                page: "i-7".to_owned(),
                deployment: Some(deployment()),
                incident: Some(incident.clone()),
                version: "v2.0.0".to_owned(),
                title: "shop v2.0.0 in production: rolling back".to_owned(),
                text: "errors 2 %".to_owned(),
                next: Some("tidegate why d-7".to_owned()),
            },
            draft: true,
        },
        Event::MessageSent { message: 41, attempt: 2, receipt: Some("1700000000.1".to_owned()) },
        Event::MessageFailed {
            message: 41,
            attempt: 1,
            why: "TG7161: answered 429".to_owned(),
            retry_at: Some(time(30)),
        },
        Event::MessageRetried { message: 41, attempt: 2, text: Some("We look.".to_owned()) },
        Event::MessageDropped { message: 41, why: "nobody needs it".to_owned() },
        Event::IncidentOpened {
            incident: incident.clone(),
            severity: Severity::P1,
            title: "shop v2.0.0 in production rolled back".to_owned(),
            deployment: Some(deployment()),
        },
        Event::IncidentAcknowledged { incident: incident.clone() },
        Event::IncidentCalled {
            incident: incident.clone(),
            rung: 1,
            who: Some("director".to_owned()),
        },
        Event::IncidentAssigned {
            incident: incident.clone(),
            role: "commander".to_owned(),
            who: "ada".to_owned(),
        },
        Event::IncidentNoted {
            incident: incident.clone(),
            text: "the cache".to_owned(),
            settles: Some(Owed::Cause),
        },
        Event::IncidentWeighed {
            incident: incident.clone(),
            severity: Severity::P0,
            why: "everybody".to_owned(),
        },
        Event::IncidentOverdue { incident: incident.clone(), owed: Owed::Postmortem },
        Event::IncidentResolved {
            incident: incident.clone(),
            why: "the check after the rollback passed".to_owned(),
            verified: true,
        },
        Event::IncidentLearnt {
            incident,
            text: "https://wiki.example/pm-7".to_owned(),
            items: vec![ActionItem {
                what: "a test of the price".to_owned(),
                owner: "ada".to_owned(),
                until: "2026-02-01".to_owned(),
            }],
        },
    ]
}
