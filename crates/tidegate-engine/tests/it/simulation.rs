//! The real engine in an unkind world: many seeds, and a crash at every single boundary.

use std::time::Duration;

use tidegate_core::event::Ending;
use tidegate_engine::testkit::sim::{Options, Report, run};
use tidegate_engine::testkit::world::Behaviour;

/// Seeds of every run of the tests; more of them by `cargo xtask sim`.
const SEEDS: u64 = 300;
/// Both cores of the smallest machine that this is tested on.
const THREADS: u64 = 2;

fn play(options: Options) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(run(options))
}

fn second(seed: u64) -> Behaviour {
    match seed % 8 {
        0 | 1 => Behaviour::default(),
        2 => Behaviour { errors_per_mille: 100, ..Behaviour::default() },
        3 => Behaviour { deaf: true, ..Behaviour::default() },
        4 => Behaviour { sick: true, ..Behaviour::default() },
        5 => Behaviour { dies_after: Some(Duration::from_secs(60)), ..Behaviour::default() },
        6 => Behaviour { smoke_fails: true, ..Behaviour::default() },
        _ => Behaviour { errors_per_mille: 35, ..Behaviour::default() },
    }
}

/// Runs all numbers below `count` on every core and gathers what they complain about.
fn in_parallel(count: u64, complaint: impl Fn(u64) -> Option<String> + Sync) -> Vec<String> {
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..THREADS)
            .map(|lane| {
                let complaint = &complaint;
                let numbers = (lane..count).step_by(usize::try_from(THREADS).unwrap());
                scope.spawn(move || numbers.filter_map(complaint).collect::<Vec<_>>())
            })
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    })
}

#[test]
fn no_seed_hurts_a_user_and_every_deployment_ends() {
    let complaints = in_parallel(SEEDS, |seed| {
        let report = play(Options { seed, unkind: true, crash_at: None, second: second(seed) });
        let first = report.violations.first()?;
        Some(format!("seed {seed}: {first}"))
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_seed_replays_exactly() {
    let options = Options { seed: 5, unkind: true, crash_at: None, second: second(5) };
    assert_eq!(play(options.clone()).log, play(options).log);
}

/// Kills the engine at each boundary in turn; the world and the endings must be those of the run
/// that nobody disturbed.
fn every_boundary(second: Behaviour, ending: Ending) {
    let options = |crash_at| Options { seed: 7, unkind: false, crash_at, second };
    let undisturbed = play(options(None));
    assert_eq!(undisturbed.violations, Vec::<String>::new());
    let endings: Vec<Ending> = undisturbed.endings.iter().map(|(_, ending)| *ending).collect();
    assert_eq!(endings, [Ending::Succeeded, ending]);
    assert!(undisturbed.boundaries > 100, "{} boundaries", undisturbed.boundaries);
    let complaints = in_parallel(undisturbed.boundaries, |boundary| {
        let crashed = play(options(Some(boundary + 1)));
        let same = crashed.endings == undisturbed.endings
            && crashed.met == undisturbed.met
            && crashed.violations.is_empty();
        (!same).then(|| {
            let Report { endings, met, violations, .. } = crashed;
            format!("boundary {boundary}: {endings:?} {met:?} {violations:?}")
        })
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn a_good_release_ends_the_same_wherever_the_engine_dies() {
    every_boundary(Behaviour::default(), Ending::Succeeded);
}

#[test]
fn a_bad_release_ends_the_same_wherever_the_engine_dies() {
    let failing = Behaviour { errors_per_mille: 150, ..Behaviour::default() };
    every_boundary(failing, Ending::RolledBack);
}

#[test]
fn a_sick_release_ends_the_same_wherever_the_engine_dies() {
    every_boundary(Behaviour { sick: true, ..Behaviour::default() }, Ending::RolledBack);
}
