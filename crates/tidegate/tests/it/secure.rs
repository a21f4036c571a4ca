//! A service behind TLS and HTTP/2: deployed by the real binary, visited by curl, with a
//! certificate that is exchanged in the middle of a release.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::{World, free_port, wait};

/// A certificate for `shop.example` that vouches for itself, put in place by renaming.
pub(crate) fn sign(directory: &Path, serial: &str) {
    let fresh = |name: &str| directory.join(format!("{name}.{serial}"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "9", "-subj", "/CN=shop.example", "-set_serial", serial])
        .args(["-addext", "subjectAltName=DNS:shop.example", "-keyout"])
        .arg(fresh("shop.key"))
        .arg("-out")
        .arg(fresh("shop.pem"))
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl, which ./test installs").success());
    for name in ["shop.key", "shop.pem"] {
        std::fs::copy(fresh(name), fresh(&format!("{name}.copy"))).unwrap();
        std::fs::rename(fresh(&format!("{name}.copy")), directory.join(name)).unwrap();
    }
}

/// `VERSION STATUS SERIAL BODY` of one visit over HTTPS, on a connection of its own.
fn visit(port: u16, directory: &Path, serials: &[&str]) -> Option<(String, String)> {
    for serial in serials {
        let done = Command::new("curl")
            .args(["-s", "--http2", "--max-time", "30", "-w", " %{http_version} %{http_code}"])
            .args(["--resolve", &format!("shop.example:{port}:127.0.0.1"), "--cacert"])
            .arg(directory.join(format!("shop.pem.{serial}")))
            .arg(format!("https://shop.example:{port}/"))
            .output()
            .expect("curl, which ./test installs");
        if done.status.success() {
            return Some(((*serial).to_owned(), String::from_utf8(done.stdout).unwrap()));
        }
    }
    None
}

#[test]
fn a_service_behind_tls_is_released_over_http2_while_its_certificate_changes() {
    let world = World::with_server();
    let app = world.app();
    let keys = world.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    sign(&keys, "1");
    let (port, plain) = (free_port(), free_port());
    let route = format!(
        "route: {{listen: \"127.0.0.1:{port}\", host: shop.example, tls: {{certificate: {0}/shop.pem, \
         key: {0}/shop.key, redirect_from: \"127.0.0.1:{plain}\"}}}}",
        keys.display()
    );
    let config = app.config("").replace(&format!("route: {{listen: \"{}\"}}", app.listen), &route);
    app.write("tidegate.yaml", &config);
    app.release("v1", "");
    let id = app.deploy("v1");
    // Nobody visits yet, so that it goes live without having been verified by traffic.
    world.wait_for_end(&id);
    assert_eq!(visit(port, &keys, &["1"]), Some(("1".to_owned(), "v1 2 200".to_owned())));
    let shown = world.get(&format!("/v1/deployments/{id}"));
    let url = format!("https://shop.example:{port}/");
    assert_eq!(shown["parts"][0]["url"], url.as_str(), "{shown}");
    let status = world.expect(0, &["proxy", "status", "--json"]).json();
    let certificate = &status["parts"][0]["certificates"][0];
    assert_eq!(certificate["name"], "shop.example", "{status}");
    assert_eq!(certificate["names"], serde_json::json!(["shop.example"]));
    assert_eq!(certificate["source"], "files");
    assert_eq!(certificate["place"], keys.join("shop.pem").to_str().unwrap());
    // Made for nine days, some seconds ago.
    assert_eq!((&certificate["state"], &certificate["days_left"]), (&"ending".into(), &8.into()));
    assert!(certificate["not_after"].is_string() && certificate["problem"].is_null(), "{status}");
    let said = world.expect(0, &["proxy", "status"]).stdout;
    assert!(said.contains("certificate shop.example") && said.contains("(8 days left)"), "{said}");

    // Users over HTTP/2 all the time, each on a connection of their own.
    let stop = Arc::new(AtomicBool::new(false));
    let (seen, directory) = (Arc::clone(&stop), keys.clone());
    let users = std::thread::spawn(move || {
        let mut answers = Vec::new();
        while !seen.load(Ordering::Relaxed) {
            answers.push(visit(port, &directory, &["1", "2"]));
        }
        answers
    });
    app.release("v2", "");
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "traffic.step1");
    sign(&keys, "2");
    wait("the second certificate", || visit(port, &keys, &["2"]));
    assert_eq!(world.wait_for_end(&id), "succeeded");
    stop.store(true, Ordering::Relaxed);
    let answers = users.join().unwrap();
    assert!(answers.len() > 3, "{answers:?}");
    for answer in answers {
        let (_, body) = answer.expect("a visit that was not served");
        assert!(body == "v1 2 200" || body == "v2 2 200", "{body}");
    }

    let moved = Command::new("curl")
        .args(["-s", "--max-time", "30", "-H", "Host: shop.example", "-w", "%{redirect_url}"])
        .args(["-o", "/dev/null", &format!("http://127.0.0.1:{plain}/cart?id=7")])
        .output()
        .unwrap();
    let target = String::from_utf8(moved.stdout).unwrap();
    assert_eq!(target, format!("https://shop.example:{port}/cart?id=7"));
}

#[test]
fn a_certificate_that_is_not_there_is_what_why_names_and_its_coming_ends_the_wait() {
    let world = World::with_server();
    let app = world.app();
    let keys = world.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let port = free_port();
    let route = format!(
        "route: {{listen: \"127.0.0.1:{port}\", host: shop.example, tls: {{certificate: {0}/shop.pem, \
         key: {0}/shop.key}}}}",
        keys.display()
    );
    let config = app.config("").replace(&format!("route: {{listen: \"{}\"}}", app.listen), &route);
    app.write("tidegate.yaml", &config);
    app.release("v1", "");
    let id = app.deploy("v1");
    let why = wait("why names the certificate", || {
        let said = world.run(&["why", &id]).stdout;
        said.contains("TG5061").then_some(said)
    });
    assert!(why.contains("shop.pem"), "{why}");
    sign(&keys, "1");
    world.wait_for_end(&id);
    assert_eq!(visit(port, &keys, &["1"]), Some(("1".to_owned(), "v1 2 200".to_owned())));
}
