//! What is true of every history, whatever people, the world and the clock do: random commands,
//! answers that are late, doubled, stale or bad, a data plane that acts by itself, jumps in time.
//! Must never steer around a history that is merely unlikely.

use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use tidegate_core::event::{Event, Recorded};
use tidegate_core::ids::Actor;
use tidegate_core::input::{Command, Input};
use tidegate_core::plan::{HoldEnd, KeepPrevious, Required};
use tidegate_core::state::{HoldCause, Phase, State};
use tidegate_core::{apply, decide, next_deadline};

use crate::machine::Machine;
use crate::moves::{Move, Play, moves};
use crate::sample::{Shape, deployment};
use crate::world::World;

/// Histories tried each time; `PROPTEST_CASES` asks for more.
const CASES: u32 = 64;
/// Moves in one history.
const MOVES_MAX: usize = 120;

fn config() -> ProptestConfig {
    let asked = ProptestConfig::default();
    let cases =
        if asked.cases == ProptestConfig::with_cases(256).cases { CASES } else { asked.cases };
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/properties.regressions",
        ))),
        ..asked
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let parts = prop_oneof![
        Just(vec!["web"]),
        Just(vec!["api", "web"]),
        Just(vec!["jobs:worker", "web"]),
        Just(vec!["jobs:worker"]),
    ];
    let steps = prop_oneof![Just(vec![100]), Just(vec![5, 100]), Just(vec![5, 25, 50, 100])];
    (parts, 1..4_u32, steps, any::<[bool; 6]>()).prop_map(|(parts, instances, steps, flags)| {
        let [smoke, warm, page, gates, approvals, backup] = flags;
        Shape {
            parts: parts.into_iter().map(str::to_owned).collect(),
            instances,
            steps,
            smoke,
            keep: if warm { KeepPrevious::Warm } else { KeepPrevious::Cold },
            then: if page { HoldEnd::Page } else { HoldEnd::Rollback },
            required: Required { gates, approvals, backup },
            ..Shape::default()
        }
    })
}

/// Plays a history and stops at the first thing that must never be.
fn play(shape: &Shape, moves: &[Move]) -> Result<Play, TestCaseError> {
    let mut play = Play::new(shape.clone());
    for one in moves {
        play.make(one);
        if let Some(what) = play.machine.complaints.first() {
            let log: Vec<String> = play.machine.log.iter().map(|e| line(&play, e)).collect();
            return Err(TestCaseError::fail(format!("{what}\nafter {one:?}\n{}", log.join("\n"))));
        }
    }
    Ok(play)
}

fn line(play: &Play, event: &Recorded) -> String {
    crate::render::event(event, play.start)
}

/// The events folded from a state.
fn folded(from: &State, events: &[Recorded]) -> State {
    let mut state = from.clone();
    for event in events {
        apply(&mut state, event);
    }
    state
}

/// Lets a kind world answer for a day at most, until nothing is in flight.
fn ends(machine: &mut Machine) -> bool {
    let kind = World { auto: true, ..World::default() };
    for _ in 0..24 {
        machine.wait(SignedDuration::from_hours(1), |machine| kind.answer(machine));
        if machine.state.current.is_none() {
            return true;
        }
    }
    false
}

proptest! {
    #![proptest_config(config())]

    /// `Play` looks after every move: `check` is clean, nothing freezes, no deadline passes without
    /// an event, everything in flight says what it waits for, no applied table names a slot that is
    /// being taken away, some slot serves whatever was live.
    #[test]
    fn every_history_keeps_what_must_hold(
        shape in shapes(), moves in moves(MOVES_MAX), cut in any::<prop::sample::Index>(),
    ) {
        let play = play(&shape, &moves)?;
        let log = &play.machine.log;
        prop_assert_eq!(&folded(&State::default(), log), &play.machine.state);
        prop_assert_eq!(&play.machine.refold(), &play.machine.state);
        let cut = cut.index(log.len() + 1);
        let prefix = folded(&State::default(), &log[..cut]);
        prop_assert_eq!(&folded(&prefix, &log[cut..]), &play.machine.state);
    }

    /// Whatever was going on, an abort is accepted and a kind world brings it to an end.
    #[test]
    fn an_abort_ends_everything(shape in shapes(), moves in moves(MOVES_MAX)) {
        let mut machine = play(&shape, &moves)?.machine;
        // What waits for its turn has its own turn to be ended.
        for _ in 0..2 {
            let Some(current) = machine.state.current.as_ref().map(|c| c.id.clone()) else { break };
            let command = Command::Abort { deployment: current.clone(), reason: "stop".to_owned() };
            let input = Input::Command { actor: Actor::Tidegate, key: None, command };
            prop_assert!(machine.put(&input).is_ok());
            ends(&mut machine);
            let same = machine.state.current.as_ref().is_some_and(|c| c.id == current);
            prop_assert!(!same, "{:?}", machine.state.current);
        }
        prop_assert!(machine.complaints.is_empty(), "{:?}", machine.complaints);
    }

    /// A rollback is accepted in flight, nothing begins after it by itself, and no candidate that
    /// was on its way forward is live in the end.
    #[test]
    fn a_rollback_ends_everything(shape in shapes(), moves in moves(MOVES_MAX)) {
        let mut machine = play(&shape, &moves)?.machine;
        let Some(current) = machine.state.current.clone() else { return Ok(()) };
        let command = Command::Rollback {
            deployment: deployment("d-last"),
            to: None,
            reason: "it is bad".to_owned(),
        };
        let input = Input::Command { actor: Actor::Tidegate, key: None, command };
        prop_assert!(machine.put(&input).is_ok());
        prop_assert!(machine.state.queued.is_none());
        prop_assert!(ends(&mut machine), "{:?}", machine.state.current);
        prop_assert!(machine.complaints.is_empty(), "{:?}", machine.complaints);
        for (part, slot) in &current.candidates {
            let live = machine.state.parts.get(part).and_then(|p| p.live.as_ref());
            prop_assert!(current.is_return() || live != Some(slot), "{part} is live in {slot}");
        }
    }

    /// Deciding about elapsed time again at the same moment changes nothing.
    #[test]
    fn time_is_decided_about_once(shape in shapes(), moves in moves(MOVES_MAX)) {
        let machine = play(&shape, &moves)?.machine;
        let now = machine.now;
        let first = decide(&machine.state, &Input::Elapsed, now).unwrap_or_default();
        let state = folded(&machine.state, &first);
        prop_assert_eq!(decide(&state, &Input::Elapsed, now), Ok(Vec::new()));
        let next = next_deadline(&state);
        prop_assert!(next.as_ref().is_none_or(|next| next.at > now), "{:?} at {}", next, now);
    }

    /// Without a person's word nothing gets more requests: with a judge that never says advance,
    /// no step passes.
    #[test]
    fn absence_never_advances(shape in shapes(), hours in 1..72_i64) {
        let mut play = play(&shape, &[])?;
        let before = play.machine.log.len();
        play.make(&Move::Deploy { supersede: false });
        let mute = World { auto: true, ..World::default() };
        play.machine.wait(SignedDuration::from_hours(hours), |machine| mute.answer(machine));
        prop_assert!(play.machine.complaints.is_empty(), "{:?}", play.machine.complaints);
        let passed = play.machine.log[before..].iter().find(|event| {
            let live = matches!(&event.event, Event::DeploymentEnded { ending, .. } if ending.is_live());
            live || matches!(event.event, Event::StepPassed { .. })
        });
        prop_assert!(passed.is_none(), "{:?}", passed);
        if let Some(current) = &play.machine.state.current {
            let paged = current.hold.as_ref().is_some_and(|hold| hold.cause == HoldCause::Verdict);
            prop_assert!(paged || current.phase == Phase::Approvals, "{:?}", current.phase);
        }
    }
}
