//! What a person reads when a command does not succeed: code, what happened, what is safe, what
//! to type next. Always the last thing on the screen. Must never be shown without a code.

use serde::Serialize;

use crate::exit::Exit;
use crate::problem::Problem;

/// A command did not succeed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    /// How the process ends.
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// `TGxxxx`.
    pub(crate) code: String,
    /// One sentence with the values to act on.
    pub(crate) what: String,
    /// What is safe at this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) safe: Option<String>,
    /// What to type next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) help: Option<String>,
    /// Findings in a file, each already laid out for people.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub(crate) findings: Box<[String]>,
}

impl Failure {
    /// A failure with its code and sentence.
    pub(crate) fn new(exit: Exit, code: &str, what: impl Into<String>) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            what: what.into(),
            safe: None,
            help: None,
            findings: Box::default(),
        }
    }

    /// Adds what is safe.
    pub(crate) fn safe(mut self, safe: impl Into<String>) -> Self {
        self.safe = Some(safe.into());
        self
    }

    /// Adds what to type next.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Output could not be written, or another fault of the machine under this process.
    pub(crate) fn local(what: impl std::fmt::Display) -> Self {
        Self::new(Exit::Unexpected, "TG7020", what.to_string())
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            exit: problem.exit(),
            findings: problem.advice.diagnostics.iter().map(ToString::to_string).collect(),
            code: problem.code,
            what: problem.detail,
            safe: problem.advice.safe,
            help: problem.advice.help,
        }
    }
}
