//! `tidegate logs`: the last lines of the build and the suites, or of a slot's instances.
//! Must never pass control characters of an application on to the terminal.

use std::time::Duration;

use hyper::Method;

use crate::cli::session::{Session, Unnamed};
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;

/// Time between two looks at a log that is followed.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The deployment; the one in flight here, else the newest
    deployment: Option<String>,
    /// The instances of this part, in place of the build and the suites
    #[arg(long)]
    part: Option<String>,
    /// The instances in this slot
    #[arg(long)]
    slot: Option<String>,
    /// The last so many bytes
    #[arg(long, default_value_t = 65_536, value_name = "BYTES")]
    tail: u64,
    /// Go on printing what is added, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when no server answers, or there is no such log.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let id = session.deployment(args.deployment.as_deref(), Unnamed::Newest).await?;
    let mut query = vec![format!("tail={}", args.tail)];
    query.extend(args.part.iter().map(|part| format!("part={}", encode(part))));
    query.extend(args.slot.iter().map(|slot| format!("slot={}", encode(slot))));
    let path = format!("/v1/deployments/{}/logs?{}", encode(&id), query.join("&"));
    let mut seen = read(session, &path).await?;
    print(session, &seen)?;
    if !args.follow {
        return Ok(Exit::Done);
    }
    let mut look = tokio::time::interval(FOLLOW_EVERY);
    loop {
        tokio::select! {
            signal = tokio::signal::ctrl_c() => {
                signal.map_err(Failure::local)?;
                return Ok(Exit::Interrupted);
            }
            _tick = look.tick() => {
                let newest = read(session, &path).await?;
                print(session, added(&seen, &newest))?;
                seen = newest;
            }
        }
    }
}

async fn read(session: &Session, path: &str) -> Result<String, Failure> {
    let bytes = session.client.bytes(Method::GET, path, None).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn print(session: &Session, text: &str) -> Result<(), Failure> {
    let text = text.trim_end_matches('\n');
    if text.is_empty() { Ok(()) } else { session.terminal.line(text) }
}

/// What a window that moves over a log shows that it did not show before: the longest end of the
/// old window that the new one begins with is left out.
fn added<'a>(seen: &str, newest: &'a str) -> &'a str {
    if seen == newest {
        return "";
    }
    let starts = seen.match_indices('\n').map(|(at, _)| at + 1);
    let overlap = std::iter::once(0)
        .chain(starts)
        .filter_map(|start| seen.get(start..))
        .find_map(|tail| newest.strip_prefix(tail));
    overlap.unwrap_or(newest)
}

#[cfg(test)]
mod tests {
    use super::added;

    #[test]
    fn only_what_is_new_is_printed() {
        assert_eq!(added("a\nb\n", "a\nb\nc\n"), "c\n");
        assert_eq!(added("a\nb\n", "b\nc\n"), "c\n");
        assert_eq!(added("a\nb\n", "a\nb\n"), "");
        assert_eq!(added("a\n", "x\ny\n"), "x\ny\n");
        assert_eq!(added("", "x\n"), "x\n");
    }
}
