//! `tidegate man`: the manual, made from the same source as `--help`.
//! Must never be written by hand.

use crate::cli::session::Session;
use crate::exit::Exit;
use crate::failure::Failure;

/// Arguments of the verb.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The page of one verb, `deploy` or `server run`; all of the program by default
    verb: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// TG7003 when there is no such verb.
pub(crate) fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    let mut command = super::command();
    command.build();
    let mut name = "tidegate".to_owned();
    for verb in &args.verb {
        let Some(found) = command.find_subcommand(verb) else {
            return Err(Failure::new(
                Exit::Usage,
                "TG7003",
                format!("there is no verb {}", args.verb.join(" ")),
            )
            .help("`tidegate help` lists them"));
        };
        name = format!("{name}-{verb}");
        command = found.clone();
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).title(name).render(&mut page).map_err(Failure::local)?;
    session.terminal.raw(&page)?;
    Ok(Exit::Done)
}
