//! The effects of a plan in words: what is called, with what, in which order.
//! Must never leave a call out because it has no words.

use tidegate_core::effect::{Effect, Job, ProbeTarget, RouteTable};
use tidegate_core::plan::{Ask, Backup, Part, Plan, SmokeRun};
use tidegate_engine::foresee;

use crate::view::plan::Call;

/// Longest command that is shown, characters.
const COMMAND_CHARS_MAX: usize = 200;

/// All calls, in order.
pub(super) fn shown(calls: &[foresee::Call]) -> Vec<Call> {
    let shown = calls.iter().map(|call| Call {
        phase: call.phase.map_or("after", |phase| phase.word()).to_owned(),
        at: call.at,
        does: words(&call.effect),
    });
    shown.collect()
}

fn words(effect: &Effect) -> String {
    match effect {
        Effect::EnsureSlot { part, slot, tenant } => match tenant {
            None => format!("stop what runs in {slot} of {part}"),
            Some(tenant) if tenant.instances == 0 => {
                format!("put {} of {part} into {slot}, no instance yet", tenant.revision.version)
            }
            Some(tenant) => format!(
                "run {} instances of {part} {} in {slot}: {}",
                tenant.instances,
                tenant.revision.version,
                command(&tenant.part.run.argv)
            ),
        },
        Effect::EnsureSplit { table } => split(table),
        Effect::DropBackup { backup } => format!("remove {}, which is past its time", backup.place),
        Effect::AskRights { .. } => "ask the directory who may agree".to_owned(),
        Effect::Tell { letter, .. } => {
            format!("tell {}: {}", letter.message.to, letter.message.title)
        }
        Effect::Run { task, job, .. } => match job {
            Job::Prepare(plan) => build(plan),
            Job::Probe(targets) => probes(targets),
            Job::Rehearse(table) => {
                format!(
                    "ask the data plane whether {} can listen on {}",
                    table.part, table.route.listen
                )
            }
            Job::Smoke { part, .. } => smoke(part),
            Job::Backup(job) => copy(job.backup.as_ref()),
            Job::Gates(question) => format!("weigh {} gates", question.plan.gates.len()),
            _ => format!("bring about {}", task.words()),
        },
    }
}

fn command(argv: &[String]) -> String {
    let text = argv.join(" ");
    text.chars().take(COMMAND_CHARS_MAX).collect()
}

fn copy(backup: Option<&Backup>) -> String {
    let Some(backup) = backup else {
        return "make a backup, of nobody knows what".to_owned();
    };
    let shown = if backup.drill { "restore it into scratch, compare" } else { "read it back" };
    format!("copy {} by {}, {shown}", backup.of.words(), backup.of.word())
}

fn build(plan: &Plan) -> String {
    let commit = plan.release.commit.get(..12).unwrap_or(&plan.release.commit);
    let export = format!("export commit {commit}");
    match &plan.build {
        Some(build) => format!("{export}, run `{}`, seal the tree", command(&build.argv)),
        None => format!("{export}, seal the tree"),
    }
}

fn split(table: &RouteTable) -> String {
    let Some(split) = &table.split else {
        return format!("route {}: answer 503", table.part);
    };
    let slots = table.backends.iter().map(|backend| &backend.slot);
    let shares = slots.map(|slot| format!("{slot} {}", split.share(slot)));
    let shares: Vec<String> = shares.collect();
    let lease = match (&table.fallback, table.lease) {
        (Some(_), Some(lease)) => format!("; back by itself after {lease:#} of silence"),
        _ => String::new(),
    };
    format!("route {}: {}{lease}", table.part, shares.join(", "))
}

fn probes(targets: &[ProbeTarget]) -> String {
    let asked = targets.iter().map(|target| {
        let asks =
            target.part.probes.iter().map(|probe| format!("{} ({})", probe.name, ask(&probe.ask)));
        let asks: Vec<String> = asks.collect();
        let asks = if asks.is_empty() { "nothing".to_owned() } else { asks.join(", ") };
        format!(
            "ask {} instances of {} in {}: {asks}",
            target.instances, target.part.name, target.slot
        )
    });
    let asked: Vec<String> = asked.collect();
    if asked.is_empty() { "ask nobody: nothing is live".to_owned() } else { asked.join("; ") }
}

fn ask(ask: &Ask) -> String {
    match ask {
        Ask::Http { path, .. } => format!("GET {path}"),
        Ask::Tcp => "a connection".to_owned(),
        Ask::Exec { argv } => command(argv),
        Ask::Tls { server_name, days_left } => {
            format!("certificate of {server_name}, more than {days_left} days left")
        }
    }
}

fn smoke(part: &Part) -> String {
    match part.smoke.as_ref().map(|smoke| &smoke.run) {
        Some(SmokeRun::Suite { file }) => format!("run the suite {file} against {}", part.name),
        Some(SmokeRun::Command { argv, .. }) => {
            format!("run `{}` against {}", command(argv), part.name)
        }
        None => format!("run no suite against {}", part.name),
    }
}
