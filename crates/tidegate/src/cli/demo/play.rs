//! The run itself: server, first release, users, a good release, a bad release, the numbers.
//! It must never skip the curtain, whatever happens before it.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, timeout};

use super::course::{deploy, start_server, tidegate};
use super::curtain;
use super::keys::{Key, Keys};
use super::load::Load;
use super::scene::{Fail, Scene};
use super::summary::{Closing, Evidence, Summary, sum_up};
use super::voice::{Voice, in_words};
use crate::client::{Client, Door};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::terminal::{Style, Terminal, styled};
use crate::view::people::Link;
use crate::view::service::{Traffic, Verified};

/// The server opens an empty journal: a moment, or a few on a busy machine.
const SERVER_WITHIN: Duration = Duration::from_secs(30);
/// How often it is asked whether it is there.
const SERVER_LOOK: Duration = Duration::from_millis(50);
/// Requests go on for this long after the bad release is said to be gone, to see that it is.
const AFTERMATH: Duration = Duration::from_secs(1);
/// The first users are moved within this after a deployment began, on a busy machine too.
const SHIFT_WITHIN: Duration = Duration::from_mins(2);
/// How often it is asked whether they are.
const SHIFT_LOOK: Duration = Duration::from_millis(100);
/// How often the moving line is drawn while somebody looks around.
const REDRAW: Duration = Duration::from_millis(250);

/// What the person wants to see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wishes {
    pub(crate) fail: Fail,
    pub(crate) rate: u32,
    pub(crate) keep: bool,
    pub(crate) with_rules: bool,
    /// Whether the proxy is replaced in the middle of the good release.
    pub(crate) upgrade_proxy: bool,
    /// Whether somebody is there to look around at the end.
    pub(crate) stays: bool,
}

/// What must be taken down again.
#[derive(Debug, Default)]
struct Set {
    server: Option<Child>,
    load: Option<Load>,
}

/// Plays all of it.
///
/// # Errors
/// TG7090 when the scene cannot be set, TG7091 when the run cannot go on, TG7092 when something
/// of it is left.
pub(crate) async fn perform(terminal: &Terminal, wishes: &Wishes) -> Result<Exit, Failure> {
    let voice = Voice::new(terminal);
    let scene = Scene::set(wishes.fail, wishes.with_rules).await.map_err(|error| {
        Failure::new(Exit::Unexpected, "TG7090", format!("{error:#}"))
            .safe("nothing was started")
            .help("it needs git, and room in the directory for temporary files")
    })?;
    voice.scene(&scene);
    let mut set = Set::default();
    let mut stop = Interrupt::listen().map_err(Failure::local)?;
    let ended = tokio::select! {
        ended = run(&scene, &voice, wishes, &mut set) => ended.map(Some),
        () = stop.heard() => Ok(None),
    };
    let log = server_words(&scene);
    voice.explain("  ending the shop, its proxy and its server ...");
    if let Some(load) = set.load.take() {
        load.stop().await;
    }
    let left = curtain::fall(scene, set.server.take(), wishes.keep)
        .await
        .map_err(|what| Failure::new(Exit::Unexpected, "TG7092", what));
    let ended = match ended {
        Ok(Some(summary)) => summary,
        Ok(None) => {
            left?;
            voice.say("interrupted; all of it is stopped");
            return Ok(Exit::Unexpected);
        }
        Err(error) => {
            return Err(Failure::new(Exit::Unexpected, "TG7091", format!("{error:#}"))
                .safe("only the demo's own processes and directory were touched")
                .help(log));
        }
    };
    if let Some(kept) = left? {
        voice.explain(&format!("  kept: {}", kept.display()));
    }
    // In NDJSON the summary is the last line, so it waits for everything else.
    if voice.is_json() {
        voice.close(&Closing { summary: ended.clone() }, &[]);
    }
    Ok(if ended.holds() { Exit::Done } else { Exit::Unexpected })
}

/// Waits until the deployment under way moves users, then puts another process in the proxy's
/// place, as an operator does.
async fn upgrade_proxy(scene: &Scene, voice: &Voice<'_>) -> anyhow::Result<()> {
    let client = Client::new(Door::Socket(scene.state_dir().join("server.sock")));
    let deadline = Instant::now() + SHIFT_WITHIN;
    let mut look = interval(SHIFT_LOOK);
    loop {
        look.tick().await;
        let asked = client.get::<Traffic>("/v1/services/shop/traffic").await;
        let traffic =
            asked.map_err(|failure| anyhow::anyhow!("{} {}", failure.code, failure.what))?;
        let split = traffic.parts.first().and_then(|part| part.split.as_ref());
        if split.is_some_and(|split| split.set.len() > 1) {
            break;
        }
        if Instant::now() >= deadline {
            bail!("no users were moved, so the proxy was not replaced");
        }
    }
    let output = tidegate(scene, &["proxy", "upgrade", "--json"]).output().await?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!(
            "`tidegate proxy upgrade`: {}",
            crate::text::plain(&String::from_utf8_lossy(&output.stderr))
        );
    }
    let pids: Upgraded = serde_json::from_str(&said).context("`tidegate proxy upgrade`")?;
    voice
        .say(&format!("the proxy is another process: pid {} instead of {}", pids.now, pids.before));
    Ok(())
}

/// What `tidegate proxy upgrade --json` says.
#[derive(Debug, serde::Deserialize)]
struct Upgraded {
    before: u32,
    now: u32,
}

/// The last words of the server, for an error that it may explain.
fn server_words(scene: &Scene) -> String {
    let text = std::fs::read_to_string(scene.directory().join("server.out")).unwrap_or_default();
    match text.lines().last() {
        Some(line) => format!("the server's last words: {}", crate::text::plain(line)),
        None => "run it again with --keep and look at the server's log".to_owned(),
    }
}

struct Interrupt {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interrupt {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn heard(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn run(
    scene: &Scene,
    voice: &Voice<'_>,
    wishes: &Wishes,
    set: &mut Set,
) -> anyhow::Result<Summary> {
    set.server = Some(start_server(scene, &scene.directory().join("server.out"))?);
    let client = Client::new(Door::Socket(scene.state_dir().join("server.sock")));
    wait_for_server(&client, set).await?;
    show_pages(&client, voice).await?;
    voice.say("v1: the first release of the shop, with nothing to compare it with");
    let first = deploy(scene, "v1", voice, None).await?;
    if !matches!(first.result.as_str(), "succeeded" | "live_unverified") {
        bail!("v1 is {}, so there is no shop to show", first.result.replace('_', " "));
    }
    let load = set.load.insert(Load::start(scene.address, wishes.rate));
    voice.say(&format!("users: {} new ones a second at http://{}/", wishes.rate, scene.address));
    voice.say("v2: a good release, in steps of 5, 25, 50 and 100 %");
    let good = if wishes.upgrade_proxy {
        let (good, upgraded) =
            tokio::join!(deploy(scene, "v2", voice, Some(load)), upgrade_proxy(scene, voice));
        upgraded?;
        good?
    } else {
        deploy(scene, "v2", voice, Some(load)).await?
    };
    voice.say(&format!("v3: a release that {}", wishes.fail.words()));
    let bad = deploy(scene, "v3", voice, Some(load)).await?;
    tokio::time::sleep(AFTERMATH).await;
    let Some(records) = load.ledger().close() else {
        bail!("more requests than can be counted; use a lower --rate");
    };
    let journal_verified =
        client.get::<Verified>("/v1/journal/verify").await.is_ok_and(|journal| journal.verified);
    let summary = sum_up(&Evidence {
        records: &records,
        good: &good,
        bad: &bad,
        fail: wishes.fail,
        journal_verified,
    });
    if !voice.is_json() {
        voice.close(&(), &in_words(&summary));
    }
    if wishes.stays {
        stay(scene, voice, load).await?;
    }
    Ok(summary)
}

/// Says where all of it can be watched: a link as `tidegate login --link` prints it.
async fn show_pages(client: &Client, voice: &Voice<'_>) -> anyhow::Result<()> {
    let made = client.post::<_, Link>("/v1/session/link", &serde_json::json!({})).await;
    let link = made.map_err(|failure| anyhow::anyhow!("{} {}", failure.code, failure.what))?;
    voice.pages(&link.url);
    Ok(())
}

async fn wait_for_server(client: &Client, set: &mut Set) -> anyhow::Result<()> {
    let mut look = interval(SERVER_LOOK);
    let answered = timeout(SERVER_WITHIN, async {
        loop {
            look.tick().await;
            if client.answers().await {
                return Ok(());
            }
            if let Some(server) = &mut set.server
                && let Some(status) = server.try_wait()?
            {
                bail!("the server ended at once with {status}");
            }
        }
    });
    answered.await.context("the server does not answer")?
}

/// The shop stays open until somebody has seen enough.
async fn stay(scene: &Scene, voice: &Voice<'_>, load: &Load) -> anyhow::Result<()> {
    let mut keys = Keys::read().context("the terminal gives no keys")?;
    voice.set_raw(true);
    let ended = look_around(scene, voice, load, &mut keys).await;
    voice.set_raw(false);
    ended
}

async fn look_around(
    scene: &Scene,
    voice: &Voice<'_>,
    load: &Load,
    keys: &mut Keys,
) -> anyhow::Result<()> {
    let own = format!("{} --state-dir {}", scene.program().display(), scene.state_dir().display());
    voice.explain(&format!("  The shop      http://{}/", scene.address));
    voice.explain(&format!("  Its state     {own} status --service shop"));
    voice.explain(&format!("  What happened {own} timeline --service shop"));
    voice.explain("  Your own      tidegate init  in your repository");
    let keys_line = styled(Style::Strong, "  q ends it, R deploys the good build again");
    voice.explain(&keys_line);
    let mut next_version = 4;
    let mut redraw = interval(REDRAW);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            key = keys.next() => match key {
                Key::Quit => return Ok(()),
                Key::Again => {
                    scene.add_good_release(next_version).await?;
                    let version = format!("v{next_version}");
                    let again = deploy(scene, &version, voice, Some(load));
                    let course = tokio::select! {
                        course = again => course?,
                        () = quit(keys) => return Ok(()),
                    };
                    voice.explain(&format!("  v{next_version}: {}", course.result.replace('_', " ")));
                    voice.explain(&keys_line);
                    next_version += 1;
                }
            },
            _ = redraw.tick() => {
                let seconds = last.elapsed().as_secs_f64();
                last = Instant::now();
                voice.pulse("live", &load.ledger().pulse(), seconds);
            }
        }
    }
}

/// Waits for the key that ends it; the others mean nothing while a deployment runs.
async fn quit(keys: &mut Keys) {
    while keys.next().await != Key::Quit {}
}
