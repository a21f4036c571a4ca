//! What the API says about accounts, sessions and tokens.
//! Must never hold a secret but in the one answer that hands it out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One account.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct Account {
    /// Its name.
    pub(crate) name: String,
    /// The account that is the same human being's.
    pub(crate) person: Option<String>,
    /// What they are.
    pub(crate) roles: Vec<String>,
    /// Their groups.
    pub(crate) groups: Vec<String>,
    /// Addresses and handles.
    pub(crate) names: Vec<String>,
    /// Whether it may be used.
    pub(crate) active: bool,
    /// Whether both factors were shown once.
    pub(crate) ready: bool,
}

/// All accounts.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Accounts {
    /// By name.
    pub(crate) accounts: Vec<Account>,
}

/// One token of a machine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct Token {
    /// Its name.
    pub(crate) name: String,
    /// What it may do.
    pub(crate) acts: Vec<String>,
    /// Only these services; empty is all of them.
    pub(crate) services: Vec<String>,
    /// Until when.
    pub(crate) expires: Timestamp,
    /// Who made it.
    pub(crate) by: String,
}

/// All tokens.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Tokens {
    /// By name.
    pub(crate) tokens: Vec<Token>,
}

/// Who asks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Whoami {
    /// The account, the machine's token, or the user of the machine.
    pub(crate) name: String,
    /// Whether it is a human being's.
    pub(crate) human: bool,
    /// How they proved who they are.
    pub(crate) factor: String,
    /// When both factors were shown last.
    pub(crate) proven_at: Option<Timestamp>,
    /// What they are.
    pub(crate) roles: Vec<String>,
    /// What they may do.
    pub(crate) acts: Vec<String>,
}

/// A secret that is shown once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Handed {
    /// The secret: an invitation, a session's token, a machine's token, or a second factor.
    pub(crate) secret: String,
    /// Until when it can be used.
    pub(crate) expires: Option<Timestamp>,
}

impl std::fmt::Debug for Handed {
    /// Without what is secret in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handed").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A link that signs somebody in, once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Link {
    /// To be opened in a browser.
    pub(crate) url: String,
    /// Until when it can be used.
    pub(crate) expires: Timestamp,
}

impl std::fmt::Debug for Link {
    /// Without what is secret in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A change that answers with nothing else.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Changed {
    /// What was changed, in one sentence.
    pub(crate) sentence: String,
}

/// Invite somebody, or change an account.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// `administrator`, `release-manager`, `sre`, `devops`, `qa` or `developer`.
    #[serde(default)]
    pub(crate) roles: Option<Vec<String>>,
    /// Groups of the directory.
    #[serde(default)]
    pub(crate) groups: Option<Vec<String>>,
    /// Addresses and handles by which repositories know them.
    #[serde(default)]
    pub(crate) names: Option<Vec<String>>,
    /// The account that is the same human being's: both count as one.
    #[serde(default)]
    pub(crate) person: Option<String>,
    /// Whether it may be used.
    #[serde(default)]
    pub(crate) active: Option<bool>,
}

/// Use an invitation.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetUp {
    /// The account.
    pub(crate) account: String,
    /// The code of the invitation.
    pub(crate) invitation: String,
    /// The password, 12 characters or more.
    pub(crate) password: String,
}

impl std::fmt::Debug for SetUp {
    /// Without what is secret in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetUp").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Sign in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignIn {
    /// The account.
    pub(crate) account: String,
    /// The password.
    pub(crate) password: String,
    /// The one-time code.
    pub(crate) code: String,
}

impl std::fmt::Debug for SignIn {
    /// Without what is secret in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn").field("account", &self.account).finish_non_exhaustive()
    }
}

/// Show the second factor again.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirm {
    /// The one-time code.
    pub(crate) code: String,
}

impl std::fmt::Debug for Confirm {
    /// Without what is secret in it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Confirm").finish_non_exhaustive()
    }
}

/// Make a token for a machine.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MakeToken {
    /// Its name.
    pub(crate) name: String,
    /// What it may do: `read`, `deploy`, `hold`, ...
    pub(crate) acts: Vec<String>,
    /// Only these services; empty is all of them.
    #[serde(default)]
    pub(crate) services: Vec<String>,
    /// How many days it lives, 1 to 365.
    pub(crate) days: u16,
}
