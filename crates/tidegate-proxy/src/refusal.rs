//! Every reason to refuse on the control socket, with its code. A refusal changes nothing.

use std::io;
use std::net::SocketAddr;

use crate::tls::Problem;
use crate::wire::{Override, Refusal, Route, TableError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the table is not valid: {0}")]
    Table(TableError),
    #[error("table {offered:?} is not newer than the applied {applied:?} (epoch, generation)")]
    Older { offered: (u64, u64), applied: (u64, u64) },
    #[error("epoch {offered} is over: this proxy has seen epoch {highest}")]
    Deposed { offered: u64, highest: u64 },
    #[error("another table was already applied as {fence:?} (epoch, generation)")]
    Twin { fence: (u64, u64) },
    #[error(
        "override {} ({}) is in force and the table does not acknowledge it",
        .0.sequence, .0.reason
    )]
    Override(Box<Override>),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot make the state durable: {0}")]
    Disk(io::Error),
    #[error("a table without any weight cannot follow one that serves; delete the service instead")]
    Emptied,
    #[error("no table is applied for this service")]
    NoService,
    #[error("the applied table names no fallback to go back to")]
    NoFallback,
    #[error("the renewal is for {offered:?}, applied is {applied:?} (epoch, generation)")]
    Renewal { offered: (u64, u64), applied: (u64, u64) },
    #[error("revision {revision} has {basis_points} basis points of the traffic")]
    InUse { revision: String, basis_points: u16 },
    #[error("{0}")]
    Request(String),
    #[error(
        "{}{} on {listen} belongs to service {owner}",
        .route.host.as_deref().unwrap_or("any host, "), .route.path_prefix
    )]
    Route { route: Route, listen: SocketAddr, owner: String },
    #[error("{address} is shared with service {owner}, which has other `tls` or `behind` there")]
    Entrance { address: SocketAddr, owner: String },
    #[error("{0}")]
    Certificate(Problem),
    #[error("this proxy already holds {0} services")]
    Full(usize),
    #[error("another proxy is taking over at this moment; ask again")]
    Replaced,
}

impl Refused {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Table(TableError::Checksum { .. }) => "TG5004",
            Self::Table(_) => "TG5001",
            Self::Older { .. } => "TG5002",
            Self::Deposed { .. } => "TG5003",
            Self::Override(_) => "TG5005",
            Self::Listen { .. } => "TG5006",
            Self::Disk(_) => "TG5007",
            Self::Emptied => "TG5008",
            Self::NoService => "TG5009",
            Self::NoFallback => "TG5010",
            Self::Renewal { .. } => "TG5011",
            Self::InUse { .. } => "TG5012",
            Self::Request(_) => "TG5013",
            Self::Twin { .. } => "TG5016",
            Self::Route { .. } => "TG5017",
            Self::Full(_) => "TG5018",
            Self::Replaced => "TG5040",
            Self::Entrance { .. } => "TG5060",
            Self::Certificate(_) => "TG5061",
        }
    }

    /// `applied` is the fence of the service that the request was about, if it is known.
    pub(crate) fn into_wire(self, applied: Option<(u64, u64)>) -> Refusal {
        let (code, reason) = (self.code().to_owned(), self.to_string());
        let in_override = if let Self::Override(held) = self { Some(held) } else { None };
        Refusal { code, reason, applied, in_override }
    }
}
