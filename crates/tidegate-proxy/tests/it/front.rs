//! What stands in front of the proxy: who is believed about where a client is, and who is not.

use std::net::SocketAddr;

use tidegate_proxy::wire::{Behind, Speaks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::certs::Authority;
use crate::parts::{App, Client, PATIENCE, Proxy, parts, raw, seal};

fn behind(networks: &str, speaks: Speaks) -> Option<Behind> {
    Some(Behind { from: vec![networks.parse().unwrap()], speaks })
}

async fn serving(app: &App, behind: Option<Behind>) -> Proxy {
    Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("good", 10_000, app.address)]);
        parts.behind = behind;
        seal(parts)
    })
    .await
}

const GET: &[u8] = b"GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
    header.extend(addresses);
    header
}

async fn told(address: SocketAddr, header: &[u8]) -> String {
    let answer = raw(address, &[header, GET].concat()).await;
    let line = answer.lines().find_map(|line| line.strip_prefix("x-forwarded-for: "));
    line.map_or_else(|| answer.clone(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_says_by_either_version_where_a_client_is() {
    let app = App::start("good").await;
    let proxy = serving(&app, behind("127.0.0.0/8", Speaks::ProxyProtocol)).await;
    let v4 = [203, 0, 113, 7, 10, 0, 0, 1, 0x12, 0x34, 0, 80];
    // A TLV after the addresses, as clouds send it.
    let with_tlv = [&v4[..], &[0xEA, 0, 3, 1, 2, 3]].concat();
    let mut v6 = [0; 36];
    (v6[0], v6[1], v6[15], v6[31]) = (0x20, 0x01, 0x09, 0x01);
    for (header, address) in [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 80\r\n".to_vec(), "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 4660 80\r\n".to_vec(), "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (version_2(1, 0x11, &v4), "203.0.113.7"),
        (version_2(1, 0x11, &with_tlv), "203.0.113.7"),
        (version_2(1, 0x21, &v6), "2001::9"),
        (version_2(0, 0, &[]), "127.0.0.1"),
    ] {
        assert_eq!(told(proxy.listen, &header).await, address, "{header:?}");
    }
    let mut slow = TcpStream::connect(proxy.listen).await.unwrap();
    slow.set_nodelay(true).unwrap();
    for byte in [b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 80\r\n", GET].concat() {
        slow.write_all(&[byte]).await.unwrap();
    }
    let mut answer = String::new();
    timeout(PATIENCE, slow.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("x-forwarded-for: 203.0.113.7\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_the_header_or_from_elsewhere_is_closed() {
    let app = App::start("good").await;
    let proxy = serving(&app, behind("127.0.0.0/8", Speaks::ProxyProtocol)).await;
    for odd in [
        &b""[..],
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4660\r\n",
        b"PROXY TCP4 999.0.113.7 10.0.0.1 1 1\r\n",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 80 and so on and so on and so on and so on and so on and so on and so on\r\n",
        &version_2(1, 0x11, &[1, 2, 3]),
        &version_2(7, 0x11, &[0; 12]),
        &version_2(1, 0x11, &[0; 4_000]),
    ] {
        assert_eq!(raw(proxy.listen, &[odd, GET].concat()).await, "", "{odd:?}");
    }
    let elsewhere = serving(&app, behind("192.0.2.0/24", Speaks::ProxyProtocol)).await;
    let header = b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 80\r\n";
    assert_eq!(raw(elsewhere.listen, &[header, GET].concat()).await, "");
    assert_eq!(app.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tls_handshake_follows_the_header() {
    let app = App::start("good").await;
    let authority = Authority::new();
    let proxy = Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("good", 10_000, app.address)]);
        parts.tls = Some(authority.tls("shop", &["shop.example"]));
        parts.behind = behind("127.0.0.1/32", Speaks::ProxyProtocol);
        seal(parts)
    })
    .await;
    let mut socket = TcpStream::connect(proxy.listen).await.unwrap();
    socket.write_all(b"PROXY TCP4 203.0.113.7 10.0.0.1 4660 443\r\n").await.unwrap();
    let mut stream = authority.handshake(socket, "shop.example", &[]).await.unwrap();
    let get = "GET /headers HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    stream.write_all(get.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The proxy closes without asking whether everything was read.
    let _ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("x-forwarded-for: 203.0.113.7\n"), "{answer}");
    assert!(answer.contains("x-forwarded-proto: https\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_stands_in_front_is_believed_about_forwarding() {
    let app = App::start("good").await;
    let claims = [("x-forwarded-for", "203.0.113.7"), ("x-forwarded-proto", "https")];
    for (networks, expected) in [
        ("127.0.0.0/8", ["x-forwarded-for: 203.0.113.7, 127.0.0.1", "x-forwarded-proto: https"]),
        ("192.0.2.0/24", ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"]),
    ] {
        let proxy = serving(&app, behind(networks, Speaks::Forwarded)).await;
        let reply = Client::connect(proxy.listen).await.get("/headers", &claims).await;
        for line in expected {
            assert!(reply.body.lines().any(|found| found == line), "{line}: {}", reply.body);
        }
    }
}
