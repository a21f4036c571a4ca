//! The command line as a client: deploy, watch and decide, with their exit codes and forms.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::atomic::Ordering;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{World, belonging_to, send, wait};

#[test]
fn deploy_starts_a_server_by_itself_and_follows_to_the_end() {
    let world = World::new();
    let app = world.app();
    app.release("v1", "");
    let done = world.expect(19, &["deploy"]);
    assert!(done.stderr.contains("starting one in the background"), "{done:?}");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert!(lines[0].contains("started nothing -> v1"), "{done:?}");
    // ISO time, id, phase old->new, result.
    assert!(lines[1].contains("Z d-") && lines[1].contains("ready->gates (passed)"), "{done:?}");
    assert!(lines.last().unwrap().contains("live, unverified"), "{done:?}");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));

    // It survives the command; status, list and show tell of it.
    let status = world.expect(0, &["status"]);
    assert!(status.stdout.contains("nothing -> v1"), "{status:?}");
    assert!(world.expect(0, &["list"]).stdout.contains("shop/production v1"));
    assert!(world.expect(0, &["show", "shop@v1"]).stdout.contains("commit "));
    assert!(world.expect(0, &["timeline"]).stdout.contains("started nothing -> v1"));
    assert!(world.expect(0, &["slot", "list"]).stdout.contains("live"));
    assert!(world.expect(0, &["traffic", "show"]).stdout.contains("read back"));
    assert!(world.expect(0, &["traffic", "history"]).stdout.contains("100 %"));
    assert!(world.expect(0, &["probe", "run"]).stdout.contains("pass"));
    assert_eq!(world.run(&["status", "--exit-code"]).code, 19);
    let replayed = world.expect(19, &["watch"]);
    assert_eq!(replayed.stdout.lines().next(), done.stdout.lines().next());
    assert!(replayed.stdout.contains("bake->finish"), "the whole story: {replayed:?}");
    let stopped = world.expect(0, &["server", "stop"]);
    assert!(stopped.stdout.contains("go on"), "{stopped:?}");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())), "users do not notice");
    world.expect(69, &["status"]);
}

#[test]
fn a_good_release_ends_with_0_a_bad_one_with_13() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "");
    let good = world.expect(0, &["deploy", "--progress=json"]);
    let lines = good.ndjson();
    assert!(lines.iter().all(|line| line["schema"] == 1), "{good:?}");
    let last = lines.last().unwrap();
    assert_eq!((&last["kind"], &last["exit_code"]), (&json!("result"), &json!(0)));
    assert_eq!(last["deployment"]["state"], "succeeded");

    app.release("v3", "fail 60");
    let bad = world.expect(13, &["deploy", "v3"]);
    assert!(bad.stdout.contains("rolling back"), "{bad:?}");
    let tail = bad.stdout.lines().last().unwrap();
    // By the judge or, sooner, by the proxy's own rule: with numbers either way.
    assert!(tail.contains("rolled back") && tail.contains('%'), "{tail}");
    assert!(bad.stdout.contains("metric"), "a failure ends with the whole picture: {bad:?}");
    drop(load);
    assert_eq!(app.visit("/"), Some((200, "v2".to_owned())));
}

#[test]
fn a_check_that_fails_stops_it_before_any_traffic() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    app.release("v2", "sick 1");
    let done = world.run(&["deploy", "v2", "--json"]);
    let last = done.ndjson().pop().unwrap();
    let state = last["deployment"]["state"].as_str().unwrap().to_owned();
    assert!(["stopped", "rolled_back"].contains(&state.as_str()), "{last}");
    assert!([11, 13].contains(&done.code), "{done:?}");
    assert_eq!(last["exit_code"], done.code);
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
}

#[test]
fn ctrl_c_detaches_and_the_deployment_goes_on() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    app.release("v2", "");
    let mut command = world.command(&["deploy", "v2"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let id = first.split(' ').find(|word| word.starts_with("d-")).unwrap().to_owned();
    send(child.id(), Signal::INT);
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("still running on the server"), "{said}");
    assert!(said.contains(&format!("tidegate watch {id}")), "{said}");
    assert!(said.contains(&format!("tidegate abort {id}")), "{said}");
    let shown = world.get(&format!("/v1/deployments/{id}"));
    assert_eq!(shown["ended_at"], Value::Null, "{shown}");
    // Held, it outlasts a watcher's patience.
    let held = world.expect(0, &["hold", "--for", "10m", "--reason", "look"]);
    assert!(held.stdout.contains("held"), "{held:?}");
    world.expect(15, &["watch", "--timeout", "300ms", "-q"]);
    let why = world.expect(0, &["why"]).stdout;
    assert!(why.contains("look") && why.contains("tidegate resume"), "{why}");
    world.expect(0, &["abort", "--wait", "--reason", "enough"]);
    let exit = world.run(&["status", "--exit-code", &id]).code;
    assert!([13, 17].contains(&exit), "{exit}");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
}

#[test]
fn what_is_meant_is_never_guessed() {
    let world = World::with_server();
    let app = world.app();
    let nothing = world.run(&["deploy"]);
    assert_eq!(nothing.code, 2, "{nothing:?}");
    app.release("v1", "");
    app.git(&["tag", "v1-again"]);
    let several = world.expect(2, &["deploy"]);
    assert!(
        several.stderr.contains("TG7007") && several.stderr.contains("v1-again"),
        "{several:?}"
    );
    app.write("answer", "untagged");
    app.git(&["commit", "-q", "-a", "-m", "more"]);
    let untagged = world.expect(2, &["deploy"]);
    assert!(untagged.stderr.contains("no tag") && untagged.stderr.contains("v1"), "{untagged:?}");
    let dry = world.expect(0, &["deploy", "v1", "--dry-run"]);
    assert!(dry.stdout.contains("would call: POST /v1/deployments"), "{dry:?}");
    assert_eq!(world.get("/v1/deployments")["deployments"], json!([]));
    world.expect(5, &["hold"]);
    world.expect(5, &["status", "d-none"]);
    world.expect(5, &["status", "shop@v9"]);
    let config = world.path().join("outside.yaml");
    std::fs::write(&config, "x").unwrap();
    let outside = world.expect(2, &["deploy", "v1", "-c", config.to_str().unwrap()]);
    assert!(outside.stderr.contains("TG7005"), "{outside:?}");
}

#[test]
fn a_configuration_with_errors_ends_with_3_and_shows_them() {
    let world = World::with_server();
    let app = world.app();
    app.write("tidegate.yaml", "tidegate: 1\nservice: shop\ndeploi: {}\n");
    app.release("v1", "");
    let done = world.expect(3, &["deploy", "v1"]);
    assert!(done.stderr.contains("deploi") && done.stderr.contains("TG7017"), "{done:?}");
    assert!(done.stderr.trim_end().ends_with("tidegate explain TG7017"), "{done:?}");
    assert!(belonging_to(&world.state_dir().join("slots")).is_empty());
}

#[test]
fn a_build_that_fails_ends_with_11_and_shows_its_last_lines() {
    let world = World::with_server();
    let app = world.app();
    let build = "build: {shell: \"echo compiling; echo no such module >&2; exit 3\"}\ndeploy:\n";
    app.write("tidegate.yaml", &app.config("").replace("deploy:\n", build));
    app.release("v1", "");
    let done = world.expect(11, &["deploy", "v1"]);
    assert!(done.stdout.contains("no such module"), "{done:?}");
    assert!(done.stderr.contains("next: tidegate logs"), "{done:?}");
    assert!(world.expect(0, &["logs"]).stdout.contains("compiling"));
    assert_eq!(app.visit("/"), None, "nothing was changed");
}

#[test]
fn aborted_before_any_traffic_it_ends_with_17() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "silent 1");
    let id = app.deploy("v1");
    world.wait_for_phase(&id, "deploy");
    let why = world.expect(0, &["why"]).stdout;
    assert!(why.contains("0 of 1 instances"), "it says what it waits for: {why}");
    world.expect(0, &["abort", "--wait"]);
    assert_eq!(world.run(&["status", "--exit-code", &id]).code, 17);
    assert_eq!(world.run(&["watch", &id]).code, 17);
}

#[test]
fn a_newer_release_takes_the_place_of_the_one_in_flight() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "");
    let first = app.deploy("v2");
    world.wait_for_phase(&first, "traffic.step1");
    app.release("v3", "");
    world.expect(6, &["deploy", "v3"]);
    world.expect(0, &["deploy", "v3", "--supersede"]);
    assert_eq!(world.run(&["watch", &first]).code, 18);
    assert_eq!(app.visit("/"), Some((200, "v3".to_owned())));
    assert_eq!(load.lost.load(Ordering::Relaxed), 0);
}

#[test]
fn a_watcher_outlives_the_server_that_it_watches() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "");
    let id = app.deploy("v2");
    let watching = world
        .command(&["watch", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    world.wait_for(&id, |event| event["kind"] == "step_converged");
    world.end_server(Signal::KILL);
    world.start_server();
    let done = watching.wait_with_output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert_eq!(done.status.code(), Some(0), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("->")).collect();
    let unique: std::collections::BTreeSet<&&str> = lines.iter().collect();
    assert_eq!(lines.len(), unique.len(), "no line twice: {said}");
    assert!(said.contains("traffic.step1->traffic.step2"), "none is missing: {said}");
    assert_eq!(load.lost.load(Ordering::Relaxed), 0, "users did not notice");
}

#[test]
fn two_commands_at_once_start_one_server_and_one_deployment() {
    let world = World::new();
    let app = world.app();
    app.release("v1", "");
    let both: Vec<_> = (0..2)
        .map(|_| {
            let mut command = world.command(&["deploy", "v1", "--no-wait", "--key", "job-7"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let ids: Vec<String> = both
        .into_iter()
        .map(|child| {
            let done = child.wait_with_output().unwrap();
            assert_eq!(done.status.code(), Some(0), "{done:?}");
            String::from_utf8(done.stdout).unwrap().trim().to_owned()
        })
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(world.get("/v1/deployments")["deployments"].as_array().unwrap().len(), 1);
    // The one that came second learns that it is not needed, and ends.
    wait("one server is left", || {
        let servers = belonging_to(&world.state_dir()).into_iter().filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("server\0run")
        });
        (servers.count() == 1).then_some(())
    });
}

#[test]
fn a_runbook_becomes_a_draft_that_check_accepts() {
    let world = World::new();
    let runbook = world.path().join("runbook.md");
    let text = "# Shop\n\n## Before\n- [ ] Backup completed\n- [ ] Lessons from the moon\n\n\
                ## Rollback triggers\n- Error rate > 1% for 5 minutes\n";
    std::fs::write(&runbook, text).unwrap();
    let draft = world.path().join("draft.yaml");
    let (runbook, draft) = (runbook.to_str().unwrap(), draft.to_str().unwrap());
    let imported =
        world.expect(0, &["import", "runbook", runbook, "--write", draft, "--json"]).json();
    assert_eq!(imported["boxes"], serde_json::json!({"all": 2, "bound": 1}));
    assert!(imported["entries"].as_array().unwrap().iter().any(|entry| {
        entry["line"] == 8 && entry["value"] == "errors > 1% for 5m" && entry["how"] == "exact"
    }));
    let checked = world.expect(0, &["check", draft, "--json"]).json();
    assert_eq!(checked["valid"], true);
    assert!(!checked["unserved"].as_array().unwrap().is_empty());
    // A draft is never overwritten, and a rule of it can be asked for.
    world.expect(6, &["import", "runbook", runbook, "--write", draft]);
    let rule = world.expect(0, &["config", "get", "traffic.rollback_if[1]", "-c", draft, "--json"]);
    assert_eq!(rule.json()["value"], "errors > 1% for 5m");
    world.expect(5, &["config", "get", "traffic.nowhere", "-c", draft]);
}

/// A pipe would never end, and a device neither.
#[test]
fn what_is_no_file_is_not_read() {
    let world = World::new();
    let pipe = world.path().join("pipe.yaml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let link = world.path().join("link.yaml");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    for file in [pipe.as_path(), link.as_path(), std::path::Path::new("/proc/self/mem")] {
        world.expect(5, &["check", file.to_str().unwrap()]);
    }
}
