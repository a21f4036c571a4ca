//! `tidegate context`: servers by name, and which one commands ask. A file of this user.
//! Must never hold a token: those have a file of their own.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::session::Session;
use crate::client::Door;
use crate::durable;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, styled};

/// Longest file, bytes: a line a server.
const FILE_BYTES_MAX: usize = 64 * 1024;
/// Longest name of a context, bytes.
const NAME_BYTES_MAX: usize = 64;

/// The verbs of contexts.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Which servers have names, and which one is asked
    List,
    /// Give a server a name
    Add {
        /// The name
        name: String,
        /// `https://NAME[:PORT]`, or the path of a socket
        server: String,
    },
    /// Ask this server from here on; without a name, the one of this machine
    Use {
        /// The name
        name: Option<String>,
    },
    /// Forget a server; its sign-in is forgotten by `tidegate logout`
    Remove {
        /// The name
        name: String,
    },
}

/// What the file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is asked when nothing else is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    /// Servers by name.
    #[serde(default)]
    servers: BTreeMap<String, String>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure`] when the file cannot be read or written, or a name is not known.
pub(crate) fn run(session: &Session, verb: &Verb) -> Result<Exit, Failure> {
    let path = file().ok_or_else(|| Failure::local("neither XDG_CONFIG_HOME nor HOME is set"))?;
    let mut known = read(&path)?;
    match verb {
        Verb::List => return list(session, &known),
        Verb::Add { name, server } => {
            check(name)?;
            let door = Door::parse(server)?.to_string();
            known.servers.insert(name.clone(), door.clone());
            write(&path, &known).map_err(Failure::local)?;
            session.terminal.line(&format!("{name} is {door}"))?;
            session.terminal.say(&format!("  `tidegate context use {name}` asks it from here on"));
        }
        Verb::Use { name: Some(name) } => {
            let door = known.servers.get(name).cloned().ok_or_else(|| unknown(name))?;
            known.current = Some(name.clone());
            write(&path, &known).map_err(Failure::local)?;
            session.terminal.line(&format!("{name} ({door}) is asked from here on"))?;
        }
        Verb::Use { name: None } => {
            known.current = None;
            write(&path, &known).map_err(Failure::local)?;
            session.terminal.line("the server of this machine is asked from here on")?;
        }
        Verb::Remove { name } => {
            known.servers.remove(name).ok_or_else(|| unknown(name))?;
            known.current = known.current.filter(|current| current != name);
            write(&path, &known).map_err(Failure::local)?;
            session.terminal.line(&format!("{name} is forgotten"))?;
        }
    }
    Ok(Exit::Done)
}

fn list(session: &Session, known: &Contexts) -> Result<Exit, Failure> {
    if session.terminal.is_json() {
        session.terminal.json(known)?;
        return Ok(Exit::Done);
    }
    for (name, door) in &known.servers {
        let asked = known.current.as_ref() == Some(name);
        let mark = if asked { "*" } else { " " };
        session.terminal.line(&format!("{mark} {} {door}", styled(Style::Strong, name)))?;
    }
    if known.current.is_none() {
        session.terminal.say("the server of this machine is asked");
    }
    Ok(Exit::Done)
}

/// The server that flags or the file name; `None` for the one of this machine.
///
/// # Errors
/// TG7018 when there is no such context.
pub(crate) fn door(server: Option<&str>, named: Option<&str>) -> Result<Option<Door>, Failure> {
    if let Some(server) = server {
        return Door::parse(server).map(Some);
    }
    let Some(path) = file() else {
        return named.map_or(Ok(None), |name| Err(unknown(name)));
    };
    let known = match named {
        Some(_) => read(&path)?,
        // A file that cannot be read keeps nobody from the server of this machine.
        None => read(&path).unwrap_or_default(),
    };
    let name = named.map(ToOwned::to_owned).or_else(|| known.current.clone());
    let Some(name) = name else { return Ok(None) };
    let server = known.servers.get(&name).ok_or_else(|| unknown(&name))?;
    Door::parse(server).map(Some)
}

fn unknown(name: &str) -> Failure {
    Failure::new(Exit::NotFound, "TG7018", format!("there is no context {name}"))
        .safe("nothing was asked")
        .help("`tidegate context list`, `tidegate context add NAME SERVER`")
}

fn check(name: &str) -> Result<(), Failure> {
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if fits {
        return Ok(());
    }
    let what = format!("a context's name has 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `.`");
    Err(Failure::new(Exit::Usage, "TG7003", what).safe("nothing was changed"))
}

fn file() -> Option<PathBuf> {
    crate::client::credentials::folder().map(|folder| folder.join("contexts.json"))
}

fn read(path: &Path) -> Result<Contexts, Failure> {
    let broken = |what: &io::Error| {
        Failure::new(Exit::Usage, "TG7018", format!("{}: {what}", path.display()))
            .safe("nothing was asked")
            .help("mend or remove the file; it holds names of servers and nothing else")
    };
    durable::read(path, FILE_BYTES_MAX).map_err(|error| broken(&error))
}

fn write(path: &Path, known: &Contexts) -> io::Result<()> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    durable::replace(path, &serde_json::to_vec_pretty(known).map_err(io::Error::other)?)
}
