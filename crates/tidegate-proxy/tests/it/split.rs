//! How requests are split: exact shares, sticky and monotone cohorts, previews, and weight
//! changes that nobody notices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidegate_proxy::wire::{Backend, CohortBy, Preview, Weight};

use crate::parts::{App, Client, Proxy, parts, seal, shift, tally};

const CONNECTIONS: u64 = 16;

/// Sends `per_connection` requests on each of some keep-alive connections, every one by another
/// user, and counts the answers by revision.
async fn count(proxy: &Proxy, per_connection: u64) -> BTreeMap<String, u64> {
    let listen = proxy.listen;
    let clients = (0..CONNECTIONS).map(|connection| {
        tokio::spawn(async move {
            let mut client = Client::connect(listen).await;
            let mut names = Vec::new();
            for request in 0..per_connection {
                let user = (connection * per_connection + request).to_string();
                let reply = client.get("/", &[("x-user", &user)]).await;
                assert_eq!(reply.status, 200);
                assert!(reply.cookie().is_none());
                names.push(reply.body);
            }
            names
        })
    });
    let mut all = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        all.extend(client.await.unwrap());
    }
    let counts = tally(all.iter().map(String::as_str));
    counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_are_within_three_sigma() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let table = |listen, generation, points| {
        let mut parts = shift(listen, generation, live.address, candidate.address, points);
        parts.cohort.by = CohortBy::Header("x-user".into());
        seal(parts)
    };
    let proxy = Proxy::serving(|listen| table(listen, 1, 500)).await;
    let total = 1_250 * CONNECTIONS;
    for (generation, basis_points) in [(1, 500_u32), (2, 2_500), (3, 5_000)] {
        let points = u16::try_from(basis_points).unwrap();
        proxy.control.put(&table(proxy.listen, generation, points)).await.unwrap();
        let counts = count(&proxy, 1_250).await;
        let share = f64::from(basis_points) / 10_000.0;
        let expected = 20_000.0 * share;
        let sigma = (20_000.0 * share * (1.0 - share)).sqrt();
        let found = f64::from(u32::try_from(counts["candidate"]).unwrap());
        assert!((found - expected).abs() < 3.0 * sigma, "{found} of 20000 at {share}");
        assert_eq!(counts.values().sum::<u64>(), total);
    }
    // What the proxy counts is what the applications saw.
    assert_eq!(proxy.control.revision("live").await.requests_total, live.count());
    assert_eq!(proxy.control.revision("candidate").await.requests_total, candidate.count());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_flips_back_while_the_weight_grows() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let table = |listen| seal(shift(listen, 1, live.address, candidate.address, 100));
    let proxy = Proxy::serving(table).await;
    let mut client = Client::connect(proxy.listen).await;
    let mut cookies = Vec::new();
    for _ in 0..300 {
        let reply = client.get("/", &[]).await;
        let set = reply.headers["set-cookie"].to_str().unwrap();
        assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{set}");
        cookies.push((reply.cookie().unwrap(), reply.body == "candidate"));
    }
    for (generation, points) in [(2, 500), (3, 1_000), (4, 2_500), (5, 5_000), (6, 9_000)] {
        let mut parts = shift(proxy.listen, generation, live.address, candidate.address, points);
        // The order in the table says nothing about who goes first.
        parts.backends.rotate_left(usize::from(generation % 2 == 0));
        proxy.control.put(&seal(parts)).await.unwrap();
        for (cookie, is_candidate) in &mut cookies {
            let reply = client.get("/", &[("cookie", cookie)]).await;
            assert!(!*is_candidate || reply.body == "candidate", "{cookie} went back");
            *is_candidate = reply.body == "candidate";
            // The same client is placed the same way twice.
            assert_eq!(client.get("/", &[("cookie", cookie)]).await.body, reply.body);
        }
    }
    assert!(cookies.iter().filter(|(_, is_candidate)| *is_candidate).count() > 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_header_reaches_a_revision_without_weight_and_is_not_counted() {
    let (live, next) = (App::start("live").await, App::start("next").await);
    let proxy = Proxy::serving(|listen| {
        let backends = [("live", 10_000, live.address), ("next", 0, next.address)];
        let mut parts = parts(listen, 1, &backends);
        let values = BTreeMap::from([("next".to_owned(), "next".to_owned())]);
        parts.preview = Some(Preview { header: "x-preview".into(), values });
        seal(parts)
    })
    .await;
    let mut client = Client::connect(proxy.listen).await;
    for _ in 0..10 {
        assert_eq!(client.get("/", &[("x-preview", "next")]).await.body, "next");
        assert_eq!(client.get("/", &[("x-preview", "unknown")]).await.body, "live");
        let plain = client.get("/", &[]).await;
        assert_eq!(plain.body, "live");
        assert!(plain.cookie().is_none(), "one revision in force needs no cohort");
    }
    assert_eq!(proxy.control.revision("next").await.requests_total, 0);
    assert_eq!(proxy.control.revision("live").await.requests_total, 20);
    assert_eq!(next.count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_weight_changes_lose_nothing_and_reach_no_stranger() {
    let apps = [App::start("a").await, App::start("b").await, App::start("c").await];
    let names = ["a", "b", "c"];
    let proxy = Proxy::start().await;
    let table = |generation: u64| {
        // Each generation splits between two of the three; the third is in no table.
        let first = usize::try_from(generation % 3).unwrap();
        let second = (first + 1) % 3;
        let points = u16::try_from(generation * 997 % 10_001).unwrap();
        let mut backends = parts(proxy.listen, generation, &[]);
        for (index, points) in [(first, points), (second, 10_000 - points)] {
            backends.backends.push(Backend {
                revision: names[index].into(),
                slot: names[index].into(),
                weight: Weight::new(points).unwrap(),
                endpoints: vec![apps[index].address],
                protocol: tidegate_proxy::wire::Protocol::Http1,
            });
        }
        seal(backends)
    };
    proxy.control.put(&table(1)).await.unwrap();

    let generation = Arc::new(AtomicU64::new(1));
    let done = Arc::new(AtomicBool::new(false));
    let listen = proxy.listen;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (generation, done) = (Arc::clone(&generation), Arc::clone(&done));
            tokio::spawn(async move {
                let mut client = Client::connect(listen).await;
                let mut served = 0_u64;
                while !done.load(Ordering::SeqCst) {
                    // The table acknowledged before the request began, up to the one that may
                    // have been applied, unacknowledged, before it ended.
                    let before = generation.load(Ordering::SeqCst);
                    let reply = client.get("/", &[]).await;
                    let after = generation.load(Ordering::SeqCst) + 1;
                    assert_eq!(reply.status, 200);
                    let allowed = (before..=after).flat_map(|g| [g % 3, (g + 1) % 3]);
                    let found = names.iter().position(|name| *name == reply.body).unwrap();
                    assert!(allowed.into_iter().any(|index| index == found as u64));
                    served += 1;
                }
                served
            })
        })
        .collect();
    for next in 2..=201 {
        proxy.control.put(&table(next)).await.unwrap();
        generation.store(next, Ordering::SeqCst);
    }
    done.store(true, Ordering::SeqCst);
    let mut served = 0;
    for client in clients {
        served += client.await.unwrap();
    }
    assert!(served > 200, "{served} requests are no load");
    let seen: u64 = apps.iter().map(App::count).sum();
    assert_eq!(seen, served, "each request reached exactly one application");
}
