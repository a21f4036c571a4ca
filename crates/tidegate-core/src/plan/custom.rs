//! Custom steps: work of the user's own, bound to a moment of the process.
//! Must never name a program that the plan does not show: what runs is declared whole.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::ids::StepName;

/// Most custom steps of one plan, each cell of a matrix counted.
pub const CUSTOM_MAX: usize = 64;
/// Most custom steps that run at the same time: they share the machine with the candidate.
pub const CUSTOM_RUNNING_MAX: usize = 8;
/// Most repetitions of a custom step.
pub const RETRIES_MAX: u32 = 9;

/// Work of the user's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomStep {
    /// Its name, unique within the plan.
    pub name: StepName,
    /// When it runs.
    pub at: Moment,
    /// Steps that come before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<StepName>,
    /// For which deployments it runs.
    #[serde(default, skip_serializing_if = "When::is_always")]
    pub when: When,
    /// Whether nothing else of its moment runs at the same time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub alone: bool,
    /// What it does.
    pub work: Work,
    /// Stopped after this.
    pub timeout: SignedDuration,
    /// How often it is repeated when it fails, 0 to [`RETRIES_MAX`].
    pub retries: u32,
    /// Whether doing it twice is as good as doing it once.
    pub idempotent: bool,
    /// A command that says whether it was done: 0 for done, 1 for not done, else unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Vec<String>>,
    /// Values that it has to leave behind, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, OutputKind>,
    /// Files of its working copy that are kept under their digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// Absolute paths that it may write to besides its working copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<String>,
    /// Secrets that it is handed, by the name of its variable: `secret://file/NAME`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// What a custom step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Runs a program in a copy of the artifact.
    Run {
        /// Program and arguments.
        argv: Vec<String>,
        /// The variables it sees besides `PATH`, `LANG` and those of Tidegate.
        env: BTreeMap<String, String>,
    },
    /// Sends one HTTP request.
    Http {
        /// The method, in capitals.
        method: String,
        /// An absolute address.
        url: String,
        /// Headers.
        headers: BTreeMap<String, String>,
        /// The body.
        body: Option<String>,
        /// Accepted status codes; empty accepts 200 to 299.
        status: Vec<u16>,
        /// A text that the answer must contain.
        contains: Option<String>,
    },
    /// Runs statements in one transaction of a database.
    Sql {
        /// Where the database is.
        database: Database,
        /// The statements.
        statements: String,
        /// What the first column of the last row must be.
        expect: Option<String>,
    },
    /// Brings the schema of a database forward, under a lock, once.
    Migration(Box<Migration>),
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Database {
    /// A file.
    Sqlite(String),
    /// A connection string that names no password: `postgres://user@host/name`, or the variable
    /// of a secret that holds it whole, `$NAME`.
    Postgres(String),
}

/// A change of a database's schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// Where the database is.
    pub database: Database,
    /// Files of the artifact, in the order in which they are applied.
    pub files: Vec<String>,
    /// Whether the live release runs on the new schema.
    pub class: Class,
    /// A query whose only value must be true afterwards.
    pub verify: Option<String>,
}

/// Whether the live release runs on the schema that a migration leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It does: going back stays possible.
    Expand,
    /// It does not: the way back ends here.
    Contract,
}

/// When a custom step runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// The artifact is there and people were not asked yet; what it leaves behind is part of D.
    Plan,
    /// After the backup, before the candidate is started.
    BeforeDeploy,
    /// The candidate runs and answers its probes.
    AfterDeploy,
    /// The candidate passed its suite; the first user comes next.
    BeforeTraffic,
    /// Everything is on the candidate, rollback is armed.
    Bake,
    /// The roles moved.
    Finish,
    /// The users are back on what was live before.
    Rollback,
}

impl Moment {
    /// All of them, in the order in which they come.
    pub const ALL: [Self; 7] = [
        Self::Plan,
        Self::BeforeDeploy,
        Self::AfterDeploy,
        Self::BeforeTraffic,
        Self::Bake,
        Self::Finish,
        Self::Rollback,
    ];

    /// The word in configuration and output.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::BeforeDeploy => "before-deploy",
            Self::AfterDeploy => "after-deploy",
            Self::BeforeTraffic => "before-traffic",
            Self::Bake => "bake",
            Self::Finish => "finish",
            Self::Rollback => "rollback",
        }
    }
}

/// For which deployments a custom step runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// For every one.
    #[default]
    Always,
    /// Only for the first of a service.
    First,
    /// Only where something was live before.
    Update,
}

impl When {
    fn is_always(&self) -> bool {
        *self == Self::Always
    }
}

/// What a value must be that a step leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
}

/// Variables by which a program is made to load or run something else than its arguments say, or to
/// read other settings; those that end in `*` are whole families.
const STEERING: [&str; 37] = [
    "ANSIBLE_*",
    "BASH_ENV",
    "BASH_FUNC_*",
    "BASHOPTS",
    "CDPATH",
    "CURL_HOME",
    "DYLD_*",
    "ENV",
    "GCONV_PATH",
    "GIT_*",
    "GLIBC_TUNABLES",
    "HOME",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LD_*",
    "LOCPATH",
    "MAKEFLAGS",
    "NODE_OPTIONS",
    "NODE_PATH",
    "PATH",
    "PERL5DB",
    "PERL5LIB",
    "PERL5OPT",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHON*",
    "RUBYLIB",
    "RUBYOPT",
    "SHELLOPTS",
    "SSH_ASKPASS",
    "TF_CLI_*",
    "TIDEGATE_*",
    "TMPDIR",
];

/// Whether a variable of this name decides what runs, rather than what it works on: a plan must
/// not set it for a custom step.
#[must_use]
pub fn steers(variable: &str) -> bool {
    STEERING.iter().any(|name| match name.strip_suffix('*') {
        Some(family) => variable.starts_with(family),
        None => variable == *name,
    })
}

/// What is wrong with the order of custom steps: a name that is there twice, a need of nothing, of
/// itself in a circle, or of what comes later.
#[must_use]
pub fn disorder(steps: &[CustomStep]) -> Option<(StepName, String)> {
    let find = |name: &StepName| steps.iter().find(|step| step.name == *name);
    for (index, step) in steps.iter().enumerate() {
        let wrong = |what: String| Some((step.name.clone(), what));
        if steps[..index].iter().any(|other| other.name == step.name) {
            return wrong("is there twice".to_owned());
        }
        for need in &step.needs {
            match find(need) {
                None => return wrong(format!("needs `{need}`, and there is no such step")),
                Some(needed) if needed.at > step.at => {
                    return wrong(format!("needs `{need}`, which runs later"));
                }
                Some(_) => {}
            }
        }
    }
    // Takes away what needs nothing that is left, until nothing goes any more.
    let mut left: Vec<&CustomStep> = steps.iter().collect();
    loop {
        let waiting: Vec<&CustomStep> = left
            .iter()
            .copied()
            .filter(|step| step.needs.iter().any(|need| left.iter().any(|l| l.name == *need)))
            .collect();
        match (waiting.first(), waiting.len() == left.len()) {
            (None, _) => return None,
            (Some(step), true) => {
                return Some((step.name.clone(), "needs itself, in a circle".to_owned()));
            }
            (Some(_), false) => left = waiting,
        }
    }
}
