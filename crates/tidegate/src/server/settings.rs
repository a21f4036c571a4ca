//! The settings of a server: `server.yaml` in its state directory, and the flags that go before it.
//! Must never be read when others can write it, nor with a key that nobody knows.

use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::network::Behind;
use super::tls;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::state_dir::StateDir;

/// Longest file, bytes: a page of settings and as much of comments.
const FILE_BYTES_MAX: u64 = 64 * 1024;

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
        let read: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
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
