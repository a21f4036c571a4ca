//! What scripts say about messages and incidents: routes of a plan, what a channel answered, what a
//! person does. Must never know who hears of what.

use jiff::SignedDuration;
use tidegate_core::event::Event;
use tidegate_core::ids::IncidentId;
use tidegate_core::incident::{self, ActionItem, Duty, Owed, Policy, Severity};
use tidegate_core::input::{Command, Observation};
use tidegate_core::message::{self, Delivery, Family, Occasion, Receiver, Route};

use crate::sample::{deployment, duration, number};
use crate::verbs::Words;

/// `tell=rollback:slack/#incidents+pagerduty/critical`.
pub(crate) fn route(value: &str) -> Result<Route, String> {
    let (on, to) = value.split_once(':').ok_or("tell is occasion:channel/address+...")?;
    let on = Occasion::ALL.into_iter().find(|it| it.word() == on).ok_or("no such occasion")?;
    let to = to.split('+').map(|one| {
        let (family, address) = one.split_once('/').ok_or("a receiver is channel/address")?;
        let family = Family::ALL.into_iter().find(|it| it.word() == family);
        Ok(Receiver { family: family.ok_or("no such channel")?, address: address.to_owned() })
    });
    let says = match on {
        Occasion::Success => vec!["{service} {version}: https://shop.example".to_owned()],
        _ => Vec::new(),
    };
    Ok(Route { on, to: to.collect::<Result<_, String>>()?, says })
}

/// `incident=lead+director` names the ladder; `incident=-` has none.
pub(crate) fn policy(value: &str) -> Policy {
    let ladder =
        if value == "-" { Vec::new() } else { value.split('+').map(str::to_owned).collect() };
    let regulator = Duty { owner: "compliance".to_owned(), within: SignedDuration::from_hours(72) };
    Policy {
        ladder,
        investigate: Some(SignedDuration::from_hours(1)),
        regulator: Some(regulator),
        ..Policy::default()
    }
}

/// `message 57 #1 taken [ts-1]`, `message 57 #1 busy 30s`, `message 57 #1 refused`.
pub(crate) fn observation(words: &mut Words) -> Result<Observation, String> {
    let number = number(&words.need("a number")?)?;
    let attempt = words.need("an attempt")?;
    let attempt = attempt.trim_start_matches('#').parse().map_err(|_odd| "an attempt is #1")?;
    let said = |why: &str| why.to_owned();
    let delivery = match words.need("what came of it")?.as_str() {
        "taken" => {
            Delivery::Taken { receipt: Some(words.or("")).filter(|receipt| !receipt.is_empty()) }
        }
        "busy" => {
            let after = Some(duration(&words.or("0s"))?).filter(|after| !after.is_zero());
            Delivery::Refused { why: said("TG7161: answered 429"), retryable: true, after }
        }
        "refused" => {
            Delivery::Refused { why: said("TG7161: answered 404"), retryable: false, after: None }
        }
        other => return Err(format!("a message is taken, busy or refused, not {other}")),
    };
    Ok(Observation::Message { number, attempt, delivery })
}

/// `redeliver 57`, `release 57 "words"`, `drop 57 "why"`.
pub(crate) fn handle(verb: &str, words: &mut Words) -> Result<Command, String> {
    let number = number(&words.need("a number")?)?;
    let handling = match verb {
        "redeliver" => message::Handling::Redeliver,
        "release" => {
            message::Handling::Release { text: Some(words.or("")).filter(|text| !text.is_empty()) }
        }
        _ => message::Handling::Drop { reason: words.or("") },
    };
    Ok(Command::Message { number, handling })
}

/// `incident open i-9 p2 "title"`, `incident ack i-2`, `incident resolve i-2 ["why"]`, ...
pub(crate) fn incident(words: &mut Words) -> Result<Command, String> {
    let verb = words.need("what about it")?;
    let incident = IncidentId::new(words.need("an incident")?).map_err(|e| e.to_string())?;
    let severity =
        |word: &str| Severity::ALL.into_iter().find(|it| it.word() == word).ok_or("no such class");
    let handling = match verb.as_str() {
        "open" => incident::Handling::Open {
            severity: severity(&words.need("a class")?)?,
            title: words.or("something is odd"),
            deployment: words.option("--from").map(|id| deployment(&id)),
        },
        "ack" => incident::Handling::Acknowledge,
        "assign" => {
            incident::Handling::Assign { role: words.need("a role")?, who: words.need("who")? }
        }
        "note" => {
            let settles = words.flag("--cause").then_some(Owed::Cause);
            let settles = settles.or_else(|| words.flag("--regulator").then_some(Owed::Regulator));
            incident::Handling::Note { text: words.or("looking"), settles }
        }
        "weigh" => incident::Handling::Weigh {
            severity: severity(&words.need("a class")?)?,
            reason: words.or("it is worse"),
        },
        "resolve" => incident::Handling::Resolve {
            reason: Some(words.or("")).filter(|reason| !reason.is_empty()),
        },
        "learn" => {
            let item = ActionItem {
                what: words.or("a test of the price"),
                owner: "ada".to_owned(),
                until: "2026-02-01".to_owned(),
            };
            incident::Handling::Learn { text: "the price was cached".to_owned(), items: vec![item] }
        }
        other => return Err(format!("nothing is done about an incident by {other}")),
    };
    Ok(Command::Incident { incident, handling })
}

/// An event about a message or an incident.
pub(crate) fn details(event: &Event, at: impl Fn(jiff::Timestamp) -> String) -> Option<String> {
    Some(match event {
        Event::MessageQueued { message, draft } => {
            let draft = if *draft { "draft " } else { "" };
            let page = if message.page.is_empty() { "" } else { " page " };
            format!(
                "{draft}{} {:?}{page}{}: {} / {}",
                message.to,
                message.signal,
                message.page,
                message.title,
                message.text.replace('\n', " | ")
            )
        }
        Event::MessageSent { message, attempt, receipt } => {
            format!("{message} #{attempt} {}", receipt.as_deref().unwrap_or("-"))
        }
        Event::MessageFailed { message, attempt, why, retry_at } => {
            let again =
                retry_at.map_or("given up".to_owned(), |then| format!("again at {}", at(then)));
            format!("{message} #{attempt} {why}, {again}")
        }
        Event::MessageRetried { message, attempt, text } => {
            format!("{message} #{attempt} {}", text.as_deref().unwrap_or_default())
        }
        Event::MessageDropped { message, why } => format!("{message}: {why}"),
        Event::IncidentOpened { incident, severity, title, .. } => {
            format!("{incident} {}: {title}", severity.word())
        }
        Event::IncidentAcknowledged { incident } => incident.to_string(),
        Event::IncidentCalled { incident, rung, who } => {
            format!("{incident} rung {rung}: {}", who.as_deref().unwrap_or("everybody"))
        }
        Event::IncidentAssigned { incident, role, who } => format!("{incident} {role}: {who}"),
        Event::IncidentNoted { incident, text, settles } => {
            let settles = settles.map(|owed| format!(", settles {}", owed.words()));
            format!("{incident}: {text}{}", settles.unwrap_or_default())
        }
        Event::IncidentWeighed { incident, severity, why } => {
            format!("{incident} {}: {why}", severity.word())
        }
        Event::IncidentOverdue { incident, owed } => format!("{incident}: {}", owed.words()),
        Event::IncidentResolved { incident, why, verified } => {
            format!("{incident} {}: {why}", if *verified { "verified" } else { "unverified" })
        }
        Event::IncidentLearnt { incident, text, items } => {
            format!("{incident}: {text}, {} items", items.len())
        }
        _ => return None,
    })
}
