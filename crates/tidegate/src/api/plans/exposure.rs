//! How many requests users make: said by whoever asks, measured by the data plane, recorded in the
//! last deployments, or declared. Must never make a rate up: without any of them there is none.

use tidegate_core::plan::Plan;
use tidegate_engine::recording::{self, Entry};

use crate::api::Api;
use crate::view::plan::Rate;

/// The rate that exposure is counted by, of the best source there is.
pub(super) async fn rate(
    api: &Api,
    plan: &Plan,
    given: Option<f64>,
    declared: Option<f64>,
) -> Option<Rate> {
    let rate = |per_second: f64, from: &str| Rate { per_second, from: from.to_owned() };
    if let Some(given) = given.filter(|rate| rate.is_finite() && *rate >= 0.0) {
        return Some(rate(given, "given"));
    }
    if let Some(measured) = measured(api, plan).await {
        return Some(rate(measured, "measured"));
    }
    if let Some(recorded) = recorded(api, plan).await {
        return Some(rate(recorded, "recorded"));
    }
    declared.map(|declared| rate(declared, "declared"))
}

/// What the data plane counts at this time, over all that it still knows.
async fn measured(api: &Api, plan: &Plan) -> Option<f64> {
    let (mut requests, mut milliseconds) = (0.0, 0.0);
    for part in plan.parts.iter().filter(|part| part.route().is_some()) {
        let ticks = api.ports().traffic.ticks(&plan.scope, &part.name, 0).await.ok()?;
        let mut length = 0.0;
        for tick in &ticks {
            length += exact(tick.length_ms);
            requests += tick.slots.values().map(|slot| exact(slot.requests)).sum::<f64>();
        }
        milliseconds = f64::max(milliseconds, length);
    }
    per_second(requests, milliseconds)
}

/// What the judge heard in the newest deployment that was recorded.
async fn recorded(api: &Api, plan: &Plan) -> Option<f64> {
    let names = api.ports().recordings.list().await.ok()?;
    let name = names.into_iter().rev().find(|name| name.scope == plan.scope)?;
    let bytes = api.ports().recordings.read(&name).await.ok()??;
    let recording = recording::read(&bytes).ok()?;
    let (mut requests, mut milliseconds) = (0.0, 0.0);
    for (entry, _) in &recording.entries {
        let Entry::Tick(tick) = entry else { continue };
        let sides = [&tick.candidate, &tick.live];
        let heard: Vec<u64> = sides.into_iter().flatten().map(|side| side.requests).collect();
        if !heard.is_empty() {
            requests += heard.into_iter().map(exact).sum::<f64>();
            milliseconds += exact(tick.length_ms);
        }
    }
    per_second(requests, milliseconds)
}

fn per_second(requests: f64, milliseconds: f64) -> Option<f64> {
    (requests > 0.0 && milliseconds > 0.0).then(|| requests * 1_000.0 / milliseconds)
}

/// A count as a number; those that occur are far below the largest that is exact.
fn exact(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
