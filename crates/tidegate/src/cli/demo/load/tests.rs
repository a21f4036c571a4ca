//! The load against sockets that answer, lie and die.

use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Answers every connection's first bytes with `answer` and closes.
async fn answer_all(listener: TcpListener, answer: &'static str) {
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let mut head = [0; 2048];
            if socket.read(&mut head).await.is_ok_and(|read| read > 0) {
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
    }
}

/// Waits until that many requests have ended.
async fn after(load: &Load, requests: u64) {
    let mut seen = 0;
    let mut often = tokio::time::interval(Duration::from_millis(5));
    while seen < requests {
        often.tick().await;
        seen += load.ledger().pulse().requests;
    }
}

async fn outcomes(listener: TcpListener, address: SocketAddr, answer: &'static str) -> Vec<Record> {
    let server = tokio::spawn(answer_all(listener, answer));
    let load = Load::start(address, 200);
    after(&load, 10).await;
    let records = load.stop().await.close().unwrap();
    server.abort();
    records
}

#[tokio::test]
async fn an_answer_of_the_shop_names_its_release_and_fault() {
    let (listener, address) = listener().await;
    let answer = "HTTP/1.1 500 No\r\nx-shop-version: v3\r\nx-shop-fault-age-ms: 12\r\n\
                  content-length: 2\r\nconnection: close\r\n\r\nno";
    for record in outcomes(listener, address, answer).await {
        let expected = Outcome::Shop {
            version: Version::BAD,
            status: 500,
            whole: true,
            fault_age_ms: Some(12),
        };
        assert_eq!(record.outcome, expected);
    }
}

#[tokio::test]
async fn an_answer_without_a_release_is_the_proxys() {
    let (listener, address) = listener().await;
    let answer = "HTTP/1.1 502 Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    for record in outcomes(listener, address, answer).await {
        assert_eq!(record.outcome, Outcome::Proxy { status: 502 });
    }
}

#[tokio::test]
async fn a_body_cut_short_is_not_whole() {
    let (listener, address) = listener().await;
    let answer = "HTTP/1.1 200 OK\r\nx-shop-version: v2\r\ncontent-length: 9\r\n\r\nhalf";
    for record in outcomes(listener, address, answer).await {
        assert!(matches!(record.outcome, Outcome::Shop { whole: false, .. }), "{record:?}");
        assert!(!record.outcome.is_good());
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_silence_and_every_request_has_a_record() {
    let (listener, address) = listener().await;
    drop(listener);
    let load = Load::start(address, 500);
    after(&load, 50).await;
    let records = load.stop().await.close().unwrap();
    assert!(records.len() >= 50);
    assert!(records.iter().all(|record| record.outcome == Outcome::Silence));
}

#[tokio::test]
async fn the_rate_does_not_wait_for_answers() {
    let (listener, address) = listener().await;
    // Accepts and never answers: a closed loop would send one request for each connection.
    let server = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await.unwrap());
        }
    });
    let load = Load::start(address, 100);
    let began = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(10));
    while began.elapsed() < Duration::from_millis(500) {
        often.tick().await;
    }
    server.abort();
    let records = load.stop().await.close().unwrap();
    let mut intended: Vec<u64> = records.iter().map(|record| record.intended_us).collect();
    intended.sort_unstable();
    assert!(intended.len() >= 40, "{}", intended.len());
    assert!(intended.windows(2).all(|pair| pair[1] - pair[0] == 10_000), "one each 10 ms");
}
