//! Flagger's Canary: weights by steps, two metrics that it knows itself, and others.
//! Must never read a success rate as an error rate without turning it round.

use super::super::binding::Bound;
use super::super::draft::{self, Draft};
use super::{Leaf, measured, name_of, question, rule};

/// Most steps that a width and an end make.
const STEPS_MAX: u32 = 32;

pub(super) fn bind(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let text = leaf.text;
    Some(match leaf.path.as_str() {
        "apiVersion" | "kind" => Bound::dropped("says which tool it is for"),
        "metadata.name" => {
            let name = name_of(text);
            draft.set_text("service", &name);
            Bound::exact("service", name)
        }
        "spec.analysis.interval" => {
            draft.set_text("traffic.each.for", text);
            Bound::near("traffic.each.for", text, "a step lasts until it has enough requests")
        }
        "spec.analysis.stepWeight" => steps(leaf, draft)?,
        "spec.analysis.maxWeight" => {
            Bound::near("traffic.steps", format!("{text}%"), "the last step is the whole")
        }
        "spec.analysis.stepWeights[]" => {
            let step = format!("{text}%");
            draft.add("traffic.steps", draft::plain(&step));
            Bound::exact("traffic.steps", step)
        }
        "spec.analysis.threshold" => Bound::near(
            "traffic.rollback_if",
            text,
            "failed checks are not counted: a rule says for how long it must be broken",
        ),
        "spec.analysis.metrics[].thresholdRange.min"
        | "spec.analysis.metrics[].thresholdRange.max" => limit(leaf, draft)?,
        "spec.analysis.metrics[].name" => match text {
            "request-success-rate" | "request-duration" => {
                Bound::near("traffic.advance_if", text, "the proxy measures it itself")
            }
            _ => {
                let name = name_of(text);
                measured(leaf, draft, &name, &format!("{name} ..."))
            }
        },
        "spec.analysis.metrics[].interval" => {
            Bound::dropped("the proxy counts every second; a rule says for how long it looks back")
        }
        "spec.analysis.webhooks[].url" => question(
            leaf,
            draft,
            "deploy.smoke",
            "a webhook: is it a smoke suite before traffic, a load test, or an approval?",
        ),
        "spec.service.port" | "spec.service.targetPort" => {
            Bound::dropped("the port of an instance is given to it in PORT")
        }
        "spec.skipAnalysis" if text == "true" => {
            question(leaf, draft, "traffic.advance_if", "nothing is looked at: is that meant?")
        }
        "spec.progressDeadlineSeconds" => {
            let within = format!("{text}s");
            draft.set_text("deploy.start_within", &within);
            Bound::exact("deploy.start_within", within)
        }
        path if path.starts_with("spec.targetRef.") || path.starts_with("spec.autoscalerRef.") => {
            Bound::dropped("the workload: a driver of the runtime starts it")
        }
        path if path.starts_with("metadata.") => Bound::dropped("Kubernetes' own"),
        _ => return None,
    })
}

/// Steps of one width up to the largest share, and then all of it.
fn steps(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let width: u32 = leaf.text.parse().ok().filter(|width| (1..=100).contains(width))?;
    let most = leaf.beside("maxWeight").and_then(|text| text.parse().ok()).unwrap_or(50_u32);
    let mut share = width;
    let mut count = 0;
    while share <= most.min(99) && count < STEPS_MAX - 1 {
        draft.add("traffic.steps", draft::plain(&format!("{share}%")));
        share += width;
        count += 1;
    }
    draft.add("traffic.steps", draft::plain("100%"));
    let why = "after the last of them everybody moves, and the rules stay armed";
    Some(Bound::near("traffic.steps", format!("{count} steps of {width}%"), why))
}

fn limit(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let (above, end) = leaf.exact.rsplit_once(".thresholdRange.")?;
    let name = leaf.root.at_path(&format!("{above}.name"))?.text()?;
    let value: f64 = leaf.text.parse().ok()?;
    match (name, end) {
        // Percent that succeed; the rest are errors.
        ("request-success-rate", "min") if (0.0..100.0).contains(&value) => {
            let errors = (100.0 - value) * 1_000.0;
            let errors = errors.round() / 1_000.0;
            rule(draft, "rollback_if", &format!("errors > {errors}% for 1m"));
            let mut bound = rule(draft, "advance_if", &format!("errors < {errors}%"));
            "it is the share that fails here".clone_into(&mut bound.why);
            bound.how = super::How::Approximated;
            Some(bound)
        }
        ("request-duration", "max") => {
            rule(draft, "rollback_if", &format!("p99 > {value}ms for 1m"));
            Some(rule(draft, "advance_if", &format!("p99 < {value}ms")))
        }
        (other, _) => {
            let name = name_of(other);
            let sign = if end == "min" { ">=" } else { "<=" };
            Some(measured(leaf, draft, &name, &format!("{name} {sign} {}", leaf.text)))
        }
    }
}
