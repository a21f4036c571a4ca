//! Care for Tidegate's own state: backups and their way back, what may go, the service, the bundle
//! for whoever helps, and what the doctor mends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{TIDEGATE, World, send, visit, wait};

fn deployments(world: &World) -> Value {
    world.get("/v1/deployments")
}

#[test]
fn a_backup_of_a_server_that_serves_comes_back_on_a_clean_place_and_serves() {
    let outside = tempfile::tempdir().unwrap();
    let backup = outside.path().join("backup");
    let place = backup.to_str().unwrap();
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let listen = app.listen;

    let made = world.expect(0, &["admin", "backup", place, "--artifacts", "--json"]).json();
    assert_eq!(made["streams"], 1);
    let checked = world.expect(0, &["admin", "verify", place, "--json"]).json();
    assert_eq!(checked["root"], made["root"]);
    assert_eq!(world.get("/v1/journal/verify")["root"], made["root"], "nothing is missing");
    let mode = fs::metadata(&backup).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700, "keys are in it");
    let again = world.expect(1, &["admin", "backup", place]);
    assert!(again.stderr.contains("TG9202"), "{again:?}");
    let taken = world.expect(6, &["admin", "restore", place]);
    assert!(taken.stderr.contains("TG9204") && taken.stderr.contains("not empty"), "{taken:?}");
    assert_eq!(visit(&listen, "/"), Some((200, "v1".to_owned())), "nobody noticed");
    let before = deployments(&world);
    drop(world);

    let clean = World::new();
    clean.expect(0, &["admin", "restore", place]);
    clean.start_server();
    assert_eq!(deployments(&clean), before);
    let back =
        wait("what was live serves again", || visit(&listen, "/").filter(|got| got.0 == 200));
    assert_eq!(back.1, "v1");
    clean.get("/v1/journal/verify");
}

/// Makes something else of a backup.
type Spoil = fn(&Path);

#[test]
fn a_backup_that_was_changed_is_named_and_never_restored() {
    let outside = tempfile::tempdir().unwrap();
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    world.end_server(Signal::TERM);
    let spoil: [(&str, Spoil); 4] = [
        ("changed", |at| {
            let path = at.join("journal.sqlite");
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("missing", |at| fs::remove_file(at.join("journal.checkpoint")).unwrap()),
        ("more", |at| fs::write(at.join("stranger"), "x").unwrap()),
        ("outside", |at| {
            let list = at.join("backup.json");
            let text = fs::read_to_string(&list).unwrap();
            fs::write(list, text.replacen("journal.sqlite", "../journal.sqlite", 1)).unwrap();
        }),
    ];
    for (name, spoil) in spoil {
        let backup = outside.path().join(name);
        let place = backup.to_str().unwrap();
        // Without a server as well: the copy is made from the files.
        world.expect(0, &["admin", "backup", place]);
        spoil(&backup);
        let refused = world.expect(1, &["admin", "verify", place]);
        assert!(refused.stderr.contains("TG9203"), "{name}: {refused:?}");
        let clean = World::new();
        let refused = clean.expect(1, &["admin", "restore", place]);
        assert!(refused.stderr.contains("TG9203"), "{name}: {refused:?}");
        assert!(!clean.state_dir().join("journal.sqlite").exists(), "{name}");
    }
}

/// Digests of the sealed releases.
fn artifacts(world: &World) -> Vec<String> {
    let found = fs::read_dir(world.state_dir().join("artifacts")).unwrap();
    let mut names: Vec<String> =
        found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn only_what_nobody_goes_back_to_is_collected() {
    let world = World::with_server();
    let app = world.app();
    // Without users nobody could say that a release is good.
    let users = app.load();
    for version in ["v1", "v2", "v3"] {
        app.release(version, "");
        let state = world.wait_for_end(&app.deploy(version));
        assert!(["succeeded", "live_unverified"].contains(&state.as_str()), "{version}: {state}");
    }
    drop(users);
    let before = artifacts(&world);
    assert_eq!(before.len(), 3);
    let looked = world.expect(0, &["admin", "gc", "--keep", "1", "--dry-run", "--json"]).json();
    assert_eq!(artifacts(&world), before, "it was only asked");
    let going: Vec<&str> = looked["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| a["name"].as_str().unwrap())
        .collect();
    assert_eq!(going.len(), 1, "the live one and the one that is kept warm stay: {looked}");
    let gone = world.expect(0, &["admin", "gc", "--keep", "1", "--json"]).json();
    assert_eq!(gone["artifacts"], looked["artifacts"]);
    let after = artifacts(&world);
    assert_eq!(after.len(), 2);
    assert!(!after.iter().any(|name| name == going[0]));
    let reasons: Vec<&str> =
        gone["kept"].as_object().unwrap().values().map(|why| why.as_str().unwrap()).collect();
    assert!(reasons.iter().any(|why| why.ends_with(": live")), "{reasons:?}");
    // A rollback still works. What it left behind may go, what it brought back never does.
    world.expect(0, &["rollback", "--reason", "to see that it works", "--yes"]);
    assert_eq!(app.visit("/").map(|got| got.1), Some("v2".to_owned()));
    let live = world.expect(0, &["show", "--json"]).json()["artifact"].clone();
    let again = world.expect(0, &["admin", "gc", "--keep", "1", "--json"]).json();
    assert!(again["kept"][live.as_str().unwrap()].as_str().unwrap().ends_with(": live"), "{again}");
    assert!(artifacts(&world).iter().any(|name| live == name.as_str()), "{again}");
    assert_eq!(app.visit("/").map(|got| got.1), Some("v2".to_owned()));
    world.ask(400, "POST", "/v1/server/gc", &json!({ "keep": 0 }));
}

#[test]
fn logs_of_long_ended_deployments_go_and_others_stay() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    let id = app.deploy("v1");
    world.wait_for_end(&id);
    let logs = world.state_dir().join("logs").join(&id);
    let strange = world.state_dir().join("logs/d-none");
    fs::create_dir_all(&logs).unwrap();
    fs::create_dir_all(&strange).unwrap();
    // Both are old by their files; the journal knows that one of them has just ended.
    for directory in [&logs, &strange] {
        let old = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * 200);
        fs::File::open(directory).unwrap().set_modified(old).unwrap();
    }
    let gone = world.expect(0, &["admin", "gc", "--json"]).json();
    assert_eq!(gone["logs"], json!([]));
    assert!(logs.exists() && strange.exists());
}

/// A `systemctl` that writes down what it is asked.
fn systemctl(world: &World, answers: &str) -> (PathBuf, String) {
    let bin = world.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let calls = world.path().join("calls");
    let script = format!("#!/bin/sh\necho \"$*\" >> {}\n{answers}\n", calls.display());
    let program = bin.join("systemctl");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    (calls, format!("{}:{path}", bin.display()))
}

#[test]
fn the_service_is_installed_looked_at_and_taken_away() {
    let world = World::new();
    let (calls, path) = systemctl(&world, "case \"$*\" in *is-*) echo active;; esac");
    let run = |arguments: &[&str]| {
        let output = world.command(arguments).env("PATH", &path).output().unwrap();
        crate::harness::Done::of(&output)
    };
    let shown = run(&["service", "install", "--dry-run"]);
    assert!(shown.stdout.contains("KillMode=process"), "{shown:?}");
    let done = run(&["service", "install"]);
    assert_eq!(done.code, 0, "{done:?}");
    let unit = world.path().join(".config/systemd/user/tidegate.service");
    let text = fs::read_to_string(&unit).unwrap();
    assert!(text.contains(&format!("server run --state-dir \"{}\"", world.state_dir().display())));
    let asked = fs::read_to_string(&calls).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    assert!(lines.contains(&"--user daemon-reload"), "{asked}");
    assert!(lines.contains(&"--user enable --now tidegate.service"), "{asked}");
    // systemd says that it runs; that no server answers counts.
    let status = run(&["service", "status", "--json"]);
    assert_eq!(status.code, 1, "{status:?}");
    let status = status.json();
    assert_eq!((&status["installed"], &status["current"]), (&json!(true), &json!(true)));
    assert_eq!(status["server_answers"], json!(false));
    let gone = run(&["service", "uninstall"]);
    assert_eq!(gone.code, 0, "{gone:?}");
    assert!(!unit.exists());
    assert!(fs::read_to_string(&calls).unwrap().contains("disable --now tidegate.service"));
}

#[test]
fn without_systemd_the_service_says_so_and_a_server_of_somebody_is_left_alone() {
    let world = World::with_server();
    let (_, none) = systemctl(&world, "exit 1");
    let output = world.command(&["service", "install"]).env("PATH", &none).output().unwrap();
    let done = crate::harness::Done::of(&output);
    assert_eq!(done.code, 6, "{done:?}");
    assert!(done.stderr.contains("TG9205") && done.stderr.contains("service run"), "{done:?}");
    let (_, some) = systemctl(&world, "exit 0");
    let output = world.command(&["service", "install"]).env("PATH", &some).output().unwrap();
    let done = crate::harness::Done::of(&output);
    assert_eq!(done.code, 6, "{done:?}");
    assert!(done.stderr.contains("TG9206") && done.stderr.contains("server stop"), "{done:?}");
    assert!(!world.path().join(".config/systemd/user/tidegate.service").exists());
}

/// A process that ends with its test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn the_loop_starts_a_server_that_died_and_ends_with_one_that_was_stopped() {
    let world = World::new();
    let start = || {
        let words = fs::File::create(world.path().join("loop.out")).unwrap();
        let mut command = world.command(&["service", "run"]);
        command.stdin(Stdio::null()).stdout(words.try_clone().unwrap()).stderr(words);
        Ends(command.spawn().unwrap())
    };
    let pid = || world.call("GET", "/v1/server", None).and_then(|got| got.body["pid"].as_u64());
    let mut service = start();
    let first = wait("a server answers", pid);
    send(u32::try_from(first).unwrap(), Signal::KILL);
    let second = wait("another one answers", || pid().filter(|pid| *pid != first));
    assert_ne!(first, second);
    // Its end is passed on to the server, which drains.
    send(service.0.id(), Signal::TERM);
    assert_eq!(service.0.wait().unwrap().code(), Some(0));
    assert!(pid().is_none(), "no server is left behind");
    let mut service = start();
    wait("a server answers", pid);
    world.expect(0, &["server", "stop"]);
    assert_eq!(service.0.wait().unwrap().code(), Some(0), "who stops the server means it");
}

#[test]
fn the_bundle_for_whoever_helps_has_everything_but_secrets() {
    let world = World::with_server();
    let canary = "correct-horse-battery";
    let log = world.state_dir().join("proxy.log");
    let said = fs::read_to_string(&log).unwrap_or_default();
    let line = "WARN upstream said authorization: Bearer";
    fs::write(&log, format!("{said}{line} {canary}\n")).unwrap();
    fs::write(world.state_dir().join("people.json.old"), canary).unwrap();
    let file = world.path().join("bundle.json");
    let name = file.to_str().unwrap();
    world.expect(0, &["support-bundle", name]);
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(canary), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let bundle: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(bundle["asked"]["server"]["pid"], world.server_pid());
    assert!(bundle["asked"]["journal"]["verified"].as_bool().unwrap());
    let proxy = bundle["logs"]["proxy.log"].as_array().unwrap();
    assert!(proxy.iter().any(|line| line.as_str().unwrap().contains("[redacted]")), "{proxy:?}");
    assert!(bundle["doctor"].as_array().unwrap().iter().any(|one| one["name"] == "journal"));
    let again = world.expect(1, &["support-bundle", name]);
    assert!(again.stderr.contains("TG9207"), "{again:?}");
    // Without a server it is made of what is left.
    world.end_server(Signal::TERM);
    let file = world.path().join("alone.json");
    world.expect(0, &["support-bundle", file.to_str().unwrap()]);
    let alone: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert!(alone["asked"]["server"]["refused"].is_object(), "{alone}");
}

#[test]
fn the_doctor_mends_rights_and_starts_the_server_that_should_run() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.end_server(Signal::KILL);
    let journal = world.state_dir().join("journal.sqlite");
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o644)).unwrap();
    let seen = world.expect(1, &["doctor"]);
    assert!(seen.stdout.contains("doctor --fix"), "{seen:?}");
    let mode = || fs::metadata(&journal).unwrap().permissions().mode() & 0o777;
    let would = world.expect(1, &["doctor", "--fix", "--dry-run"]);
    assert!(would.stdout.contains("would fix") && mode() == 0o644, "{would:?}");
    let mended = world.expect(0, &["doctor", "--fix", "--json"]).json();
    assert_eq!(mode(), 0o600);
    assert_eq!(mended["failed"], 0, "{mended}");
    let fixed = mended["fixed"].to_string();
    assert!(fixed.contains("chmod 600") && fixed.contains("start the server"), "{fixed}");
    assert!(world.call("GET", "/v1/server", None).is_some(), "it serves");
    let well = world.expect(0, &["doctor", "--fix", "--json"]).json();
    assert_eq!(well["fixed"], json!([]));
    Command::new(TIDEGATE)
        .args(["server", "stop"])
        .env("TIDEGATE_STATE_DIR", world.state_dir())
        .env("HOME", world.path())
        .output()
        .unwrap();
}
