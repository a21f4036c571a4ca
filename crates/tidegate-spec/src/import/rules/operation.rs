//! What lines about operation mean: before, during and after a deployment, incidents, duties, roles.
//! Must never turn what people do when it goes wrong into something that a machine would do.

use super::Put::{Add, Phase, Say, Set};
use super::{PERSON, Rule, STEPS, exact, near};

/// Rules for boxes, bullets, steps, rows and prose, asked when none about evidence fits.
pub(in crate::import) const OPERATION: &[Rule] = &[
    // Before.
    exact(
        &["rollback", "plan|procedure", "ready|tested|reviewed|documented"],
        "",
        &[
            Set("check.rollback-drill", "{drill: rollback}"),
            Set("before.drill", "{rollback: tested, within: 30d, reviewed: true}"),
        ],
    ),
    exact(&["migration"], "", &[Set("check.migrations", "{migrations: expand}")]),
    exact(
        &["backup procedures tested|backup validation|backup validated"],
        "",
        &[Set("check.restore-drill", "{drill: restore}")],
    ),
    exact(
        &["backup"],
        "before|pre-|workflow step|success|checklist|prerequisite",
        &[
            Set("before.backup", "{of: production, verify: restored, newer_than: 1h}"),
            Phase("phase:backup"),
            Set("check.backup", "{backup: production}"),
        ],
    ),
    exact(
        &["on-call", "briefed"],
        "",
        &[
            Set("before.briefing", "{oncall: on-call, ack_within: 15m}"),
            Set("check.oncall", "{oncall: acknowledged}"),
        ],
    ),
    exact(&["critical bugs"], "", &[Set("check.bugs", "{bugs: no critical ones open}")]),
    near(
        &["customer communication"],
        "before|pre-|checklist",
        &[Add("before.attest", "customer communication prepared")],
        PERSON,
    ),
    exact(
        &["stakeholder", "notif"],
        "before|pre-|change request",
        &[Set("before.notify", "[stakeholders]"), Set("tell.start", "{email: stakeholders}")],
    ),
    exact(
        &["dns", "verified|configuration|propagation"],
        "",
        &[Set("after.verify", "{dns: [production]}")],
    ),
    exact(
        &["dns records updated"],
        "",
        &[Add("after.then", "dns: update records"), Set("after.verify", "{dns: [production]}")],
    ),
    exact(
        &["infrastructure", "provisioned|reviewed|changes"],
        "",
        &[
            Set("plan.terraform", "{apply: reviewed-plan, expect: [no drift after apply]}"),
            Set("check.infrastructure", "{terraform: reports/plan.json}"),
        ],
    ),
    exact(
        &["monitoring|alerts|alerting", "operational|configured|active"],
        "",
        &[
            Set("monitors.production", "{get: https://localhost/health, every: 60s}"),
            Add("plan.expect", "alerts are on and reach somebody"),
        ],
    ),
    exact(
        &["terraform plan"],
        "",
        &[Set("plan.terraform", "{apply: reviewed-plan}"), Phase("phase:plan")],
    ),
    // Windows.
    exact(
        &["low-traffic"],
        "",
        &[Set("window", "{prefer: low-traffic, zone: UTC, overrun: hold}")],
    ),
    exact(&["planned releases"], "", &[Set("window", "{planned: only, zone: UTC}")]),
    exact(&["window", "schedul"], "", &[Set("window", "{zone: UTC, overrun: hold}")]),
    // Deploying.
    exact(
        &["blue environment health|current slot|verified and during"],
        "during",
        &[Set("before.live", "healthy"), Phase("phase:ready")],
    ),
    exact(
        &["blue-green or canary|canary deployments"],
        "",
        &[Phase("phase:traffic"), Set("deploy.slots", "{blue: unbound, green: unbound}")],
    ),
    exact(
        &[
            "blue-green|parallel environment|green environment|blue environment|environment deployed",
        ],
        "",
        &[Phase("phase:deploy"), Set("deploy.slots", "{blue: unbound, green: unbound}")],
    ),
    exact(
        &[
            "application deployed and healthy|health checks passing|health check|health validation|services are running|application health",
        ],
        "",
        &[Phase("phase:health"), Set("deploy.probes.basic", "{get: /health}")],
    ),
    exact(&["scaled down|scale down"], "", &[Add("after.then", "scale previous to 0")]),
    exact(
        &["gradual|gradually|traffic shift|traffic switch|switch traffic|canary releases"],
        "",
        &[Phase("phase:traffic")],
    ),
    exact(
        &[
            "metrics within|metrics at each|healthy metrics|error rates within|error rates and latency",
        ],
        "",
        &[Phase("phase:traffic"), Add("after.verify.watch", "metrics of every step")],
    ),
    exact(
        &["no critical errors in logs|anomalies|logs for errors"],
        "",
        &[Add("after.verify.watch", "errors and new messages in the logs")],
    ),
    exact(&["production live|full production deployment"], "", &[Phase("phase:finish")]),
    exact(&["zero downtime"], "", &[Set("targets.downtime", "none")]),
    exact(
        &["rollback immediately|automated rollback|automatic rollback|one-click|instant switch"],
        "",
        &[Phase("phase:rollback")],
    ),
    // After.
    exact(
        &["full", "functionality|smoke"],
        "",
        &[Set("after.verify", "{suite: tests/smoke.yaml}")],
    ),
    exact(
        &[
            "api endpoint|authentication flow|core feature|critical user flow|endpoint availability|user flows",
        ],
        "",
        &[
            Set("deploy.smoke", "{suite: tests/smoke.yaml}"),
            Set("after.verify", "{suite: tests/smoke.yaml}"),
        ],
    ),
    exact(
        &["user feedback"],
        "",
        &[
            Set("after.verify", "{mandatory: [user feedback looked at]}"),
            Add("after.verify.watch", "user feedback"),
        ],
    ),
    exact(&["report completed|post-deployment report"], "", &[Add("after.then", "report")]),
    exact(
        &["review scheduled|post-deployment review"],
        "",
        &[Add("after.then", "post-deployment review in 3 days")],
    ),
    near(
        &["lessons learned"],
        "",
        &[Add("incident.postmortem.contains", "lessons learned")],
        PERSON,
    ),
    near(
        &["next deployment planned|schedule next deployment"],
        "",
        &[Set("duties.next-deployment", "{every: after each deployment, owner: release-manager}")],
        PERSON,
    ),
    exact(
        &["dashboards", "reviewed|prepared|updated"],
        "",
        &[Add("plan.expect", "dashboards resolve")],
    ),
    exact(
        &["team notification|notify", "sent|team"],
        "post|after",
        &[Set("tell.success", "{email: team}")],
    ),
    // Watching.
    exact(&["short-term monitoring"], "", &[Set("after.verify", "{for: \"$1h to $2\"}")]),
    near(
        &["immediate verification"],
        "",
        &[Set("after.verify", "{within: $2}")],
        "counted from minute $1",
    ),
    exact(
        &["monitor", "stability|application|error rates|continuous|metrics"],
        "",
        &[Add("after.verify.watch", "$t")],
    ),
    exact(
        &["response times|throughput|resource utili|cache hit|load testing|error rates"],
        "",
        &[Add("after.verify.watch", "$t")],
    ),
    exact(
        &["form submissions|failed logins|user activity|suspicious"],
        "",
        &[Add("after.verify.watch", "$t")],
    ),
    // Rolling back and incidents.
    near(
        &["code revert|git revert"],
        "",
        &[Set("incident.rollback", "{revert: pull-request}")],
        "",
    ),
    exact(
        &["immediate actions"],
        "manual rollback|rollback process",
        &[Set("incident.rollback", "{within: $1}")],
    ),
    exact(&["investigation"], "rollback", &[Set("incident.investigate", "{within: $1}")]),
    near(
        &["last stable|stable version tag|select the stable"],
        "",
        &[Set("incident.rollback", "{to: last stable}")],
        "",
    ),
    near(
        &["switch", "traffic"],
        "rollback",
        &[Say("incident.rollback.steps")],
        "`tidegate rollback` does it",
    ),
    exact(&["post-mortem"], "", &[Set("incident.postmortem", "{within: $1}")]),
    exact(
        &["pagerduty"],
        "",
        &[
            Say("incident.contact"),
            Set("tell.incident", "{pagerduty: critical}"),
            Set("incident.declare", "pagerduty"),
        ],
    ),
    exact(
        &["slack"],
        "",
        &[Set("tell.incident", "{slack: \"#incidents\"}"), Say("incident.contact")],
    ),
    exact(&["teams"], "notif|tell|alert", &[Set("tell.success", "{teams: workflow}")]),
    exact(
        &["status page"],
        "",
        &[Set("tell.incident", "{status_page: draft}"), Say("incident.contact")],
    ),
    exact(
        &["regulatory"],
        "",
        &[Set("tell.regulator", "{when: impact.compliance, owner: compliance, due: 72h}")],
    ),
    exact(&["escalation"], "", &[Add("incident.ladder", "$t")]),
    exact(&["email"], "", &[Set("tell.incident", "{email: leadership}"), Say("incident.contact")]),
    exact(&["stakeholder"], "", &[Set("tell.rollback", "{email: stakeholders}")]),
    exact(&["notify|notification|inform"], "", &[Set("tell.incident", "{email: team}")]),
    // Standing.
    exact(&["rto|recovery time"], "", &[Set("recovery.rto", "$1")]),
    exact(&["rpo|recovery point"], "", &[Set("recovery.rpo", "$1")]),
    exact(&["backup frequency"], "", &[Set("recovery.backup", "{log: continuous, every: daily}")]),
    exact(&["backup retention"], "", &[Set("recovery.backup", "{retention: $1}")]),
    exact(
        &["dr testing|disaster recovery test|quarterly drills"],
        "",
        &[
            Set("recovery.drills", "every 3 months"),
            Set("check.disaster-drill", "{drill: disaster recovery}"),
        ],
    ),
    exact(&["multi-region|standby region"], "", &[Set("recovery.standby", "\"$t\"")]),
    exact(&["long-term retention|data retention"], "", &[Set("recovery.keep", "\"$t\"")]),
    exact(&["review usage|weekly"], "", &[Set("duties.usage-review", "{every: 1 week}")]),
    exact(
        &["2x|current load"],
        "",
        &[Set("duties.capacity", "{every: 1 month, expect: $1 the current load}")],
    ),
    exact(&["cost", "review"], "", &[Set("duties.cost-review", "{every: 3 months}")]),
    exact(&["monthly"], "review cycle", &[Set("review.every", "1 month")]),
    exact(&["review cycle"], "", &[Set("review.every", "1 month")]),
    exact(&["next review"], "", &[Set("review.next", "$d")]),
    exact(&["last updated"], "", &[Set("review.last", "\"$r\"")]),
    exact(&["approved by"], "", &[Set("review.by", "\"$r\"")]),
    exact(&["document status"], "", &[Set("review.status", "\"$r\"")]),
    exact(&["owner:|**owner"], "", &[Set("owner", "\"$r\"")]),
    exact(&["version:"], "", &[Set("review.version", "\"$r\"")]),
    exact(&["date:"], "", &[Set("review.last", "\"$r\"")]),
    exact(
        &["auto-scaling|auto scaling"],
        "",
        &[Set("systems.compute", "{driver: asked, instances: $1 to $2}")],
    ),
    exact(
        &["rotation"],
        "secret|key vault|security",
        &[Set("duties.secret-rotation", "{every: 3 months}")],
    ),
    exact(&["quarterly|access review"], "", &[Set("duties.access-review", "{every: 3 months}")]),
    // Roles.
    exact(
        &["read-only|no direct access|read access|limited read"],
        "access",
        &[Set("roles.$n", "{may: [read]}")],
    ),
    exact(
        &["full deployment access"],
        "access",
        &[Set("roles.$n", "{may: [read, deploy, approve, rollback]}")],
    ),
    exact(
        &["full access for incidents"],
        "access",
        &[Set("roles.$n", "{may: [read, deploy, rollback], when: incident}")],
    ),
    exact(
        &["emergency only"],
        "access",
        &[Set("roles.$n", "{may: [break-glass, administer], when: emergency}")],
    ),
    exact(
        &["mfa", "required|access|ip"],
        "",
        &[Set("roles.everybody", "{may: [read], mfa: true}")],
    ),
    exact(&["role-based"], "", &[Set("roles.everybody", "{may: [read]}")]),
    // Flags.
    exact(&["experimental"], "flag", &[Set("flags.experimental", "\"off\"")]),
    exact(&["beta"], "flag", &[Set("flags.beta", "segments")]),
    exact(&["kill switch"], "flag", &[Set("flags.kill-switches", "{state: \"off\", kill: true}")]),
    exact(&["production features|progressive feature"], "", &[Set("flags.production", "\"on\"")]),
    // Facts about the world.
    exact(&["waf|ddos|owasp|geo-blocking|rate limiting|ip restriction"], "", &[Say("plan.expect")]),
    exact(
        &["encrypt|kms|secrets manager|key vault|secure credential|key management"],
        "",
        &[Say("plan.expect")],
    ),
    exact(
        &["audit log|access log|deployment history|change tracking|security events"],
        "",
        &[Say("plan.expect")],
    ),
    exact(
        &[
            "vpc|security group|nacl|load balancer|nat gateway|multi-az|ecs|rds|elasticache|dynamodb|cloudwatch|x-ray|datadog|redis|mongodb|service discovery|task definition|read replica|iam|least privilege|terraform|ansible",
        ],
        "",
        &[Say("plan.expect")],
    ),
    exact(
        &[
            "new relic|sentry|pingdom|apm|app insights|sla tracking|profiling|analytics|alarms|rum|real user|log aggregation|tracing|custom metrics|error tracking|monitoring",
        ],
        "",
        &[Say("plan.expect")],
    ),
    exact(
        &[
            "cdn|domain|ec2|database|cache|server|geographic|redundan|resource lock|disaster recovery|account|salesforce|environment url|production-grade|controls|bastion|ssh",
        ],
        "",
        &[Say("plan.expect")],
    ),
    // Steps of people when it goes wrong.
    near(
        &[
            "incident|root cause|analyze|analyse|impact|severity|timeline|action item|fix plan|implement|restore|integrity|verify|runbook|procedure|preventive|document|begin|failover|activate|dr site|confirm|lead",
        ],
        "incident|emergency|rollback|recover|resolution|post-incident|post-mortem|follow|documentation|response",
        &[Say("incident.steps")],
        STEPS,
    ),
];
