//! Events about messages and incidents in words. Must never show what a person has not let out yet
//! as if it had been said.

use tidegate_core::event::{Event, Recorded};

/// An event about a message or an incident.
pub(super) fn text(recorded: &Recorded) -> String {
    match &recorded.event {
        Event::MessageQueued { message, draft } => {
            let kind = if *draft { "draft" } else { "message" };
            format!("{kind} {} for {}: {}", recorded.seq, message.to, message.title)
        }
        Event::MessageSent { message, attempt, .. } => match attempt {
            1 => format!("message {message} was taken"),
            attempt => format!("message {message} was taken at attempt {attempt}"),
        },
        Event::MessageFailed { message, attempt, why, retry_at } => match retry_at {
            Some(at) => format!("message {message}, attempt {attempt}: {why}; again at {at:.0}"),
            None => format!("message {message} was given up at attempt {attempt}: {why}"),
        },
        Event::MessageRetried { message, attempt, text } => {
            let words = if text.is_some() { ", in their own words" } else { "" };
            format!("message {message} is sent by {}, attempt {attempt}{words}", recorded.actor)
        }
        Event::MessageDropped { message, why } => {
            format!("message {message} dropped by {}: {why}", recorded.actor)
        }
        _ => text_of_incidents(recorded),
    }
}

fn text_of_incidents(recorded: &Recorded) -> String {
    let actor = &recorded.actor;
    match &recorded.event {
        Event::IncidentOpened { incident, severity, title, .. } => {
            format!("incident {incident} ({}) opened by {actor}: {title}", severity.word())
        }
        Event::IncidentAcknowledged { incident } => format!("{actor} is on {incident}"),
        Event::IncidentCalled { incident, rung, who } => {
            let who = who.as_deref().unwrap_or("everybody again");
            format!("nobody answered {incident}: {who} called, rung {}", rung + 1)
        }
        Event::IncidentAssigned { incident, role, who } => {
            format!("{who} is {role} of {incident}, says {actor}")
        }
        Event::IncidentNoted { incident, text, settles } => {
            let settles = settles.map(|owed| format!(" ({})", owed.words())).unwrap_or_default();
            format!("{actor} on {incident}{settles}: {text}")
        }
        Event::IncidentWeighed { incident, severity, why } => {
            format!("{incident} is {} now, by {actor}: {why}", severity.word())
        }
        Event::IncidentOverdue { incident, owed } => {
            format!("{} of {incident} is overdue", owed.words())
        }
        Event::IncidentResolved { incident, why, .. } => {
            format!("{incident} resolved by {actor}: {why}")
        }
        Event::IncidentLearnt { incident, items, .. } => {
            format!("post-mortem of {incident} by {actor}, {} action items", items.len())
        }
        other => other.kind().to_owned(),
    }
}
