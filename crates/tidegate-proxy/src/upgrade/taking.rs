//! The newcomer's side: takes everything, serves, and only then asks the elder to stop.

use std::fs::File;
use std::io::{self, BufReader};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream as StdStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedReceiver;

use super::rights::{hear, receive, say};
use super::{Estate, Failed, Go, Heirloom, Hello, Order, Ready, Residue, VERSION, WORD_WAIT};
use crate::keep::Keeper;

/// What an elder gave away.
#[derive(Debug)]
pub(crate) struct Inheritance {
    pub(crate) lock: File,
    pub(crate) control: UnixListener,
    pub(crate) sockets: Vec<TcpListener>,
    pub(crate) heirlooms: Vec<Heirloom>,
    pub(crate) elder: Elder,
}

/// The proxy whose place is taken.
#[derive(Debug)]
pub(crate) struct Elder {
    pub(crate) pid: u32,
    ear: BufReader<StdStream>,
}

/// What is left between the two once one has taken over.
#[derive(Debug)]
pub(crate) struct Link {
    /// Bytes that came behind the elder's last word.
    heard: Vec<u8>,
    socket: StdStream,
}

/// Asks for everything. Blocks for seconds at most. The elder goes on until [`Elder::dismiss`].
pub(crate) fn ask(path: &Path, drain: Duration) -> Result<Inheritance, Failed> {
    let socket = StdStream::connect(path).map_err(Failed::Nobody)?;
    socket.set_read_timeout(Some(WORD_WAIT))?;
    socket.set_write_timeout(Some(WORD_WAIT))?;
    let drain_ms = u64::try_from(drain.as_millis()).unwrap_or(u64::MAX);
    say(&socket, &Hello { version: VERSION, pid: std::process::id(), drain_ms })?;
    let mut rights = receive(&socket)?.into_iter();
    let (Some(lock), Some(control)) = (rights.next(), rights.next()) else {
        return Err(Failed::Descriptors);
    };
    let mut ear = BufReader::new(socket);
    let estate: Estate = hear(&mut ear)?;
    if estate.version != VERSION {
        return Err(Failed::Version { theirs: estate.version });
    }
    let heirlooms = (0..estate.services).map(|_| hear(&mut ear)).collect::<Result<_, _>>()?;
    let elder = Elder { pid: estate.pid, ear };
    let sockets = rights.map(TcpListener::from).collect();
    Ok(Inheritance { lock: lock.into(), control: control.into(), sockets, heirlooms, elder })
}

impl Elder {
    /// Says that this process serves.
    pub(crate) fn dismiss(mut self) -> Result<(Go, Link), Failed> {
        say(self.ear.get_ref(), &Ready {})?;
        let last = hear(&mut self.ear)?;
        let heard = self.ear.buffer().to_vec();
        Ok((last, Link { heard, socket: self.ear.into_inner() }))
    }
}

/// Counts what the elder still counts, and has it follow, until it is gone.
pub(crate) async fn accompany(
    link: Link,
    keeper: Arc<Keeper>,
    mut orders: UnboundedReceiver<Order>,
) {
    let Link { heard, socket } = link;
    let socket = socket.set_nonblocking(true).and_then(|()| UnixStream::from_std(socket));
    let ended = match socket {
        Ok(socket) => converse(&heard, socket, &keeper, &mut orders).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::warn!(%error, "the elder proxy broke off");
    }
    keeper.store().forget_elder();
}

async fn converse(
    heard: &[u8],
    socket: UnixStream,
    keeper: &Keeper,
    orders: &mut UnboundedReceiver<Order>,
) -> io::Result<()> {
    let (ear, mut mouth) = socket.into_split();
    let mut lines = tokio::io::BufReader::new(heard.chain(ear)).lines();
    loop {
        tokio::select! {
            line = lines.next_line() => match line? {
                Some(line) => {
                    let residues: Vec<Residue> = serde_json::from_str(&line)?;
                    keeper.store().absorb(residues);
                }
                None => return Ok(()),
            },
            Some(order) = orders.recv() => {
                let mut line = serde_json::to_vec(&order)?;
                line.push(b'\n');
                mouth.write_all(&line).await?;
            }
        }
    }
}
