//! `tidegate user` and `tidegate token`: accounts of people, and access of machines.
//! Must never print a secret twice: what is handed out is shown once.

use clap::Subcommand;

use crate::cli::session::Session;
use crate::client::encode;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::view::people::{Accounts, Changed, Handed, MakeToken, Tokens, Wanted};

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Invite somebody: prints the code that sets the account up, once
    Invite(Account),
    /// Change an account; what is left out stays
    Set(Account),
    /// Every account
    List,
}

/// An account and what is wanted of it.
#[derive(Debug, clap::Args)]
pub(crate) struct Account {
    /// Its name
    name: String,
    /// What they are: administrator, release-manager, sre, devops, qa, developer
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Their groups
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Addresses and handles by which repositories know them
    #[arg(long = "known-as", value_name = "NAME")]
    names: Vec<String>,
    /// The account that is the same human being's: both count as one
    #[arg(long, value_name = "ACCOUNT")]
    same_as: Option<String>,
    /// Whether it may be used
    #[arg(long, value_name = "YES")]
    active: Option<bool>,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make one for a machine: prints it, once
    Create {
        /// Its name
        name: String,
        /// What it may do: read, deploy, hold, ...; never approve
        #[arg(long = "may", value_name = "ACT", required = true)]
        acts: Vec<String>,
        /// Only this service; may be given more than once
        #[arg(long = "only", value_name = "SERVICE")]
        services: Vec<String>,
        /// How many days it lives
        #[arg(long, default_value_t = 90)]
        days: u16,
    },
    /// Every token, without what makes it one
    List,
    /// Take one back
    Revoke {
        /// Its name
        name: String,
    },
}

/// Runs `tidegate user`.
///
/// # Errors
/// [`Failure`] when no server answers, or it says no.
pub(crate) async fn user(session: &Session, verb: &User) -> Result<Exit, Failure> {
    match verb {
        User::Invite(account) => {
            let path = format!("/v1/people/{}/invite", encode(&account.name));
            if let Some(handed) = session.change::<_, Handed>(&path, &account.wanted()).await? {
                hand_over(session, &handed)?;
                session.terminal.say(&format!(
                    "  for {}: `tidegate login --set-up --account {}`, within three days",
                    account.name, account.name
                ));
            }
        }
        User::Set(account) => {
            let path = format!("/v1/people/{}", encode(&account.name));
            if let Some(said) = session.change::<_, Changed>(&path, &account.wanted()).await? {
                session.terminal.line(&said.sentence)?;
            }
        }
        User::List => {
            let all: Accounts = session.client.get("/v1/people").await?;
            if session.terminal.is_json() {
                session.terminal.json(&all)?;
                return Ok(Exit::Done);
            }
            for account in &all.accounts {
                let state = match (account.active, account.ready) {
                    (false, _) => "disabled",
                    (true, false) => "invited",
                    (true, true) => "active",
                };
                session.terminal.line(&format!(
                    "{:<16} {state:<8} {} [{}]",
                    account.name,
                    account.roles.join(", "),
                    account.groups.join(", ")
                ))?;
            }
        }
    }
    Ok(Exit::Done)
}

/// Runs `tidegate token`.
///
/// # Errors
/// [`Failure`] when no server answers, or it says no.
pub(crate) async fn token(session: &Session, verb: &Token) -> Result<Exit, Failure> {
    match verb {
        Token::Create { name, acts, services, days } => {
            let asked = MakeToken {
                name: name.clone(),
                acts: acts.clone(),
                services: services.clone(),
                days: *days,
            };
            if let Some(handed) = session.change::<_, Handed>("/v1/tokens", &asked).await? {
                hand_over(session, &handed)?;
                session.terminal.say("  give it to the machine as TIDEGATE_TOKEN");
            }
        }
        Token::List => {
            let all: Tokens = session.client.get("/v1/tokens").await?;
            if session.terminal.is_json() {
                session.terminal.json(&all)?;
                return Ok(Exit::Done);
            }
            for token in &all.tokens {
                session.terminal.line(&format!(
                    "{:<16} until {:.0} {} [{}]",
                    token.name,
                    token.expires,
                    token.acts.join(", "),
                    token.services.join(", ")
                ))?;
            }
        }
        Token::Revoke { name } => {
            let path = format!("/v1/tokens/{}/revoke", encode(name));
            let said = session.change::<_, Changed>(&path, &serde_json::json!({})).await?;
            if let Some(said) = said {
                session.terminal.line(&said.sentence)?;
            }
        }
    }
    Ok(Exit::Done)
}

fn hand_over(session: &Session, handed: &Handed) -> Result<(), Failure> {
    if session.terminal.is_json() {
        return session.terminal.json(handed);
    }
    session.terminal.line(&handed.secret)
}

impl Account {
    fn wanted(&self) -> Wanted {
        let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
        Wanted {
            roles: some(&self.roles),
            groups: some(&self.groups),
            names: some(&self.names),
            person: self.same_as.clone(),
            active: self.active,
        }
    }
}
