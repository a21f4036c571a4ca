//! What stands in front of the proxy and is believed: the PROXY protocol header of a connection.
//! It is read to its last byte and not one further, so that what follows is untouched.

use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest header of version 1, CRLF included; the specification's own number.
const V1_BYTES: usize = 107;
/// What every header of version 2 begins with: signature, command, family and length.
const V2_HEAD: usize = 16;
/// Longest address block of version 2 that is read: addresses and TLVs such as a cloud's
/// endpoint id. The specification recommends 536 bytes in all.
const V2_BYTES: usize = 2_048;
/// What tells the two versions apart: a version 2 signature is as long.
const SIGNATURE: usize = 12;

/// Why a header is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Odd {
    #[error("the connection ended: {0}")]
    Ended(#[from] std::io::Error),
    #[error("no PROXY protocol header: {0}")]
    Header(String),
}

/// Reads the header and says where the client is. `peer` is what it says of itself when it
/// speaks for nobody, as health checks of load balancers do.
pub(crate) async fn client(socket: &mut TcpStream, peer: SocketAddr) -> Result<SocketAddr, Odd> {
    let mut first = [0; SIGNATURE];
    socket.read_exact(&mut first).await?;
    if first == v2::PROTOCOL_PREFIX {
        return version_2(socket, &first, peer).await;
    }
    version_1(socket, &first, peer).await
}

async fn version_1(
    socket: &mut TcpStream,
    first: &[u8],
    peer: SocketAddr,
) -> Result<SocketAddr, Odd> {
    let mut line = first.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_BYTES || !line.starts_with(b"PROXY ") {
            return Err(Odd::Header("not a line that begins with PROXY".to_owned()));
        }
        line.push(socket.read_u8().await?);
    }
    let header =
        v1::Header::try_from(line.as_slice()).map_err(|error| Odd::Header(error.to_string()))?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => peer,
        v1::Addresses::Tcp4(told) => (told.source_address, told.source_port).into(),
        v1::Addresses::Tcp6(told) => (told.source_address, told.source_port).into(),
    })
}

async fn version_2(
    socket: &mut TcpStream,
    first: &[u8],
    peer: SocketAddr,
) -> Result<SocketAddr, Odd> {
    let mut bytes = first.to_vec();
    bytes.resize(V2_HEAD, 0);
    socket.read_exact(&mut bytes[SIGNATURE..]).await?;
    let length = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    if length > V2_BYTES {
        return Err(Odd::Header(format!("an address block of {length} bytes")));
    }
    bytes.resize(V2_HEAD + length, 0);
    socket.read_exact(&mut bytes[V2_HEAD..]).await?;
    let header =
        v2::Header::try_from(bytes.as_slice()).map_err(|error| Odd::Header(error.to_string()))?;
    if header.command == v2::Command::Local {
        return Ok(peer);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(told) => (told.source_address, told.source_port).into(),
        v2::Addresses::IPv6(told) => (told.source_address, told.source_port).into(),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => peer,
    })
}
