//! A workflow of GitHub Actions: it waits for the tag, checks, plans, asks the environment's
//! reviewers, and has Tidegate carry the rest out. Must never spread the process over the workflow:
//! traffic that a workflow moved would have nobody who moves it back.

use std::fmt::Write as _;

use tidegate_core::gate::Gate;
use tidegate_core::plan::Plan;

use super::{Fate, Value};
use crate::show::scalar;

/// Who runs it: a runner on the machine of the server, or one that is signed in to it.
const RUNNER: &str = "[self-hosted, tidegate]";

/// Writes the workflow.
pub(super) fn write(plan: &Plan, values: &[Value]) -> String {
    let service = plan.scope.service.as_str();
    let environment = plan.scope.environment.as_str();
    let tag = values.iter().find(|value| value.path == "release.tag");
    let tag = tag.map_or("\"*\"", |tag| tag.text.as_str());
    let mut text = format!(
        "# Made by `tidegate export github-workflow`. Reviewers are set on the environment in GitHub.\n\
         name: {}\non:\n  push:\n    tags:\n      - {tag}\npermissions:\n  contents: read\n\
         concurrency:\n  group: {}\n  cancel-in-progress: false\njobs:\n",
        scalar(&format!("deploy {service}"), false),
        scalar(&format!("tidegate-{service}-{environment}"), false),
    );
    job(&mut text, "check", "", "", &["tidegate check".to_owned()]);
    let reports: Vec<String> = plan.gates.iter().filter_map(evidence).collect();
    let before = if reports.is_empty() {
        "check"
    } else {
        job(&mut text, "evidence", "check", "", &reports);
        "evidence"
    };
    let named = format!("--service {service} --env {environment}");
    let plan_it = format!("tidegate plan \"$GITHUB_REF_NAME\" {named}");
    job(&mut text, "plan", before, "", &[plan_it]);
    let deploy_it = format!("tidegate deploy \"$GITHUB_REF_NAME\" {named}");
    let asked = if plan.required.approvals { environment } else { "" };
    job(&mut text, "deploy", "plan", asked, &[deploy_it]);
    text
}

fn job(text: &mut String, name: &str, needs: &str, environment: &str, commands: &[String]) {
    let _infallible = writeln!(text, "  {name}:");
    if !needs.is_empty() {
        let _infallible = writeln!(text, "    needs: [{needs}]");
    }
    if !environment.is_empty() {
        let _infallible = writeln!(text, "    environment: {}", scalar(environment, false));
    }
    let _infallible =
        writeln!(text, "    runs-on: {RUNNER}\n    steps:\n      - uses: actions/checkout@v4");
    for command in commands {
        let _infallible = writeln!(text, "      - run: {}", scalar(command, false));
    }
}

/// The command that hands the reports of a gate to the server.
fn evidence(gate: &Gate) -> Option<String> {
    let report = gate.demand.report()?;
    // The patterns are left to the shell: a name with anything else in it is quoted.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./*?@+=,".contains(c);
    let files: Vec<String> = report
        .files
        .iter()
        .map(|file| {
            if file.chars().all(plain) {
                file.clone()
            } else {
                format!("'{}'", file.replace('\'', "'\\''"))
            }
        })
        .collect();
    let format = report.format.word();
    Some(format!(
        "tidegate evidence add --version \"$GITHUB_REF_NAME\" --format {format} {}",
        files.join(" ")
    ))
}

/// What becomes of a value.
pub(super) fn fate(value: &Value) -> Fate {
    if ["service", "environment", "release.tag"].contains(&value.path.as_str()) {
        Fate::exact()
    } else if value.is_under("approve") || value.is_under("people") {
        Fate::near(
            "the job `deploy` waits for the reviewers of its environment, and Tidegate asks by its \
             own rules behind them",
        )
    } else if value.is_under("check") {
        Fate::near("reports are added by the job `evidence`; Tidegate weighs them in `deploy`")
    } else if value.is_under("window") {
        Fate::near("GitHub starts at any time; Tidegate waits for the window in `deploy`")
    } else {
        Fate::near("stays in the configuration, which `tidegate deploy` carries out")
    }
}
