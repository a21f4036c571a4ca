//! An error of the API as it travels: `application/problem+json` with a code, what is safe and
//! what to do next. Must never carry a secret, a path outside the request, or a backtrace.

use serde::{Deserialize, Serialize};
use tidegate_core::rejection::Rejection;
use tidegate_engine::CommandError;
use tidegate_engine::ports::{FailureKind, JournalError};
use tidegate_spec::{Diagnostic, Diagnostics};
use utoipa::ToSchema;

use crate::exit::Exit;

/// The media type of every error.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// An error of the API (RFC 9457).
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// Where the error's page is served.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The class of the error in two or three words.
    pub(crate) title: String,
    /// The HTTP status again, for logs.
    pub(crate) status: u16,
    /// `TGxxxx`: branch on this.
    pub(crate) code: String,
    /// One sentence with the values to act on.
    pub(crate) detail: String,
    /// What is safe, what to do next, and findings in a file.
    #[serde(flatten)]
    pub(crate) advice: Box<Advice>,
}

/// What helps beside the sentence.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub(crate) struct Advice {
    /// What is safe at this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) safe: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
    /// After how many seconds to ask again; also in the header `Retry-After`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_s: Option<u64>,
    /// Findings in `tidegate.yaml`, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl Problem {
    /// A problem with its status, code and sentence.
    pub(crate) fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/v1/errors/{code}"),
            title: title(status).to_owned(),
            status,
            code: code.to_owned(),
            detail: detail.into(),
            advice: Box::default(),
        }
    }

    /// Nothing of that name exists.
    pub(crate) fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::new(404, code, detail)
    }

    /// The request does not make sense.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(400, "TG7003", detail).safe("nothing was changed")
    }

    /// Adds what is safe.
    pub(crate) fn safe(mut self, safe: impl Into<String>) -> Self {
        self.advice.safe = Some(safe.into());
        self
    }

    /// Adds what to do next.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.advice.help = Some(help.into());
        self
    }

    /// Adds after how long to ask again, in whole seconds, at least one.
    pub(crate) fn retry_after(mut self, wait: std::time::Duration) -> Self {
        self.advice.retry_after_s = Some(wait.as_secs() + 1);
        self
    }

    /// A configuration with errors.
    pub(crate) fn of_diagnostics(file: &str, found: Diagnostics) -> Self {
        let errors =
            found.0.iter().filter(|d| d.severity == tidegate_spec::Severity::Error).count();
        let mut problem =
            Self::new(422, "TG7017", format!("{file} has {errors} {}", plural(errors, "error")))
                .safe("no deployment was started, traffic is as it was")
                .help("mend them, then run `tidegate check`");
        problem.advice.diagnostics = found.0;
        problem
    }

    /// What this means to a script.
    pub(crate) fn exit(&self) -> Exit {
        match (self.code.as_str(), self.status) {
            ("TG7017", _) => Exit::ConfigInvalid,
            (_, 401 | 403) => Exit::NotAllowed,
            ("TG3001" | "TG3013", _) | (_, 404) => Exit::NotFound,
            (_, 409 | 412) => Exit::Conflict,
            (_, 400 | 405 | 413 | 415 | 422) => Exit::Usage,
            _ => Exit::Unexpected,
        }
    }
}

fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "the request does not make sense",
        401 | 403 => "not allowed",
        404 => "not found",
        405 => "not a way to ask for this",
        408 | 504 => "took too long",
        409 => "the state does not allow it",
        413 => "too large",
        415 => "not JSON",
        421 => "not asked by its name",
        429 => "too many attempts",
        422 => "cannot be carried out",
        501 => "not supported",
        503 => "not available",
        _ => "unexpected",
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Rejected(rejection) => rejection.into(),
            CommandError::Unavailable { code, what } => Self::new(503, code, what)
                .safe("traffic is as it was")
                .help("repeat with the same key: it takes effect at most once"),
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let status = match rejection {
            Rejection::NotInFlight { .. } | Rejection::NoIncident { .. } => 404,
            Rejection::PlanInvalid { .. } | Rejection::BadCondition { .. } => 422,
            Rejection::UnknownItem { .. } => 404,
            Rejection::NotYours { .. }
            | Rejection::NotConfirmedByYou { .. }
            | Rejection::NotAllowed { .. } => 403,
            _ => 409,
        };
        let help = match &rejection {
            Rejection::Occupied { deployment, .. } => Some(format!(
                "wait for it (`tidegate watch {deployment}`), end it (`tidegate abort {deployment}`), or deploy with `--supersede`"
            )),
            Rejection::WrongStep { .. } => {
                Some("look which step runs: `tidegate status`".to_owned())
            }
            Rejection::GoingBack { deployment, .. } => {
                Some(format!("`tidegate watch {deployment}`"))
            }
            Rejection::NothingToGoBackTo { .. } => {
                Some("see what there is: `tidegate rollback --list`".to_owned())
            }
            Rejection::TagMoved { .. } => {
                Some("a release keeps its name: tag the new commit with a new version".to_owned())
            }
            Rejection::HeldByJudge { .. } => Some("`tidegate why` shows the numbers".to_owned()),
            Rejection::HeldByPerson { .. } => Some("`tidegate resume`".to_owned()),
            Rejection::BindingChanged { .. } => {
                Some("look at it again: `tidegate show`".to_owned())
            }
            Rejection::NotYours { deployment, .. } => {
                Some(format!("`tidegate why {deployment}` says whose approval is missing"))
            }
            Rejection::NotAllowed { .. } => {
                Some("`tidegate whoami` says what you may do".to_owned())
            }
            Rejection::TooEarly { .. } => {
                Some("approve when they have: `tidegate inbox`".to_owned())
            }
            Rejection::BadCondition { .. } => {
                Some("its steps are in `tidegate show`, or approve without a condition".to_owned())
            }
            Rejection::UnknownItem { .. } => Some("`tidegate inbox` lists the items".to_owned()),
            Rejection::NoIncident { .. } => Some("`tidegate incident list`".to_owned()),
            Rejection::NotVerified { incident } => Some(format!(
                "`tidegate incident resolve {incident} --reason \"...\"` when you know that it is over"
            )),
            Rejection::MessageInvalid { .. } => Some("`tidegate notify list`".to_owned()),
            Rejection::Frozen { .. } => Some("`tidegate rollback` is accepted".to_owned()),
            Rejection::NotInFlight { .. } | Rejection::NotHeld { .. } => {
                Some("see what runs: `tidegate list`".to_owned())
            }
            _ => None,
        };
        let problem =
            Self::new(status, rejection.code(), rejection.to_string()).safe("nothing was changed");
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }
}

impl From<tidegate_engine::ports::Failure> for Problem {
    fn from(failure: tidegate_engine::ports::Failure) -> Self {
        let status = match failure.kind {
            FailureKind::Retryable => 503,
            FailureKind::Permanent => 422,
            FailureKind::Unsupported => 501,
            FailureKind::Denied => 403,
            FailureKind::Conflict => 409,
        };
        Self::new(status, failure.code, failure.what).safe("traffic is as it was")
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        let detail = error.to_string();
        match error {
            JournalError::Damaged { code, .. } => Self::new(500, code, detail)
                .safe("traffic is as it was; the proxy serves its last table")
                .help("`tidegate explain` the code before anything else"),
            JournalError::Unavailable { code, .. } => {
                Self::new(503, code, detail).safe("traffic is as it was")
            }
            JournalError::Conflict { .. }
            | JournalError::Fenced { .. }
            | JournalError::Held { .. } => Self::new(409, "TG6110", detail)
                .safe("traffic is as it was")
                .help("another server is in charge: `tidegate server status`"),
        }
    }
}
