//! Custom steps in scripts: how they are declared, reported and settled.
//! Must never report what no step said.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use tidegate_core::digest::Digest;
use tidegate_core::event::Event;
use tidegate_core::ids::{DeploymentId, StepName};
use tidegate_core::input::{Command, Observation, StepReport};
use tidegate_core::plan::{CustomStep, Moment, When, Work, disorder};
use tidegate_core::state::Given;
use tidegate_core::verdict::Outcome;

use crate::sample::number;
use crate::verbs::Words;
use crate::world::task_name;

/// `a@plan,b@before-deploy:needs=a+c:once:retries=2:alone:first`.
pub(crate) fn steps(text: &str) -> Result<Vec<CustomStep>, String> {
    text.split(',').map(step).collect()
}

fn step(text: &str) -> Result<CustomStep, String> {
    let mut words = text.split(':');
    let head = words.next().unwrap_or_default();
    let (name, at) = head.split_once('@').ok_or("a step is name@moment")?;
    let mut moments = Moment::ALL.into_iter();
    let mut step = CustomStep {
        name: named(name),
        at: moments.find(|moment| moment.word() == at).ok_or("there is no such moment")?,
        needs: Vec::new(),
        when: When::Always,
        alone: false,
        work: Work::Run { argv: vec![format!("./{name}")], env: BTreeMap::new() },
        timeout: SignedDuration::from_mins(1),
        retries: 0,
        idempotent: true,
        verify: None,
        outputs: BTreeMap::new(),
        artifacts: Vec::new(),
        writes: Vec::new(),
        secrets: BTreeMap::new(),
    };
    for word in words {
        match word.split_once('=') {
            Some(("needs", needs)) => step.needs = needs.split('+').map(named).collect(),
            Some(("retries", count)) => step.retries = number(count)?,
            None if word == "once" => step.idempotent = false,
            None if word == "alone" => step.alone = true,
            None if word == "first" => step.when = When::First,
            None if word == "update" => step.when = When::Update,
            _ => return Err(format!("a step has no {word}")),
        }
    }
    Ok(step)
}

pub(crate) fn named(name: &str) -> StepName {
    StepName::new(name).unwrap()
}

/// The kind answer.
pub(crate) fn answer(deployment: &DeploymentId, step: &StepName, attempt: u32) -> Observation {
    let report = StepReport {
        outcome: Outcome::Pass,
        summary: "good".to_owned(),
        lost: false,
        retryable: false,
        given: Given::default(),
    };
    Observation::Step { deployment: deployment.clone(), step: step.clone(), attempt, report }
}

/// `task custom:a no-data --lost`, `task custom:a fail --retry`, `task custom:a pass --gives plan`.
pub(crate) fn report(
    deployment: DeploymentId,
    step: StepName,
    attempt: u32,
    outcome: Outcome,
    retryable: bool,
    words: &mut Words,
) -> Result<Observation, String> {
    let lost = words.flag("--lost");
    let mut given = Given::default();
    if let Some(path) = words.option("--gives") {
        let digest = Digest::of(path.as_bytes());
        given.artifacts.insert(path, digest);
    }
    let summary = words.or(outcome.word());
    let report = StepReport { outcome, summary, lost, retryable, given };
    Ok(Observation::Step { deployment, step, attempt, report })
}

/// `settle a done "the table is there"`.
pub(crate) fn settle(deployment: DeploymentId, words: &mut Words) -> Result<Command, String> {
    let step = named(&words.need("a step")?);
    let done = match words.need("done or not-done")?.as_str() {
        "done" => true,
        "not-done" => false,
        other => return Err(format!("a step is done or not-done, not {other}")),
    };
    Ok(Command::Settle { deployment, step, done, reason: words.or("I looked") })
}

pub(crate) fn details(event: &Event) -> String {
    match event {
        Event::TaskBegan { task, targets, .. } => {
            let targets = targets.iter().map(|(part, at)| format!(", {part} at {at}"));
            format!("{}{}", task_name(task), targets.collect::<String>())
        }
        Event::TaskLost { task, attempt, why, .. } => {
            format!("{} #{attempt}: {why}", task_name(task))
        }
        Event::TaskSettled { task, done, reason, .. } => {
            let done = if *done { "done" } else { "not done" };
            format!("{} {done}: {reason}", task_name(task))
        }
        Event::StepGave { step, given, .. } => {
            let files =
                given.artifacts.iter().map(|(path, d)| format!(" {path} {:.8}", d.as_str()));
            format!("{step}{}", files.collect::<String>())
        }
        Event::StepSkipped { step, why, .. } => format!("{step}: {why}"),
        _ => String::new(),
    }
}

/// A circle, a need of nothing and a need of what comes later have no order.
#[test]
fn steps_without_an_order_are_refused() {
    let found =
        |text: &str| disorder(&steps(text).unwrap()).map(|(name, what)| format!("{name} {what}"));
    assert_eq!(found("a@plan,b@bake:needs=a"), None);
    assert_eq!(found("a@plan,a@bake").unwrap(), "a is there twice");
    assert_eq!(found("a@plan:needs=b").unwrap(), "a needs `b`, and there is no such step");
    assert_eq!(found("a@plan:needs=b,b@bake").unwrap(), "a needs `b`, which runs later");
    let circle = "a@plan,b@plan:needs=a+d,c@plan:needs=b,d@plan:needs=c";
    assert_eq!(found(circle).unwrap(), "b needs itself, in a circle");
    assert_eq!(found("a@plan:needs=a").unwrap(), "a needs itself, in a circle");
}
