//! What each event changes of the outbox. Must never drop a message that no event names, but the
//! oldest of those that were taken.

use super::keep_newest;
use crate::event::{Event, Recorded};
use crate::message::{
    Family, Letter, OUTBOX_MAX, Outbox, SENT_MAX, Sent, Signal, Stands, THREADS_MAX, Thread,
};

/// Folds one event about a message.
pub(super) fn fold(outbox: &mut Outbox, recorded: &Recorded) {
    match &recorded.event {
        Event::MessageQueued { message, draft } => {
            let pager = message.to.family == Family::Pagerduty;
            match message.signal {
                Signal::Trigger if pager => {
                    outbox.pages.insert(message.page.clone(), message.about.clone());
                }
                Signal::Resolve if pager => {
                    outbox.pages.remove(&message.page);
                }
                _ => {}
            }
            let stands = if *draft { Stands::Draft } else { Stands::Due };
            let (number, at, message) = (recorded.seq, recorded.at, message.clone());
            outbox.letters.push(Letter { number, at, message, attempt: 1, stands });
            keep_newest(&mut outbox.letters, OUTBOX_MAX);
        }
        Event::MessageSent { message, attempt, receipt } => {
            let Some(place) = outbox.letters.iter().position(|it| it.number == *message) else {
                return;
            };
            let letter = outbox.letters.remove(place);
            if let Some(receipt) = receipt
                && outbox.follows(&letter.message).is_none()
            {
                let (to, about) = (letter.message.to.clone(), letter.message.about.clone());
                outbox.threads.push(Thread { to, about, receipt: receipt.clone() });
                keep_newest(&mut outbox.threads, THREADS_MAX);
            }
            let (number, at, message) = (letter.number, recorded.at, letter.message);
            outbox.sent.push(Sent { number, at, attempts: *attempt, message });
            keep_newest(&mut outbox.sent, SENT_MAX);
        }
        Event::MessageDropped { message, .. } => {
            outbox.letters.retain(|letter| letter.number != *message);
        }
        _ => restand(outbox, recorded),
    }
}

/// An attempt failed, or the next one begins.
fn restand(outbox: &mut Outbox, recorded: &Recorded) {
    let (Event::MessageFailed { message, .. } | Event::MessageRetried { message, .. }) =
        &recorded.event
    else {
        return;
    };
    let Some(letter) = outbox.letters.iter_mut().find(|it| it.number == *message) else { return };
    match &recorded.event {
        Event::MessageFailed { why, retry_at, .. } => {
            let said = why.clone();
            letter.stands = match retry_at {
                Some(until) => Stands::Resting { until: *until, said },
                None => Stands::Dead { said },
            };
        }
        Event::MessageRetried { attempt, text, .. } => {
            letter.attempt = *attempt;
            letter.stands = Stands::Due;
            if let Some(text) = text {
                letter.message.text.clone_from(text);
            }
        }
        _ => {}
    }
}
