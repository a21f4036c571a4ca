//! Writes the journal of a server that has deployed for years: what `cargo xtask bench start` opens.
//!
//! The events are the real engine's own: it deploys again and again in the testkit's world, on a
//! virtual clock, one release in ten bad and rolled back. The stream of that one service is then
//! written under the names of several. Must never invent an event.
//!
//! `bench_history DIR DEPLOYMENTS SERVICES LISTEN` writes two journals with the same events,
//! DIR/snapshots with the newest snapshot of each service and DIR/bare without, and prints
//! `history DEPLOYMENTS SERVICES EVENTS`.

#![expect(clippy::print_stdout, reason = "a program whose output is read by another")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tidegate_core::event::{Event, Recorded};
use tidegate_core::ids::{Actor, DeploymentId, Scope};
use tidegate_core::input::Command;
use tidegate_core::plan::{PartKind, Plan};
use tidegate_engine::Engine;
use tidegate_engine::ports::{Journal as _, Snapshot};
use tidegate_engine::testkit::journal_suite::scope;
use tidegate_engine::testkit::memory_journal::MemoryJournal;
use tidegate_engine::testkit::sample;
use tidegate_engine::testkit::world::{Behaviour, World};
use tidegate_journal::Sqlite;

/// Stands in the simulated stream where the name of a service will stand: no other text has it.
const NAME: &str = "qzx";
/// One release in so many fails its users and comes back.
const BAD_EVERY: u32 = 10;
/// Failed requests of a thousand of a bad release: twice what the sample's rules allow.
const BAD_PER_MILLE: u64 = 100;
/// Virtual time in which a deployment ends: it takes about two minutes.
const ENDS_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// Time at each step and in the bake: as many events as with a longer one, sooner simulated, and
/// long enough for the sample's rule that rolls back after ten seconds.
const DWELL: SignedDuration = SignedDuration::from_secs(12);
/// Events of one append.
const CHUNK: usize = 500;

type Failed = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failed> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [dir, deployments, services, listen] = words.as_slice() else {
        return Err("usage: bench_history DIR DEPLOYMENTS SERVICES LISTEN".into());
    };
    let (deployments, services): (u32, u32) = (deployments.parse()?, services.parse()?);
    let each = deployments / services.max(1);
    let virtual_time =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let lived = virtual_time.block_on(live(each, listen))?;
    let disk = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = Path::new(dir);
    disk.block_on(write(&dir.join("snapshots"), &lived, services))?;
    let bare = Lived { snapshot: None, ..lived };
    disk.block_on(write(&dir.join("bare"), &bare, services))?;
    let events = bare.events.len() * usize::try_from(services)?;
    println!("history {} {services} {events}", each * services);
    Ok(())
}

/// The stream of one service, and the snapshot that its server kept last.
#[derive(Debug)]
struct Lived {
    events: Vec<Recorded>,
    snapshot: Option<Snapshot>,
}

async fn live(deployments: u32, listen: &str) -> Result<Lived, Failed> {
    let world = World::new(1, Timestamp::from_second(1_700_000_000)?);
    let journal = MemoryJournal::default();
    let engine = Engine::start(world.ports(Arc::new(journal.clone())), "bench").await?;
    let scope = scope(NAME);
    for number in 1..=deployments {
        let version = format!("v{number}");
        if number > 1 && number % BAD_EVERY == 0 {
            let bad = Behaviour { errors_per_mille: BAD_PER_MILLE, ..Behaviour::default() };
            world.behave(&version, bad);
        }
        let command = Command::Deploy {
            deployment: DeploymentId::new(format!("d-{NAME}-{number}"))?,
            plan: Box::new(plan(&version, listen)),
            supersede: false,
            despite_quarantine: false,
        };
        let ada = Actor::Person("ada".to_owned());
        let key = Some(format!("deploy-{version}"));
        engine.command(&scope, ada, key, command).await?;
        end(&engine, &scope).await?;
    }
    engine.stop().await;
    let events = journal.read(&scope, 0, u32::MAX).await?;
    let ended = events.iter().filter(|one| matches!(one.event, Event::DeploymentEnded { .. }));
    if ended.count() != usize::try_from(deployments)? {
        return Err("not every deployment ended".into());
    }
    Ok(Lived { events, snapshot: journal.snapshot(&scope).await? })
}

/// A plan of the sample's first part alone, on an address that is free on this machine.
fn plan(version: &str, listen: &str) -> Plan {
    let mut plan = sample::plan(version);
    plan.scope = scope(NAME);
    plan.parts.truncate(1);
    plan.traffic.dwell = DWELL;
    plan.bake.watch = DWELL;
    for part in &mut plan.parts {
        part.instances = 1;
        if let PartKind::Web(route) = &mut part.kind {
            route.listen = listen.to_owned();
            route.host = Some(format!("{NAME}.example"));
        }
    }
    plan
}

/// Waits until nothing is in flight.
async fn end(engine: &Engine, scope: &Scope) -> Result<(), Failed> {
    let mut published = engine.subscribe();
    let ended = tokio::time::timeout(ENDS_WITHIN, async {
        while engine.state(scope).is_none_or(|state| state.current.is_some()) {
            // A reader that lagged looks again all the same.
            drop(published.recv().await);
        }
    });
    ended.await.map_err(|_elapsed| format!("{scope} does not come to an end").into())
}

async fn write(dir: &Path, lived: &Lived, services: u32) -> Result<(), Failed> {
    let journal = Sqlite::open(dir).await?;
    let epoch = journal.acquire("bench", Timestamp::now()).await?;
    let text = serde_json::to_string(&lived.events)?;
    for number in 0..services {
        let name = format!("s{number}");
        let scope = scope(&name);
        let events: Vec<Recorded> = serde_json::from_str(&text.replace(NAME, &name))?;
        let mut head = 0;
        for chunk in events.chunks(CHUNK) {
            journal.append(&scope, head, epoch, chunk).await?;
            head += u64::try_from(chunk.len())?;
        }
        if let Some(kept) = &lived.snapshot {
            let bytes = String::from_utf8_lossy(&kept.bytes).replace(NAME, &name).into_bytes();
            let snapshot = Snapshot { seq: kept.seq, schema: kept.schema, bytes };
            journal.put_snapshot(&scope, &snapshot).await?;
        }
    }
    Ok(journal.close().await?)
}
