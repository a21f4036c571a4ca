//! The shop over real sockets, whole and with each fault.

use std::time::Duration;

use reqwest::{Client, StatusCode, redirect};

use super::*;
use crate::cli::demo::load::{FAULT_HEADER, VERSION_HEADER};

struct Open {
    url: String,
    client: Client,
    ended: tokio::task::JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl Open {
    async fn with(fault: Fault, fault_after_requests: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let file = ShopFile { version: 3, fault, fault_after_requests };
        let stop = CancellationToken::new();
        let ended = tokio::spawn(serve(listener, file, stop.clone().cancelled_owned()));
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none());
        Self { url, client: client.build().unwrap(), ended, stop }
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    async fn status(&self, path: &str) -> u16 {
        self.get(path).await.status().as_u16()
    }
}

#[tokio::test]
async fn a_good_release_sells_signs_in_and_keeps_uploads() {
    let shop = Open::with(Fault::None, 0).await;
    let front = shop.get("/").await;
    assert_eq!(front.headers()[VERSION_HEADER], "v3");
    assert!(!front.headers().contains_key(FAULT_HEADER));
    assert!(front.text().await.unwrap().contains("The Tide Shop"));
    assert_eq!(shop.status("/items/1").await, 200);
    assert_eq!(shop.status("/items/99").await, 404);
    assert_eq!(shop.status("/health/detailed").await, 200);

    let login = |password| {
        let form = format!("user=mira&password={password}");
        shop.client.post(format!("{}/login", shop.url)).body(form).send()
    };
    assert_eq!(login("wrong").await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let signed_in = login("sesame").await.unwrap();
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().to_owned();
    let account = |cookie: String| {
        shop.client.get(format!("{}/account", shop.url)).header("cookie", cookie).send()
    };
    assert!(account(cookie.clone()).await.unwrap().text().await.unwrap().contains("Welcome, mira"));
    let forged = account(cookie.replace("mira", "root")).await.unwrap();
    assert_eq!(forged.status(), StatusCode::UNAUTHORIZED);

    let upload = shop.client.post(format!("{}/upload", shop.url)).body("a drawing").send().await;
    let upload: serde_json::Value =
        serde_json::from_str(&upload.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(upload["bytes"], 9);
    let kept = shop.get(&format!("/upload/{}", upload["number"])).await.text().await.unwrap();
    assert_eq!(kept, "a drawing");
    shop.stop.cancel();
    shop.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn errors_come_in_their_proportion_and_not_too_early() {
    let shop = Open::with(Fault::Errors { one_in: 4 }, 8).await;
    let mut statuses = Vec::new();
    for _ in 0..16 {
        statuses.push(shop.status("/items").await);
    }
    assert_eq!(statuses[..8], [200; 8]);
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 2);
    assert!(shop.get("/health").await.headers().contains_key(FAULT_HEADER));
}

#[tokio::test]
async fn latency_health_and_memory_are_what_their_file_says() {
    let slow = Open::with(Fault::Latency { delay_ms: 60 }, 1).await;
    let began = Instant::now();
    slow.get("/").await;
    slow.get("/").await;
    assert!(began.elapsed() >= Duration::from_millis(60));

    let sick = Open::with(Fault::Health, 1).await;
    assert_eq!(sick.status("/").await, 200);
    assert_eq!(sick.status("/health").await, 200);
    assert_eq!(sick.status("/").await, 200);
    assert_eq!(sick.status("/health").await, 503);
    assert_eq!(sick.status("/health/detailed").await, 503);

    let file = ShopFile {
        version: 3,
        fault: Fault::Memory { mib_a_request: 2, mib_max: 6 },
        fault_after_requests: 0,
    };
    let leaking = Shop::new(file);
    for _ in 0..9 {
        leaking.leak(2, 6);
    }
    assert_eq!(leaking.leaked.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn a_crash_answers_nobody_and_ends_the_process_with_an_error() {
    let shop = Open::with(Fault::Crash, 2).await;
    assert_eq!(shop.status("/").await, 200);
    assert_eq!(shop.status("/").await, 200);
    let third = shop.client.get(&shop.url).timeout(Duration::from_secs(10)).send();
    // In a process of its own the connection ends with it; here the server just ends.
    let ended = tokio::select! {
        ended = shop.ended => ended.unwrap(),
        _ = third => panic!("a dead shop answered"),
    };
    assert!(ended.unwrap_err().to_string().contains("died"));
}

#[test]
fn the_file_refuses_what_it_does_not_know() {
    let text = r#"{"version":3,"fault":{"errors":{"one_in":5}},"fault_after_requests":20}"#;
    let file: ShopFile = serde_json::from_str(text).unwrap();
    assert_eq!(file.fault, Fault::Errors { one_in: 5 });
    assert!(serde_json::from_str::<ShopFile>(r#"{"version":3,"fault":"sulk"}"#).is_err());
    let none = r#"{"version":1,"fault":"none","fault_after_requests":0,"more":1}"#;
    assert!(serde_json::from_str::<ShopFile>(none).is_err());
}
