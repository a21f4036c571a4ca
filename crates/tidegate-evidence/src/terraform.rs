//! `terraform show -json PLAN`, and the same of OpenTofu.
//! Must never take a state or a plan that failed for a plan of no changes.

use std::io::BufRead;

use serde::Deserialize;
use tidegate_core::fact::Infrastructure;

use crate::json::{self, Fold, Folded};
use crate::{Error, broken};

/// Most resources of one plan.
const RESOURCES_MAX: usize = 100_000;

#[derive(Deserialize)]
struct Plan {
    format_version: String,
    planned_values: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    errored: bool,
    #[serde(default)]
    complete: Option<bool>,
    #[serde(default)]
    resource_changes: Folded<Changes>,
    #[serde(default)]
    resource_drift: Folded<Drift>,
}

#[derive(Default)]
struct Changes(Infrastructure, usize);

#[derive(Default)]
struct Drift(Vec<String>);

#[derive(Deserialize)]
struct Resource {
    address: String,
    change: Change,
}

#[derive(Deserialize)]
struct Change {
    actions: Vec<String>,
}

impl Fold for Changes {
    type Item = Resource;

    fn take(&mut self, resource: Resource) -> Result<(), String> {
        self.1 += 1;
        if self.1 > RESOURCES_MAX {
            return Err(format!("it has more than {RESOURCES_MAX} resources"));
        }
        let actions: Vec<&str> = resource.change.actions.iter().map(String::as_str).collect();
        match actions.as_slice() {
            ["create"] => self.0.create += 1,
            ["update"] => self.0.update += 1,
            ["delete"] => self.0.delete.push(resource.address),
            ["delete", "create"] | ["create", "delete"] => self.0.replace.push(resource.address),
            ["no-op" | "read" | "forget"] => self.0.unchanged += 1,
            other => return Err(format!("{:.200} has the actions {other:.3?}", resource.address)),
        }
        Ok(())
    }
}

impl Fold for Drift {
    type Item = Resource;

    fn take(&mut self, resource: Resource) -> Result<(), String> {
        if resource.change.actions != ["no-op"] && self.0.len() < RESOURCES_MAX {
            self.0.push(resource.address);
        }
        Ok(())
    }
}

/// Reads a plan.
///
/// # Errors
/// [`Error`] when it is no plan, or one that is incomplete or failed.
pub(crate) fn read(from: &mut impl BufRead) -> Result<Infrastructure, Error> {
    let plan: Plan = json::read(from)?;
    if !plan.format_version.starts_with("1.") && plan.format_version != "0.2" {
        return Err(broken(format!("its format is {:.20}, not 1", plan.format_version)));
    }
    if plan.planned_values.is_none() {
        return Err(broken("it has no `planned_values`: a plan is wanted, not a state"));
    }
    if plan.errored {
        return Err(Error::Unfinished("planning failed".to_owned()));
    }
    if plan.complete == Some(false) {
        return Err(Error::Unfinished("the plan leaves resources out".to_owned()));
    }
    let mut found = plan.resource_changes.0.unwrap_or_default().0;
    found.drifted = plan.resource_drift.0.unwrap_or_default().0;
    Ok(found)
}
