//! One run of a command: its terminal, its server, and what its arguments mean.
//! Must never guess between two deployments or two services.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::globals::Globals;
use super::{context, project};
use crate::client::{Client, encode};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::server;
use crate::state_dir::StateDir;
use crate::terminal::{Style, Terminal, styled};
use crate::view::service::{Service, Services};
use crate::view::{Deployment, Rows};

/// Deployments that are looked through for a version.
const ROWS_LOOKED_AT: u32 = 1_000;

/// One run of a command.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where it prints.
    pub(crate) terminal: Terminal,
    /// Its global flags.
    pub(crate) globals: Globals,
    /// The state directory that is meant.
    pub(crate) dir: StateDir,
    /// Its server.
    pub(crate) client: Client,
}

/// Which deployment is meant when none is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unnamed {
    /// The one in flight; there must be one.
    InFlight,
    /// The one in flight, else the newest.
    Newest,
}

/// A service, and its environment when it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The service.
    pub(crate) service: String,
    /// The environment.
    pub(crate) environment: Option<String>,
}

impl Session {
    /// Makes the session of these flags. Connects to nothing.
    ///
    /// # Errors
    /// [`Failure`] when a flag names what does not exist.
    pub(crate) fn new(globals: Globals) -> Result<Self, Failure> {
        let terminal = globals.terminal()?;
        let dir = StateDir::locate(globals.state_dir.as_deref())
            .map_err(|error| server::refused_dir(&error))?;
        // Who names a state directory means the server in it, whatever context is in use.
        let here = globals.state_dir.is_some() && globals.context.is_none();
        let door = match (&globals.server, here) {
            (None, true) => None,
            (server, _) => context::door(server.as_deref(), globals.context.as_deref())?,
        };
        let client = door.map_or_else(|| Client::of(&dir), Client::new);
        Ok(Self { terminal, globals, dir, client })
    }

    /// The service that is meant: the flag, else what the configuration here names.
    pub(crate) fn service_here(&self) -> Option<Named> {
        let file = project::config(self.globals.config.as_deref())
            .and_then(|file| project::read(&file).ok())
            .map(|bytes| project::named_in(&String::from_utf8_lossy(&bytes)));
        let (in_file, place) = file.unwrap_or_default();
        match &self.globals.service {
            Some(service) => Some(Named {
                service: service.clone(),
                environment: self.globals.environment.clone(),
            }),
            None => Some(Named {
                service: in_file?,
                environment: self.globals.environment.clone().or(place),
            }),
        }
    }

    /// The service that is meant; the only one the server knows when nothing here names one.
    ///
    /// # Errors
    /// TG7010 when several could be meant, or none.
    pub(crate) async fn service(&self) -> Result<Named, Failure> {
        if let Some(named) = self.service_here() {
            return Ok(named);
        }
        let services = self.services().await?;
        let wanted = self.globals.environment.as_deref();
        let fits = |service: &&Service| wanted.is_none_or(|name| service.environment == name);
        let fitting: Vec<&Service> = services.iter().filter(fits).collect();
        match fitting.as_slice() {
            [only] => Ok(Named {
                service: only.service.clone(),
                environment: Some(only.environment.clone()),
            }),
            [] => Err(Failure::new(Exit::NotFound, "TG7010", "nothing was deployed yet")
                .help("`tidegate init`, then `tidegate deploy`")),
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|service| format!("{}/{}", service.service, service.environment))
                    .collect();
                Err(Failure::new(
                    Exit::Usage,
                    "TG7010",
                    format!("which service? there are {}", names.join(", ")),
                )
                .safe("nothing was changed")
                .help("name it with `--service`, or run this in its repository"))
            }
        }
    }

    async fn services(&self) -> Result<Vec<Service>, Failure> {
        Ok(self.client.get::<Services>("/v1/services").await?.services)
    }

    /// The id of the deployment that is meant.
    ///
    /// # Errors
    /// TG7002 when there is none.
    pub(crate) async fn deployment(
        &self,
        named: Option<&str>,
        unnamed: Unnamed,
    ) -> Result<String, Failure> {
        match named {
            None | Some("current") => self.unnamed(unnamed).await,
            Some(text) => match text.split_once('@') {
                Some((service, version)) => self.by_version(service, version).await,
                None => Ok(text.to_owned()),
            },
        }
    }

    async fn unnamed(&self, unnamed: Unnamed) -> Result<String, Failure> {
        let here = self.service_here();
        let environment = here
            .as_ref()
            .map_or(self.globals.environment.as_ref(), |named| named.environment.as_ref());
        let services = self.services().await?;
        let mut in_flight = services
            .iter()
            .filter(|service| here.as_ref().is_none_or(|named| named.service == service.service))
            .filter(|service| environment.is_none_or(|name| *name == service.environment))
            .filter_map(|service| service.current.as_ref());
        match (in_flight.next(), in_flight.next()) {
            (Some(only), None) => return Ok(only.clone()),
            (Some(one), Some(other)) => {
                return Err(Failure::new(
                    Exit::Usage,
                    "TG7010",
                    format!("which deployment? {one} and {other} are in flight"),
                )
                .safe("nothing was changed")
                .help("name it, or its service with `--service`"));
            }
            (None, _) => {}
        }
        let of = here.as_ref().map_or_else(String::new, |named| format!(" of {}", named.service));
        if unnamed == Unnamed::InFlight {
            return Err(Failure::new(
                Exit::NotFound,
                "TG7002",
                format!("no deployment{of} is in flight"),
            )
            .safe("nothing was changed")
            .help("see what there is: `tidegate list`"));
        }
        let service = here.as_ref().map(|named| named.service.as_str());
        let path = rows_path(service, environment.map(String::as_str), 1);
        let rows: Rows = self.client.get(&path).await?;
        rows.deployments.into_iter().next().map(|row| row.id).ok_or_else(|| {
            Failure::new(Exit::NotFound, "TG7002", format!("there is no deployment{of} yet"))
                .help("`tidegate deploy` starts one")
        })
    }

    async fn by_version(&self, service: &str, version: &str) -> Result<String, Failure> {
        let environment = self.globals.environment.as_deref();
        let path = rows_path(Some(service), environment, ROWS_LOOKED_AT);
        let rows: Rows = self.client.get(&path).await?;
        let found = rows.deployments.into_iter().find(|row| row.version == version);
        found.map(|row| row.id).ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                "TG7002",
                format!("{service} has no deployment of {version}"),
            )
            .help(format!("see what there is: `tidegate list --service {service}`"))
        })
    }

    /// A deployment as the server shows it.
    ///
    /// # Errors
    /// [`Failure`] when no server answers, or it knows none of that id.
    pub(crate) async fn show(&self, id: &str) -> Result<Deployment, Failure> {
        self.client.get(&format!("/v1/deployments/{}", encode(id))).await
    }

    /// Asks for a change; with `--dry-run` prints the call instead and answers with nothing.
    ///
    /// # Errors
    /// [`Failure`] when no server answers, or what it answered with a problem.
    pub(crate) async fn change<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<Option<T>, Failure> {
        if self.globals.dry_run {
            let body = serde_json::to_string(body).map_err(Failure::local)?;
            self.terminal.line(&format!("would call: POST {path} {body}"))?;
            return Ok(None);
        }
        self.client.post(path, body).await.map(Some)
    }

    /// Says that a change was accepted, and what follows: the words, or the deployment as JSON.
    ///
    /// # Errors
    /// [`Failure`] when the server went away meanwhile.
    pub(crate) async fn told(&self, id: &str, words: &str) -> Result<Exit, Failure> {
        let shown = self.show(id).await?;
        if self.terminal.is_json() {
            self.terminal.json(&shown)?;
        } else {
            self.terminal.line(&format!("{id} {words}"))?;
            self.terminal.say(&format!("  {}", shown.sentence));
        }
        Ok(Exit::Done)
    }

    /// Asks a person for a yes. `-y` answers it; without a person it is an error.
    ///
    /// # Errors
    /// TG7008 when nobody can be asked, or the answer was no.
    pub(crate) fn confirm(&self, question: &str, help: &str) -> Result<(), Failure> {
        if self.globals.yes || self.globals.dry_run {
            return Ok(());
        }
        let unasked = |what: String| {
            Failure::new(Exit::Usage, "TG7008", what).safe("nothing was changed").help(help)
        };
        if self.globals.no_input || !self.terminal.can_ask() {
            return Err(unasked(format!("nobody can answer: {question}")));
        }
        self.terminal.complain(&format!("{} [y/N]", styled(Style::Strong, question)));
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map_err(Failure::local)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(unasked("the answer was no".to_owned())),
        }
    }
}

/// The path of the list of deployments.
pub(crate) fn rows_path(service: Option<&str>, environment: Option<&str>, limit: u32) -> String {
    let service = service.map(|name| format!("&service={}", encode(name)));
    let environment = environment.map(|name| format!("&environment={}", encode(name)));
    let (service, environment) = (service.unwrap_or_default(), environment.unwrap_or_default());
    format!("/v1/deployments?limit={limit}{service}{environment}")
}

/// The path of a service's resource, with the environment as its query.
pub(crate) fn service_path(named: &Named, resource: &str) -> String {
    let environment = named.environment.as_ref();
    let query = environment.map(|name| format!("?environment={}", encode(name)));
    format!("/v1/services/{}/{resource}{}", encode(&named.service), query.unwrap_or_default())
}
