//! `tidegate slot`: slots with their roles, versions and readiness.
//! Must never call a slot ready that was not seen so.

use crate::cli::session::{Session, service_path};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};
use crate::text::number;
use crate::view::Slot;
use crate::view::service::{Slots, Usage};

/// The verbs of slots.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Every slot of the service
    List,
    /// One slot
    Show {
        /// Its name
        slot: String,
    },
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or there is no such slot.
pub(crate) async fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let named = session.service().await?;
    let mut found: Slots = session.client.get(&service_path(&named, "slots")).await?;
    let wanted = match verb {
        Verb::List => None,
        Verb::Show { slot } => Some(slot.as_str()),
    };
    if let Some(wanted) = wanted {
        for part in &mut found.parts {
            part.slots.retain(|slot| slot.name == wanted);
        }
        found.parts.retain(|part| !part.slots.is_empty());
        if found.parts.is_empty() {
            return Err(Failure::new(
                Exit::NotFound,
                "TG7013",
                format!("{} has no slot {wanted}", named.service),
            )
            .help("`tidegate slot list`"));
        }
    }
    if session.terminal.is_json() {
        session.terminal.json(&found)?;
        return Ok(Exit::Done);
    }
    for part in &found.parts {
        for slot in &part.slots {
            let usage = found.usage.get(&format!("{}/{}", part.name, slot.name));
            session.terminal.line(&line(&part.name, slot, usage))?;
            if wanted.is_some() {
                for endpoint in &slot.endpoints {
                    session.terminal.line(&format!("  {endpoint}"))?;
                }
            }
        }
    }
    Ok(Exit::Done)
}

fn line(part: &str, slot: &Slot, usage: Option<&Usage>) -> String {
    let style = match slot.readiness.as_str() {
        "hot" => Style::Good,
        "empty" => Style::Faint,
        _ => Style::Doubtful,
    };
    let mut words = vec![format!(
        "{part:10} {:10} {:9} {:12} {}",
        slot.name,
        slot.role,
        slot.version.as_deref().unwrap_or("-"),
        styled(style, &format!("{:5}", slot.readiness)),
    )];
    words.push(format!("{} of {} ready", slot.ready, slot.wanted));
    if let Some(cpu) = usage.and_then(|usage| usage.cpu_percent) {
        words.push(format!("cpu {} %", number(cpu)));
    }
    if let Some(memory) = usage.and_then(|usage| usage.memory_percent) {
        words.push(format!("memory {} %", number(memory)));
    }
    if let Some(problem) = &slot.problem {
        words.push(styled(Style::Bad, problem));
    }
    words.join("  ")
}
