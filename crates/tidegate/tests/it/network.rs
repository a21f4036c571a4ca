//! The server among other machines: TLS with a certificate that changes, a reverse proxy in front,
//! limits, health and figures.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::browser::Browser;
use crate::harness::{PATIENCE, World, wait};
use crate::secure::sign;

/// One request by curl, which trusts only this certificate: headers and body.
fn curl(url: &str, name: &str, trusted: &std::path::Path, more: &[&str]) -> Option<String> {
    let rest = url.strip_prefix("https://").unwrap();
    let (host, path) = rest.split_at(rest.find('/').unwrap());
    let (address, port) = host.rsplit_once(':').unwrap();
    let done = Command::new("curl")
        .args(["-s", "-i", "--max-time", "30", "--cacert"])
        .arg(trusted)
        .args(["--resolve", &format!("{name}:{port}:{address}")])
        .args(more)
        .arg(format!("https://{name}:{port}{path}"))
        .output()
        .expect("curl, which ./test installs");
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
}

#[test]
fn over_tls_cookies_are_host_only_and_a_newer_certificate_is_taken_at_once() {
    let world = World::new();
    let keys = world.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    sign(&keys, "1");
    let tls = format!("tls: {{certificate: {0}/shop.pem, key: {0}/shop.key}}\n", keys.display());
    let world = world.with_settings(&tls);
    let login = format!("{}/login", world.pages());
    let trusted = |serial: &str| keys.join(format!("shop.pem.{serial}"));
    let page = curl(&login, "shop.example", &trusted("1"), &[]).expect("an answer over TLS");
    let page = page.to_ascii_lowercase();
    assert!(page.contains("set-cookie: __host-tidegate-form="), "{page}");
    assert!(page.contains("; httponly; samesite=lax; secure; path=/"), "{page}");
    assert!(page.contains("strict-transport-security: max-age=63072000"), "{page}");
    // A form is taken over TLS from the https origin only.
    let whoami = format!("{}/v1/whoami", world.pages());
    let denied = curl(&whoami, "shop.example", &trusted("1"), &[]).unwrap();
    assert!(denied.starts_with("HTTP/1.1 401"), "{denied}");
    sign(&keys, "2");
    wait("the newer certificate serves", || curl(&login, "shop.example", &trusted("2"), &[]));
    // One that does not fit its key never takes its place.
    std::fs::write(keys.join("shop.key"), "no key").unwrap();
    wait("the problem is said", || world.server_log().contains("TG6119").then_some(()));
    assert!(curl(&login, "shop.example", &trusted("2"), &[]).is_some());
    world.end_server(rustix::process::Signal::TERM);
    let refused = world.expect(3, &["server", "run"]);
    assert!(
        refused.stderr.contains("TG6119") && !refused.stderr.contains("no key\n"),
        "{refused:?}"
    );
}

#[test]
fn only_what_stands_in_front_says_that_tls_protects_the_way() {
    let world = World::new()
        .with_settings("behind: {from: [127.0.0.0/8]}\nurl: https://tidegate.example\n");
    let log = std::fs::read_to_string(world.state_dir().join("server.log")).unwrap();
    assert!(log.contains("https://tidegate.example"), "{log}");
    let port = world.listening();
    let mut browser = Browser::new(&format!("http://{port}"));
    let forwarded = [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "192.0.2.7")];
    let page = browser.send("GET", "/login", &forwarded, "");
    assert!(page.header("set-cookie").starts_with("__Host-tidegate-form="), "{page:?}");
    let token = page.hidden("form_token");
    let form =
        [("form_token", token.as_str()), ("account", "mira"), ("password", "x"), ("code", "1")];
    let from = |origin: &'static str| [&forwarded[..], &[("Origin", origin)]].concat();
    let foreign = browser.send_form("/login", &from("http://127.0.0.1:1"), &form);
    assert_eq!(foreign.status, 403, "{foreign:?}");
    let ours = browser.send_form("/login", &from("https://tidegate.example"), &form);
    assert_eq!(ours.status, 401, "the form is taken, the password is wrong: {ours:?}");
}

#[test]
fn a_name_that_another_site_points_here_is_not_answered() {
    let world = World::with_pages("");
    let mut stream = TcpStream::connect(world.listening()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /login HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 421") && answer.contains("TG7052"), "{answer}");
}

#[test]
fn who_guesses_waits() {
    let world = World::with_pages("");
    let mut browser = Browser::new(&world.pages());
    let json = [("Content-Type", "application/json")];
    let body = r#"{"account":"nobody","password":"x","code":"000000"}"#;
    let waits = (0..60).find_map(|_guess| {
        let page = browser.send("POST", "/v1/session", &json, body);
        assert!(matches!(page.status, 401 | 429), "{page:?}");
        (page.status == 429).then_some(page)
    });
    let waits = waits.expect("an address does not guess for ever");
    assert!(waits.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(waits.text.contains("TG7053"), "{waits:?}");
    let token = browser.get("/login").hidden("form_token");
    let page = browser.post("/login", &[("form_token", &token), ("account", "nobody")]);
    assert_eq!(page.status, 429, "the forms share the count: {page:?}");
    // The socket's owner goes on.
    assert_eq!(world.expect(0, &["whoami", "--json"]).json()["human"], true);
}

#[test]
fn health_is_for_anybody_and_figures_are_for_readers() {
    let world = World::with_pages("");
    let mut stranger = Browser::new(&world.pages());
    for path in ["/healthz", "/readyz"] {
        let page = stranger.get(path);
        assert_eq!((page.status, page.text.as_str()), (200, "{\"ok\":true}"), "{path}");
    }
    assert_eq!(stranger.get("/metrics").status, 401);
    let made = world.expect(0, &["token", "create", "prometheus", "--may", "read"]);
    let bearer = format!("Bearer {}", made.stdout.trim());
    let page = stranger.send("GET", "/metrics", &[("Authorization", &bearer)], "");
    assert_eq!(page.status, 200, "{page:?}");
    for line in [
        "tidegate_server_requests_total{route=\"/healthz\",method=\"GET\",status=\"200\"} 1",
        "tidegate_server_refused_total{why=\"unknown\"} 1",
        "tidegate_server_epoch 1",
        "tidegate_server_services 0",
        "# EOF",
    ] {
        assert!(page.text.contains(line), "{line}: {}", page.text);
    }
}

#[test]
fn a_body_or_head_that_is_too_large_is_refused() {
    let world = World::with_pages("");
    let mut browser = Browser::new(&world.pages());
    let token = browser.get("/login").hidden("form_token");
    let large = "x".repeat(70 * 1024);
    let page = browser.post("/login", &[("form_token", &token), ("account", &large)]);
    assert!(page.status == 413 && page.text.contains("TG7004"), "{page:?}");
    let page = browser.send("GET", "/login", &[("X-Long", &"x".repeat(40 * 1024))], "");
    assert_eq!(page.status, 431, "{page:?}");
}
