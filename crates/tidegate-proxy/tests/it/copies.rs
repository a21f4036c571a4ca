//! What is made of a request beside its answer: a copy for another revision, a line in a log.

use http::{Method, Request};
use tidegate_proxy::wire::{Mirror, Weight};

use crate::parts::{App, Client, Proxy, eventually, full, parts, seal, shift};

#[tokio::test(flavor = "multi_thread")]
async fn safe_requests_are_copied_to_the_candidate_and_nobody_notices() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let proxy = Proxy::serving(|listen| {
        let mut parts = shift(listen, 1, live.address, candidate.address, 0);
        parts.mirror = Some(Mirror { revision: "candidate".into(), share: Weight::FULL });
        seal(parts)
    })
    .await;
    let mut client = Client::connect(proxy.listen).await;
    for _ in 0..20 {
        assert_eq!(client.get("/", &[("x-tidegate-mirror", "1")]).await.body, "live");
    }
    eventually("copies", || async { (candidate.count() == 20).then_some(()) }).await;
    // A request that may change something is not copied, nor is one with a body.
    for method in [Method::POST, Method::DELETE] {
        let request = Request::builder().method(method).uri("/").header("host", "shop.example");
        client.send(request.body(full("")).unwrap()).await.unwrap();
    }
    // A copy that is never answered holds up nobody, and its failure is not the revision's.
    assert_eq!(client.get("/headers", &[]).await.headers["x-revision"], "live");
    eventually("the last copy", || async { (candidate.count() == 21).then_some(()) }).await;
    eventually("all ticks", || async {
        (proxy.control.sums("live").await.requests == 23).then_some(())
    })
    .await;
    assert_eq!(proxy.control.sums("candidate").await.requests, 0);
    assert_eq!(proxy.control.revision("candidate").await.requests_total, 0);
    assert_eq!(live.count(), 23);
    proxy.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_access_log_has_requests_and_none_of_their_secrets() {
    let live = App::start("live").await;
    let proxy = Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("live", 10_000, live.address)]);
        parts.access_log = Some(Weight::FULL);
        seal(parts)
    })
    .await;
    let mut client = Client::connect(proxy.listen).await;
    let secret = [("authorization", "Bearer hush"), ("cookie", "session=hush")];
    client.get("/basket?token=hush", &secret).await;
    client.get("/status/503", &[]).await;
    let log = proxy.control.0.with_file_name("access.log");
    let text = eventually("two lines", || async {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() == 2).then_some(text)
    })
    .await;
    assert!(!text.contains("hush") && !text.contains('?'), "{text}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["path"], "/basket");
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["client"], "127.0.0.1");
    assert_eq!(lines[1]["status"], 503);
    assert_eq!(lines[1]["revision"], "live");
    proxy.stop().await;
}
