//! What a deployment would do is what the loop would do in a world that answers well.

use jiff::civil::time;
use jiff::{SignedDuration, Timestamp};
use tidegate_core::effect::{Effect, Job};
use tidegate_core::event::Ending;
use tidegate_core::state::{Phase, State};
use tidegate_core::weight::Weight;
use tidegate_core::window::{Opening, Overrun, Window};
use tidegate_engine::foresee::foresee;
use tidegate_engine::testkit::sample;

fn monday_at_nine() -> Timestamp {
    "2026-01-05T09:00:00Z".parse().unwrap()
}

#[test]
fn a_first_deployment_builds_starts_asks_and_routes_in_this_order() {
    let (plan, now) = (sample::plan("v1"), monday_at_nine());
    let found = foresee(&State::default(), &plan, now).unwrap();
    let at = |fits: &dyn Fn(&Effect) -> bool| {
        found.calls.iter().position(|call| fits(&call.effect)).expect("it is among the calls")
    };
    let build = at(&|effect| matches!(effect, Effect::Run { job: Job::Prepare(_), .. }));
    let start = at(
        &|effect| matches!(effect, Effect::EnsureSlot { tenant: Some(tenant), .. } if tenant.instances > 0),
    );
    let ask = at(&|effect| matches!(effect, Effect::Run { job: Job::Smoke { .. }, .. }));
    let route =
        at(&|effect| matches!(effect, Effect::EnsureSplit { table } if table.split.is_some()));
    assert!(build < start && start < ask && ask < route, "{:#?}", found.calls);
    // Nobody is live: all requests at once, watched as long as declared, and no way back.
    let shares: Vec<_> = found.shares.iter().map(|share| share.weight).collect();
    assert_eq!(shares, [Weight::WHOLE]);
    assert_eq!(found.ends_at.duration_since(now), plan.bake.watch);
    assert_eq!(found.ending, Ending::Succeeded);
    assert!(found.back.is_empty());
    assert_eq!(foresee(&State::default(), &plan, now).unwrap(), found, "the same every time");
}

#[test]
fn a_closed_window_moves_everything_to_its_opening() {
    let mut plan = sample::plan("v1");
    plan.window = Some(Window {
        zone: "UTC".to_owned(),
        open: vec![Opening::Weekly {
            days: vec![2],
            from: time(10, 0, 0, 0),
            to: time(12, 0, 0, 0),
        }],
        closed: Vec::new(),
        overrun: Overrun::Finish,
        low_traffic: false,
    });
    let found = foresee(&State::default(), &plan, monday_at_nine()).unwrap();
    let tuesday: Timestamp = "2026-01-06T10:00:00Z".parse().unwrap();
    let started = found.calls.iter().find(|call| call.phase == Some(Phase::Deploy)).unwrap();
    assert_eq!(started.at, tuesday);
    assert_eq!(found.ends_at, tuesday.checked_add(plan.bake.watch).unwrap());
}

#[test]
fn what_the_core_refuses_is_said_and_nothing_is_foreseen() {
    let mut plan = sample::plan("v1");
    plan.traffic.steps.clear();
    plan.traffic.dwell = SignedDuration::ZERO;
    let refused = foresee(&State::default(), &plan, monday_at_nine()).unwrap_err();
    assert!(refused.to_string().contains("step"), "{refused}");
}
