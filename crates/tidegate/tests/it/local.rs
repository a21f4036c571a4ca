//! Verbs that need no server: check, explain, init, completions, man, version, and wrong usage.

use std::fs;

use crate::harness::World;

const VALID: &str = "tidegate: 1\nservice: shop\ndeploy: {run: [./server], probes: {p: {tcp: true}}}\n\
    traffic: {route: {listen: \"127.0.0.1:8080\"}, steps: [50%, 100%], each: {for: 1m}, \
    advance_if: [errors < 1%], rollback_if: [errors > 5% for 1m]}\n";

#[test]
fn a_wrong_command_line_ends_with_two() {
    let world = World::new();
    for arguments in [
        &["no-such-verb"][..],
        &["deploy", "--no-such-flag"],
        &["--progress=loud", "status"],
        &["reject"],
        &["status", "--tz", "Nowhere/Nothing"],
    ] {
        world.expect(2, arguments);
    }
    let help = world.expect(0, &["--help"]);
    for verb in ["init", "deploy", "watch", "rollback", "doctor", "explain"] {
        assert!(help.stdout.contains(verb), "{verb}");
    }
    assert!(!help.stdout.contains("shim"), "a verb for the server alone is not shown");
    assert!(help.stdout.contains("130 interrupted"));
    // Asking for help on a rollback is never a rollback.
    assert!(world.expect(0, &["rollback", "--help"]).stdout.contains("--emergency"));
}

#[test]
fn reading_verbs_end_with_69_and_start_nothing() {
    let world = World::new();
    for arguments in [
        &["status"][..],
        &["watch"],
        &["why"],
        &["list"],
        &["logs"],
        &["server", "status"],
        &["proxy", "status"],
        &["rollback", "--service", "shop"],
        &["api", "GET", "/v1/server"],
    ] {
        let done = world.expect(69, arguments);
        assert!(done.stderr.contains("error[TG7001]"), "{done:?}");
        assert!(done.stderr.contains("help: "), "{done:?}");
        assert!(done.stdout.is_empty(), "{done:?}");
    }
    let json = world.expect(69, &["status", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert_eq!((&error["error"]["code"], &error["exit_code"]), (&"TG7001".into(), &69.into()));
    assert!(!world.state_dir().exists(), "a reading verb makes nothing");
}

#[test]
fn check_says_everything_at_once() {
    let world = World::new();
    let file = world.path().join("tidegate.yaml");
    assert!(world.expect(5, &["check"]).stderr.contains("TG7005"));
    fs::write(&file, VALID).unwrap();
    let valid = world.expect(0, &["check"]);
    assert!(valid.stdout.contains("valid, 0 errors"), "{valid:?}");
    fs::write(&file, VALID.replace("deploy:", "deploi:").replace("1m}", "1}")).unwrap();
    let invalid = world.expect(3, &["check"]);
    assert!(invalid.stdout.contains("deploi") && invalid.stdout.contains("tidegate.yaml:3:1"));
    assert!(invalid.stdout.matches("error[TG").count() >= 2, "{invalid:?}");
    let json = world.expect(3, &["check", "--json"]).json();
    assert_eq!(json["valid"], false);
    assert_eq!(json["diagnostics"][0]["severity"], "error");
    assert_eq!(
        world.expect(3, &["check", "--json=valid"]).json(),
        serde_json::json!({"valid": false})
    );
    let unknown = world.expect(2, &["check", "--json=walid"]);
    assert!(unknown.stderr.contains("valid"), "the fields that exist are named: {unknown:?}");
}

#[test]
fn a_file_cannot_speak_to_the_terminal() {
    let world = World::new();
    fs::write(world.path().join("tidegate.yaml"), "tidegate: 1\nx\u{1b}]0;owned\u{7}: 1\n")
        .unwrap();
    let done = world.expect(3, &["check", "--color=always"]);
    assert!(!done.stdout.contains("\u{1b}]") && !done.stdout.contains('\u{7}'), "{done:?}");
    assert!(done.stdout.contains("\u{1b}[31m"), "colours are ours: {done:?}");
    let plain = world.run(&["check"]);
    assert!(!plain.stdout.contains('\u{1b}'), "no colours in a pipe: {plain:?}");
}

#[test]
fn every_error_page_is_explained_offline() {
    let world = World::new();
    let pages = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
    let listed = world.expect(0, &["explain"]).stdout;
    let mut seen = 0;
    for entry in fs::read_dir(pages).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(code) = name.strip_suffix(".md").filter(|code| code.starts_with("TG")) else {
            continue;
        };
        assert!(listed.contains(code), "{code} is not in the binary");
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
    let page = world.expect(0, &["explain", "tg7001"]).stdout;
    for heading in ["What happened", "What Tidegate did with traffic", "What to do"] {
        assert!(page.contains(heading), "{page}");
    }
    assert!(world.expect(5, &["explain", "TG0000"]).stderr.contains("TG7015"));
}

#[test]
fn init_writes_a_file_that_is_accepted_and_never_overwrites() {
    let world = World::new();
    fs::write(
        world.path().join("package.json"),
        r#"{"name": "@acme/web-shop", "scripts": {"start": "node server.js"}}"#,
    )
    .unwrap();
    let done = world.expect(0, &["init"]);
    assert!(done.stdout.contains("start script") && done.stdout.contains("tidegate deploy v1"));
    let written = fs::read_to_string(world.path().join("tidegate.yaml")).unwrap();
    assert!(written.contains("service: web-shop") && written.contains("floor: attributed"));
    world.expect(0, &["check"]);
    let again = world.expect(6, &["init"]);
    assert!(again.stderr.contains("TG7009"), "{again:?}");
    assert_eq!(fs::read_to_string(world.path().join("tidegate.yaml")).unwrap(), written);
    assert_eq!(world.expect(0, &["init", "--print"]).stdout, written);
}

#[test]
fn pages_and_completions_come_from_the_same_source_as_help() {
    let world = World::new();
    let man = world.expect(0, &["man"]).stdout;
    assert!(man.starts_with(".ie") && man.contains("deploy"), "{man:.80}");
    assert!(world.expect(0, &["man", "deploy"]).stdout.contains("supersede"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(world.expect(0, &["completions", shell]).stdout.contains("rollback"), "{shell}");
    }
    let version = world.expect(0, &["version", "--json"]).json();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn doctor_names_each_check_and_the_next_command() {
    let world = World::new();
    let done = world.expect(1, &["doctor"]);
    assert!(done.stdout.contains("next: tidegate init"), "{done:?}");
    let json = world.expect(1, &["doctor", "--json"]).json();
    assert!(json["failed"].as_u64().unwrap() >= 1);
    let app = world.app();
    app.release("v1", "");
    world.start_server();
    let well = world.expect(0, &["doctor"]);
    for check in
        ["state directory", "git", "configuration", "repository", "server", "proxy", "journal"]
    {
        assert!(well.stdout.contains(check), "{check}: {well:?}");
    }
    assert!(!well.stdout.contains("fail"), "{well:?}");
}

#[test]
fn a_process_is_drawn_and_comes_back_from_its_picture() {
    let world = World::new();
    let place = |name: &str| world.path().join(name).to_str().unwrap().to_owned();
    let (file, picture, draft) = (place("shop.yaml"), place("shop.mmd"), place("again.yaml"));
    fs::write(&file, VALID).unwrap();
    world.expect(0, &["export", "mermaid", &file, "--write", &picture]);
    world.expect(0, &["import", "mermaid", &picture, "--write", &draft]);
    let drawn = world.expect(0, &["export", "mermaid", &draft]).stdout;
    assert_eq!(drawn, fs::read_to_string(&picture).unwrap());
    // Nothing is written over, and what another tool lacks is said.
    world.expect(6, &["export", "mermaid", &file, "--write", &picture]);
    let rollout = world.expect(0, &["export", "argo-rollout", &file, "--json"]).json();
    assert!(rollout["text"].as_str().unwrap().contains("setWeight: 50"), "{rollout:#}");
    let report = world.expect(0, &["export", "argo-rollout", &file, "--report"]).stdout;
    assert!(report.contains("needs an answer") && report.contains("errors"), "{report}");
    let workflow = world.expect(0, &["export", "github-workflow", &file]).stdout;
    assert!(workflow.contains("tidegate deploy"), "{workflow}");
    fs::write(&file, "tidegate: 1\nservice: shop\nnonsense: 1\n").unwrap();
    assert!(world.expect(3, &["export", "mermaid", &file]).stdout.contains("TG1007"));
}
