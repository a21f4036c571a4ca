//! Flags that every verb takes, each with a twin in the environment.
//! Must never carry a secret.

use std::path::PathBuf;

use clap::builder::FalseyValueParser;
use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Color, Terminal};

/// How a deployment is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Progress {
    /// A tree on a screen, lines in a pipe or in CI.
    #[default]
    Auto,
    /// A tree that is redrawn.
    Tree,
    /// One line a change.
    Lines,
    /// One JSON object a change.
    Json,
    /// Only the end.
    None,
}

/// Flags that every verb takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Global options")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Globals {
    /// The service; by default the one that tidegate.yaml names
    #[arg(short, long, global = true, env = "TIDEGATE_SERVICE", value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// The environment
    #[arg(short, long = "env", global = true, env = "TIDEGATE_ENV", value_name = "NAME")]
    pub(crate) environment: Option<String>,
    /// The configuration file; by default tidegate.yaml, searched upward
    #[arg(short, long, global = true, env = "TIDEGATE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The server: `https://NAME[:PORT]` or a socket; by default the one of the state directory
    #[arg(long, global = true, env = "TIDEGATE_SERVER", value_name = "SERVER")]
    pub(crate) server: Option<String>,
    /// A server by the name that `tidegate context add` gave it
    #[arg(long, global = true, env = "TIDEGATE_CONTEXT", value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Where the server keeps everything; by default ~/.local/state/tidegate
    #[arg(long, global = true, env = "TIDEGATE_STATE_DIR", value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print JSON: everything, or these fields
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_JSON",
        value_name = "FIELDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub(crate) json: Option<String>,
    /// Say nothing but failures
    #[arg(short, long, global = true, env = "TIDEGATE_QUIET", value_parser = FalseyValueParser::new())]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, env = "TIDEGATE_VERBOSE", value_parser = FalseyValueParser::new())]
    pub(crate) verbose: bool,
    /// How a deployment is followed
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_PROGRESS",
        value_name = "HOW",
        default_value = "auto"
    )]
    pub(crate) progress: Progress,
    /// When to use colours
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_COLOR",
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub(crate) color: Color,
    /// Print the exact calls and make none
    #[arg(short = 'n', long, global = true, env = "TIDEGATE_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(crate) dry_run: bool,
    /// Answer every question with yes
    #[arg(short, long, global = true, env = "TIDEGATE_YES", value_parser = FalseyValueParser::new())]
    pub(crate) yes: bool,
    /// Never ask; a question without an answer is an error
    #[arg(long, global = true, env = "TIDEGATE_NO_INPUT", value_parser = FalseyValueParser::new())]
    pub(crate) no_input: bool,
    /// Follow to the end (the default of verbs that start something)
    #[arg(long, global = true, env = "TIDEGATE_WAIT", value_parser = FalseyValueParser::new(), overrides_with = "no_wait")]
    pub(crate) wait: bool,
    /// Return as soon as the server accepted it
    #[arg(long, global = true, env = "TIDEGATE_NO_WAIT", value_parser = FalseyValueParser::new())]
    pub(crate) no_wait: bool,
    /// Stop following after this long, `10m`; the deployment goes on
    #[arg(long, global = true, env = "TIDEGATE_TIMEOUT", value_name = "TIME")]
    pub(crate) timeout: Option<SignedDuration>,
    /// Why, for the journal
    #[arg(long, global = true, env = "TIDEGATE_REASON", value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Zone of printed times, `Europe/Berlin`; by default the machine's, in pipes UTC
    #[arg(long, global = true, env = "TIDEGATE_TZ", value_name = "ZONE")]
    pub(crate) tz: Option<String>,
}

impl Globals {
    /// The terminal that these flags ask for.
    ///
    /// # Errors
    /// TG7003 when the zone does not exist on this machine.
    pub(crate) fn terminal(&self) -> Result<Terminal, Failure> {
        let json = self.json.as_ref().map(|fields| {
            // The twin in the environment is a flag: `1` and `true` choose no field.
            let chosen = if matches!(fields.as_str(), "1" | "true") { "" } else { fields };
            let named = chosen.split(',').map(str::trim).filter(|field| !field.is_empty());
            named.map(ToOwned::to_owned).collect()
        });
        let mut terminal = Terminal::new(self.color, json, self.quiet, TimeZone::UTC);
        terminal.zone = match &self.tz {
            Some(name) => TimeZone::get(name).map_err(|error| {
                Failure::new(Exit::Usage, "TG7003", format!("{name} is not a time zone: {error}"))
            })?,
            None if terminal.is_screen() => TimeZone::system(),
            None => TimeZone::UTC,
        };
        Ok(terminal)
    }
}
