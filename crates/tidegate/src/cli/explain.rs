//! `tidegate explain CODE`: the page of an error, offline.
//! Must never need a server or a network.

use crate::cli::session::Session;
use crate::codes;
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, TGxxxx; without one, all codes are listed
    code: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// TG7015 when there is no such code.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let terminal = &session.terminal;
    let Some(code) = &args.code else {
        let all: Vec<[&str; 2]> = codes::all().map(|code| [code, title(code)]).collect();
        if terminal.is_json() {
            terminal.json(&all)?;
            return Ok(Exit::Done);
        }
        for [code, title] in all {
            terminal.line(&format!("{code}  {title}"))?;
        }
        return Ok(Exit::Done);
    };
    let code = code.to_ascii_uppercase();
    let Some(page) = codes::page(&code) else {
        return Err(Failure::new(
            Exit::NotFound,
            "TG7015",
            format!("there is no error code {code} in this version"),
        )
        .help("`tidegate explain` lists all of them"));
    };
    if terminal.is_json() {
        terminal.json(&serde_json::json!({ "code": code, "page": page }))?;
    } else {
        terminal.line(page.trim_end())?;
    }
    Ok(Exit::Done)
}

/// The first line of a page, without its mark and code.
fn title(code: &str) -> &'static str {
    let first = codes::page(code).and_then(|page| page.lines().next()).unwrap_or_default();
    let title = first.trim_start_matches(['#', ' ']);
    title.strip_prefix(code).unwrap_or(title).trim_start_matches([':', ' '])
}
