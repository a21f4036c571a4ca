//! The question whether a port accepts connections. Must never send a byte.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::Answer;

/// Connects and hangs up.
pub(super) async fn ask(address: SocketAddr) -> Answer {
    match TcpStream::connect(address).await {
        Ok(_stream) => Ok(()),
        Err(error) => Err(format!("expected a connection, found: {error} [TG4102]")),
    }
}
