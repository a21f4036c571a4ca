//! Steps and backups of the user's own with the real binary: declared in the file, carried out at
//! their moment, shown, settled, and fail closed.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{App, World, wait};

fn app<'w>(world: &'w World, more: &str) -> App<'w> {
    let app = world.app();
    app.write("tidegate.yaml", &format!("{}{more}", app.config("")));
    app
}

fn script(app: &App<'_>, name: &str, content: &str) {
    app.write(name, &format!("#!/bin/sh\nset -eu\n{content}\n"));
    let path = app.path().join(name);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn steps_run_in_order_hand_on_what_they_left_and_are_shown() {
    let world = World::with_server();
    let marks = world.path().join("marks");
    fs::create_dir(&marks).unwrap();
    let secrets = world.state_dir().join("secrets");
    fs::create_dir_all(&secrets).unwrap();
    fs::write(secrets.join("token"), "correct-horse-battery").unwrap();
    fs::set_permissions(secrets.join("token"), fs::Permissions::from_mode(0o600)).unwrap();
    let app = app(
        &world,
        &format!(
            "steps:\n\
             \x20 plan: {{at: plan, run: [./plan], outputs: {{count: number}}, artifacts: [out/plan]}}\n\
             \x20 apply: {{at: before-deploy, needs: plan, run: [./apply], writes: \"{0}\"}}\n\
             \x20 warm:\n\
             \x20   at: after-deploy\n\
             \x20   matrix: {{REGION: [eu, us]}}\n\
             \x20   run: [./warm]\n\
             \x20   writes: [\"{0}\"]\n\
             \x20   secrets: {{TOKEN_FILE: \"secret://file/token\"}}\n\
             \x20 seed: {{at: finish, when: update, run: [./never]}}\n",
            marks.display()
        ),
    );
    script(
        &app,
        "plan",
        "mkdir out; echo three > out/plan; echo '{\"count\": 3}' > $TIDEGATE_OUTPUTS",
    );
    let apply = format!(
        "cat $TIDEGATE_GIVEN/plan/out/plan; cp $TIDEGATE_GIVEN/plan/out/plan {}/applied",
        marks.display()
    );
    script(&app, "apply", &apply);
    let warm = format!(
        "test -n \"$TIDEGATE_TARGET\"; cat $TOKEN_FILE; echo $REGION > {}/warm-$REGION",
        marks.display()
    );
    script(&app, "warm", &warm);
    app.release("v1.0.0", "");
    world.expect(19, &["deploy"]);
    assert_eq!(fs::read_to_string(marks.join("applied")).unwrap(), "three\n");
    assert!(marks.join("warm-eu").exists() && marks.join("warm-us").exists());
    let steps = world.expect(0, &["step", "list", "--json"]).json();
    let states: Vec<(&str, &str)> = steps
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (step["name"].as_str().unwrap(), step["state"].as_str().unwrap()))
        .collect();
    let wanted = [
        ("plan", "pass"),
        ("apply", "pass"),
        ("warm.eu", "pass"),
        ("warm.us", "pass"),
        ("seed", "skipped"),
    ];
    assert_eq!(states, wanted, "{steps:#}");
    assert_eq!(steps[0]["outputs"]["count"], "3");
    let shown = world.expect(0, &["step", "list"]).stdout;
    assert!(shown.contains("count = 3") && shown.contains("out/plan"), "{shown}");
    let logs = world.expect(0, &["logs"]).stdout;
    assert!(logs.contains("step-apply") && logs.contains("three"), "{logs}");
    assert!(!logs.contains("correct-horse"), "{logs}");
    let timeline = world.expect(0, &["timeline"]).stdout;
    assert!(timeline.contains("the step plan left count=3, out/plan"), "{timeline}");
}

#[test]
fn a_step_that_fails_before_anything_is_started_stops_the_release() {
    let world = World::with_server();
    let app = app(&world, "steps:\n  check: {at: before-deploy, run: [./check]}\n");
    script(&app, "check", "echo not today; exit 3");
    app.release("v1.0.0", "");
    let refused = world.expect(11, &["deploy"]);
    assert!(
        refused.stdout.contains("the step check fail: it exited with code 3: not today"),
        "{refused:?}"
    );
    assert_eq!(app.visit("/"), None, "nothing was started");
}

/// The server dies while a step runs that must not run twice.
#[test]
fn a_step_whose_end_nobody_saw_asks_a_person() {
    let world = World::with_server();
    let marks = world.path().join("marks");
    fs::create_dir(&marks).unwrap();
    let app = app(
        &world,
        &format!(
            "steps:\n  migrate: {{at: before-deploy, run: [./migrate], writes: \"{}\"}}\n",
            marks.display()
        ),
    );
    script(
        &app,
        "migrate",
        &format!("echo once >> {0}/tally; test -e {0}/go || exec sleep 600", marks.display()),
    );
    app.release("v1.0.0", "");
    let id = app.deploy("v1.0.0");
    let tally = || fs::read_to_string(marks.join("tally")).unwrap_or_default().lines().count();
    wait("the step runs", || (tally() == 1).then_some(()));
    world.end_server(Signal::KILL);
    world.start_server();
    let asked = wait("a person is asked", || {
        let shown = world.get(&format!("/v1/deployments/{id}"));
        (shown["hold"]["cause"] == "lost").then_some(shown)
    });
    assert_eq!(tally(), 1, "it did not run twice: {asked:#}");
    let why = world.expect(0, &["why"]).stdout;
    assert!(why.contains("tidegate step settle migrate"), "{why}");
    // A word without a reason is none, and neither is one about another step.
    world.expect(2, &["step", "settle", "migrate", "--done"]);
    let path = format!("/v1/deployments/{id}/steps/other/settle");
    let refused = world.ask(409, "POST", &path, &json!({"done": true, "reason": "x"}));
    assert_eq!(refused["code"], "TG6601", "{refused:#}");
    fs::write(marks.join("go"), "").unwrap();
    let words = ["step", "settle", "migrate", "--not-done", "--reason", "the table is not there"];
    world.expect(0, &words);
    assert_eq!(world.wait_for_end(&id), "live_unverified");
    assert_eq!(tally(), 2);
    let timeline = world.expect(0, &["timeline", &id]).stdout;
    assert!(timeline.contains("was not done, says"), "{timeline}");
}
