//! D: the digest of all that will run, over named components in a fixed order.
//! Must never depend on the order in which components are given, nor on their clock.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// SHA-256, lower-case hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(hex(&Sha256::digest(bytes)))
    }

    /// A digest that somebody names: 64 digits of lower-case hex.
    #[must_use]
    pub fn of_hex(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(plain)).then(|| Self(text.to_owned()))
    }

    /// Lower-case hex.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The twelve things that approvals, gates and evidence are bound to. One byte changes: void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Digests of everything built.
    Artifacts,
    /// The configuration that the application sees.
    Config,
    /// Declared feature flags.
    Flags,
    /// Migrations that will run.
    Migrations,
    /// The steps of the plan.
    PlanSteps,
    /// The policy in force.
    Policy,
    /// The owners file at the base commit.
    Owners,
    /// Source commit and tree.
    Source,
    /// The environment.
    Environment,
    /// The machines or slots that are touched.
    Targets,
    /// Versions of the tools that act.
    Tools,
    /// Where the artifact says it comes from.
    Provenance,
}

impl Component {
    /// All twelve, in the order in which D is made of them.
    pub const ALL: [Self; 12] = [
        Self::Artifacts,
        Self::Config,
        Self::Flags,
        Self::Migrations,
        Self::PlanSteps,
        Self::Policy,
        Self::Owners,
        Self::Source,
        Self::Environment,
        Self::Targets,
        Self::Tools,
        Self::Provenance,
    ];

    /// The words in a sentence that begins with what changed.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Artifacts => "the artifact",
            Self::Config => "the configuration",
            Self::Flags => "the feature flags",
            Self::Migrations => "the migrations",
            Self::PlanSteps => "the steps of the plan",
            Self::Policy => "the policy",
            Self::Owners => "the owners file",
            Self::Source => "the source commit",
            Self::Environment => "the environment",
            Self::Targets => "the targets",
            Self::Tools => "the tools",
            Self::Provenance => "the provenance",
        }
    }
}

/// The digest of each component, to say later which of them changed.
#[must_use]
pub fn parts(components: &BTreeMap<Component, Vec<u8>>) -> BTreeMap<Component, Digest> {
    components.iter().map(|(component, bytes)| (*component, Digest::of(bytes))).collect()
}

/// D over canonical bytes of each component; absent components count as empty.
#[must_use]
pub fn bind(components: &BTreeMap<Component, Vec<u8>>) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(b"tidegate.D.v1\0");
    for component in Component::ALL {
        let bytes = components.get(&component).map_or(&[][..], Vec::as_slice);
        // Length first, so that moving a byte between neighbours changes the digest.
        hasher.update((bytes.len() as u64).to_be_bytes());
        hasher.update(bytes);
    }
    Digest(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}
