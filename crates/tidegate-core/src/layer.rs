//! Layers of a policy: what the organisation and the live release demand beside the plan's own
//! file. A layer may tighten what stands below it and never loosens it.
//! Must never take a demand of the plan away.

use std::fmt;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::approval::Approve;
use crate::gate::{GATES_MAX, Gate};
use crate::plan::{Metric, Plan, Rule, Source};

/// Where a demand comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The release that is live: whoever loosens its gates is judged by them once more.
    Live,
    /// The organisation, for every service of the server.
    Organisation,
    /// Whoever begins the deployment, for this one.
    Run,
}

impl Layer {
    /// The word in names and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Organisation => "organisation",
            Self::Run => "run",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("the live release"),
            Self::Organisation => f.write_str("the organisation"),
            Self::Run => f.write_str("the flags of the run"),
        }
    }
}

/// What a layer demands.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// Which layer.
    pub layer: Layer,
    /// Where exactly: the version, the file.
    pub from: String,
    /// Gates that must be open.
    pub gates: Vec<Gate>,
    /// Rules that roll back.
    pub rollback_if: Vec<Rule>,
    /// Rules that must hold to advance.
    pub advance_if: Vec<Rule>,
    /// Where the numbers of its rules come from.
    pub sources: Vec<Source>,
    /// Who has to agree beside those of the plan.
    pub approve: Option<Approve>,
    /// Each step lasts at least so long.
    pub dwell: Option<SignedDuration>,
    /// The rules stay armed at 100 % for at least so long.
    pub watch: Option<SignedDuration>,
}

/// What a layer added to a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Added {
    /// Which layer.
    pub layer: Layer,
    /// Where exactly: the version, the file.
    pub from: String,
    /// Names of gates that it added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
    /// Rollback rules that it added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rollback_if: Vec<Rule>,
    /// Advance rules that it added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advance_if: Vec<Rule>,
    /// Who has to agree because of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approve: Option<Approve>,
    /// The dwell that the file asks for, where the layer asks for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dwell: Option<SignedDuration>,
    /// The watch that the file asks for, where the layer asks for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<SignedDuration>,
}

impl Added {
    /// Whether it added nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let rules = self.rollback_if.is_empty() && self.advance_if.is_empty();
        let times = self.dwell.is_none() && self.watch.is_none();
        self.gates.is_empty() && rules && self.approve.is_none() && times
    }

    /// What it added, a line each.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.gates.iter().map(|gate| format!("the gate {gate}")).collect();
        let rule = |rule: &Rule| {
            let (metric, sign) = (rule.metric.name(), rule.comparison.sign());
            format!("{metric} {sign} {}{}", rule.limit, rule.metric.unit())
        };
        lines.extend(self.rollback_if.iter().map(|r| format!("rolls back if {}", rule(r))));
        lines.extend(self.advance_if.iter().map(|r| format!("advances only if {}", rule(r))));
        lines.extend(
            self.approve
                .iter()
                .flat_map(|approve| &approve.rules)
                .map(|quorum| format!("{} of {}", quorum.need, quorum.name)),
        );
        lines.extend(self.dwell.map(|asked| format!("steps last longer than {asked:#}")));
        lines.extend(self.watch.map(|asked| format!("the watch lasts longer than {asked:#}")));
        lines
    }
}

/// What the release of a plan demands itself, for the next one. What layers added to it is theirs.
#[must_use]
pub fn of_live(plan: &Plan) -> Guard {
    let theirs = |name: &String| plan.layers.iter().any(|added| added.gates.contains(name));
    let own = |rules: &[Rule], added: fn(&Added) -> &Vec<Rule>| -> Vec<Rule> {
        let own = |rule: &&Rule| !plan.layers.iter().any(|layer| added(layer).contains(rule));
        rules.iter().filter(own).cloned().collect()
    };
    let rollback_if = own(&plan.traffic.rollback_if, |added| &added.rollback_if);
    let advance_if = own(&plan.traffic.advance_if, |added| &added.advance_if);
    Guard {
        layer: Layer::Live,
        from: plan.release.version.clone(),
        gates: plan
            .gates
            .iter()
            .filter(|gate| !theirs(&gate.name))
            .map(|gate| Gate { decided: None, ..gate.clone() })
            .collect(),
        rollback_if,
        advance_if,
        sources: plan.traffic.judging.sources.clone(),
        // Its approvals are in force by themselves, see the gate of approvals.
        approve: None,
        dwell: None,
        watch: None,
    }
}

/// Adds what a layer demands and the plan does not, and notes what that was.
///
/// # Errors
/// One line when a plan would have more gates than any may have.
pub fn tighten(plan: &mut Plan, guard: &Guard) -> Result<(), String> {
    let mut added = Added {
        layer: guard.layer,
        from: guard.from.clone(),
        gates: Vec::new(),
        rollback_if: Vec::new(),
        advance_if: Vec::new(),
        approve: guard.approve.clone(),
        dwell: None,
        watch: None,
    };
    for gate in &guard.gates {
        let same = plan.gates.iter().find(|own| own.name == gate.name);
        if same.is_some_and(|own| own.demands_like(gate)) {
            continue;
        }
        let name = match same {
            Some(_) => format!("{}@{}", gate.name, guard.layer.word()),
            None => gate.name.clone(),
        };
        added.gates.push(name.clone());
        plan.gates.push(Gate { name, ..gate.clone() });
    }
    if plan.gates.len() > GATES_MAX {
        let count = plan.gates.len();
        return Err(format!("with those of {} it has {count} gates", guard.layer));
    }
    let lacks = |own: &[Rule], rule: &Rule, fires: bool| {
        is_measured(plan, rule, &guard.sources) && !own.iter().any(|own| covers(own, rule, fires))
    };
    let of = |own: &[Rule], theirs: &[Rule], fires: bool| -> Vec<Rule> {
        theirs.iter().filter(|rule| lacks(own, rule, fires)).cloned().collect()
    };
    added.rollback_if = of(&plan.traffic.rollback_if, &guard.rollback_if, true);
    added.advance_if = of(&plan.traffic.advance_if, &guard.advance_if, false);
    let traffic = &mut plan.traffic;
    traffic.rollback_if.extend(added.rollback_if.iter().cloned());
    traffic.advance_if.extend(added.advance_if.iter().cloned());
    let named = added.rollback_if.iter().chain(&added.advance_if);
    let named: Vec<&Metric> = named.map(|rule| &rule.metric).collect();
    for source in &guard.sources {
        let needed = named.iter().any(|metric| metric.name() == source.name.as_str());
        let known = traffic.judging.sources.iter().any(|own| own.name == source.name);
        if needed && !known {
            traffic.judging.sources.push(source.clone());
        }
    }
    if let Some(dwell) = guard.dwell.filter(|dwell| *dwell > traffic.dwell) {
        added.dwell = Some(traffic.dwell);
        traffic.dwell = dwell;
    }
    if let Some(watch) = guard.watch.filter(|watch| *watch > plan.bake.watch) {
        added.watch = Some(plan.bake.watch);
        plan.bake.watch = watch;
    }
    plan.required.gates |= !plan.gates.is_empty();
    plan.required.approvals |= added.approve.is_some();
    if !added.is_empty() {
        plan.layers.push(added);
    }
    Ok(())
}

/// What of a layer is looser than what the plan demands already, in one line: it would change
/// nothing, and whoever asks for it means something else. `None` when it only tightens.
#[must_use]
pub fn loosens(plan: &Plan, guard: &Guard) -> Option<String> {
    let shorter = |what: &str, own: SignedDuration, asked: Option<SignedDuration>| {
        let asked = asked.filter(|asked| *asked < own)?;
        Some(format!("{what} for {own:#} already, and {asked:#} is less"))
    };
    let looser = |own: &[Rule], theirs: &[Rule], fires: bool| {
        let pairs = theirs.iter().flat_map(|rule| own.iter().map(move |own| (own, rule)));
        let mut looser =
            pairs.filter(|(own, rule)| covers(own, rule, fires) && !covers(rule, own, fires));
        looser.next().map(|(own, rule)| {
            let (metric, unit) = (own.metric.name(), own.metric.unit());
            let rule_of = |rule: &Rule| {
                let held = if rule.sustained.is_zero() {
                    String::new()
                } else {
                    format!(" for {:#}", rule.sustained)
                };
                format!("{metric} {} {}{unit}{held}", rule.comparison.sign(), rule.limit)
            };
            format!("`{}` is demanded already, and `{}` is looser", rule_of(own), rule_of(rule))
        })
    };
    shorter("steps last", plan.traffic.dwell, guard.dwell)
        .or_else(|| shorter("the watch lasts", plan.bake.watch, guard.watch))
        .or_else(|| looser(&plan.traffic.rollback_if, &guard.rollback_if, true))
        .or_else(|| looser(&plan.traffic.advance_if, &guard.advance_if, false))
}

/// Whether a rule of the plan is at least as strict as one of a layer in the same list: it looks at
/// the same metric in the same way, its limit is met no later, and it waits no longer. `fires` is
/// true of rules that act when they hold, false of those that must hold.
fn covers(own: &Rule, theirs: &Rule, fires: bool) -> bool {
    let points_up = own.comparison.points_up();
    if own.metric != theirs.metric || points_up != theirs.comparison.points_up() {
        return false;
    }
    // What acts on high values is stricter with a lower limit, and so is what demands low ones.
    let lower_is_stricter = points_up == fires;
    let stricter =
        if lower_is_stricter { own.limit < theirs.limit } else { own.limit > theirs.limit };
    let looser =
        if lower_is_stricter { own.limit > theirs.limit } else { own.limit < theirs.limit };
    let equal = !looser && own.comparison == theirs.comparison;
    (stricter || equal) && own.sustained <= theirs.sustained
}

/// Whether the plan has what measures a rule; a rule that nothing measures would hold for ever.
fn is_measured(plan: &Plan, rule: &Rule, sources: &[Source]) -> bool {
    match &rule.metric {
        Metric::Errors | Metric::P50 | Metric::P95 | Metric::P99 => {
            plan.parts.iter().any(|part| part.route().is_some())
        }
        Metric::Sick => plan.parts.iter().any(|part| !part.probes.is_empty()),
        Metric::Cpu | Metric::Memory => true,
        Metric::Named { name, .. } => {
            let own = plan.traffic.judging.sources.iter();
            own.chain(sources).any(|source| source.name == *name)
        }
    }
}
