//! Argo Rollouts: the canary's steps, and the analysis that goes with them.
//! Must never take a pause without an end for a step that advances by itself.

use super::super::binding::Bound;
use super::super::draft::{self, Draft};
use super::{Leaf, compared, measured, name_of, question};

pub(super) fn bind(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let kind = leaf.root.get("kind").and_then(crate::node::Node::text).unwrap_or_default();
    if kind == "AnalysisTemplate" || kind == "ClusterAnalysisTemplate" {
        return analysis(leaf, draft);
    }
    let text = leaf.text;
    let bound = match leaf.path.as_str() {
        "apiVersion" | "kind" => Bound::dropped("says which tool it is for"),
        "metadata.name" => {
            let name = name_of(text);
            draft.set_text("service", &name);
            Bound::exact("service", name)
        }
        "spec.replicas" => {
            draft.set_text("deploy.instances", text);
            Bound::exact("deploy.instances", text)
        }
        "spec.strategy.canary.steps[].setWeight" => {
            let step = format!("{text}%");
            draft.add("traffic.steps", draft::plain(&step));
            Bound::exact("traffic.steps", step)
        }
        "spec.strategy.canary.steps[].pause.duration" => pause(text, draft),
        "spec.strategy.canary.steps[].pause" => question(
            leaf,
            draft,
            "approve",
            "a pause without an end: who looks, and approves with `--hold-at`?",
        ),
        "spec.strategy.canary.maxSurge" | "spec.strategy.canary.maxUnavailable" => {
            Bound::dropped("both slots have all their instances while users move")
        }
        path if path.contains("analysis.templates[].templateName") => Bound::near(
            "traffic.advance_if",
            text,
            "metrics are judged in every step, by the rules of the file",
        ),
        path if path.starts_with("spec.strategy.blueGreen.") => blue_green(leaf, draft)?,
        path if path.starts_with("spec.template.") || path.starts_with("spec.selector.") => {
            Bound::dropped("the pods: a driver of the runtime starts them")
        }
        path if path.starts_with("metadata.") => Bound::dropped("Kubernetes' own"),
        path if path.contains("trafficRouting.") => {
            Bound::dropped("who divides requests: the embedded proxy, or a driver")
        }
        _ => return None,
    };
    Some(bound)
}

/// Every step has one length here; the longest that is said.
fn pause(text: &str, draft: &mut Draft) -> Bound {
    let length =
        if text.bytes().all(|b| b.is_ascii_digit()) { format!("{text}s") } else { text.to_owned() };
    let read = |text: &str| crate::units::duration(text).ok();
    let known = draft.text("traffic.each.for").and_then(read);
    match (known, read(&length)) {
        (Some(known), Some(new)) if known >= new => {
            Bound::near("traffic.each.for", length, "all steps last as long as the longest of them")
        }
        (known, Some(_)) => {
            draft.take("traffic.each.for");
            draft.set_text("traffic.each.for", &length);
            if known.is_some() {
                let why = "all steps last as long as the longest of them";
                Bound::near("traffic.each.for", length, why)
            } else {
                Bound::exact("traffic.each.for", length)
            }
        }
        (_, None) => Bound::dropped("no length of time"),
    }
}

fn blue_green(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let key = leaf.path.rsplit('.').next()?;
    Some(match key {
        "scaleDownDelaySeconds" => {
            let watch = format!("{}s", leaf.text);
            draft.set_text("after.watch.for", &watch);
            Bound::near(
                "after.watch.for",
                watch,
                "the previous version runs on while it is watched",
            )
        }
        "autoPromotionEnabled" if leaf.text == "false" => {
            draft.set("approve", "{rules: [{need: 1}]}");
            Bound::near("approve.rules", "1", "people agree before anything is started")
        }
        "activeService" | "previewService" => {
            Bound::dropped("slots have names here, and roles move between them")
        }
        _ => return None,
    })
}

fn analysis(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    Some(match leaf.path.as_str() {
        "apiVersion" | "kind" => Bound::dropped("says which tool it is for"),
        "spec.metrics[].name" => {
            Bound::near("metrics", name_of(leaf.text), "it is named by its query, see there")
        }
        "spec.metrics[].provider.prometheus.query" => {
            let (above, _) = leaf.exact.split_once(".provider")?;
            let of = |key: &str| leaf.root.at_path(&format!("{above}.{key}"))?.text();
            let name = name_of(of("name").unwrap_or("metric"));
            let condition = of("successCondition").and_then(compared);
            let rule = match condition {
                Some((_, sign, limit)) => format!("{name} {sign} {limit}"),
                None => format!("{name} ..."),
            };
            measured(leaf, draft, &name, &rule)
        }
        "spec.metrics[].successCondition" | "spec.metrics[].failureCondition" => Bound::near(
            "traffic.advance_if",
            leaf.text,
            "the rule is written once its metric is there",
        ),
        "spec.metrics[].interval" => {
            Bound::near("metrics", leaf.text, "how often: `every` of the metric, 15 s by default")
        }
        "spec.metrics[].failureLimit" | "spec.metrics[].count" => Bound::dropped(
            "failed readings are not counted: a rule says for how long it must be broken",
        ),
        path if path.starts_with("spec.args[]") => {
            Bound::dropped("`$slot`, `$version` and `$service` are there without being declared")
        }
        path if path.starts_with("metadata.") => Bound::dropped("Kubernetes' own"),
        _ => return None,
    })
}
