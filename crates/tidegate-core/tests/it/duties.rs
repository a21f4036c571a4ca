//! Duties in scripts: what a plan declares and what is done.
//! Must never do one that no script does.

use tidegate_core::duty::{Duty, Every};
use tidegate_core::input::Command;

use crate::verbs::Words;

/// `review:30`, `review:30:blocks`, `retro:deployment`, `restore:90:drill`: how often, in days.
pub(crate) fn declared(text: &str) -> Result<Duty, String> {
    let mut pieces = text.split(':');
    let name = pieces.next().unwrap_or_default().to_owned();
    let every = match pieces.next() {
        Some("deployment") => Every::Deployment,
        Some(days) => Every::Days(days.parse().map_err(|error| format!("{days}: {error}"))?),
        None => return Err(format!("{text}: say how often")),
    };
    let rest: Vec<&str> = pieces.collect();
    Ok(Duty {
        name,
        every,
        owner: None,
        run: rest.contains(&"drill").then(|| "tidegate drill restore".to_owned()),
        evidence: None,
        expect: None,
        blocks: rest.contains(&"blocks"),
    })
}

/// `done review "the notes of May"`.
pub(crate) fn done(words: &mut Words) -> Result<Command, String> {
    Ok(Command::DoneDuty { duty: words.need("a name")?, evidence: words.or("") })
}
