//! Which tables a proxy takes: only valid, newer ones that answer what stands against them.

use std::net::TcpListener;

use http::Method;
use tidegate_proxy::wire::{self, Ack, DrainRequest, Drained, Refusal, Route, Table, Weight};

use crate::parts::{App, Proxy, SERVICE, eventually, fetch, free_address, parts, seal, shift};

fn code(refused: Result<Ack, Refusal>) -> String {
    refused.unwrap_err().code
}

#[tokio::test(flavor = "multi_thread")]
async fn only_newer_tables_are_applied_and_the_same_one_is_acknowledged_again() {
    let (old, new) = (App::start("old").await, App::start("new").await);
    let table = |listen, epoch, generation, app: &App, name| {
        let mut parts = parts(listen, generation, &[(name, 10_000, app.address)]);
        parts.epoch = epoch;
        seal(parts)
    };
    let proxy = Proxy::start().await;
    let (control, listen) = (&proxy.control, proxy.listen);
    let first = control.put(&table(listen, 2, 7, &old, "old")).await.unwrap();
    assert_eq!((first.epoch, first.generation), (2, 7));
    assert_eq!(control.put(&table(listen, 2, 7, &old, "old")).await.unwrap(), first);

    let refused = control.put(&table(listen, 2, 6, &new, "new")).await.unwrap_err();
    assert_eq!((refused.code.as_str(), refused.applied), ("TG5002", Some((2, 7))));
    assert_eq!(code(control.put(&table(listen, 1, 99, &new, "new")).await), "TG5002");
    assert_eq!(code(control.put(&table(listen, 2, 7, &new, "new")).await), "TG5016");
    assert_eq!(fetch(listen, "/").await.body, "old");

    control.put(&table(listen, 3, 1, &new, "new")).await.unwrap();
    assert_eq!(fetch(listen, "/").await.body, "new");

    // The epoch of one service deposes the makers of all.
    let mut other = parts(listen, 1, &[("old", 10_000, old.address)]);
    other.service = "shop/api".into();
    other.routes = vec![Route { host: None, path_prefix: "/api".into() }];
    other.epoch = 2;
    assert_eq!(code(control.put(&seal(other)).await), "TG5003");
    assert_eq!(fetch(listen, "/api").await.body, "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_empty_table_changes_nothing() {
    let app = App::start("good").await;
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("good", 10_000, app.address)]))).await;
    let next = seal(parts(proxy.listen, 2, &[("good", 10_000, app.address)]));
    let text = serde_json::to_string(&next).unwrap();
    for (damage, expected) in [
        (text.replace("\"generation\":2", "\"generation\":3"), "TG5004"),
        (text.replace("10000", "9999"), "TG5001"),
        (text.replace("\"epoch\"", "\"era\""), "TG5013"),
        ("{".to_owned(), "TG5013"),
    ] {
        assert_ne!(damage, text);
        let put: Result<Ack, Refusal> =
            proxy.control.call(Method::PUT, wire::PATH_TABLE, damage).await;
        assert_eq!(code(put), expected);
    }
    let emptied = seal(parts(proxy.listen, 2, &[("good", 0, app.address)]));
    assert_eq!(code(proxy.control.put(&emptied).await), "TG5008");
    assert_eq!(fetch(proxy.listen, "/").await.body, "good");
    proxy.control.put(&next).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_deployment_answers_503_until_it_has_a_weight() {
    let app = App::start("first").await;
    let table = |points| {
        move |listen| seal(parts(listen, u64::from(points) + 1, &[("first", points, app.address)]))
    };
    let proxy = Proxy::serving(table(0)).await;
    let reply = fetch(proxy.listen, "/").await;
    assert_eq!((reply.status.as_u16(), reply.headers["retry-after"].as_bytes()), (503, &b"5"[..]));
    eventually("a tick that counts it", || async {
        let ticks = proxy.control.ticks(0).await.ticks;
        ticks.iter().any(|tick| tick.no_backend == 1).then_some(())
    })
    .await;
    proxy.control.put(&table(10_000)(proxy.listen)).await.unwrap();
    assert_eq!(fetch(proxy.listen, "/").await.body, "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_and_changes_nothing() {
    let app = App::start("good").await;
    let table =
        |generation, listen| seal(parts(listen, generation, &[("good", 10_000, app.address)]));
    let proxy = Proxy::serving(|listen| table(1, listen)).await;
    let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = squatter.local_addr().unwrap();
    let refused = proxy.control.put(&table(2, taken)).await.unwrap_err();
    assert_eq!(refused.code, "TG5006");
    assert!(refused.reason.contains(&taken.to_string()), "{}", refused.reason);
    assert_eq!(proxy.control.status().await.generation, 1);
    assert_eq!(fetch(proxy.listen, "/").await.body, "good");
    // The same generation elsewhere is a new table, because the refused one was never applied.
    let elsewhere = free_address();
    proxy.control.put(&table(2, elsewhere)).await.unwrap();
    assert_eq!(fetch(elsewhere, "/").await.body, "good");
    eventually("the old address to be closed", || async {
        tokio::net::TcpStream::connect(proxy.listen).await.err()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_says_what_a_table_would_meet_and_keeps_nothing() {
    let app = App::start("good").await;
    let table =
        |generation, listen| seal(parts(listen, generation, &[("good", 10_000, app.address)]));
    let proxy = Proxy::serving(|listen| table(5, listen)).await;
    let squatter = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = squatter.local_addr().unwrap();
    assert_eq!(proxy.control.rehearse(&table(6, taken)).await.unwrap_err().code, "TG5006");
    assert_eq!(proxy.control.rehearse(&table(4, proxy.listen)).await.unwrap_err().code, "TG5002");
    let free = free_address();
    proxy.control.rehearse(&table(6, free)).await.unwrap();
    assert_eq!(proxy.control.status().await.generation, 5);
    eventually("the rehearsed address to be closed", || async {
        tokio::net::TcpStream::connect(free).await.err()
    })
    .await;
    assert_eq!(fetch(proxy.listen, "/").await.body, "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_share_an_address_but_not_a_route() {
    let (web, api) = (App::start("web").await, App::start("api").await);
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("web", 10_000, web.address)]))).await;
    let mut second = parts(proxy.listen, 1, &[("api", 10_000, api.address)]);
    second.service = "shop/api".into();
    let refused = proxy.control.put(&seal(second.clone())).await.unwrap_err();
    assert_eq!(refused.code, "TG5017");
    assert!(refused.reason.contains(SERVICE), "{}", refused.reason);
    second.routes = vec![
        Route { host: None, path_prefix: "/api".into() },
        Route { host: Some("api.example".into()), path_prefix: "/".into() },
    ];
    proxy.control.put(&seal(second)).await.unwrap();
    assert_eq!(fetch(proxy.listen, "/api/x").await.body, "api");
    assert_eq!(fetch(proxy.listen, "/apix").await.body, "web");
    let mut client = crate::parts::Client::connect(proxy.listen).await;
    let named = http::Request::get("/").header("host", "API.example:80");
    let response = client.send(named.body(crate::parts::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["x-revision"], "api");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_service_stays_deleted_for_late_tables() {
    let app = App::start("good").await;
    let table =
        |generation, listen| seal(parts(listen, generation, &[("good", 10_000, app.address)]));
    let proxy = Proxy::serving(|listen| table(5, listen)).await;
    let control = &proxy.control;
    let delete = |generation: u64| async move {
        let service = wire::encode_service(SERVICE);
        let path = format!("{}/{service}?epoch=1&generation={generation}", wire::PATH_TABLE);
        control.call::<Ack>(Method::DELETE, &path, String::new()).await
    };
    assert_eq!(code(delete(5).await), "TG5002");
    assert_eq!(delete(6).await.unwrap().generation, 6);
    assert_eq!(delete(6).await.unwrap().generation, 6);
    assert_eq!(code(proxy.control.put(&table(5, proxy.listen)).await), "TG5002");
    assert_eq!(code(proxy.control.put(&table(6, proxy.listen)).await), "TG5016");
    proxy.control.put(&table(7, proxy.listen)).await.unwrap();
    assert_eq!(fetch(proxy.listen, "/").await.body, "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_with_weight_is_not_drained() {
    let (live, candidate) = (App::start("live").await, App::start("candidate").await);
    let proxy =
        Proxy::serving(|listen| seal(shift(listen, 1, live.address, candidate.address, 500))).await;
    let drain = |revision: &str| {
        let request =
            DrainRequest { service: SERVICE.into(), revision: revision.into(), grace_ms: 1_000 };
        serde_json::to_string(&request).unwrap()
    };
    for revision in ["live", "candidate"] {
        let refused: Refusal = proxy
            .control
            .call::<Drained>(Method::POST, wire::PATH_DRAIN, drain(revision))
            .await
            .unwrap_err();
        assert_eq!(refused.code, "TG5012");
    }
    let drained: Drained =
        proxy.control.call(Method::POST, wire::PATH_DRAIN, drain("gone")).await.unwrap();
    assert_eq!(drained, Drained { in_flight: 0, tunnels: 0, cut: 0 });
}

#[test]
fn no_invalid_table_can_be_made() {
    let listen = free_address();
    let good = || shift(listen, 1, listen, free_address(), 500);
    assert_eq!(Table::seal(good()).unwrap().checksum().len(), 64);
    type Damage = fn(&mut wire::TableParts);
    let broken: [(&str, Damage); 16] = [
        ("sum", |p| p.backends[0].weight = Weight::FULL),
        ("endpoints", |p| p.backends[0].endpoints.clear()),
        ("endpoint twice", |p| {
            let first = p.backends[0].endpoints[0];
            p.backends[0].endpoints.push(first);
        }),
        ("revision twice", |p| p.backends[1].revision = "live".into()),
        ("fallback unknown", |p| p.fallback = crate::parts::all_to("other")),
        ("fallback sum", |p| p.fallback.as_mut().unwrap()[0].weight = Weight::ZERO),
        ("lease without fallback", |p| {
            p.fallback = None;
            p.lease_ms = Some(1_000);
        }),
        ("lease zero", |p| p.lease_ms = Some(0)),
        ("no route", |p| p.routes.clear()),
        ("relative prefix", |p| p.routes[0].path_prefix = "api".into()),
        ("upper-case host", |p| p.routes[0].host = Some("A".into())),
        ("port 0", |p| p.listen.set_port(0)),
        ("cookie name", |p| p.cohort.cookie = "a=b; c".into()),
        ("service", |p| p.service = "a b".into()),
        ("latency limit", |p| p.limits_ms.push(f64::NAN)),
        ("too many limits", |p| p.limits_ms = vec![1.0; 17]),
    ];
    for (what, damage) in broken {
        let mut parts = good();
        damage(&mut parts);
        assert!(Table::seal(parts).is_err(), "{what}");
    }
    let text = serde_json::to_string(&Table::seal(good()).unwrap()).unwrap();
    assert!(serde_json::from_str::<Table>(&text).is_ok());
    assert!(serde_json::from_str::<Table>(&text.replace("seed\":\"seed", "seed\":\"s")).is_err());
    assert!(serde_json::from_str::<Weight>("10001").is_err());
}
