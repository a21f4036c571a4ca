//! Open descriptors over a unix socket, and lines of JSON after them. Reads one byte at a time
//! while descriptors may come: a byte read past its message would lose what travels with it.

use std::io::{self, BufRead, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Failed, LINE_BYTES};

/// Descriptors in one message; Linux takes up to 253.
const BATCH: usize = 128;
/// Most descriptors of one handover: lock, control socket, and an address of each service.
const RIGHTS_MAX: usize = 2 + crate::wire::limits::SERVICES;
/// Marks a message that carries descriptors.
const MORE: u8 = b'+';
/// Marks the end of them.
const DONE: u8 = b'.';

pub(super) fn send(socket: &UnixStream, rights: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    for batch in rights.chunks(BATCH) {
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !ancillary.push(SendAncillaryMessage::ScmRights(batch)) {
            return Err(io::Error::other("no room for descriptors"));
        }
        sendmsg(socket, &[IoSlice::new(&[MORE])], &mut ancillary, SendFlags::NOSIGNAL)?;
    }
    (&*socket).write_all(&[DONE])
}

pub(super) fn receive(socket: &UnixStream) -> Result<Vec<OwnedFd>, Failed> {
    let mut rights = Vec::new();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    loop {
        let mut mark = [0];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let read = recvmsg(socket, &mut [IoSliceMut::new(&mut mark)], &mut ancillary, flags)
            .map_err(io::Error::from)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(came) = message {
                rights.extend(came);
            }
        }
        match (read.bytes, mark) {
            (0, _) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            (_, [MORE]) if rights.len() <= RIGHTS_MAX => {}
            (_, [DONE]) => return Ok(rights),
            _ => return Err(Failed::Descriptors),
        }
    }
}

pub(super) fn say(mut to: impl Write, word: &impl Serialize) -> Result<(), Failed> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    Ok(to.write_all(&line)?)
}

pub(super) fn hear<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<T, Failed> {
    let mut line = Vec::new();
    from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(serde_json::from_slice(&line)?)
}
