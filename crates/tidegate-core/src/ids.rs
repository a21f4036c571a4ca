//! Names of things, each its own type so that a slot is never passed for a service.
//! Must never be built from text without passing the one check in [`valid_name`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest name of anything, in bytes: it has to fit a file name together with a suffix.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a name: use 1 to {NAME_BYTES_MAX} of a-z, 0-9, `-`, `_`, `.`, beginning with a letter or digit"
)]
pub struct InvalidName {
    /// The refused text, cut to a printable length.
    pub text: String,
}

/// Says whether a text may name something: it becomes part of file names and URLs.
#[must_use]
pub fn valid_name(text: &str) -> bool {
    let first_is_plain =
        text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first_is_plain
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')
        })
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text and makes the name.
            ///
            /// # Errors
            /// [`InvalidName`] when the text breaks the rule of [`valid_name`].
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let text = text.into();
                if valid_name(&text) {
                    Ok(Self(text))
                } else {
                    let text = text.chars().filter(|c| !c.is_control()).take(NAME_BYTES_MAX).collect();
                    Err(InvalidName { text })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name_type!(
    /// What the user runs in production: the unit that has one live release.
    ServiceName
);
name_type!(
    /// Where a service runs: `production`, `staging`.
    EnvironmentName
);
name_type!(
    /// One deployable piece of a service: `web`, `worker`.
    PartName
);
name_type!(
    /// One of the places a part can run in; roles move between slots, names never do.
    SlotName
);
name_type!(
    /// A number that another system measures: `orders`.
    MetricName
);
name_type!(
    /// A custom step of a plan: `migrate`, `purge.eu`.
    StepName
);
name_type!(
    /// One run of the process for one release, as people type it: `d-7`.
    DeploymentId
);
name_type!(
    /// Something that went wrong in production, as people type it: `i-7`.
    IncidentId
);

/// A service in an environment: the owner of one event stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The service.
    pub service: ServiceName,
    /// Its environment.
    pub environment: EnvironmentName,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.environment)
    }
}

/// Exactly which bytes run: the version people say, and the digest that decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision {
    /// The release's version, as tagged.
    pub version: String,
    /// Digest of the built artifact, lower-case hex of SHA-256.
    pub artifact: String,
}

impl Revision {
    /// A short label that is unique per artifact: `v2-1f3a9c0d`.
    #[must_use]
    pub fn label(&self) -> String {
        let short: String = self.artifact.chars().take(8).collect();
        format!("{}-{short}", self.version)
    }
}

/// Who caused an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Actor {
    /// A person, by the principal name of the door they came through.
    Person(String),
    /// A machine, by the name of its token. It never approves.
    Robot(String),
    /// Tidegate itself: a deadline, a verdict, a reading of the world.
    Tidegate,
    /// The data plane acted before the control plane knew.
    Proxy(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) | Self::Robot(name) => f.write_str(name),
            Self::Tidegate => f.write_str("tidegate"),
            Self::Proxy(name) if name == "proxy" => f.write_str("the proxy"),
            Self::Proxy(name) => write!(f, "{name} at the proxy"),
        }
    }
}
