//! The keys of the process around a release: evidence, people, plans, messages, duties.
//! Must never be carried out from here: what these keys ask for is done by the part of Tidegate
//! that serves them, and until there is one, a deployment of a file that uses them is refused.

use super::{COMMAND, Shape, declared, key};

const TEXTS: Shape = Shape::List(&Shape::Text);
const ONE_OR_MORE: Shape = Shape::Any(&[Shape::Text, Shape::List(&Shape::Text)]);

/// What begins a deployment.
pub(crate) const RELEASE_START: Shape = Shape::Any(&[
    Shape::Word(&["manual", "tag"]),
    Shape::Map(&[
        key("push", &Shape::Text, "a push to this branch"),
        key("tag", &Shape::Text, "a tag of this pattern"),
        key("plan_on", &Shape::Word(&["pull_request"]), "what only gets a plan"),
        key("workflow", &Shape::Text, "the workflow that asks for it"),
        key("manual", &Shape::Flag, "that a person may begin one with any release"),
    ]),
]);

/// `people`.
pub(crate) const PEOPLE: Shape = Shape::Named(&Shape::Map(&[
    key("members", &TEXTS, "accounts that belong to it"),
    key("group", &Shape::Text, "a group of the server"),
    key("handles", &TEXTS, "its names in an owners file"),
    declared("oncall", &Shape::Text, "the rota that says who it is now"),
    declared("email", &Shape::Text, "an address"),
    declared("phone", &Shape::Text, "a number that can be dialled"),
    declared("hours", &Shape::Text, "when somebody answers"),
    declared("tell", &Shape::Free, "what they hear of"),
]));

/// `roles`: who may do what.
pub(crate) const ROLES: Shape = Shape::Named(&Shape::Map(&[
    key(
        "may",
        &Shape::List(&Shape::Word(&[
            "read",
            "deploy",
            "approve",
            "rollback",
            "break-glass",
            "administer",
        ])),
        "what they may do",
    ),
    key("when", &Shape::Word(&["always", "incident", "emergency"]), "when they may"),
    key("mfa", &Shape::Flag, "whether a second factor is asked for"),
]));

/// `check`: a gate each. Its keys are those of the evidence that it reads.
pub(crate) const CHECK: Shape = Shape::Named(&Shape::Free);

/// `plan`.
pub(crate) const PLAN: Shape = Shape::Map(&[
    key(
        "terraform",
        &Shape::Map(&[
            key("dir", &Shape::Text, "the directory of the root module"),
            key("vars", &Shape::Text, "its file of variables"),
            key("layout", &TEXTS, "directories that belong to it"),
            key("modules", &TEXTS, "modules it is made of"),
            key(
                "apply",
                &Shape::Word(&["reviewed-plan"]),
                "that nothing but the plan that was shown is applied",
            ),
            key("expect", &TEXTS, "what the plan must say"),
        ]),
        "infrastructure by Terraform or OpenTofu",
    ),
    key(
        "ansible",
        &Shape::Map(&[
            key("playbook", &Shape::Text, "the playbook"),
            key("check", &Shape::Flag, "that its dry run is the plan"),
        ]),
        "machines by Ansible",
    ),
    key(
        "arm",
        &Shape::Map(&[
            key("template", &Shape::Text, "the template"),
            key("group", &Shape::Text, "the resource group"),
            key("location", &Shape::Text, "the region"),
            key("tags", &Shape::Named(&Shape::Text), "tags that must be set"),
            key("locks", &Shape::Named(&Shape::Text), "locks that must be held"),
        ]),
        "infrastructure by Azure Resource Manager",
    ),
    key(
        "migrations",
        &Shape::Map(&[
            key("list", &COMMAND, "the command that lists them"),
            key(
                "class",
                &Shape::Word(&["expand", "contract"]),
                "whether the live version runs on the new schema",
            ),
            key("tested", &Shape::Text, "where they were tried on a copy"),
        ]),
        "changes of the database",
    ),
    key("expect", &TEXTS, "facts that must hold of the infrastructure"),
    key("review", &ONE_OR_MORE, "who looks at a plan that was rejected"),
]);

/// `approve`.
pub(crate) const APPROVE: Shape = Shape::Map(&[
    key("expires", &Shape::Duration, "an approval is void after this"),
    key("preset", &Shape::Word(&["three-signatures"]), "rules with a name"),
    key(
        "rules",
        &Shape::List(&Shape::Map(&[
            key("need", &Shape::Count, "how many people"),
            key("from", &TEXTS, "of which groups"),
            key("round", &Shape::Count, "asked when the rounds before it have answered"),
            key("touches", &TEXTS, "only for releases that change one of these paths"),
            key("name", &Shape::Text, "what it is called"),
            key("not", &Shape::Word(&["author"]), "said for the reader: the author never counts"),
            declared("owners", &Shape::Count, "how many of them own the code that changed"),
            key("when", &Shape::Text, "a condition, `risk >= high`; without it always"),
            key("unless", &Shape::Text, "a condition under which it is not asked"),
            declared(
                "final",
                &Shape::Flag,
                "whether it is asked only when the others have answered",
            ),
        ])),
        "all of them must be met",
    ),
]);

/// `window`.
pub(crate) const WINDOW: Shape = Shape::Map(&[
    key("zone", &Shape::Text, "the time zone of its times"),
    key(
        "allow",
        &ONE_OR_MORE,
        "when a deployment may begin, `mon-thu 09:00-16:00` or `0 9 * * 1-4 for 7h`; left away, always",
    ),
    key(
        "prefer",
        &Shape::Word(&["low-traffic"]),
        "that the hour with the fewest recorded requests is proposed",
    ),
    key("holidays", &Shape::Text, "an iCalendar file of days on which none begins"),
    key(
        "overrun",
        &Shape::Word(&["finish", "hold"]),
        "what happens to one that is under way when it closes",
    ),
    key(
        "planned",
        &Shape::Word(&["only"]),
        "that somebody vouches, before the approvals, that the release was announced",
    ),
    key(
        "freeze",
        &Shape::List(&Shape::Map(&[
            key("from", &Shape::Text, "when it begins"),
            key("to", &Shape::Text, "when it ends"),
            key("reason", &Shape::Text, "why"),
        ])),
        "times in which none begins, with the reason; a rollback always may",
    ),
]);

/// `backup.to`, when it is a bucket.
const BUCKET: Shape = Shape::Map(&[
    key("bucket", &Shape::Text, "the name of the bucket"),
    key("prefix", &Shape::Text, "what the names of its objects begin with"),
    key("endpoint", &Shape::Text, "the address of the object store"),
    key("region", &Shape::Text, "its region"),
    key("credentials", &Shape::Secret, "its credentials, as a `credential_process` prints them"),
]);

/// `backup`.
pub(crate) const COPY: Shape = Shape::Map(&[
    key("by", &Shape::Word(&["postgres", "mysql", "sqlite", "files", "exec"]), "by which means"),
    key("of", &Shape::Text, "what is copied: an address, or an absolute path"),
    key("run", &COMMAND, "the command that writes the file `TIDEGATE_BACKUP`"),
    key("shell", &Shape::Text, "that command as a shell line"),
    key("restore", &COMMAND, "the command that restores it into the folder `TIDEGATE_SCRATCH`"),
    key("env", &Shape::Named(&Shape::Text), "variables that both see"),
    key("to", &Shape::Any(&[Shape::Text, BUCKET]), "the folder or bucket that copies are kept in"),
    key("newer_than", &Shape::Duration, "one that is younger serves as well"),
    key("verify", &Shape::Word(&["restore", "checksum"]), "how it is shown to be good"),
    key("drill_at", &Shape::Text, "the database server on which it is restored for that"),
    key(
        "encrypt",
        &Shape::Map(&[
            key("to", &Shape::Text, "the public key of age"),
            key("key", &Shape::Text, "the file of the private key, which a drill needs"),
        ]),
        "whom its bytes are encrypted to",
    ),
    key("keep", &Shape::Duration, "how long it is kept"),
    key("timeout", &Shape::Duration, "making and restoring it each end within this"),
]);

/// `before.backup`.
pub(crate) const BACKUP: Shape = Shape::Map(&[
    key("of", &Shape::Text, "what is copied"),
    key("by", &Shape::Text, "the driver"),
    key("run", &COMMAND, "the command that makes it"),
    key("verify", &Shape::Text, "how it is shown to be good"),
    key("newer_than", &Shape::Duration, "how old it may be when the deployment begins"),
    key("encrypted", &Shape::Flag, "whether it must be encrypted"),
]);

/// `before`.
pub(crate) const BEFORE: Shape = Shape::Map(&[
    key("backup", &BACKUP, "the copy that is made"),
    key(
        "drill",
        &Shape::Map(&[
            key("rollback", &Shape::Word(&["tested"]), "that the way back was tried"),
            key("within", &Shape::Duration, "how long ago at most"),
            key("reviewed", &Shape::Flag, "that the plan of the way back was opened"),
        ]),
        "rehearsals that must be fresh",
    ),
    key(
        "briefing",
        &Shape::Map(&[
            key("oncall", &Shape::Text, "who is on duty"),
            key("ack_within", &Shape::Duration, "how long they have to answer"),
        ]),
        "who must know before it begins",
    ),
    key("notify", &ONE_OR_MORE, "who is told before it begins"),
    key("live", &Shape::Word(&["healthy"]), "that the live side is well"),
    key(
        "ticket",
        &Shape::Map(&[
            key("create", &Shape::Flag, "whether one is opened"),
            key("state", &Shape::Text, "the state it must be in"),
            key("contains", &TEXTS, "what it must say"),
        ]),
        "the change request",
    ),
    key("attest", &TEXTS, "what a person must say, by name"),
]);

/// `steps`.
pub(crate) const STEPS: Shape = Shape::Named(&Shape::Map(&[
    key("at", &Shape::Word(&crate::custom::MOMENTS), "when it runs"),
    key("needs", &ONE_OR_MORE, "steps that come before it"),
    key("when", &Shape::Word(&["always", "first", "update"]), "for which deployments it runs"),
    key("parallel", &Shape::Flag, "whether others of its moment may run at the same time"),
    key("matrix", &Shape::Named(&TEXTS), "variables whose values make a step each"),
    key("run", &COMMAND, "the command, in a copy of the release"),
    key("shell", &Shape::Text, "the command as a shell line"),
    key("env", &Shape::Named(&Shape::Text), "variables that it sees"),
    key(
        "http",
        &Shape::Map(&[
            key("method", &Shape::Word(&["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]), "how"),
            key("url", &Shape::Text, "where"),
            key("headers", &Shape::Named(&Shape::Text), "headers"),
            key("body", &Shape::Text, "the body"),
            key("status", &Shape::Any(&[Shape::Count, Shape::List(&Shape::Count)]), "good answers"),
            key("contains", &Shape::Text, "a text that the answer must contain"),
        ]),
        "a request instead of a command",
    ),
    key("timeout", &Shape::Duration, "stopped after this"),
    key("retries", &Shape::Count, "how often it is repeated when it fails"),
    key("idempotent", &Shape::Flag, "whether doing it twice is as good as once"),
    key("verify", &COMMAND, "says whether it was done: exits with 0 for yes, 1 for no"),
    key(
        "outputs",
        &Shape::Named(&Shape::Word(&["text", "number", "flag"])),
        "values that it leaves for others",
    ),
    key("artifacts", &TEXTS, "files that it leaves for others, kept by digest"),
    key("writes", &ONE_OR_MORE, "absolute paths that it may write to besides its own copy"),
    key("secrets", &Shape::Named(&Shape::Secret), "variables that name the file of a secret"),
]));

/// `secrets`.
pub(crate) const SECRETS: Shape = Shape::Named(&Shape::Any(&[
    Shape::Secret,
    Shape::Map(&[
        key("from", &Shape::Secret, "where it lies"),
        key("rotate", &Shape::Duration, "how old it may get"),
    ]),
]));

/// `flags`.
pub(crate) const FLAGS: Shape = Shape::Named(&Shape::Any(&[
    Shape::Word(&["on", "off", "segments"]),
    Shape::Map(&[
        key("state", &Shape::Word(&["on", "off", "segments"]), "what it must be"),
        key("kill", &Shape::Flag, "whether it is a kill switch"),
        key("steps", &Shape::List(&Shape::Percent), "how it is opened"),
    ]),
]));

/// `systems`: facts that are looked up.
pub(crate) const SYSTEMS: Shape = Shape::Named(&Shape::Any(&[
    Shape::Text,
    Shape::Map(&[
        key("driver", &Shape::Text, "who looks it up"),
        key("name", &Shape::Text, "what it is called there"),
        key("expect", &TEXTS, "what must be true of it"),
        key("instances", &Shape::Text, "how many of it, `2 to 20`"),
    ]),
]));

/// `metrics`.
pub(crate) const METRICS: Shape = Shape::Named(&Shape::Free);

/// `after.verify`.
pub(crate) const VERIFY: Shape = Shape::Map(&[
    key("suite", &Shape::Text, "a file of HTTP steps"),
    key("within", &Shape::Duration, "how long it may take"),
    key("repeat", &TEXTS, "probes and gates that are asked once more"),
    key("dns", &ONE_OR_MORE, "names that must resolve everywhere"),
    key("cache", &Shape::Text, "what the edge must serve"),
    key("watch", &TEXTS, "what is looked at for a while longer"),
    key("for", &Shape::Text, "how long, `1h to 4h`"),
    key("mandatory", &TEXTS, "without which it stays *live, unverified*"),
]);

/// `after.then`.
pub(crate) const AFTER_THEN: Shape = TEXTS;

/// `tell`.
pub(crate) const TELL: Shape = Shape::Named(&Shape::Map(&[
    key("slack", &ONE_OR_MORE, "rooms, as `channels.slack` of the server reaches them"),
    key("email", &ONE_OR_MORE, "addresses, or groups of `channels.email` of the server"),
    key("teams", &ONE_OR_MORE, "rooms of `channels.teams` of the server"),
    key(
        "pagerduty",
        &Shape::Word(&["critical", "error", "warning", "info"]),
        "how loud the page is; it is one page for one incident",
    ),
    declared("sns", &Shape::Text, "a topic"),
    key(
        "status_page",
        &Shape::Word(&["draft", "publish"]),
        "the page that customers read: `draft` waits for a person",
    ),
    key("webhook", &ONE_OR_MORE, "names under `channels.webhooks` of the server"),
    declared("when", &Shape::Text, "a condition; without it always"),
    declared("owner", &Shape::Text, "who does it, when a person must"),
    declared("due", &Shape::Duration, "until when"),
    key(
        "says",
        &TEXTS,
        "lines that every such message has; `{version}` and the like stand in them",
    ),
]));

/// `alerts`.
pub(crate) const ALERTS: Shape = Shape::Named(&Shape::Map(&[
    key("if", &Shape::Text, "the rule, `errors > 1% for 5m`"),
    key("metric", &Shape::Text, "what is measured, by the name it has there"),
    key("threshold", &Shape::Text, "its limit, with the unit"),
    key("window", &Shape::Text, "over which time, `5m` or `PT5M`"),
    key("severity", &Shape::Text, "how much it weighs"),
    key("probe", &Shape::Text, "the monitor that measures it"),
]));

/// `monitors`.
pub(crate) const MONITORS: Shape = Shape::Named(&Shape::Map(&[
    key("get", &Shape::Text, "an address"),
    key("every", &Shape::Text, "how often, `60s` or a cron line"),
    key("timeout", &Shape::Duration, "an answer later than this is none"),
    key("expect", &Shape::Count, "the status that is accepted"),
    key("from", &Shape::Text, "where it is asked from"),
    key("by", &Shape::Text, "who asks"),
    key("shows", &Shape::Text, "what it is for"),
]));

/// `recovery`.
pub(crate) const RECOVERY: Shape = Shape::Map(&[
    key("rto", &Shape::Duration, "how long the service may be away"),
    key("rpo", &Shape::Duration, "how much time may be lost"),
    key(
        "backup",
        &Shape::Map(&[
            key("every", &Shape::Text, "how often a copy is made, `24h` or `daily`"),
            key("schedule", &Shape::Cron, "when, as a cron line"),
            key(
                "log",
                &Shape::Word(&["continuous", "none"]),
                "whether every change is kept between copies",
            ),
            key("retention", &Shape::Duration, "how long a copy is kept"),
            key("geo", &Shape::Word(&["redundant", "none"]), "whether another region has it"),
            key("encrypted", &Shape::Flag, "whether copies are encrypted"),
            key("validated", &Shape::Flag, "whether copies are restored to try them"),
            key("tell", &Shape::Text, "who hears of it"),
        ]),
        "the schedule of copies",
    ),
    key("drills", &Shape::Text, "how often recovery is rehearsed"),
    key("standby", &Shape::Text, "the region that can take over"),
    key("steps", &TEXTS, "what is done, in order"),
    key("keep", &Shape::Text, "how long evidence is kept"),
]);

/// `incident`.
pub(crate) const INCIDENT: Shape = Shape::Map(&[
    key(
        "severity",
        &Shape::Named(&Shape::Map(&[
            key("means", &Shape::Text, "what it is"),
            key("within", &Shape::Duration, "how soon somebody answers; else 5m, 15m, 1h and 24h"),
        ])),
        "`p0` to `p3`, the worst first, each with its clock",
    ),
    declared("declare", &Shape::Text, "where an incident is opened"),
    key("ladder", &TEXTS, "who is called, in order, each after the clock of the class"),
    key("steps", &TEXTS, "what is done, in order"),
    key(
        "investigate",
        &Shape::Map(&[
            key("within", &Shape::Duration, "how soon the cause is known"),
            key("steps", &TEXTS, "what is looked at"),
        ]),
        "how the cause is found",
    ),
    key(
        "regulator",
        &Shape::Map(&[
            key("owner", &Shape::Text, "who tells them"),
            key("due", &Shape::Duration, "until when after the beginning, `72h`"),
        ]),
        "the authority that has to be told",
    ),
    declared(
        "rollback",
        &Shape::Map(&[
            key("within", &Shape::Duration, "how soon the way back is done"),
            key("steps", &TEXTS, "what is done, in order"),
            key("to", &Shape::Text, "what it goes back to"),
            key(
                "revert",
                &Shape::Word(&["pull-request"]),
                "that the change is taken back in the source too",
            ),
        ]),
        "the way back by hand",
    ),
    key(
        "postmortem",
        &Shape::Map(&[
            key("within", &Shape::Duration, "how soon after the end it is written; else 48h"),
            key("contains", &TEXTS, "what it must have"),
        ]),
        "what is learnt",
    ),
    key("contact", &TEXTS, "where people are reached"),
    declared("status_page", &Shape::Text, "the public page"),
]);

/// `duties`.
pub(crate) const DUTIES: Shape = Shape::Named(&Shape::Map(&[
    key("every", &Shape::Text, "how often, `1 month`"),
    key("owner", &Shape::Text, "whose it is"),
    key("blocks", &Shape::Flag, "whether no release begins while it is overdue"),
    key("run", &Shape::Text, "what does it"),
    key("evidence", &Shape::Text, "what shows that it was done"),
    key("expect", &Shape::Text, "what it must show"),
]));

/// `checklist`.
pub(crate) const CHECKLIST: Shape = Shape::Named(&Shape::List(&Shape::Map(&[
    key("box", &Shape::Text, "the words of the runbook"),
    key("line", &Shape::Count, "its line there"),
    key("proof", &Shape::Text, "the key of this file, or the phase, that closes it"),
    key("attest", &Shape::Text, "who says so, when nothing can show it"),
    key("mandatory", &Shape::Flag, "whether it must be closed for a deployment to have succeeded"),
])));

/// Phases of a deployment that can close a box, as `phase:health`.
pub(crate) const PHASES: [&str; 12] = [
    "ready",
    "gates",
    "plan",
    "approvals",
    "backup",
    "deploy",
    "health",
    "smoke",
    "traffic",
    "bake",
    "finish",
    "rollback",
];
