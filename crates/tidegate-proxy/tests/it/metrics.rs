//! What the proxy says of itself: the metrics agree with what clients saw, and the access log has
//! a line for each request that was drawn, however many come at once and whatever the disk does.

use std::collections::BTreeMap;

use tidegate_proxy::wire::Weight;

use crate::parts::{App, Client, Proxy, eventually, parts, seal, shift, weight};

/// The counts of all series, by their names with their labels; every value is a number, and one
/// that is no count is left out.
fn series(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let number: f64 = value.parse().unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(number.is_finite() && number >= 0.0, "{line}");
        Some((name.to_owned(), value.parse().ok()?))
    };
    lines.filter_map(split).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_agree_with_what_clients_saw() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let table = |listen| seal(shift(listen, 7, live.address, candidate.address, 4_000));
    let proxy = Proxy::serving(table).await;
    let mut good = 0;
    for _ in 0..40 {
        let reply = Client::connect(proxy.listen).await.get("/", &[]).await;
        good += u64::from(reply.body == "candidate");
    }
    let mut client = Client::connect(proxy.listen).await;
    let cookie = client.get("/", &[]).await.cookie().unwrap();
    for status in ["/status/404", "/status/503", "/grpc/13"] {
        client.get(status, &[("cookie", &cookie)]).await;
    }
    let found = eventually("all ticks", || async {
        let found = series(&proxy.control.metrics().await.1);
        let requests = |revision: &str| {
            let name = format!(
                "tidegate_proxy_requests_total{{service=\"shop/web\",revision=\"{revision}\"}}"
            );
            found.get(&name).copied().unwrap_or(0)
        };
        (requests("live") + requests("candidate") == 44).then_some(found)
    })
    .await;
    let sum = |name: &str, more: &str| -> u64 {
        let begins = format!("tidegate_proxy_{name}{{");
        let fits = |key: &&String| key.starts_with(&begins) && key.contains(more);
        found.keys().filter(fits).map(|key| found[key]).sum()
    };
    assert_eq!(sum("failures_total", "class=\"status_5xx\""), 1);
    assert_eq!(sum("failures_total", "class=\"grpc\""), 1);
    assert_eq!(sum("failures_total", ""), 2);
    assert_eq!(sum("latency_seconds_count", ""), 44);
    assert_eq!(sum("latency_seconds_bucket", "le=\"+Inf\""), 44, "{found:#?}");
    assert_eq!(sum("weight_basis_points", "candidate"), 4_000);
    assert!(sum("requests_total", "candidate") >= good);
    assert_eq!(found["tidegate_proxy_generation{service=\"shop/web\"}"], 7);
    assert_eq!(found["tidegate_proxy_override{service=\"shop/web\"}"], 0);
    assert!(found["tidegate_proxy_connections"] >= 1);
    assert_eq!(found["tidegate_proxy_access_log_lost_total"], 0);

    let (headers, text) = proxy.control.metrics().await;
    let kind = headers["content-type"].to_str().unwrap();
    assert!(kind.starts_with("application/openmetrics-text; version=1.0.0"), "{kind}");
    assert!(text.ends_with("# EOF\n"), "a reader must see that it is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_busy_access_log_is_whole() {
    let app = App::start("live").await;
    let proxy = Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("live", 10_000, app.address)]);
        parts.access_log = Some(Weight::FULL);
        seal(parts)
    })
    .await;
    let users = (0..16).map(|user| {
        let listen = proxy.listen;
        tokio::spawn(async move {
            let mut client = Client::connect(listen).await;
            for number in 0..50 {
                client.get(&format!("/u{user}/n{number}"), &[]).await;
            }
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await.unwrap();
    }
    let log = proxy.control.0.with_file_name("access.log");
    let text = eventually("all lines", || async {
        let text = std::fs::read_to_string(&log).ok()?;
        (text.lines().count() == 800).then_some(text)
    })
    .await;
    let mut paths = std::collections::BTreeSet::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["status"], &line["revision"]), (&200.into(), &"live".into()), "{line}");
        assert!(line["duration_ms"].as_f64().unwrap() >= 0.0, "{line}");
        assert!(paths.insert(line["path"].as_str().unwrap().to_owned()), "twice: {line}");
    }
    assert_eq!(paths.len(), 800);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_share_of_the_requests_is_logged_and_a_disk_that_refuses_costs_no_request() {
    let app = App::start("live").await;
    let proxy = Proxy::serving(|listen| {
        let mut parts = parts(listen, 1, &[("live", 10_000, app.address)]);
        parts.access_log = Some(weight(2_500));
        seal(parts)
    })
    .await;
    let mut client = Client::connect(proxy.listen).await;
    for _ in 0..1_000 {
        client.get("/", &[]).await;
    }
    let state = proxy.directory().to_owned();
    let listen = proxy.listen;
    // The writer ends with the proxy: every line that was told is written then.
    let (_, kept) = proxy.stop_and_keep().await;
    let lines = std::fs::read_to_string(state.join("access.log")).unwrap().lines().count();
    // 250 expected; six standard deviations (13.7 each) to both sides.
    assert!((168..=332).contains(&lines), "{lines} of 1000 at 25 %");

    std::fs::remove_file(state.join("access.log")).unwrap();
    std::fs::create_dir(state.join("access.log")).unwrap();
    let proxy = Proxy::start_in(kept).await;
    let mut client =
        eventually("it listens again", || async { Some(Client::connect(listen).await) }).await;
    for _ in 0..100 {
        assert_eq!(client.get("/", &[]).await.body, "live");
    }
    eventually("lost lines are counted", || async {
        let found = series(&proxy.control.metrics().await.1);
        (found["tidegate_proxy_access_log_lost_total"] > 0).then_some(())
    })
    .await;
}
