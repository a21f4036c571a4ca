//! Exit codes: a stable interface that scripts branch on.
//! A code must never change its meaning, and a failure must never leave with 0.

use std::process::ExitCode;

use tidegate_core::event::Ending;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// What was asked for is done.
    Done = 0,
    /// Something that has no code of its own.
    Unexpected = 1,
    /// The command line, or a request, does not make sense.
    Usage = 2,
    /// `tidegate.yaml` has errors.
    ConfigInvalid = 3,
    /// Not allowed.
    NotAllowed = 4,
    /// What was named does not exist.
    NotFound = 5,
    /// The state of things does not allow it: in flight, taken, changed meanwhile.
    Conflict = 6,
    /// It waits for people, and this command does not wait with it.
    WaitingForPeople = 10,
    /// A check failed or had no evidence, before anything was changed.
    Stopped = 11,
    /// A person refused it.
    Rejected = 12,
    /// Rolled back, verified.
    RolledBack = 13,
    /// Rolled back, and the previous revision did not answer as it should: act.
    RolledBackUnverified = 14,
    /// Held, and this command does not wait any longer.
    Held = 15,
    /// A person must look: the way back is stuck, or an invariant broke.
    NeedsPerson = 16,
    /// A person ended it before any traffic.
    Aborted = 17,
    /// A newer deployment took its place.
    Superseded = 18,
    /// Live, but nobody used it enough to say that it is good.
    LiveUnverified = 19,
    /// Something differs, and `--exit-code` or `--check` asked to be told.
    HasChanges = 20,
    /// No server answers.
    Unreachable = 69,
    /// The command stopped watching; the deployment goes on.
    Interrupted = 130,
}

impl Exit {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        // The discriminants are the codes.
        self as u8
    }

    /// What the end of a deployment means to a script.
    pub(crate) fn of_ending(ending: Ending) -> Self {
        match ending {
            Ending::Succeeded => Self::Done,
            Ending::LiveUnverified => Self::LiveUnverified,
            Ending::RolledBack => Self::RolledBack,
            Ending::RolledBackUnverified => Self::RolledBackUnverified,
            Ending::Stopped => Self::Stopped,
            Ending::Aborted => Self::Aborted,
            Ending::Rejected => Self::Rejected,
            Ending::Superseded => Self::Superseded,
        }
    }

    /// What it means, for the page of all codes.
    #[cfg(test)]
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unexpected => "something that has no code of its own; also a failed `doctor`",
            Self::Usage => "the command line, or a request, does not make sense",
            Self::ConfigInvalid => "`tidegate.yaml` has errors",
            Self::NotAllowed => "not allowed",
            Self::NotFound => "what was named does not exist",
            Self::Conflict => "the state does not allow it: in flight, taken, changed meanwhile",
            Self::WaitingForPeople => "waits for people, and the command does not wait with it",
            Self::Stopped => "a check failed or had no evidence, before anything was changed",
            Self::Rejected => "a person refused it",
            Self::RolledBack => "rolled back, verified: users are safe",
            Self::RolledBackUnverified => {
                "rolled back, but the previous revision did not answer as it should: act now"
            }
            Self::Held => "held, and the command does not wait any longer",
            Self::NeedsPerson => "needs a person: the way back is stuck, or an invariant broke",
            Self::Aborted => "a person ended it before any traffic",
            Self::Superseded => "a newer deployment took its place",
            Self::LiveUnverified => "live, but nobody used it enough to say that it is good",
            Self::HasChanges => {
                "something differs, and `--exit-code` or `--check` asked to be told"
            }
            Self::Unreachable => "no server answers",
            Self::Interrupted => "the command stopped following; the deployment goes on",
        }
    }

    /// The code of that number; an unknown one is *unexpected*, never *done*.
    pub(crate) fn of_number(number: u8) -> Self {
        Self::ALL.into_iter().find(|exit| exit.code() == number).unwrap_or(Self::Unexpected)
    }

    /// Every code, in order.
    pub(crate) const ALL: [Self; 20] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::ConfigInvalid,
        Self::NotAllowed,
        Self::NotFound,
        Self::Conflict,
        Self::WaitingForPeople,
        Self::Stopped,
        Self::Rejected,
        Self::RolledBack,
        Self::RolledBackUnverified,
        Self::Held,
        Self::NeedsPerson,
        Self::Aborted,
        Self::Superseded,
        Self::LiveUnverified,
        Self::HasChanges,
        Self::Unreachable,
        Self::Interrupted,
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
