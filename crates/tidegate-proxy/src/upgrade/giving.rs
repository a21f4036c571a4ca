//! The elder's side: gives everything away when asked, and goes on if the newcomer fails.

use std::io::{self, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use super::rights::{hear, say, send};
use super::{Estate, Failed, Hello, Order, Ready, VERSION, WORD_WAIT};
use crate::keep::Keeper;
use crate::wire::limits;

/// Who has taken over.
#[derive(Debug)]
pub(crate) struct Successor {
    pub(crate) pid: u32,
    /// How long what is in progress may go on.
    pub(crate) drain: Duration,
    link: UnixStream,
}

/// Waits until somebody has taken over. An attempt that fails changes nothing.
pub(crate) async fn wait(
    listener: UnixListener,
    control: Arc<std::os::unix::net::UnixListener>,
    keeper: Arc<Keeper>,
) -> Successor {
    loop {
        let asked = match listener.accept().await {
            Ok((socket, _)) => socket.into_std(),
            Err(error) => Err(error),
        };
        let tried = match asked {
            Ok(socket) => give(socket, &control, &keeper).await,
            Err(error) => Err(error.into()),
        };
        match tried {
            Ok(successor) => return successor,
            Err(error) => {
                keeper.store().unfreeze();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "TG5042 a newcomer failed, this proxy goes on");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn give(
    socket: StdStream,
    control: &Arc<std::os::unix::net::UnixListener>,
    keeper: &Arc<Keeper>,
) -> Result<Successor, Failed> {
    // From here to the end no table is written. Requests never look at this.
    let _turn = keeper.freeze().await?;
    let (kept, ear) = (Arc::clone(keeper), Arc::clone(control));
    let spoken =
        tokio::task::spawn_blocking(move || speak(&socket, &ear, &kept).map(|h| (h, socket)));
    let (hello, socket) = spoken.await.map_err(io::Error::other)??;
    let mut link = UnixStream::from_std(socket)?;
    let go = keeper.retire();
    let mut line = serde_json::to_vec(&go)?;
    line.push(b'\n');
    // It is decided: a newcomer that does not hear this word serves all the same.
    if let Err(error) = link.write_all(&line).await {
        tracing::error!(%error, "the newcomer did not hear that it is alone");
    }
    let drain = Duration::from_millis(hello.drain_ms.min(limits::DRAIN_MS));
    Ok(Successor { pid: hello.pid, drain, link })
}

/// Everything up to the newcomer's word that it serves.
fn speak(
    socket: &StdStream,
    control: &std::os::unix::net::UnixListener,
    keeper: &Keeper,
) -> Result<Hello, Failed> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(WORD_WAIT))?;
    socket.set_write_timeout(Some(WORD_WAIT))?;
    let mut ear = BufReader::new(socket);
    let hello: Hello = hear(&mut ear)?;
    if hello.version != VERSION {
        return Err(Failed::Version { theirs: hello.version });
    }
    let (started_at_ms, sockets, heirlooms) = keeper.store().estate();
    let lock = keeper.lock()?;
    let rights = [lock.as_fd(), control.as_fd()];
    let rights: Vec<_> = rights.into_iter().chain(sockets.iter().map(AsFd::as_fd)).collect();
    send(socket, &rights)?;
    let pid = std::process::id();
    say(socket, &Estate { version: VERSION, pid, started_at_ms, services: heirlooms.len() })?;
    for heirloom in &heirlooms {
        say(socket, heirloom)?;
    }
    let Ready {} = hear(&mut ear)?;
    socket.set_nonblocking(true)?;
    Ok(hello)
}

/// Tells the successor what is still counted here, and does as it says, until `done`.
pub(crate) async fn report(
    successor: Successor,
    keeper: Arc<Keeper>,
    every: Duration,
    done: CancellationToken,
) {
    let (ear, mut mouth) = successor.link.into_split();
    let orders = tokio::spawn(obey(ear, Arc::clone(&keeper)));
    let mut ticks = tokio::time::interval(every);
    loop {
        let is_last = tokio::select! {
            () = done.cancelled() => true,
            _ = ticks.tick() => false,
        };
        let residue = keeper.store().residue();
        let Ok(mut line) = serde_json::to_vec(&residue) else { break };
        line.push(b'\n');
        if let Err(error) = mouth.write_all(&line).await {
            tracing::warn!(%error, "the successor does not listen any more");
            break;
        }
        if is_last {
            break;
        }
    }
    orders.abort();
}

async fn obey(ear: OwnedReadHalf, keeper: Arc<Keeper>) {
    let mut lines = tokio::io::BufReader::new(ear).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Order::Follow(record)) => keeper.store().follow(*record),
            Ok(Order::Cut { service, revision }) => keeper.store().cut(&service, &revision),
            Err(error) => tracing::warn!(%error, "an order of the successor is not understood"),
        }
    }
}
