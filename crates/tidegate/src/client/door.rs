//! Where a server answers: its unix socket on this machine, or an address on the network.
//! Must never send a token in the clear over a network.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::exit::Exit;
use crate::failure::Failure;

/// A server accepts at once, or is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Both directions of a connection.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// The place of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Door {
    /// A socket on this machine; the kernel says who asks.
    Socket(PathBuf),
    /// An origin, `https://tidegate.example:7000`; a token says who asks.
    Network(Url),
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Network(url) => f.write_str(&url.origin().ascii_serialization()),
        }
    }
}

impl Door {
    /// Reads `https://NAME[:PORT]`, or the path of a socket.
    ///
    /// # Errors
    /// TG7016 for a URL that is more than an origin, or whose token would travel in the clear.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if !text.contains("://") {
            return std::path::absolute(text).map(Self::Socket).map_err(Failure::local);
        }
        let refused = |what: &str| {
            Failure::new(Exit::Usage, "TG7016", format!("{text}: {what}"))
                .safe("nothing was asked")
                .help("`--server https://tidegate.example`, or the path of a socket")
        };
        let url = Url::parse(text).map_err(|error| refused(&error.to_string()))?;
        let bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !bare || url.host_str().is_none() {
            return Err(refused("a server is named by scheme, name and port, and nothing else"));
        }
        match url.scheme() {
            "https" => Ok(Self::Network(url)),
            "http" if is_this_machine(&url) => Ok(Self::Network(url)),
            "http" => Err(refused("without TLS your token could be read on the way")),
            _ => Err(refused("only https is spoken")),
        }
    }

    /// The socket's path, where it is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        match self {
            Self::Socket(path) => Some(path),
            Self::Network(_) => None,
        }
    }

    /// What stands in `Host`.
    pub(super) fn host(&self) -> String {
        match self {
            Self::Socket(_) => "tidegate".to_owned(),
            Self::Network(url) => {
                let name = url.host_str().unwrap_or_default();
                url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
            }
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// Those of the system; for TLS, why the certificate is not believed.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Wire>> {
        let connected = async {
            match self {
                Self::Socket(path) => {
                    Ok(Box::new(UnixStream::connect(path).await?) as Box<dyn Wire>)
                }
                Self::Network(url) => over_network(url).await,
            }
        };
        let elapsed = |_elapsed| Err(io::ErrorKind::TimedOut.into());
        tokio::time::timeout(CONNECT_WITHIN, connected).await.unwrap_or_else(elapsed)
    }
}

fn is_this_machine(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|at| at.is_loopback())
}

async fn over_network(url: &Url) -> io::Result<Box<dyn Wire>> {
    let name = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let stream = TcpStream::connect((name.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    if url.scheme() == "http" {
        return Ok(Box::new(stream));
    }
    // The certificates that this machine believes; `SSL_CERT_FILE` names others.
    let config = ClientConfig::builder()
        .with_platform_verifier()
        .map_err(io::Error::other)?
        .with_no_client_auth();
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_origin_or_a_path_and_no_token_travels_in_the_clear() {
        for good in ["https://tidegate.example", "https://t.example:7000/", "http://127.0.0.1:7000"]
        {
            let door = Door::parse(good).unwrap();
            assert_eq!(door.to_string(), good.trim_end_matches('/'));
        }
        assert_eq!(Door::parse("http://[::1]:7000").unwrap().host(), "[::1]:7000");
        assert_eq!(Door::parse("/run/t.sock").unwrap().socket(), Some(Path::new("/run/t.sock")));
        for bad in [
            "http://tidegate.example",
            "http://127.0.0.1.example",
            "https://t.example/pages",
            "https://ada:secret@t.example",
            "https://t.example/?a=b",
            "ftp://t.example",
            "https://",
        ] {
            assert_eq!(Door::parse(bad).unwrap_err().code, "TG7016", "{bad}");
        }
    }
}
