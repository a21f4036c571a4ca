//! What lines about evidence mean: limits, tests, security, versions, consent, papers.
//! Must never name a report as if the document had: a path that is proposed says so.

use super::Put::{Add, Ask, Phase, Say, Set};
use super::{REPORT, Rule, exact, near};

/// Rules for boxes, bullets, steps, rows and prose, asked first.
pub(in crate::import) const EVIDENCE: &[Rule] = &[
    // Where the limits are named and the numbers are not.
    near(
        &["error rate", "exceed"],
        "rollback",
        &[Ask(
            "traffic.rollback_if",
            "which error rate rolls back, over which time?",
            "errors > 1% for 5m",
        )],
        "",
    ),
    near(
        &["response time degradation"],
        "rollback",
        &[Ask(
            "traffic.rollback_if",
            "which latency rolls back, at which percentile?",
            "p95 > 500ms for 5m",
        )],
        "",
    ),
    // What brings it back by itself.
    exact(
        &["health check failure"],
        "trigger",
        &[Phase("phase:rollback"), Set("traffic.route.sticky", "true")],
    ),
    exact(&["smoke test failure"], "trigger", &[Phase("phase:rollback")]),
    // Monitors by others.
    exact(
        &["uptime monitoring|synthetic"],
        "",
        &[
            Set("monitors.synthetic", "{get: https://localhost/health, every: 60s, by: \"$t\"}"),
            Say("incident.contact"),
        ],
    ),
    exact(
        &["24/7"],
        "",
        &[
            Set("monitors.synthetic", "{get: https://localhost/health, every: 60s, by: \"$t\"}"),
            Say("incident.contact"),
        ],
    ),
    // Soaks.
    exact(&["staging", "hours"], "", &[Set("check.soak", "{soak: {env: staging, for: $1}}")]),
    exact(
        &["development environment", "hours"],
        "",
        &[Set("check.soak", "{soak: {env: development, for: $1}}")],
    ),
    // Tests.
    near(
        &["integration", "100%|pass rate"],
        "",
        &[Set(
            "check.integration",
            "{junit: reports/integration/*.xml, pass: 100%, at_least: 1 tests}",
        )],
        REPORT,
    ),
    near(
        &["regression"],
        "",
        &[Set(
            "check.regression",
            "{junit: reports/regression/*.xml, pass: 100%, at_least: 1 tests}",
        )],
        REPORT,
    ),
    near(
        &["code coverage"],
        "",
        &[Set("check.coverage", "{cobertura: reports/coverage.xml, line: \"> $1\"}")],
        REPORT,
    ),
    near(
        &["critical path coverage|critical-path coverage"],
        "",
        &[Set(
            "check.coverage",
            "{lcov: reports/lcov.info, critical: [\"src/critical/**\"], line: \"> 0%\"}",
        )],
        "$1 of the files that matter: which ones they are is a proposal",
    ),
    near(
        &["coverage trending"],
        "",
        &[Set("check.coverage", "{lcov: reports/lcov.info, line: \"> 0%\"}")],
        REPORT,
    ),
    near(
        &["accessibility"],
        "",
        &[Set("check.accessibility", "{axe: reports/axe.json, allow: {critical: 0}}")],
        REPORT,
    ),
    exact(
        &["smoke test", "post-deployment|full|suite"],
        "",
        &[
            Set("after.verify", "{suite: tests/smoke.yaml}"),
            Set("deploy.smoke", "{suite: tests/smoke.yaml}"),
        ],
    ),
    near(
        &["smoke"],
        "",
        &[Set("deploy.smoke", "{suite: tests/smoke.yaml}"), Phase("phase:smoke")],
        "the document does not say what is asked: the suite is yours to write",
    ),
    near(
        &["unit test"],
        "",
        &[Set("check.unit", "{junit: reports/unit/*.xml, pass: 100%, at_least: 1 tests}")],
        REPORT,
    ),
    near(
        &["integration test"],
        "",
        &[Set(
            "check.integration",
            "{junit: reports/integration/*.xml, pass: 100%, at_least: 1 tests}",
        )],
        REPORT,
    ),
    near(
        &["e2e|end-to-end"],
        "",
        &[Set("check.end-to-end", "{junit: reports/e2e/*.xml, pass: 100%, at_least: 1 tests}")],
        REPORT,
    ),
    near(
        &["all tests|tests pass|tests passing|must pass in the ci"],
        "",
        &[Set("check.tests", "{junit: reports/**/*.xml, pass: 100%, at_least: 1 tests}")],
        REPORT,
    ),
    // Security.
    near(
        &["critical or high"],
        "",
        &[Set(
            "check.security",
            "{sarif: reports/security.sarif, allow: {critical: 0, high: 0}, scanned: \"> 0 packages\"}",
        )],
        REPORT,
    ),
    near(
        &["compliance", "security"],
        "",
        &[
            Set(
                "check.security",
                "{sarif: reports/security.sarif, allow: {critical: 0}, scanned: \"> 0 packages\"}",
            ),
            Set("check.compliance", "{controls: all}"),
        ],
        REPORT,
    ),
    near(
        &["hipaa|soc2|soc 2|gdpr|compliance"],
        "",
        &[Set("check.compliance", "{controls: \"$t\"}")],
        "which controls are meant is for the catalogue to say",
    ),
    near(
        &["security audit|penetration"],
        "",
        &[Set("check.security-audit", "{document: reports/security-audit.pdf, within: 365 days}")],
        "how old it may be is not written",
    ),
    near(
        &["license|licence"],
        "",
        &[Set("check.licences", "{cyclonedx: reports/sbom.json, deny: [AGPL-3.0-only]}")],
        "which licences are refused, and where the report lies, is not written",
    ),
    near(
        &["security team"],
        "sign|review requirement",
        &[Add("approve.rules", "{need: 1, from: [security]}")],
        "",
    ),
    near(
        &["ssl|certificate"],
        "",
        &[Set("deploy.probes.tls", "{tls: localhost, days_left: \"> 14\"}")],
        "the name on the certificate is not written",
    ),
    near(
        &["security header"],
        "",
        &[Set(
            "deploy.probes.headers",
            "{get: /, header: {strict-transport-security: max-age=31536000}}",
        )],
        "which headers are meant is not written",
    ),
    near(
        &["security validation|security posture"],
        "",
        &[
            Set("after.verify", "{repeat: [security, tls, headers]}"),
            Set(
                "check.security",
                "{sarif: reports/security.sarif, allow: {critical: 0}, scanned: \"> 0 packages\"}",
            ),
        ],
        "",
    ),
    near(
        &["security", "scan|vulnerab|test"],
        "",
        &[Set(
            "check.security",
            "{sarif: reports/security.sarif, allow: {critical: 0}, scanned: \"> 0 packages\"}",
        )],
        REPORT,
    ),
    near(
        &["vulnerab|dependency audit"],
        "",
        &[Set(
            "check.security",
            "{sarif: reports/security.sarif, allow: {critical: 0}, scanned: \"> 0 packages\"}",
        )],
        REPORT,
    ),
    // Performance.
    near(
        &["performance", "metric|baseline"],
        "after|during|post",
        &[Set("traffic.floor", "literal"), Phase("phase:bake")],
        "the rules of traffic are what performance is held against",
    ),
    near(
        &["performance", "sla|validated|test|passed|completed|benchmark"],
        "",
        &[
            Set("check.performance.k6", "reports/k6.json"),
            Ask(
                "check.performance.p95",
                "which percentile must stay under which latency?",
                "< 500ms",
            ),
        ],
        REPORT,
    ),
    near(
        &["load test", "monthly"],
        "",
        &[Set("duties.load-test", "{every: 1 month, evidence: reports/k6.json}")],
        "",
    ),
    near(&["load test"], "", &[Set("check.performance.k6", "reports/k6.json")], REPORT),
    // Versions, branches, commits.
    exact(&["commits must be signed"], "", &[Set("check.commits", "{commits: [signed]}")]),
    exact(
        &["release tag|release branch|pull request|tag the release|tagged release"],
        "",
        &[
            Set("release.tag", "\"v*.*.*\""),
            Set("check.tag", "{tag: annotated}"),
            Set("check.branch", "{branch: main, from: [\"release/*\"]}"),
        ],
    ),
    exact(
        &["semantic version|version validation|artifact versioning|tag validation"],
        "",
        &[Set("check.version", "{bump: patch}"), Set("release.tag", "\"v*.*.*\"")],
    ),
    exact(&["breaking changes"], "", &[Set("release.version.major", "\"$t\"")]),
    exact(&["new features"], "", &[Set("release.version.minor", "\"$t\"")]),
    exact(&["bug fixes"], "version", &[Set("release.version.patch", "\"$t\"")]),
    exact(
        &["branch", "main"],
        "",
        &[Set("release.branch.into", "main"), Set("check.branch", "{branch: main}")],
    ),
    // People and their consent.
    exact(
        &["approvers|approvals|pr approval", "code owner"],
        "",
        &[
            Add("approve.rules", "{need: $1, from: [team], owners: $2, not: author}"),
            Set("check.reviews", "{reviews: \"$t\"}"),
        ],
    ),
    exact(
        &["product", "engineering"],
        "",
        &[
            Add("approve.rules", "{need: 1, from: [product], final: true}"),
            Add("approve.rules", "{need: 1, from: [engineering], final: true}"),
        ],
    ),
    exact(
        &["product team|product owner"],
        "",
        &[Add("approve.rules", "{need: 1, from: [product]}")],
    ),
    exact(&["engineering lead"], "", &[Add("approve.rules", "{need: 1, from: [engineering]}")]),
    exact(&["senior", "review|planning"], "review", &[Set("plan.review", "[senior-team]")]),
    exact(
        &["senior", "management"],
        "",
        &[
            Add("approve.rules", "{need: 1, from: [senior-team]}"),
            Add("approve.rules", "{need: 1, from: [management]}"),
        ],
    ),
    exact(
        &["senior team|senior approval"],
        "",
        &[Add("approve.rules", "{need: 1, from: [senior-team]}")],
    ),
    exact(
        &["approval from stakeholders|release approval"],
        "",
        &[Add("approve.rules", "{need: 1, from: [stakeholders]}")],
    ),
    near(
        &["deployment with approval|deploy to production"],
        "",
        &[Add("approve.rules", "{need: 1, from: [release-managers]}"), Phase("phase:approvals")],
        "who agrees is not written",
    ),
    exact(
        &["automated checks|checks pass in ci|required checks"],
        "",
        &[Set("check.ci", "{ci: required}")],
    ),
    exact(
        &["reviewed and approved|code review"],
        "",
        &[Set("check.reviews", "{reviews: approved}")],
    ),
    exact(&["git commit triggers|commit triggers"], "", &[Set("release.start", "{push: main}")]),
    exact(
        &["manual deployment|manual trigger|manually trigger"],
        "",
        &[Set("release.start", "{manual: true}")],
    ),
    exact(
        &["workflow", "github|production|trigger|tag"],
        "",
        &[Set("release.start", "{workflow: production}")],
    ),
    // Tickets and papers.
    exact(
        &["change", "ticket|request"],
        "",
        &[
            Set("check.change", "{ticket: approved}"),
            Set("before.ticket", "{create: true, state: approved}"),
        ],
    ),
    exact(&["document changes"], "", &[Add("before.ticket.contains", "changes and rollback plan")]),
    near(&["changelog"], "", &[Set("check.changelog", "{changelog: CHANGELOG.md}")], ""),
    near(
        &["release notes"],
        "",
        &[Set("check.release-notes", "{files: [docs/release-notes.md]}")],
        "where they are kept is a proposal",
    ),
    near(
        &["documentation", "updated"],
        "",
        &[Set("check.documentation", "{files: [docs/README.md]}")],
        "where it is kept is a proposal",
    ),
];
