//! `tidegate login`, `logout`, `whoami`: who asks. Both factors are read from the terminal without
//! an echo, or from the lines of stdin. Must never take a secret as an argument.

use std::io::{BufRead, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::cli::session::Session;
use crate::client::credentials;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::people::{Changed, Confirm, Handed, Link, SetUp, SignIn, Whoami};

/// Arguments of `login`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The account; the user of this machine by default
    #[arg(long, value_name = "NAME", env = "TIDEGATE_ACCOUNT")]
    account: Option<String>,
    /// Use an invitation: sets the password and prints the secret of the second factor
    #[arg(long)]
    set_up: bool,
    /// Show the second factor again, for an act that asks for it
    #[arg(long, conflicts_with = "set_up")]
    confirm: bool,
    /// Print a link that signs the owner of this machine's server in, in a browser, once
    #[arg(long, conflicts_with_all = ["set_up", "confirm", "account"])]
    link: bool,
}

/// Arguments of `logout` and `whoami`.
#[derive(Debug, clap::Args)]
pub(crate) struct Nothing {}

/// Signs in, sets up, or confirms.
///
/// # Errors
/// [`Failure`] when no server answers, or it says no.
pub(crate) async fn run(session: &Session, args: &Args) -> Result<Exit, Failure> {
    if args.confirm {
        let code = ask(session, "one-time code")?;
        let path = "/v1/session/confirm";
        let said: Changed = session.client.post(path, &Confirm { code }).await?;
        session.terminal.line(&said.sentence)?;
        return Ok(Exit::Done);
    }
    if args.link {
        let client = session.client.without_token();
        let made: Link = client.post("/v1/session/link", &serde_json::json!({})).await?;
        if session.terminal.is_json() {
            session.terminal.json(&made)?;
        } else {
            session.terminal.line(&made.url)?;
            session.terminal.say(&format!("  works once, until {:.0}", made.expires));
        }
        return Ok(Exit::Done);
    }
    let account = args.account.clone().ok_or_else(|| {
        Failure::new(Exit::Usage, "TG7003", "which account?")
            .safe("nothing was changed")
            .help("`tidegate login --account NAME`")
    })?;
    if args.set_up {
        let invitation = ask(session, "invitation")?;
        let password = ask(session, "new password (12 characters or more)")?;
        let asked = SetUp { account: account.clone(), invitation, password };
        let handed: Handed = session.client.without_token().post("/v1/setup", &asked).await?;
        session.terminal.line(&format!("{account} is set up"))?;
        session.terminal.line(&format!("second factor: {}", handed.secret))?;
        session.terminal.line(&format!(
            "  otpauth://totp/Tidegate:{account}?secret={}&issuer=Tidegate",
            handed.secret
        ))?;
        session
            .terminal
            .say("  give it to an authenticator, it is shown once; then `tidegate login`");
        return Ok(Exit::Done);
    }
    let password = ask(session, "password")?;
    let code = ask(session, "one-time code")?;
    let asked = SignIn { account: account.clone(), password, code };
    let handed: Handed = session.client.without_token().post("/v1/session", &asked).await?;
    credentials::keep(session.client.door(), Some(&handed.secret))?;
    let until = handed.expires.map(|at| format!(" until {at:.0}")).unwrap_or_default();
    session.terminal.line(&format!("signed in as {account}{until}"))?;
    Ok(Exit::Done)
}

/// Ends the session, here and at the server.
///
/// # Errors
/// [`Failure`] when no server answers.
pub(crate) async fn logout(session: &Session, _args: &Nothing) -> Result<Exit, Failure> {
    let ended: Result<Changed, Failure> =
        session.client.post("/v1/session/end", &serde_json::json!({})).await;
    credentials::keep(session.client.door(), None)?;
    ended?;
    session.terminal.line("signed out")?;
    Ok(Exit::Done)
}

/// Says who asks and what they may do.
///
/// # Errors
/// [`Failure`] when no server answers.
pub(crate) async fn whoami(session: &Session, _args: &Nothing) -> Result<Exit, Failure> {
    let who: Whoami = session.client.get("/v1/whoami").await?;
    if session.terminal.is_json() {
        session.terminal.json(&who)?;
        return Ok(Exit::Done);
    }
    let kind = if who.human { "a person" } else { "a machine" };
    session.terminal.line(&format!("{}, {kind}, known by {}", who.name, who.factor))?;
    session.terminal.line(&format!("  roles {}", who.roles.join(", ")))?;
    session.terminal.line(&format!("  may   {}", who.acts.join(", ")))?;
    Ok(Exit::Done)
}

/// One line that nobody sees, or the next line of stdin.
fn ask(session: &Session, what: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let mut line = String::new();
    if stdin.is_terminal() && !session.globals.no_input {
        let mut screen = std::io::stderr();
        write!(screen, "{what}: ").and_then(|()| screen.flush()).map_err(Failure::local)?;
        let shown = tcgetattr(&stdin).map_err(Failure::local)?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(Failure::local)?;
        let read = stdin.lock().read_line(&mut line);
        tcsetattr(&stdin, OptionalActions::Flush, &shown).map_err(Failure::local)?;
        read.map_err(Failure::local)?;
        session.terminal.complain("");
    } else {
        stdin.lock().read_line(&mut line).map_err(Failure::local)?;
    }
    let line = line.trim_end_matches(['\r', '\n']).to_owned();
    if line.is_empty() {
        return Err(Failure::new(Exit::Usage, "TG7008", format!("no {what} was given"))
            .safe("nothing was changed")
            .help("type it, or write it into stdin, one line each"));
    }
    Ok(line)
}
