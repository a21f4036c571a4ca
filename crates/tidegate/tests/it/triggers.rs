//! Repositories that are watched: a tag becomes a ready release or a deployment, by a signed
//! webhook or without one, once, and never because of what a webhook says.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use aws_lc_rs::hmac;
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

use crate::harness::{App, World, wait};

const SECRET: &str = "0123456789abcdef-of-the-forge";
const NEWER: &str = "fedcba9876543210-of-the-forge";

/// A world that watches its application. Without a webhook it looks hourly, so that what happens
/// here happens because of one.
fn watched<'w>(world: &'w mut Option<World>, start: &str) -> (&'w World, App<'w>) {
    let new = World::new();
    for (name, secret) in [("one", SECRET), ("two", NEWER)] {
        let file = new.path().join(name);
        fs::write(&file, format!("{secret}\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    let (app, root) = (new.path().join("app"), new.path().display());
    let settings = format!(
        "triggers:\n  - name: shop\n    repository: {}\n    start: {start}\n    every: 1h\n    \
         secret_files: [{root}/one, {root}/two]\n",
        app.display()
    );
    let world = world.insert(new.with_settings(&settings));
    let app = world.app();
    (world, app)
}

fn mac(secret: &str, text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), text.as_bytes())
        .as_ref()
        .to_vec()
}

/// Sends a webhook over the network; the status.
fn hook(world: &World, name: &str, headers: &[(&str, String)], body: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "--data-binary", body]);
    for (name, value) in headers {
        curl.args(["-H", &format!("{name}: {value}")]);
    }
    let done = curl.arg(format!("{}/v1/hooks/{name}", world.pages())).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

fn github(secret: &str, body: &str) -> Vec<(&'static str, String)> {
    vec![("x-hub-signature-256", format!("sha256={}", HEXLOWER.encode(&mac(secret, body))))]
}

fn trigger(world: &World) -> Value {
    world.get("/v1/triggers")["triggers"][0].clone()
}

fn waits_for(world: &World, word: &str) -> Value {
    wait(word, || {
        let found = trigger(world);
        found["sentence"].as_str().unwrap().contains(word).then_some(found)
    })
}

#[test]
fn a_signed_webhook_makes_a_release_ready_and_a_person_begins_it() {
    let mut place = None;
    let (world, app) = watched(&mut place, "by-hand");
    app.release("v1.0.0", "");
    app.git(&["tag", "nightly"]);
    let body =
        r#"{"ref": "refs/tags/v9.9.9", "repository": {"clone_url": "https://evil.example"}}"#;
    assert_eq!(hook(world, "shop", &github(SECRET, body), body), "202");
    // What the body says is nowhere: the repository was read.
    let found = waits_for(world, "is ready");
    assert_eq!((&found["version"], &found["start"]), (&"v1.0.0".into(), &"by-hand".into()));
    assert_eq!(world.get("/v1/deployments")["deployments"], serde_json::json!([]));
    let inbox = world.expect(0, &["inbox"]);
    assert!(inbox.stdout.contains("tidegate deploy v1.0.0 --repository"), "{inbox:?}");

    world.wait_for_end(&app.deploy("v1.0.0"));
    world.expect(0, &["trigger", "look", "shop"]);
    let found = waits_for(world, "is live");
    assert!(found["ready"].is_null(), "{found:#}");
    let listed = world.expect(0, &["trigger", "list"]);
    assert!(listed.stdout.contains("v1.0.0 is live in shop/production"), "{listed:?}");
}

#[test]
fn an_automatic_trigger_begins_a_version_once_and_refuses_a_tag_that_moved() {
    let mut place = None;
    let (world, app) = watched(&mut place, "automatic");
    app.release("v1.0.0", "");
    let body = "{}";
    for _ in 0..20 {
        assert_eq!(hook(world, "shop", &github(SECRET, body), body), "202");
    }
    let began = waits_for(world, "began in shop/production as");
    let id = began["sentence"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    world.wait_for_end(&id);
    let rows = world.get("/v1/deployments")["deployments"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows:#}");
    assert_eq!(rows[0]["started_by"], "trigger/shop");
    assert_eq!(app.visit("/"), Some((200, "v1.0.0".to_owned())));

    // The next tag begins as well; the same name on another commit never does.
    app.release("v1.1.0", "");
    assert_eq!(hook(world, "shop", &github(NEWER, body), body), "202");
    let began = waits_for(world, "v1.1.0 began");
    let id = began["sentence"].as_str().unwrap().rsplit(' ').next().unwrap().to_owned();
    world.wait_for_end(&id);
    let before = began["commit"].as_str().unwrap().to_owned();
    app.git(&["commit", "-q", "--allow-empty", "-m", "moved"]);
    app.git(&["tag", "-f", "v1.1.0"]);
    assert_eq!(hook(world, "shop", &github(SECRET, body), body), "202");
    let moved = waits_for(world, "TG3060");
    assert_eq!(moved["troubled"], true);
    assert!(moved["sentence"].as_str().unwrap().contains(&before), "{moved:#}");
    let rows = world.get("/v1/deployments")["deployments"].clone();
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows:#}");
}

#[test]
fn what_nobody_signed_is_not_heard() {
    let mut place = None;
    let (world, app) = watched(&mut place, "automatic");
    app.release("v1.0.0", "");
    let body = "{}";
    let now = jiff::Timestamp::now().as_second();
    let standard = |secret: &str, at: i64| {
        let mac = mac(secret, &format!("msg_1.{at}.{body}"));
        vec![
            ("webhook-id", "msg_1".to_owned()),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", format!("v1,bm8= v1,{}", BASE64.encode(&mac))),
        ]
    };
    let wrong: [Vec<(&str, String)>; 8] = [
        vec![],
        github("another secret of the forge", body),
        github(SECRET, "{ }"),
        vec![("x-hub-signature-256", "sha256=".to_owned())],
        vec![("x-hub-signature-256", "sha1=00".to_owned())],
        vec![("x-gitlab-token", format!("{SECRET}x"))],
        standard("another secret of the forge", now),
        standard(SECRET, now - 3600),
    ];
    for headers in &wrong {
        assert_eq!(hook(world, "shop", headers, body), "401", "{headers:?}");
    }
    assert_eq!(hook(world, "blog", &github(SECRET, body), body), "401", "no such trigger");
    // The first look of the server's start found nothing; nobody has made it look again.
    assert!(trigger(world)["version"].is_null(), "{:#}", trigger(world));
    for headers in [vec![("x-gitlab-token", NEWER.to_owned())], standard(SECRET, now)] {
        assert_eq!(hook(world, "shop", &headers, body), "202", "{headers:?}");
    }
    waits_for(world, "v1.0.0 began");
}

#[test]
fn settings_of_triggers_are_checked() {
    let world = World::new();
    let refused = |settings: &str, word: &str| {
        let state = world.state_dir();
        fs::create_dir_all(&state).unwrap();
        fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
        fs::write(state.join("server.yaml"), settings).unwrap();
        let done = world.expect(3, &["server", "run"]);
        assert!(done.stderr.contains("TG6118") && done.stderr.contains(word), "{word}: {done:?}");
    };
    let secret = world.path().join("secret");
    let put = |text: &str, mode: u32| {
        fs::write(&secret, text).unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(mode)).unwrap();
    };
    let with = |more: &str| format!("triggers:\n  - {{name: a, repository: /r, {more}}}\n");
    let named = |path: &Path| format!("secret_files: [{}]", path.display());
    refused(&with("every: 1s"), "5s to 1h");
    refused(&with("strat: automatic"), "strat");
    refused("triggers:\n  - {name: A/b, repository: /r}\n", "small letters");
    refused(
        "triggers:\n  - {name: a, repository: /r}\n  - {name: a, repository: /s}\n",
        "two triggers",
    );
    put(SECRET, 0o644);
    refused(&with(&named(&secret)), "chmod 600");
    put("short", 0o600);
    refused(&with(&named(&secret)), "16 to 1024");
    refused(&with(&named(&world.path().join("missing"))), "No such file");
    let three = format!("secret_files: [{0}, {0}, {0}]", secret.display());
    refused(&with(&three), "more than 2");
}
