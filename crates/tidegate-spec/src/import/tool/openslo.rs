//! OpenSLO: objectives become what a release may cost.
//! Must never promise an objective over a month by looking at an hour.

use super::super::binding::Bound;
use super::super::draft::Draft;
use super::{Leaf, measured, name_of, rule};

pub(super) fn bind(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let text = leaf.text;
    Some(match leaf.path.as_str() {
        "apiVersion" | "kind" => Bound::dropped("says what it is"),
        "spec.service" => {
            let name = name_of(text);
            draft.set_text("service", &name);
            Bound::exact("service", name)
        }
        "spec.objectives[].target" | "spec.objectives[].targetPercent" => target(leaf, draft)?,
        "spec.timeWindow[].duration" => Bound::dropped(
            "a budget over weeks: a rollout is judged on its own requests, by the same limit",
        ),
        "spec.budgetingMethod" => Bound::dropped("requests are counted"),
        path if path.ends_with("metricSource.spec.query") || path.ends_with("spec.query") => {
            let name = name_of(
                leaf.root.at_path("metadata.name").and_then(|n| n.text()).unwrap_or("objective"),
            );
            measured(leaf, draft, &name, &format!("{name} ..."))
        }
        path if path.ends_with("metricSource.type") => {
            Bound::near("sources", text, "where it is asked: `sources.prometheus.url`")
        }
        path if path.starts_with("metadata.") || path.ends_with(".displayName") => {
            Bound::dropped("names for people")
        }
        path if path.ends_with(".description") => Bound::dropped("prose"),
        _ => return None,
    })
}

/// The share that may fail is what is left of the target.
fn target(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let value: f64 = leaf.text.parse().ok()?;
    let good = if leaf.path.ends_with("targetPercent") { value } else { value * 100.0 };
    if !(0.0..100.0).contains(&good) {
        return None;
    }
    let errors = ((100.0 - good) * 10_000.0).round() / 10_000.0;
    let mut bound = rule(draft, "advance_if", &format!("errors < {errors}%"));
    bound.how = super::How::Approximated;
    "what may fail is what the target leaves, over the requests of a step"
        .clone_into(&mut bound.why);
    Some(bound)
}
