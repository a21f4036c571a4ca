//! What lines of code blocks mean: commands, files of other tools, variables, pictures.
//! Must never run one of them, nor take a comment for a command.

use super::quantity;
use super::rules::{Put, Rule};
use crate::compose;
use crate::node::{Kind, Node};
use crate::report::Report;
use std::collections::BTreeMap;

use Put::{Add, Say, Set};

const fn rule(words: &'static [&'static str], puts: &'static [Put], but: &'static str) -> Rule {
    Rule { words, under: "", puts, but }
}

const NONE: &[Put] = &[];
const ENGINE: &str = "the engine does it in its own order";

/// Rules for lines of shell scripts.
pub(super) const SHELL: &[Rule] = &[
    rule(
        &["terraform plan"],
        &[Set(
            "plan.terraform",
            "{dir: infrastructure/environments/production, vars: terraform.tfvars}",
        )],
        "",
    ),
    rule(
        &["terraform apply"],
        &[Set("plan.terraform", "{apply: reviewed-plan}")],
        "what is applied is the plan that was approved, nothing else",
    ),
    rule(
        &["terraform init|infrastructure/environments"],
        &[Set("plan.terraform", "{dir: infrastructure/environments/production}")],
        "",
    ),
    rule(
        &["docker build|docker tag|docker push"],
        &[Set("release", "{image: \"registry/app:${release.version}\"}")],
        "the image is taken by its digest, once",
    ),
    rule(
        &["update-service", "--desired-count 0"],
        &[Add("after.then", "scale previous to 0")],
        ENGINE,
    ),
    rule(&["update-service"], NONE, ENGINE),
    rule(&["--cluster"], NONE, ""),
    rule(&["--desired-count 0"], &[Add("after.then", "scale previous to 0")], ENGINE),
    rule(&["--desired-count"], &[Set("deploy.instances", "$1")], ENGINE),
    rule(&["manage.py migrate"], &[Set("deploy.migrate", "{shell: \"$t\"}")], ""),
    rule(&["showmigrations"], &[Set("plan.migrations", "{list: {shell: \"$t\"}}")], ""),
    rule(
        &["dbshell"],
        &[Set(
            "deploy.probes.database",
            "{exec: {shell: \"python manage.py check --database=default --settings=production\"}}",
        )],
        "a shell that waits for a person is replaced by a question",
    ),
    rule(&["check --database"], &[Set("deploy.probes.database", "{exec: {shell: \"$t\"}}")], ""),
    rule(
        &["openssl s_client"],
        &[Set("deploy.probes.tls", "{tls: \"$h\", days_left: \"> 14\"}")],
        "asked of the candidate itself, in place of port $1 of the public name",
    ),
    rule(
        &["curl -i"],
        &[Set(
            "deploy.probes.headers",
            "{get: /, header: {strict-transport-security: max-age=31536000}}",
        )],
        "which headers are meant is not written",
    ),
    rule(
        &["curl -f", "/api/v1/auth"],
        &[Set("deploy.probes.auth", "{get: /api/v1/auth/verify, expect: 200}")],
        "asked of the candidate itself",
    ),
    rule(
        &["curl -f", "/api/v1/status"],
        &[Set("deploy.probes.status", "{get: /api/v1/status}")],
        "asked of the candidate itself",
    ),
    rule(
        &["curl -f", "/health"],
        &[Set("deploy.probes.basic", "{get: /health}")],
        "asked of the candidate itself",
    ),
    rule(&["modify-target-group"], &[Set("traffic.route", "{alb: {listener: unbound}}")], ENGINE),
    rule(&["--health-check-path"], &[Set("deploy.probes.basic", "{get: /health}")], ""),
    rule(&["modify-listener"], &[Set("traffic.route", "{alb: {listener: unbound}}")], ENGINE),
    rule(&["weight"], &[], "a side of a step: the other side keeps the rest"),
    rule(
        &["targetgrouparn|--listener-arn|--default-actions|targetgroups|forwardconfig"],
        &[Set("traffic.route", "{alb: {listener: unbound}}")],
        ENGINE,
    ),
    rule(&["route53|hosted-zone|change-batch"], &[Add("after.then", "dns: dns-update.json")], ""),
    rule(&["sns publish|topic-arn"], &[Set("tell.rollback", "{sns: unbound}")], ""),
    rule(
        &["--message"],
        &[Add("tell.rollback.says", "the traffic is back, with the numbers that led to it")],
        "the words are written from the journal",
    ),
    rule(
        &["for i in"],
        &[Set("deploy.probes.basic", "{get: /health, retries: $2}")],
        "asked so often before it counts as failed (counted from $1)",
    ),
    rule(
        &["sleep"],
        &[Set("deploy.probes.basic", "{get: /health, interval: $1s}")],
        "time between two askings",
    ),
    rule(
        &["git tag"],
        &[Set("release.tag", "\"v*.*.*\""), Set("check.tag", "{tag: annotated}")],
        "",
    ),
    rule(&["git revert"], &[Set("incident.rollback", "{revert: pull-request}")], ""),
    rule(
        &["git push|git merge|git checkout|git pull"],
        &[Set("release.branch", "{into: main, from: staging}")],
        "the way of the change is proved from the commits, not walked",
    ),
    rule(&["emergency-rollback"], NONE, "`tidegate rollback --emergency` is that one command"),
    rule(&["validate_semver"], &[Set("check.version", "{bump: patch}")], ""),
    rule(&["check_changelog"], &[Set("check.changelog", "{changelog: CHANGELOG.md}")], ""),
    rule(
        &["verify_dependencies|run_dependency_audit|scan_vulnerabilities|trivy"],
        &[Set(
            "check.security",
            "{sarif: reports/security.sarif, allow: {critical: 0}, scanned: \"> 0 packages\"}",
        )],
        "a gate on the report in place of a command",
    ),
    rule(
        &["check_licenses"],
        &[Set("check.licences", "{cyclonedx: reports/sbom.json, deny: [AGPL-3.0-only]}")],
        "which licences are refused is not written",
    ),
    rule(
        &["update_release_notes|generate_deployment_docs"],
        &[Set("check.release-notes", "{files: [docs/release-notes.md]}")],
        "",
    ),
    rule(
        &["npm ci|npm run build"],
        &[Set("build", "{shell: \"npm ci && npm run build:prod\"}")],
        "",
    ),
    rule(
        &[
            "set_production_flags|enable_optimizations|configure_cache|compress_assets|generate_sourcemaps|create_integrity_hashes",
        ],
        &[Say("release.artifact.assert")],
        "a property of what was built",
    ),
    rule(&["disable_traffic|restore_previous_version|verify_health"], NONE, ENGINE),
    rule(&["notify_stakeholders"], &[Set("tell.rollback", "{email: stakeholders}")], ""),
    rule(
        &["analyze_failure|document_incident|update_monitoring|adjust_alerts"],
        &[Say("incident.investigate.steps")],
        "kept as a step for people",
    ),
    rule(
        &["validate_services|check_data_integrity|verify_connections|test_functionality"],
        &[Set("after.verify", "{suite: tests/smoke.yaml}"), Say("incident.rollback.steps")],
        "shown again after the way back",
    ),
    rule(
        &["pytest|run tests"],
        &[Set("check.tests", "{junit: reports/**/*.xml, pass: 100%, at_least: 1 tests}")],
        "the document names no report: the path is a proposal",
    ),
    rule(
        &["deploy-staging"],
        &[Set("environments", "{staging: {}, production: {after: staging}}")],
        "",
    ),
    rule(
        &["e2e-tests"],
        &[Set("check.end-to-end", "{junit: reports/e2e/*.xml, pass: 100%, at_least: 1 tests}")],
        "the document names no report: the path is a proposal",
    ),
    rule(&["deploy-production"], NONE, "`tidegate deploy` is that step"),
    rule(&["validate-production"], &[Set("after.verify", "{suite: tests/smoke.yaml}")], ""),
    rule(
        &["echo|done|do|then|fi|break|if curl|#!/bin"],
        NONE,
        "a line of a script that the engine replaces",
    ),
];

/// Rules for lines of files of other tools, on the path of the value and its text.
pub(super) const STRUCTURED: &[Rule] = &[
    rule(&["resourcegroup.name"], &[Set("plan.arm.group", "\"$v\"")], ""),
    rule(&["resourcegroup.location"], &[Set("plan.arm.location", "\"$v\"")], ""),
    rule(&["resourcegroup.tags."], &[Set("plan.arm.tags.$k", "\"$v\"")], ""),
    rule(&["locks", ".name|.level"], &[Set("plan.arm.locks.$k", "\"$v\"")], ""),
    rule(
        &["allowediprange"],
        &[super::rules::Put::Ask("plan.expect", "which addresses may reach it?", "")],
        "",
    ),
    rule(&["staticwebapp"], &[Add("plan.expect", "$k is $v")], ""),
    rule(&["workflows.backup", "schedule"], &[Set("recovery.backup.schedule", "\"$v\"")], ""),
    rule(&["workflows.", "schedule"], &[Set("monitors.$p", "{every: \"$v\", by: workflow}")], ""),
    rule(&["workflows.", "timeout"], &[Set("monitors.workflow", "{timeout: $vs}")], ""),
    rule(
        &["workflows."],
        &[Add("plan.expect", "workflow: $k is $v")],
        "what the workflow does is done by phases and messages",
    ),
    rule(&["alerts[", ".threshold"], &[Set("alerts.$a.threshold", "\"$v\"")], ""),
    rule(&["alerts[", ".window"], &[Set("alerts.$a.window", "\"$v\"")], ""),
    rule(&["alerts[", ".severity"], &[Set("alerts.$a.severity", "\"$v\"")], ""),
    rule(
        &["alerts[", ".name"],
        &[Set("alerts.$a.if", "\"$v\"")],
        "the name stands for the rule until its unit is known",
    ),
    rule(&["alerts[", ".metric"], &[Set("alerts.$a.metric", "\"$v\"")], ""),
    rule(&["alert_config.", ".type"], &[Set("alerts.$a.metric", "\"$v\"")], ""),
    rule(&["alert_config.", ".threshold"], &[Set("alerts.$a.threshold", "\"$v\"")], ""),
    rule(&["alert_config.", ".window"], &[Set("alerts.$a.window", "\"$v\"")], ""),
    rule(&["endpoints[", ".url"], &[Set("monitors.endpoint.get", "\"$v\"")], ""),
    rule(&["endpoints[", ".interval"], &[Set("monitors.endpoint.every", "$vs")], ""),
    rule(&["endpoints[", ".timeout"], &[Set("monitors.endpoint.timeout", "$vs")], ""),
    rule(&["endpoints[", ".value"], &[Set("monitors.endpoint.expect", "$v")], ""),
    rule(&["endpoints[", ".name|.type"], &[Set("monitors.endpoint.shows", "health")], ""),
    rule(&["backup.frequency"], &[Set("recovery.backup.every", "\"$v\"")], ""),
    rule(
        &["backup.retention"],
        &[Set("recovery.backup.retention", "$vd")],
        "days are meant, the document does not say so",
    ),
    rule(&["backup.type"], &[Set("recovery.backup.geo", "redundant")], ""),
    rule(&["backup.encryption"], &[Set("recovery.backup.encrypted", "true")], ""),
    rule(&["backup.validation"], &[Set("recovery.backup.validated", "true")], ""),
    rule(&["cdn.profile"], &[Set("systems.cdn", "{driver: azure-cdn, name: \"$v\"}")], ""),
    rule(
        &["cdn.", "value"],
        &[Set("deploy.probes.headers", "{get: /, header: {strict-transport-security: \"$v\"}}")],
        "",
    ),
    rule(&["cdn."], &[Add("plan.expect", "edge rule: $k is $v")], ""),
    rule(&["on.push"], &[Set("release.start", "{push: main}")], ""),
    rule(&["on.pull_request"], &[Set("release.start", "{plan_on: pull_request}")], ""),
    rule(
        &["environment", "production"],
        &[Add("approve.rules", "{need: 1, from: [release-managers]}")],
        "who may agree is kept in the forge, not in the document",
    ),
    rule(
        &[".needs|.if"],
        &[Set("environments", "{staging: {}, production: {after: staging}}")],
        "",
    ),
    rule(
        &[".uses|runs-on|.environment"],
        NONE,
        "how the pipeline runs; the artifact is taken from it",
    ),
];

/// A line of a file of another tool.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// The path of the value that the line belongs to.
    pub(super) path: String,
    pub(super) text: String,
    /// The name of the entry of a list it stands in, made a key.
    pub(super) entry: String,
}

/// The values of a block that is YAML or JSON, by the line of the block, from 1.
pub(super) fn values(block: &str) -> BTreeMap<u32, Value> {
    let mut report = Report::new("", block);
    let mut found = BTreeMap::new();
    let Some(root) = compose::compose(block, 0, &mut report) else { return found };
    collect(&root, "", "", &mut found);
    found
}

fn collect(node: &Node, path: &str, entry: &str, found: &mut BTreeMap<u32, Value>) {
    let value = |text: &str| Value {
        path: path.to_owned(),
        text: text.to_owned(),
        entry: entry.to_owned(),
    };
    match &node.kind {
        Kind::Scalar { text, .. } => {
            found.entry(node.at.line).or_insert_with(|| value(text));
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let named = ["name", "type"]
                    .iter()
                    .find_map(|key| item.get(key).and_then(Node::text))
                    .unwrap_or(entry);
                // `critical` and `warning` may both list the same type.
                let above = path.rsplit('.').next().unwrap_or_default();
                let plain = matches!(above, "alerts" | "endpoints" | "steps" | "actions");
                let named = if plain || above.is_empty() || item.get("name").is_some() {
                    key_of(named)
                } else {
                    key_of(&format!("{above} {named}"))
                };
                collect(item, &format!("{path}[{}]", index + 1), &named, found);
            }
        }
        Kind::Map(entries) => {
            for (key, below) in entries {
                let path = crate::node::below(path, &key.text);
                if matches!(below.kind, Kind::Map(_) | Kind::List(_)) {
                    found.entry(key.at.line).or_insert_with(|| Value {
                        path: path.clone(),
                        text: String::new(),
                        entry: entry.to_owned(),
                    });
                }
                collect(below, &path, entry, found);
            }
        }
    }
}

/// A text as a key: small letters, digits and dashes.
pub(super) fn key_of(text: &str) -> String {
    let mut key = String::new();
    let mut lower = false;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            if c.is_ascii_uppercase() && lower {
                key.push('-');
            }
            lower = c.is_ascii_lowercase();
            key.push(c.to_ascii_lowercase());
        } else if !key.ends_with('-') && !key.is_empty() {
            lower = false;
            key.push('-');
        }
    }
    key.trim_matches('-').to_owned()
}

/// The share that a line of weights gives the candidate: the smaller side of the first step, the
/// larger of the last.
pub(super) fn weight(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let (_, behind) = lower.split_once("weight")?;
    quantity::all(behind.trim_start_matches(['"', ':', ' ']))
        .first()
        .map(|found| found.digits.clone())
}
