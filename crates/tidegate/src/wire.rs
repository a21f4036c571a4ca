//! Builds the graph: which journal, which drivers, which clock. The one place that names them all.
//! Must never decide anything else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use tidegate_audit::note::Signer;
use tidegate_core::digest::{self, Digest};
use tidegate_core::plan::Plan;
use tidegate_drivers::anchor::{FolderAnchor, GitAnchor, WebhookAnchor};
use tidegate_drivers::backup::{self, LocalBackups};
use tidegate_drivers::checks::{self, LocalChecks};
use tidegate_drivers::evidence::{self, LocalEvidence};
use tidegate_drivers::metrics::Sources;
use tidegate_drivers::notify::{self, Channels, Post};
use tidegate_drivers::recordings::{self, RecordingFiles};
use tidegate_drivers::runtime::{self, ProcessRuntime};
use tidegate_drivers::scm::{self, GitReleases};
use tidegate_drivers::traffic::{Embedded, ProxyProcess};
use tidegate_drivers::work::{self, LocalSteps};
use tidegate_engine::ports::{Anchor, Bind, Bound, Clock, Ports, Tags};
use tidegate_journal::Sqlite;

use crate::api::principal::user_name;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::people::Directory;
use crate::server;
use crate::server::settings::{Place, Settings};
use crate::server::supervisor::Supervised;
use crate::state_dir::StateDir;

/// Everything a server runs on.
pub(crate) struct Graph {
    /// What the engine needs.
    pub(crate) ports: Ports,
    /// The journal again, to close it.
    pub(crate) journal: Arc<Sqlite>,
    /// What lists the tags of a repository.
    pub(crate) tags: Arc<dyn Tags>,
    /// Who people are.
    pub(crate) directory: Directory,
    /// What the supervisor looks after.
    pub(crate) supervised: Supervised,
}

/// What the settings of a server say of the world outside the machine.
pub(crate) struct Outside {
    /// Where messages go.
    pub(crate) channels: Channels,
    /// How its pages are reached, once that is known.
    pub(crate) pages: Arc<OnceLock<String>>,
    /// The API of the host of the code, where it is not that of github.com.
    pub(crate) github_api: Option<String>,
}

impl Outside {
    /// As the settings have it.
    pub(crate) fn of(settings: &Settings, pages: &Arc<OnceLock<String>>) -> Self {
        Self {
            channels: settings.channels.clone(),
            pages: Arc::clone(pages),
            github_api: settings.github_api.clone(),
        }
    }
}

/// Opens the journal and makes the drivers of one machine.
///
/// # Errors
/// [`Failure`] when the journal is held by another server or cannot be read.
pub(crate) async fn graph(
    dir: &StateDir,
    kept: recordings::Config,
    outside: Outside,
) -> Result<Graph, Failure> {
    let Outside { channels, pages, github_api } = outside;
    let state_dir = dir.path().to_owned();
    let journal = Arc::new(server::sole::journal(dir).await?);
    let runtime = Arc::new(ProcessRuntime::new(runtime::Config {
        state_dir: state_dir.clone(),
        shim_command: own_command(&["shim"])?,
    }));
    let proxy = ProxyProcess::new(dir.proxy_socket(), proxy_command(dir)?, &state_dir);
    let recordings = Arc::new(RecordingFiles::new(kept));
    let releases = Arc::new(GitReleases::new(scm::Config { state_dir: state_dir.clone() }));
    let tags: Arc<dyn Tags> = releases.clone();
    let kept = evidence::Config { state_dir: state_dir.clone(), github_api };
    let owner = user_name(rustix::process::geteuid().as_raw());
    let directory = Directory::open(dir.people(), owner).map_err(|error| {
        Failure::new(
            Exit::Unexpected,
            "TG7044",
            format!("the book of accounts {} cannot be read: {error}", dir.people().display()),
        )
        .safe("nothing was started; the proxy serves its last table")
    })?;
    let ports = Ports {
        journal: journal.clone(),
        runtime: runtime.clone(),
        traffic: Arc::new(Embedded::new(dir.proxy_socket())),
        evidence: Arc::new(LocalEvidence::new(kept, Arc::clone(&releases))),
        releases,
        backups: Arc::new(LocalBackups::new(backup::Config { state_dir: state_dir.clone() })),
        steps: Arc::new(LocalSteps::new(work::Config {
            state_dir: state_dir.clone(),
            launcher: own_command(&["launch"])?,
        })),
        messages: Arc::new(Post::new(notify::Config {
            state_dir: state_dir.clone(),
            channels,
            pages,
        })),
        checks: Arc::new(LocalChecks::new(checks::Config { state_dir })),
        metrics: Arc::new(Sources::default()),
        recordings,
        clock: Arc::new(WallClock),
        bind: Arc::new(Declared),
        people: Arc::new(directory.clone()),
    };
    Ok(Graph { ports, journal, tags, directory, supervised: Supervised { proxy, runtime } })
}

/// The places of the settings that get checkpoints of the journal.
pub(crate) fn anchors(dir: &StateDir, places: &[Place], signer: &Signer) -> Vec<Arc<dyn Anchor>> {
    // The name is `tidegate/` and an id that is fit for a file and a branch.
    let name = signer.key().name();
    let log = name.rsplit('/').next().unwrap_or(name);
    let anchor = |place: &Place| -> Arc<dyn Anchor> {
        match place {
            Place::Folder(folder) => Arc::new(FolderAnchor::new(folder, log, dir.path())),
            Place::Git(remote) => Arc::new(GitAnchor::new(remote, log, dir.path())),
            Place::Webhook(url) => Arc::new(WebhookAnchor::new(url, log)),
        }
    };
    places.iter().map(anchor).collect()
}

/// The command line that starts the proxy of a state directory.
///
/// # Errors
/// [`Failure`] when this program does not know where it is.
pub(crate) fn proxy_command(dir: &StateDir) -> Result<Vec<OsString>, Failure> {
    let mut command = own_command(&["proxy", "run", "--state-dir"])?;
    command.push(dir.path().into());
    Ok(command)
}

/// This program with arguments.
fn own_command(arguments: &[&str]) -> Result<Vec<OsString>, Failure> {
    let program = std::env::current_exe().map_err(Failure::local)?;
    let arguments = arguments.iter().map(|argument| OsString::from(*argument));
    Ok(std::iter::once(program.into_os_string()).chain(arguments).collect())
}

/// The machine's clock.
#[derive(Debug)]
struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// D over what the plan declares.
#[derive(Debug)]
struct Declared;

impl Bind for Declared {
    fn bind(&self, plan: &Plan, artifact: &Digest) -> Bound {
        match tidegate_spec::components(plan, artifact) {
            Ok(components) => {
                Bound { binding: digest::bind(&components), parts: digest::parts(&components) }
            }
            // A plan that has no canonical bytes is bound to that fact: it equals no other plan.
            Err(error) => Bound {
                binding: Digest::of(format!("unbindable {artifact} {error}").as_bytes()),
                parts: BTreeMap::new(),
            },
        }
    }
}
