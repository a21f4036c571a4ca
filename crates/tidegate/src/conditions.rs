//! Decides the conditions of a plan, `when` and `unless`, while it is made: each in a process of
//! its own that can be killed. Must never take a condition that was not evaluated for one that is
//! false: what is not decided is needed.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_core::condition::Decided;
use tidegate_core::plan::Plan;
use tidegate_core::risk::Level;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verb of the helper.
pub(crate) const VERB: &str = "expr";
/// A helper that takes longer is killed. It has a second of processor time; the rest is for a
/// machine that is busy.
const WITHIN: Duration = Duration::from_secs(20);

/// What a condition is evaluated on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Known {
    /// Its variables.
    pub(crate) variables: BTreeMap<String, Value>,
    /// The changed paths, for `touches`.
    pub(crate) paths: Vec<String>,
}

/// What the helper is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    /// The condition.
    pub(crate) condition: String,
    /// What it is evaluated on.
    pub(crate) known: Known,
}

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// It was evaluated.
    Holds {
        /// What came out.
        holds: bool,
        /// The variables that it asks about.
        used: Vec<String>,
    },
    /// It cannot be.
    Refused(String),
}

/// Whether a plan has a condition at all.
pub(crate) fn are_there(plan: &Plan) -> bool {
    let gates = plan.gates.iter().any(|gate| gate.when.is_some() || gate.unless.is_some());
    let rules = plan.approve.iter().flat_map(|approve| &approve.rules);
    let mut rules = rules.chain(
        plan.layers
            .iter()
            .flat_map(|added| added.approve.iter().flat_map(|approve| &approve.rules)),
    );
    gates || rules.any(|rule| rule.when.is_some() || rule.unless.is_some())
}

/// What is known of a plan.
pub(crate) fn known(
    plan: &Plan,
    live: Option<&str>,
    risk: Level,
    paths: &[String],
    commits: u64,
) -> Known {
    let number = |level: Level| match level {
        Level::Low => 0,
        Level::Medium => 1,
        Level::High => 2,
    };
    let read = |text: &str| semver_of(text);
    let bump = match (live.and_then(read), read(&plan.release.version)) {
        (Some(live), Some(next)) if live.0 != next.0 => "major",
        (Some(live), Some(next)) if live.1 != next.1 => "minor",
        (Some(live), Some(next)) if live != next => "patch",
        _ => "none",
    };
    let files = u64::try_from(paths.len()).unwrap_or(u64::MAX);
    let variables: [(&str, Value); 10] = [
        ("risk", number(risk).into()),
        ("low", number(Level::Low).into()),
        ("medium", number(Level::Medium).into()),
        ("high", number(Level::High).into()),
        ("bump", bump.into()),
        ("version", plan.release.version.clone().into()),
        ("live", live.unwrap_or_default().into()),
        ("environment", plan.scope.environment.to_string().into()),
        ("files", files.into()),
        ("commits", commits.into()),
    ];
    let named = variables.into_iter().map(|(name, value)| (name.to_owned(), value));
    Known { variables: named.collect(), paths: paths.to_vec() }
}

/// The first three numbers of a version.
fn semver_of(text: &str) -> Option<(u64, u64, u64)> {
    let core = text.trim_start_matches('v').split(['-', '+']).next()?;
    let mut numbers = core.split('.').map(str::parse::<u64>);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    numbers.next().is_none().then_some(version)
}

/// Decides every condition of a plan.
///
/// # Errors
/// TG7124 with the condition that could not be evaluated.
pub(crate) async fn decide(plan: &mut Plan, known: &Known) -> Result<(), Failure> {
    for gate in &mut plan.gates {
        let conditions = (gate.when.as_deref(), gate.unless.as_deref());
        gate.decided = both(conditions, known, &format!("the gate {}", gate.name)).await?;
    }
    let layers = plan.layers.iter_mut().filter_map(|added| added.approve.as_mut());
    for approve in plan.approve.iter_mut().chain(layers) {
        for rule in &mut approve.rules {
            let conditions = (rule.when.as_deref(), rule.unless.as_deref());
            let decided = both(conditions, known, &format!("the rule {}", rule.name)).await?;
            rule.applies &= decided.is_none_or(|decided| decided.needed);
        }
    }
    Ok(())
}

/// Both conditions of one thing; `None` when it has none.
async fn both(
    (when, unless): (Option<&str>, Option<&str>),
    known: &Known,
    of: &str,
) -> Result<Option<Decided>, Failure> {
    let mut decided = None;
    for (condition, wanted) in [(when, true), (unless, false)] {
        let Some(condition) = condition else { continue };
        let (holds, sentence) = evaluate(condition, known, of).await?;
        let needed = holds == wanted;
        decided = Some(Decided { needed, sentence });
        if !needed {
            break;
        }
    }
    Ok(decided)
}

/// Whether a condition holds, and the sentence with its values.
async fn evaluate(condition: &str, known: &Known, of: &str) -> Result<(bool, String), Failure> {
    let failed = |what: String| {
        let what = format!("the condition `{condition}` of {of} cannot be decided: {what}");
        Failure::new(Exit::ConfigInvalid, "TG7124", what)
    };
    tidegate_core::condition::check(condition).map_err(|refused| failed(refused.what))?;
    let asked = Asked { condition: condition.to_owned(), known: known.clone() };
    match ask(&asked).await.map_err(failed)? {
        Said::Refused(what) => Err(failed(what)),
        Said::Holds { holds, used } => {
            let values =
                used.iter().filter(|name| !matches!(name.as_str(), "low" | "medium" | "high"));
            let values = values.filter_map(|name| {
                Some(format!("{name} is {}", shown(name, known.variables.get(name)?)))
            });
            let mut values: Vec<String> = values.collect();
            if condition.contains("touches") {
                values.push(format!("{} files change", known.paths.len()));
            }
            let word = if holds { "holds" } else { "does not hold" };
            let values =
                if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
            Ok((holds, format!("`{condition}` {word}{values}")))
        }
    }
}

fn shown(name: &str, value: &Value) -> String {
    match (name, value.as_u64()) {
        ("risk", Some(0)) => "low".to_owned(),
        ("risk", Some(1)) => "medium".to_owned(),
        ("risk", Some(_)) => "high".to_owned(),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

/// Asks the helper once. It is killed when it is late, and when whoever asks goes away.
async fn ask(asked: &Asked) -> Result<Said, String> {
    let said = |error: std::io::Error| error.to_string();
    let program = std::env::current_exe().map_err(said)?;
    let mut helper = Command::new(program)
        .arg(VERB)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(said)?;
    let bytes = serde_json::to_vec(asked).map_err(|error| error.to_string())?;
    let mut stdin = helper.stdin.take().ok_or("the helper takes no input")?;
    let whole = async move {
        // A helper that ended early says why on its own.
        let _broken = stdin.write_all(&bytes).await;
        drop(stdin);
        helper.wait_with_output().await
    };
    let output = match tokio::time::timeout(WITHIN, whole).await {
        Ok(output) => output.map_err(said)?,
        Err(_late) => return Err(format!("it takes longer than {} s", WITHIN.as_secs())),
    };
    if !output.status.success() {
        return Err(format!("its evaluation ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|_odd| "its evaluation said nothing".to_owned())
}
