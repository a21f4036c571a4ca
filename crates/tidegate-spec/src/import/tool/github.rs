//! Workflows of GitHub Actions: jobs by their needs, environments as approvals, commands as steps.
//! Must never carry out an action whose work it cannot see: `uses` is a question.

use super::super::binding::Bound;
use super::super::draft::{self, Draft};
use super::{Leaf, name_of, question};
use crate::node::{Kind, Node};

/// Actions whose work is done here without being asked for.
const DONE_ANYWAY: [(&str, &str); 6] = [
    ("actions/checkout", "the release is built from its tag"),
    ("actions/upload-artifact", "artifacts of a step are kept under their digest: `artifacts`"),
    ("actions/download-artifact", "steps work in a copy of the artifact"),
    ("actions/cache", "a build begins with nothing of an earlier one"),
    ("actions/setup-", "tools are those of the machine: `doctor` says what is missing"),
    ("docker/setup-", "tools are those of the machine: `doctor` says what is missing"),
];

pub(super) fn bind(leaf: &Leaf<'_>, draft: &mut Draft) -> Option<Bound> {
    let path = leaf.path.as_str();
    if let Some(inside) = path.strip_prefix("jobs.") {
        let (job, inside) = inside.split_once('.')?;
        return of_job(leaf, job, inside, draft);
    }
    if let Some(started) = path.strip_prefix("on.").or_else(|| (path == "on").then_some("")) {
        return Some(start(leaf, started, draft));
    }
    Some(match path {
        "name" => {
            let name = name_of(leaf.text);
            draft.set_text("service", &name);
            Bound::near("service", name, "the name of the workflow: is it that of the service?")
        }
        "on[]" => start(leaf, leaf.text, draft),
        _ if path.starts_with("env.") => variable(leaf, "deploy.env", draft),
        _ if path.starts_with("permissions") => {
            Bound::dropped("a token of GitHub is not handed to the process")
        }
        _ if path.starts_with("concurrency") => {
            Bound::dropped("a service has one deployment at a time, and others queue")
        }
        _ if path.starts_with("defaults.") => question(
            leaf,
            draft,
            "steps",
            "a default for every command: shell or directory, which steps need it?",
        ),
        _ => return None,
    })
}

/// What begins the workflow.
fn start(leaf: &Leaf<'_>, event: &str, draft: &mut Draft) -> Bound {
    match event {
        "push.tags[]" | "push.tags" => {
            draft.set_text("release.tag", leaf.text);
            Bound::exact("release.tag", leaf.text)
        }
        "push.branches[]" | "push.branches" => {
            draft.set_text("release.start.push", leaf.text);
            let why = "a trigger of the server rings; what is deployed is a tag on this branch";
            Bound::near("release.start.push", leaf.text, why)
        }
        "" | "push" | "release" | "release.types[]" | "workflow_dispatch" => {
            Bound::near("release.tag", leaf.text, "a deployment begins with a tag, or by `deploy`")
        }
        "schedule[].cron" => Bound::dropped(
            "nothing is deployed by the clock alone; `window.allow` says when it may begin",
        ),
        _ if event.starts_with("pull_request") => {
            Bound::near("plan", leaf.text, "`tidegate plan` says what a release would do")
        }
        _ if event.starts_with("workflow_dispatch.inputs") => {
            Bound::dropped("what a deployment is told are declared `variables`, with `--set`")
        }
        _ => Bound::dropped("an event that begins no deployment here"),
    }
}

fn of_job(leaf: &Leaf<'_>, job: &str, inside: &str, draft: &mut Draft) -> Option<Bound> {
    Some(match inside {
        "name" => Bound::dropped("names a job: a step is named by its key"),
        "runs-on" | "runs-on[]" | "runs-on.group" | "runs-on.labels[]" => {
            Bound::dropped("steps run on the machine of the server, in a sandbox")
        }
        "needs" | "needs[]" => needs(leaf, job, draft),
        "environment" | "environment.name" => {
            draft.set("approve", "{rules: [{need: 1}]}");
            let why = "its reviewers are set in GitHub: name them in `from`, and `people`";
            Bound::near("approve.rules", leaf.text, why)
        }
        "environment.url" => Bound::dropped("the address is that of `traffic.route`"),
        "timeout-minutes" => {
            let timeout = format!("{}m", leaf.text);
            let names = names(leaf.root, job);
            for name in &names {
                draft.set_text(&format!("steps.{name}.timeout"), &timeout);
            }
            let why = "each command of the job may take so long";
            Bound::near(&format!("steps.{}", names.first()?), timeout, why)
        }
        "if" => condition(leaf, draft, job),
        _ if inside.starts_with("strategy.matrix.") => matrix(leaf, job, draft)?,
        _ if inside.starts_with("strategy.") => {
            Bound::dropped("the steps of a matrix run side by side, and all must end well")
        }
        _ if inside.starts_with("env.") => {
            let first = names(leaf.root, job).into_iter().next()?;
            for name in names(leaf.root, job).into_iter().skip(1) {
                variable(leaf, &format!("steps.{name}.env"), draft);
            }
            variable(leaf, &format!("steps.{first}.env"), draft)
        }
        _ if inside.starts_with("services.") || inside.starts_with("container") => question(
            leaf,
            draft,
            "steps",
            "a container beside the job: which service of the machine stands for it?",
        ),
        _ if inside.starts_with("steps[]") => of_step(leaf, job, draft)?,
        _ if inside.starts_with("permissions") || inside.starts_with("concurrency") => {
            Bound::dropped("a token of GitHub is not handed to the process")
        }
        _ if inside == "uses" || inside.starts_with("with.") || inside.starts_with("secrets") => {
            question(leaf, draft, "steps", "a workflow of others: import its file as well")
        }
        _ => return None,
    })
}

fn of_step(leaf: &Leaf<'_>, job: &str, draft: &mut Draft) -> Option<Bound> {
    let (above, key) =
        leaf.exact.split_once("].").map(|(above, key)| (format!("{above}]"), key))?;
    let step = leaf.root.at_path(&above)?;
    if let Some(action) = step.get("uses").and_then(Node::text) {
        let done = DONE_ANYWAY.iter().find(|(known, _)| action.starts_with(known));
        return Some(match done {
            Some((_, why)) => Bound::dropped(why),
            None if key == "uses" => {
                let words = format!("what does the action `{action}` do? write its command");
                question(leaf, draft, "steps", &words)
            }
            None => Bound::dropped("belongs to the action above it"),
        });
    }
    let name = name_at(job, index_of(&above)?);
    let own = format!("steps.{name}");
    Some(match key {
        "run" => command(leaf, job, &own, draft),
        "name" | "id" => Bound::dropped("names a command: a step is named by its key"),
        "shell" if matches!(leaf.text, "bash" | "sh") => {
            Bound::near(&own, leaf.text, "a line is given to `/bin/sh`")
        }
        "timeout-minutes" => {
            let timeout = format!("{}m", leaf.text);
            draft.take(&format!("{own}.timeout"));
            draft.set_text(&format!("{own}.timeout"), &timeout);
            Bound::exact(&format!("{own}.timeout"), timeout)
        }
        "if" => condition(leaf, draft, job),
        "continue-on-error" => question(
            leaf,
            draft,
            &own,
            "it may fail in GitHub: here a step that fails stops; take it away, or repair it?",
        ),
        "working-directory" | "shell" => {
            question(leaf, draft, &own, "where and by what does the command run?")
        }
        _ if key.starts_with("env.") => variable(leaf, &format!("{own}.env"), draft),
        _ => return None,
    })
}

/// A command: carried out before anything is started, behind the one above it.
fn command(leaf: &Leaf<'_>, job: &str, own: &str, draft: &mut Draft) -> Bound {
    draft.set_text(&format!("{own}.at"), "before-deploy");
    let all = names(leaf.root, job);
    let name = own.trim_start_matches("steps.");
    let before = all.iter().take_while(|known| *known != name).last();
    if let Some(before) = before {
        draft.add(&format!("{own}.needs"), draft::plain(before));
    }
    if leaf.text.contains("${{") {
        draft.set(&format!("{own}.run"), "[\"false\"]");
        let words = "it is filled in by GitHub: which variable or secret stands for each value?";
        return question(leaf, draft, &format!("{own}.run"), words);
    }
    // GitHub gives a command to `bash -e`.
    let line = format!("set -e\n{}", leaf.text.trim_end());
    draft.set_text(&format!("{own}.run.shell"), &line);
    let why = "carried out once, before the candidate is started, by `/bin/sh` and in a sandbox";
    Bound::near(&format!("{own}.run"), leaf.text, why)
}

/// The first command of a job waits for the last of the job that it needs.
fn needs(leaf: &Leaf<'_>, job: &str, draft: &mut Draft) -> Bound {
    let first = names(leaf.root, job).into_iter().next();
    let last = names(leaf.root, leaf.text).into_iter().last();
    let (Some(first), Some(last)) = (first, last) else {
        return Bound::dropped("one of both jobs has no command of its own");
    };
    let path = format!("steps.{first}.needs");
    draft.add(&path, draft::plain(&last));
    Bound::exact(&path, last)
}

fn matrix(leaf: &Leaf<'_>, job: &str, draft: &mut Draft) -> Option<Bound> {
    let axis = leaf.path.split("strategy.matrix.").nth(1)?.strip_suffix("[]")?;
    if matches!(axis, "include" | "exclude") || axis.contains('.') {
        return Some(Bound::dropped("a matrix here has axes, and all their combinations"));
    }
    let variable = axis.to_uppercase().replace('-', "_");
    let all = names(leaf.root, job);
    for name in &all {
        draft.add(&format!("steps.{name}.matrix.{variable}"), draft::plain(leaf.text));
    }
    let to = format!("steps.{}.matrix.{variable}", all.first()?);
    Some(Bound::near(&to, leaf.text, "the command reads it as a variable"))
}

fn condition(leaf: &Leaf<'_>, draft: &mut Draft, job: &str) -> Bound {
    let words = format!("when does it run? GitHub asks {}", plain(leaf.text));
    question(leaf, draft, &format!("steps.{job}"), &words)
}

/// A variable; one that GitHub fills is asked for, because its value is not known here.
fn variable(leaf: &Leaf<'_>, under: &str, draft: &mut Draft) -> Bound {
    let name = leaf.path.rsplit('.').next().unwrap_or_default();
    let to = format!("{under}.{name}");
    if leaf.text.contains("${{") {
        let words = "where does this value lie? as in `secret://file/...`, or a variable";
        return question(leaf, draft, &to, words);
    }
    draft.set_text(&to, leaf.text);
    Bound::exact(&to, leaf.text)
}

/// A text of GitHub's in a question: its places for values would be taken for ours.
fn plain(text: &str) -> String {
    crate::fields::shorten(&text.replace("${{", "").replace("}}", "")).trim().to_owned()
}

/// The steps that the commands of a job become, in its order.
fn names(root: &Node, job: &str) -> Vec<String> {
    let steps = root.get("jobs").and_then(|jobs| jobs.get(job)).and_then(|job| job.get("steps"));
    let Some(Kind::List(items)) = steps.map(|steps| &steps.kind) else { return Vec::new() };
    let commands = items.iter().enumerate().filter(|(_, item)| item.get("run").is_some());
    commands.map(|(index, _)| name_at(job, index + 1)).collect()
}

fn name_at(job: &str, index: usize) -> String {
    format!("{}-{index}", name_of(job))
}

/// The index at the end of `jobs.build.steps[3]`.
fn index_of(path: &str) -> Option<usize> {
    path.rsplit_once('[')?.1.strip_suffix(']')?.parse().ok()
}
