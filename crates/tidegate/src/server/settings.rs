//! The settings of a server: `server.yaml` in its state directory, and the flags that go before it.
//! Must never be read when others can write it, nor with a key that nobody knows.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use jiff::SignedDuration;
use serde::Deserialize;
use tidegate_core::ids::valid_name;
use tidegate_drivers::notify::Channels;

use super::network::Behind;
use super::tls;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::state_dir::StateDir;

/// Longest file, bytes: a page of settings and as much of comments.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Most secrets of one webhook: the old one and the new one.
const SECRETS_MAX: usize = 2;
/// Shortest secret, bytes: shorter ones can be guessed.
const SECRET_BYTES_MIN: u64 = 16;
/// Longest secret, bytes.
const SECRET_BYTES_MAX: u64 = 1024;
/// Shortest time between two looks at a repository: a shorter one is a burden for it.
const EVERY_MIN: SignedDuration = SignedDuration::from_secs(5);
/// Longest time between two looks: a lost webhook must not stay unseen.
const EVERY_MAX: SignedDuration = SignedDuration::from_hours(1);

/// What can be set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where API and pages are served beside the socket, `127.0.0.1:7000`; port 0 takes a free one.
    #[serde(default)]
    pub(crate) listen: Option<SocketAddr>,
    /// How browsers reach it, `https://tidegate.example`, where that is not the address itself.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// The certificate; with one, other machines may reach the address.
    #[serde(default)]
    pub(crate) tls: Option<tls::Files>,
    /// A reverse proxy that ends TLS in front.
    #[serde(default)]
    pub(crate) behind: Option<Behind>,
    /// Whether `/status` says to everybody how the services are; nobody has to sign in for it.
    #[serde(default)]
    pub(crate) status_page: bool,
    /// The API of a GitHub Enterprise Server, `https://github.example/api/v3`; by default that of
    /// github.com.
    #[serde(default)]
    pub(crate) github_api: Option<String>,
    /// Places outside the database that get signed checkpoints of the journal.
    #[serde(default)]
    pub(crate) audit: Vec<Place>,
    /// Repositories that are watched for releases.
    #[serde(default)]
    pub(crate) triggers: Vec<Watched>,
    /// How messages reach people and machines.
    #[serde(default)]
    pub(crate) channels: Channels,
}

/// A repository that is watched.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Watched {
    /// Its name, also in the address of its webhook.
    pub(crate) name: String,
    /// An absolute path on this machine, or a URL that git understands.
    pub(crate) repository: String,
    /// Path of the configuration in a commit.
    #[serde(default = "default_config")]
    pub(crate) config: String,
    /// The environment; by default the one that the file names.
    #[serde(default)]
    pub(crate) environment: Option<String>,
    /// Which tags are releases.
    #[serde(default = "default_tags")]
    pub(crate) tags: String,
    /// Whether a new release begins by itself.
    #[serde(default)]
    pub(crate) start: Start,
    /// How often it looks when no webhook says anything: 5 s to 1 h.
    #[serde(default = "default_every")]
    pub(crate) every: SignedDuration,
    /// Files with the secrets of its webhook, at most two, so that one can be changed for another.
    #[serde(default, rename = "secret_files")]
    files: Vec<PathBuf>,
    /// What stands in the files.
    #[serde(skip)]
    pub(crate) secrets: Vec<Secret>,
}

fn default_config() -> String {
    crate::view::request::DEFAULT_CONFIG.to_owned()
}

fn default_tags() -> String {
    "v*".to_owned()
}

fn default_every() -> SignedDuration {
    SignedDuration::from_mins(1)
}

/// Who begins a new release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Start {
    /// A person.
    #[default]
    ByHand,
    /// The trigger.
    Automatic,
}

impl Start {
    /// The word in the file.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ByHand => "by-hand",
            Self::Automatic => "automatic",
        }
    }
}

/// A secret of a webhook.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    /// Without what it is.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// As it stands in the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As Standard Webhooks have it: base64 after `whsec_`.
    pub(crate) fn standard(&self) -> Vec<u8> {
        let encoded = self.0.strip_prefix(b"whsec_");
        encoded.and_then(|text| BASE64.decode(text).ok()).unwrap_or_else(|| self.0.clone())
    }
}

impl Watched {
    /// Checks what serde cannot, and reads the secrets.
    fn complete(&mut self) -> Result<(), String> {
        let name = &self.name;
        let refused = |what: String| Err(format!("trigger `{name}`: {what}"));
        if !valid_name(name) {
            return refused("a name has small letters, digits, `-`, `_` and `.`".to_owned());
        }
        if !(EVERY_MIN..=EVERY_MAX).contains(&self.every) {
            return refused(format!("`every: {:#}` is not 5s to 1h", self.every));
        }
        if self.files.len() > SECRETS_MAX {
            return refused(format!("it has more than {SECRETS_MAX} secrets"));
        }
        for file in &self.files {
            let secret = secret(file);
            match secret {
                Ok(secret) => self.secrets.push(secret),
                Err(what) => return refused(format!("{}: {what}", file.display())),
            }
        }
        Ok(())
    }
}

fn secret(path: &Path) -> Result<Secret, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mode = file.metadata().map_err(|error| error.to_string())?.mode();
    if mode & 0o077 != 0 {
        return Err(format!("others can read it (mode {:o}): `chmod 600` it", mode & 0o777));
    }
    let mut bytes = Vec::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let bytes = bytes.trim_ascii();
    let length = bytes.len() as u64;
    if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&length) {
        Ok(Secret(bytes.to_vec()))
    } else {
        Err(format!("a secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, not {length}"))
    }
}

/// A place that gets checkpoints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// A folder, on another file system and with another owner.
    Folder(PathBuf),
    /// A git remote: a URL, or a path on this machine.
    Git(String),
    /// A URL that takes a POST.
    Webhook(String),
}

impl Settings {
    /// Reads the file that was named, else the one of the state directory, if there is one.
    ///
    /// # Errors
    /// TG6118 with the place in the file, or why it was not read.
    pub(crate) fn read(named: Option<&Path>, dir: &StateDir) -> Result<Self, Failure> {
        let path = named.map_or_else(|| dir.settings(), PathBuf::from);
        let refused = |what: String| {
            Failure::new(Exit::ConfigInvalid, "TG6118", format!("{}: {what}", path.display()))
                .safe("nothing was started; applications and proxy go on")
                .help("its keys are in docs/operate/server.md")
        };
        let mut file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
                return Ok(Self::default());
            }
            Err(error) => return Err(refused(error.to_string())),
        };
        let found = file.metadata().map_err(|error| refused(error.to_string()))?;
        if !found.is_file() {
            return Err(refused("it is not a file".to_owned()));
        }
        if found.mode() & 0o022 != 0 {
            return Err(refused(format!(
                "others can write it (mode {:o}): `chmod go-w` it",
                found.mode() & 0o777
            )));
        }
        let mut text = String::new();
        let within = file.by_ref().take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
        within.map_err(|error| refused(error.to_string()))?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
            return Err(refused("it is longer than 64 KiB".to_owned()));
        }
        Self::parse(&text).map_err(refused)
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let mut read: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut names = BTreeSet::new();
        for watched in &mut read.triggers {
            watched.complete()?;
            if !names.insert(watched.name.clone()) {
                return Err(format!("two triggers are called `{}`", watched.name));
            }
        }
        match &read.url {
            Some(url) if !is_origin(url) => Err(format!("`url: {url}` is not `https://NAME`")),
            _ => Ok(read),
        }
    }
}

/// Whether a text is scheme, name and port and nothing else: forms are compared with it.
fn is_origin(url: &str) -> bool {
    let parsed = reqwest::Url::parse(url).ok().filter(reqwest::Url::has_host);
    parsed.is_some_and(|parsed| {
        matches!(parsed.scheme(), "https" | "http") && parsed.origin().ascii_serialization() == url
    })
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let read = Settings::parse("# nothing else\nlisten: 127.0.0.1:7000\n").unwrap();
        assert_eq!(read.listen, Some("127.0.0.1:7000".parse().unwrap()));
        assert_eq!(Settings::parse("# empty\n\n"), Ok(Settings::default()));
        let wrong = Settings::parse("listen: 127.0.0.1:7000\nlissen: x\n").unwrap_err();
        assert!(wrong.contains("lissen") && wrong.contains('2'), "{wrong}");
        assert!(Settings::parse("listen: somewhere\n").is_err());
        assert!(Settings::parse("listen: &a [*a]\n").is_err());
        assert!(Settings::parse("url: https://tidegate.example:8443\n").is_ok());
        for url in [
            "tidegate.example",
            "https://t.example/",
            "https://t.example/a",
            "ftp://t",
            "https://a@t",
        ] {
            assert!(Settings::parse(&format!("url: {url}\n")).is_err(), "{url}");
        }
    }
}
