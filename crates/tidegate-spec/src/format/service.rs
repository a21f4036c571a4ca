//! The top level of the format, and the keys of a service: what runs, how traffic moves.
//! Must never list a key as served that no reader reads.

use super::process::{
    AFTER_THEN, ALERTS, APPROVE, BEFORE, CHECK, CHECKLIST, COPY, DUTIES, FLAGS, INCIDENT, METRICS,
    MONITORS, PEOPLE, PLAN, RECOVERY, RELEASE_START, ROLES, SECRETS, STEPS, SYSTEMS, TELL, VERIFY,
    WINDOW,
};
use super::{COMMAND, Key, Shape, declared, key};

const TEXTS: Shape = Shape::List(&Shape::Text);
const VARIABLES: Shape = Shape::Named(&Shape::Text);

/// The file.
pub(crate) static ROOT: &[Key] = &[
    key("tidegate", &Shape::Word(&["1"]), "version of this format"),
    key("service", &Shape::Name, "what is deployed"),
    key("environment", &Shape::Name, "where; one named on the command line wins"),
    key("owner", &Shape::Text, "who answers for this process"),
    key("extends", &Shape::Text, "a preset to begin with, `preset:NAME`"),
    key("use", &TEXTS, "other files whose keys count as if they stood here"),
    key("variables", &Shape::Named(&VARIABLE), "values that `${env.NAME}` stands for"),
    key("environments", &Shape::Named(&ENVIRONMENT), "where the service runs, in order"),
    key("review", &REVIEW, "when this process is looked at again"),
    key("targets", &TARGETS, "what you want of a deployment; only lints read it"),
    key("load", &Shape::Text, "requests that users make, `40 requests/s`; only lints read it"),
    key("recovery", &RECOVERY, "how much may be lost, for how long; only lints read it"),
    key("accept", &Shape::Named(&ACCEPTED), "findings of `check` that are known, with the reason"),
    key("ask", &Shape::List(&ASK), "questions that are still open"),
    key("people", &PEOPLE, "who can answer, and how they are reached"),
    declared("roles", &ROLES, "who may do what"),
    key("release", &RELEASE, "which tags are releases"),
    key("check", &CHECK, "gates: evidence that must pass before people are asked"),
    declared("gates", &CHECK, "another word for `check`"),
    declared("plan", &PLAN, "what changes besides the application"),
    key("approve", &APPROVE, "who must agree"),
    key("window", &WINDOW, "when a deployment may begin"),
    declared("before", &BEFORE, "what must be done before the deployment"),
    key("backup", &COPY, "the copy that is made before anything changes"),
    declared("secrets", &SECRETS, "secrets, where they come from, how old they may be"),
    declared("flags", &FLAGS, "feature flags and the state they must be in"),
    declared("systems", &SYSTEMS, "facts about the world that are looked up before it is changed"),
    key("steps", &STEPS, "work of your own, each at its moment of the process"),
    key("build", &BUILD, "how a release becomes an artifact"),
    key("deploy", &Shape::Map(DEPLOY), "what runs, when the service has one part"),
    key("parts", &Shape::Named(&PART), "what runs, when it has several"),
    key("sources", &Shape::Named(&Shape::Free), "other systems that measure, by name"),
    key("metrics", &METRICS, "measurements of others, one name and one unit each"),
    key("traffic", &Shape::Map(TRAFFIC), "how traffic moves, and what judges it"),
    key("after", &Shape::Map(AFTER), "watching at 100 %"),
    key("tell", &TELL, "who hears of what"),
    declared("alerts", &ALERTS, "limits that are watched outside of deployments"),
    declared("monitors", &MONITORS, "questions that are asked all the time"),
    key("incident", &INCIDENT, "what happens when it goes wrong"),
    key("duties", &DUTIES, "what falls due again and again"),
    key("checklist", &CHECKLIST, "the boxes of the runbook, each with its proof"),
];

const VARIABLE: Shape = Shape::Any(&[
    Shape::Text,
    Shape::Map(&[
        key("type", &Shape::Word(&["text", "url", "number"]), "what its value must be"),
        key("value", &Shape::Text, "its value; left away, the caller gives it with `--set`"),
    ]),
]);

const ENVIRONMENT: Shape = Shape::Map(&[
    key("use", &TEXTS, "files whose keys win over this one, here only"),
    key("with", &Shape::Free, "keys that win over this file, here only"),
    declared(
        "after",
        &Shape::Name,
        "the environment in which the same artifact must be live first",
    ),
    declared("soak", &Shape::Duration, "how long it must have been green there without a break"),
    declared("branch", &Shape::Text, "the branch whose releases come here"),
]);

const REVIEW: Shape = Shape::Map(&[
    key("every", &Shape::Text, "how often, `1 month`"),
    key("next", &Shape::Date, "the day of the next one"),
    key("last", &Shape::Text, "the day of the last one"),
    key("version", &Shape::Text, "version of the process that was agreed to"),
    key("by", &Shape::Text, "who agreed to it"),
    key("status", &Shape::Text, "what was said of it"),
]);

const TARGETS: Shape = Shape::Map(&[
    key("success", &Shape::Limit, "share of deployments that end well"),
    key("duration", &Shape::Limit, "how long a deployment takes"),
    key("rollback", &Shape::Limit, "how long the way back takes"),
    key("downtime", &Shape::Word(&["none"]), "that users lose nothing"),
    key("detect", &Shape::Limit, "how soon a fault is noticed"),
    key("resolve", &Shape::Limit, "how soon an incident is over"),
    key("uptime", &Shape::Percent, "share of the time in which it serves"),
    key("errors", &Shape::Limit, "share of requests that fail"),
    key("p95", &Shape::Limit, "latency of 95 % of the requests"),
    key("p99", &Shape::Limit, "latency of 99 % of the requests"),
]);

const ACCEPTED: Shape = Shape::Text;

const ASK: Shape = Shape::Any(&[
    Shape::Text,
    Shape::Map(&[
        key("question", &Shape::Text, "what a person must say"),
        key("for", &Shape::Text, "the key that the answer belongs to"),
        key("line", &Shape::Count, "the line of the runbook that left it open"),
        key("propose", &Shape::Text, "an answer that would do"),
    ]),
]);

const RELEASE: Shape = Shape::Map(&[
    key("tag", &Shape::Text, "tags that are releases, a pattern with `*`"),
    declared("start", &RELEASE_START, "what begins a deployment"),
    declared("image", &Shape::Text, "the image that carries the release"),
    declared("require", &TEXTS, "what a release must bring: signatures, provenance, versions"),
    declared("repository", &Shape::Text, "where its source is"),
    declared(
        "branch",
        &Shape::Map(&[
            key("from", &Shape::Text, "where a release branch begins"),
            key("release", &Shape::Text, "its name, a pattern"),
            key("into", &Shape::Text, "where it is merged"),
        ]),
        "the way of a change to its release",
    ),
    declared(
        "version",
        &Shape::Map(&[
            key("major", &Shape::Text, "what a new first number means"),
            key("minor", &Shape::Text, "what a new second number means"),
            key("patch", &Shape::Text, "what a new third number means"),
        ]),
        "what the numbers of a version mean",
    ),
    declared(
        "toolchain",
        &Shape::Named(&Shape::Text),
        "what builds it, as its provenance must say",
    ),
    declared(
        "artifact",
        &Shape::Map(&[
            key("assert", &TEXTS, "what must be true of the built files"),
            key(
                "digest",
                &Shape::Word(&["same-everywhere"]),
                "that every environment runs the same bytes",
            ),
        ]),
        "what is asserted of what was built",
    ),
]);

const BUILD: Shape = Shape::Any(&[
    Shape::List(&Shape::Text),
    Shape::Map(&[
        key("run", &COMMAND, "the command"),
        key("shell", &Shape::Text, "the command as a shell line"),
        key("timeout", &Shape::Duration, "killed after this"),
        key("env", &VARIABLES, "variables besides `PATH`, `HOME` and `LANG`"),
    ]),
]);

/// `deploy`.
const DEPLOY: &[Key] = &[
    key("kind", &Shape::Word(&["web", "worker"]), "whether user requests reach it"),
    key("slots", &SLOTS, "the two places it can run in; which one is live is a role, not a name"),
    key("run", &COMMAND, "how one instance is started, in the artifact's directory"),
    key("env", &VARIABLES, "variables besides `PATH`, `HOME`, `LANG` and the port"),
    key("port", &Shape::Text, "the variable in which each instance is told its port"),
    key("protocol", &Shape::Word(&["http1", "h2c"]), "what its instances speak"),
    key("instances", &Shape::Count, "instances of a full slot, 1 to 64"),
    key("memory", &Shape::Size, "what reads as 100 % of `memory`"),
    key("grace", &Shape::Duration, "between SIGTERM and SIGKILL"),
    key("log", &Shape::Size, "most that is kept of each instance's log"),
    key("start_within", &Shape::Duration, "a slot must be ready within this"),
    key("probes", &Shape::Named(&PROBE), "questions that every instance must answer"),
    key("smoke", &SMOKE, "what proves that the release does its work"),
    declared("migrate", &MIGRATE, "how the database follows the release"),
    declared("image", &Shape::Text, "the image that runs"),
    declared("containers", &Shape::Free, "how the image runs"),
    declared("needs", &TEXTS, "parts that must be up first"),
    declared("hosts", &TEXTS, "machines it runs on"),
    declared("secrets", &TEXTS, "secrets it sees"),
    declared("user", &Shape::Text, "who it runs as"),
    declared("cpus", &Shape::Text, "processors it may use"),
];

const PART: Shape = Shape::Map(&PART_KEYS);

/// One of `parts`: `deploy` with a route of its own.
const PART_KEYS: [Key; DEPLOY.len() + 1] = {
    const ROUTE_KEY: Key = key("route", &ROUTE, "where its requests come in");
    let mut keys = [ROUTE_KEY; DEPLOY.len() + 1];
    let mut at = 0;
    while at < DEPLOY.len() {
        let Key { name, shape, meaning, served } = DEPLOY[at];
        keys[at] = Key { name, shape, meaning, served };
        at += 1;
    }
    keys
};

const SLOTS: Shape = Shape::Any(&[
    Shape::List(&Shape::Name),
    Shape::Named(&Shape::Any(&[Shape::Text, Shape::Named(&Shape::Free)])),
]);

const PROBE: Shape = Shape::Map(&[
    key("get", &Shape::Text, "a path that is asked for"),
    key("tcp", &Shape::Flag, "the port accepts a connection"),
    key("exec", &COMMAND, "a command that must end with 0"),
    key("tls", &Shape::Text, "the name whose certificate is looked at"),
    key(
        "expect",
        &Shape::Any(&[Shape::Count, Shape::List(&Shape::Count)]),
        "statuses that are accepted",
    ),
    key("header", &VARIABLES, "headers that must be there with this value"),
    key("body", &Shape::Text, "a text that the answer must contain"),
    key("within", &Shape::Duration, "the answer must come within this"),
    key("days_left", &Shape::Text, "days for which the certificate must still be valid"),
    key("interval", &Shape::Duration, "time between two askings"),
    key("timeout", &Shape::Duration, "an answer later than this is none"),
    key("retries", &Shape::Count, "failures in a row that make an instance unhealthy"),
    key("start_period", &Shape::Duration, "failures in this time after the start do not count"),
    key("owner", &Shape::Word(&["ours", "theirs"]), "whether the answer is in our hands"),
]);

const SMOKE: Shape = Shape::Map(&[
    key("suite", &Shape::Text, "a file of HTTP steps"),
    key("run", &COMMAND, "a command"),
    key("shell", &Shape::Text, "a command as a shell line"),
    key("junit", &Shape::Text, "the report that the command writes"),
    key("timeout", &Shape::Duration, "all of it must end within this"),
]);

const MIGRATE: Shape = Shape::Any(&[
    Shape::List(&Shape::Text),
    Shape::Map(&[
        key("run", &COMMAND, "the command"),
        key("shell", &Shape::Text, "the command as a shell line"),
        key("list", &COMMAND, "the command that lists what will run"),
        key(
            "class",
            &Shape::Word(&["expand", "contract"]),
            "whether the live version runs on the new schema",
        ),
        key("verify", &COMMAND, "the command that shows it worked"),
        key("timeout", &Shape::Duration, "killed after this"),
    ]),
]);

/// `traffic`.
const TRAFFIC: &[Key] = &[
    key("route", &ROUTE, "where user requests come in"),
    key(
        "steps",
        &Shape::List(&Shape::Percent),
        "shares of the candidate, growing, the last is 100 %",
    ),
    key(
        "each",
        &Shape::Map(&[
            key("for", &Shape::Duration, "how long a step lasts at least"),
            key("confidence", &Shape::Percent, "how sure the rules to advance must be"),
            key("at_least", &Shape::Text, "requests that the candidate must answer in a step"),
        ]),
        "what holds for every step",
    ),
    key("advance_if", &TEXTS, "all must hold to advance"),
    key("rollback_if", &TEXTS, "any of them rolls back"),
    key(
        "otherwise",
        &Shape::Map(&[
            key("hold", &Shape::Duration, "hold for at most this long"),
            key("then", &Shape::Word(&["rollback", "page"]), "and then"),
            declared("tell", &Shape::Text, "who hears of it"),
        ]),
        "what to do between the limits",
    ),
    key(
        "floor",
        &Shape::Word(&["attributed", "literal"]),
        "whether a breach that the live side shares counts",
    ),
    key(
        "lease",
        &Shape::Duration,
        "the proxy goes back by itself after so long without the server",
    ),
    declared("hold_out", &Shape::Percent, "users that stay with the live side to compare"),
    key("judge", &Shape::Free, "`evidence`, `rules`, or the margins of the evidence"),
    key("budget", &Shape::Text, "what a rollout may cost, `200 failed requests`"),
    declared("mirror", &Shape::Free, "requests that are shown to the candidate without an answer"),
    declared("cohorts", &Shape::Free, "who meets the candidate first"),
    declared(
        "on_control_loss",
        &Shape::Word(&["revert", "hold"]),
        "what the proxy does past the lease",
    ),
    declared("tell", &Shape::Text, "who hears of it"),
];

const ROUTE: Shape = Shape::Map(&[
    key("listen", &Shape::Text, "address and port that the proxy listens on"),
    key("host", &Shape::Text, "only requests for this host"),
    key("path", &Shape::Text, "only requests whose path begins so"),
    key("preview", &Shape::Text, "header that chooses a side"),
    key("sticky", &Shape::Flag, "whether a user stays with the side they met"),
    declared("alb", &Shape::Free, "a listener of an application load balancer"),
    declared("nginx", &Shape::Free, "an upstream of nginx"),
    declared("haproxy", &Shape::Free, "a backend of HAProxy"),
    declared("envoy", &Shape::Free, "a cluster of Envoy"),
    declared("gateway", &Shape::Free, "a route of the Kubernetes Gateway API"),
    declared("dns", &Shape::Free, "weighted records"),
    key("tls", &Shape::Free, "certificates of the proxy, from files or by ACME"),
    key("behind", &Shape::Free, "what stands in front, and how it is believed"),
    key("cohort", &Shape::Free, "how users are told apart"),
    key("mirror", &Shape::Free, "the share of safe requests that is copied to the candidate"),
    key("access_log", &Shape::Free, "the share of requests that is logged"),
]);

/// `after`.
const AFTER: &[Key] = &[
    key(
        "watch",
        &Shape::Map(&[
            key("for", &Shape::Duration, "how long the rules stay armed at 100 %"),
            key(
                "keep_previous",
                &Shape::Word(&["warm", "cold"]),
                "whether the previous revision keeps running",
            ),
        ]),
        "watching with rollback armed",
    ),
    declared("verify", &VERIFY, "what is shown once more at 100 %"),
    declared("then", &AFTER_THEN, "what is done at the end"),
];
