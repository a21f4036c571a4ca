//! First the journal, then the world and whoever asked: a store that never confirms an append must
//! keep everything else waiting.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tidegate_core::ids::Actor;
use tidegate_core::input::Command;
use tidegate_engine::engine::{CommandError, Engine, Receipt};
use tidegate_engine::testkit::memory_journal::{Attempt, Fault, Faults, MemoryJournal};
use tidegate_engine::testkit::sample;
use tidegate_engine::testkit::world::World;

/// Far longer than anything takes in a kind world.
const PATIENCE: Duration = Duration::from_secs(600);

/// No append is written, and none is answered.
#[derive(Debug)]
struct Mute;

impl Faults for Mute {
    fn before(&self, _attempt: Attempt<'_>) -> Fault {
        Fault::Hang
    }
}

/// Asks for a deployment on a journal that never confirms anything: the answer, if there was one,
/// and the world.
fn ask() -> (Option<Result<Receipt, CommandError>>, World) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let world = World::new(7, Timestamp::UNIX_EPOCH);
        let journal = MemoryJournal::new(Arc::new(Mute));
        let engine = Engine::start(world.ports(Arc::new(journal)), "order").await.unwrap();
        let command = Command::Deploy {
            deployment: sample::deployment(1),
            plan: Box::new(sample::plan("v1")),
            supersede: false,
            despite_quarantine: false,
        };
        let (scope, actor) = (sample::scope(), Actor::Person("mira".to_owned()));
        let asked = engine.command(&scope, actor, None, command);
        let answer = tokio::time::timeout(PATIENCE, asked).await.ok();
        engine.crash().await;
        (answer, world)
    })
}

#[test]
fn nobody_is_told_before_the_journal_has_it() {
    let (answer, _) = ask();
    assert!(!matches!(answer, Some(Ok(_))), "{answer:?}");
}

#[test]
fn nothing_is_done_before_the_journal_has_it() {
    let (_, world) = ask();
    assert_eq!(world.boundaries(), 0, "a driver was called: {:?}", world.log());
}
