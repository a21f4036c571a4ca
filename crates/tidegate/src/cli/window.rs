//! `tidegate window`: when a deployment may begin, also as a calendar that others can read.
//! Must never say that it is open while a freeze is on.

use jiff::Timestamp;

use crate::cli::session::{Session, service_path};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ical;
use crate::terminal::{Style, Terminal, styled};
use crate::view::calendar::{Calendar, Freeze};

/// Openings that are listed without being asked for more.
const OPENINGS_LISTED: usize = 10;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For how many days, 1 to 366
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// Print iCalendar, for a calendar program
    #[arg(long)]
    ics: bool,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or it does not know the service.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let named = session.service().await?;
    let path = service_path(&named, "calendar");
    let joint = if path.contains('?') { '&' } else { '?' };
    let calendar: Calendar =
        session.client.get(&format!("{path}{joint}days={}", args.days)).await?;
    let terminal = &session.terminal;
    if args.ics {
        let name = format!("Deployments of {} in {}", calendar.service, calendar.environment);
        let text = ical::of(&name, &[calendar], Timestamp::now());
        terminal.raw(text.as_bytes())?;
        return Ok(Exit::Done);
    }
    if terminal.is_json() {
        terminal.json(&calendar)?;
        return Ok(Exit::Done);
    }
    let style = if calendar.door.open { Style::Good } else { Style::Doubtful };
    let (icon, plain) =
        if calendar.door.open { ("✓ open", "+ open") } else { ("‖ closed", "= closed") };
    let icon = terminal.icon(icon, plain);
    terminal.line(&format!("{}  {}", styled(style, icon), calendar.door.sentence()))?;
    if let (Some(zone), Some(overrun)) = (&calendar.zone, &calendar.overrun) {
        let then = match overrun.as_str() {
            "hold" => "holds, and goes back if nobody lets it go on",
            _ => "goes on to its end",
        };
        terminal.line(&format!("  zone {zone}; what is under way at its end {then}"))?;
    } else {
        terminal.line("  the newest deployment declared no `window`")?;
    }
    for open in calendar.openings.iter().take(OPENINGS_LISTED) {
        terminal.line(&format!(
            "  {} to {}",
            terminal.stamp(open.from),
            terminal.stamp(open.to)
        ))?;
    }
    if let Some(proposal) = &calendar.proposal {
        let hour = match &proposal.hour {
            Some(hour) => format!("{}: ", terminal.stamp(hour.from)),
            None => String::new(),
        };
        let word = styled(Style::Strong, "low traffic");
        terminal.line(&format!("  {word} {hour}{}", proposal.sentence))?;
    }
    let more = calendar.openings.len().saturating_sub(OPENINGS_LISTED);
    if more > 0 {
        terminal.line(&format!("  and {more} more: `tidegate window --json`"))?;
    }
    for freeze in &calendar.freezes {
        terminal.line(&frozen(freeze, terminal))?;
    }
    Ok(Exit::Done)
}

/// A freeze as one line.
pub(crate) fn frozen(freeze: &Freeze, terminal: &Terminal) -> String {
    format!(
        "  {} from {} until {}, by {}: {}",
        styled(Style::Strong, &format!("freeze {}", freeze.name)),
        terminal.stamp(freeze.from),
        terminal.stamp(freeze.until),
        freeze.by,
        freeze.reason
    )
}
