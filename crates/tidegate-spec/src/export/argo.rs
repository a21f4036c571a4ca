//! An Argo Rollout: shares, pauses, and an analysis where a metric can be asked for over there.
//! Must never write a rule whose numbers nobody over there measures.

use std::fmt::Write as _;

use tidegate_core::plan::{Metric, Plan, Rule, Source};

use super::{Fate, Value};
use crate::show::scalar;

/// Basis points in a percent.
const PERCENT: u32 = 100;

/// Writes the Rollout, and the template of its analysis behind it.
pub(super) fn write(plan: &Plan) -> String {
    let service = scalar(plan.scope.service.as_str(), false);
    let replicas = plan.parts.first().map_or(1, |part| part.instances);
    let asked = asked(plan);
    let mut text = format!(
        "# Made by `tidegate export argo-rollout`. The template of its pods is missing: Kubernetes \
         runs images,\n# and the configuration names a command.\napiVersion: argoproj.io/v1alpha1\n\
         kind: Rollout\nmetadata:\n  name: {service}\nspec:\n  replicas: {replicas}\n  strategy:\n    \
         canary:\n"
    );
    if !asked.is_empty() {
        let _infallible = writeln!(
            text,
            "      analysis:\n        templates:\n          - templateName: {service}"
        );
    }
    text.push_str("      steps:\n");
    for weight in &plan.traffic.steps {
        let share = u32::from(weight.bp()) / PERCENT;
        let _infallible = writeln!(text, "        - setWeight: {share}");
        let seconds = plan.traffic.dwell.as_secs();
        if seconds > 0 {
            let _infallible = writeln!(text, "        - pause:\n            duration: {seconds}s");
        }
    }
    if asked.is_empty() {
        return text;
    }
    let _infallible = writeln!(
        text,
        "---\napiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata:\n  name: {service}\n\
         spec:\n  metrics:"
    );
    for (rule, source, fails) in asked {
        metric(&mut text, rule, source, fails);
    }
    text
}

/// Rules that Argo can ask for, with whether they say when it fails.
fn asked(plan: &Plan) -> Vec<(&Rule, &Source, bool)> {
    let traffic = &plan.traffic;
    let good = traffic.advance_if.iter().map(|rule| (rule, false));
    let bad = traffic.rollback_if.iter().map(|rule| (rule, true));
    let rules = good.chain(bad);
    rules.filter_map(|(rule, fails)| Some((rule, source_of(plan, &rule.metric)?, fails))).collect()
}

fn source_of<'p>(plan: &'p Plan, metric: &Metric) -> Option<&'p Source> {
    let sources = &plan.traffic.judging.sources;
    sources.iter().find(|source| source.name.as_str() == metric.name())
}

fn metric(text: &mut String, rule: &Rule, source: &Source, fails: bool) {
    let every = source.every.as_secs().max(1);
    let condition = format!("result[0] {} {}", rule.comparison.sign(), rule.limit);
    let (name, key) = if fails {
        (format!("{}-fails", source.name), "failureCondition")
    } else {
        (source.name.to_string(), "successCondition")
    };
    // So many bad readings in a row are the time for which a rule must be broken.
    let bad = rule.sustained.as_secs() / every;
    let _infallible = writeln!(
        text,
        "    - name: {}\n      interval: {every}s\n      {key}: {}\n      failureLimit: {bad}\n      \
         provider:\n        prometheus:\n          address: {}\n          query: {}",
        scalar(&name, false),
        scalar(&condition, false),
        scalar(&source.endpoint, false),
        scalar(&source.query, false),
    );
}

/// What becomes of a value.
pub(super) fn fate(value: &Value, plan: &Plan) -> Fate {
    let rules = value.is_under("traffic.advance_if") || value.is_under("traffic.rollback_if");
    match value.path.as_str() {
        "service" => Fate::exact(),
        "traffic.steps" if whole_percents(plan) => Fate::exact(),
        "traffic.steps" => Fate::near("Argo knows whole percents only: fractions are cut off"),
        "traffic.each.for" => Fate::near("as a pause: Argo counts time, whatever was served in it"),
        "deploy.instances" => Fate::exact(),
        _ if rules => rule_fate(plan),
        _ if value.is_under("metrics") || value.is_under("sources") => Fate::near(
            "an AnalysisTemplate asks for it; replace `$slot` and its like by an argument",
        ),
        _ if value.is_under("deploy.run") || value.is_under("build") => {
            Fate::asks("Kubernetes runs images: which one, and with which pod template?")
        }
        _ if value.is_under("deploy.probes") => {
            Fate::asks("probes belong into the pod template: as readiness and liveness probes?")
        }
        _ if value.is_under("approve") => {
            Fate::dropped("Argo asks nobody; a pause without an end waits for anybody")
        }
        _ if value.is_under("check") || value.is_under("checklist") => {
            Fate::dropped("Argo knows no evidence; keep these gates before the sync")
        }
        _ if value.is_under("after") => {
            Fate::dropped("Argo watches no longer once the last step is done")
        }
        _ => Fate::dropped("Argo has nothing that means the same"),
    }
}

fn whole_percents(plan: &Plan) -> bool {
    plan.traffic.steps.iter().all(|step| u32::from(step.bp()) % PERCENT == 0)
}

/// Rules are written where their metric can be asked for.
fn rule_fate(plan: &Plan) -> Fate {
    let rules = || plan.traffic.advance_if.iter().chain(&plan.traffic.rollback_if);
    let own: Vec<&str> = rules()
        .map(|rule| &rule.metric)
        .filter(|metric| source_of(plan, metric).is_none())
        .map(Metric::name)
        .collect();
    match own.first() {
        Some(own) => Fate::asks(format!(
            "`{own}` is measured by Tidegate's own proxy: which query of Prometheus is it over there?"
        )),
        None => Fate::near("the time for which it must be broken is counted in readings"),
    }
}
