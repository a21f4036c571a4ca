//! Gates and evidence with the real binary: a release is refused for its report, goes live with a
//! good one, and a person may set a gate aside.

use std::fs;

use serde_json::json;

use crate::harness::{App, World};

const BAD: &str = r#"<testsuites><testsuite name="cart" tests="2" failures="1">
    <testcase name="adds"/><testcase name="pays"><failure/></testcase></testsuite></testsuites>"#;
const GOOD: &str = r#"<testsuites><testsuite name="cart" tests="2" failures="0">
    <testcase name="adds"/><testcase name="pays"/></testsuite></testsuites>"#;
const EMPTY: &str = r#"<testsuites tests="0" failures="0"></testsuites>"#;

fn app<'w>(world: &'w World, check: &str) -> App<'w> {
    let app = world.app();
    fs::create_dir(app.path().join("reports")).unwrap();
    app.write(".gitignore", "reports\n");
    app.write("tidegate.yaml", &format!("{}check:\n{check}", app.config("")));
    app.release("v1.0.0", "");
    app
}

fn add(world: &World, app: &App<'_>, report: &str) {
    app.write("reports/unit.xml", report);
    let added = world.expect(0, &["evidence", "add", "reports/unit.xml"]);
    assert!(added.stdout.contains("reports/unit.xml junit: "), "{added:?}");
}

#[test]
fn a_failing_test_keeps_a_release_out_and_a_good_report_lets_it_in() {
    let world = World::with_server();
    let app = app(&world, "  unit: {junit: \"reports/*.xml\", at_least: 2 tests}\n");

    // Nothing is known: nothing is started, and `why` says what to do.
    let refused = world.expect(11, &["deploy"]);
    assert!(refused.stdout.contains("no junit report named reports/*.xml"), "{refused:?}");
    let why = world.expect(0, &["why"]);
    assert!(why.stdout.contains("tidegate evidence add"), "{why:?}");

    for (report, said) in [
        (BAD, "unit fail: 1 of 2 tests passed, 50.00 % is less than 100 %; failing: cart > pays"),
        (EMPTY, "unit no-data: no test ran"),
    ] {
        add(&world, &app, report);
        assert!(world.expect(11, &["gate", "run"]).stdout.contains(said));
        let refused = world.expect(11, &["deploy"]);
        assert!(refused.stdout.contains(said), "{refused:?}");
        assert!(world.expect(11, &["gate", "list"]).stdout.contains("unit"));
        assert_eq!(app.visit("/"), None, "nothing was started");
    }

    // A later report of the same name stands for the earlier ones.
    add(&world, &app, GOOD);
    assert!(world.expect(0, &["gate", "show", "unit"]).stdout.contains("2 of 2 tests passed"));
    world.expect(19, &["deploy"]);
    assert_eq!(app.visit("/"), Some((200, "v1.0.0".to_owned())));
    let shown = world.expect(0, &["show", "--json"]).json();
    assert_eq!(shown["gates"][0]["result"], "pass", "{shown:#}");
    let timeline = world.expect(0, &["timeline"]).stdout;
    assert!(timeline.contains("gates: unit pass"), "{timeline}");
}

#[test]
fn evidence_is_kept_by_its_digest_and_a_changed_byte_is_seen() {
    let world = World::with_server();
    let app = app(&world, "  unit: {junit: reports/unit.xml}\n");
    add(&world, &app, GOOD);
    for (broken, code, what) in [
        (GOOD.split_at(GOOD.len() / 2).0, "TG3041", "a cut report"),
        ("", "TG3040", "an empty file"),
        ("{}", "TG3044", "no report at all"),
    ] {
        app.write("reports/broken.xml", broken);
        let refused = world.expect(2, &["evidence", "add", "reports/broken.xml"]);
        assert!(refused.stderr.contains(code), "{what}: {refused:?}");
    }
    world.expect(2, &["evidence", "add", "../app/reports/unit.xml"]);
    let list = world.expect(0, &["evidence", "list", "--json"]).json();
    let reports = list["reports"].as_array().unwrap();
    assert_eq!(reports.len(), 1, "{list:#}");
    assert_eq!(reports[0]["summary"], "2 passed, 0 failed, 0 skipped");
    assert!(world.expect(0, &["evidence", "verify"]).stdout.contains("1 of 1 unchanged"));

    let out = world.path().join("out");
    world.expect(0, &["evidence", "export", out.to_str().unwrap()]);
    let digest = reports[0]["digest"].as_str().unwrap();
    assert_eq!(fs::read_to_string(out.join(digest)).unwrap(), GOOD);
    assert!(fs::read_to_string(out.join("SHA256SUMS")).unwrap().contains(digest));

    // What was changed behind its back is no evidence any more.
    let kept = world.state_dir().join("evidence").join(digest);
    fs::write(&kept, GOOD.replace("pays", "paid")).unwrap();
    let verified = world.expect(11, &["evidence", "verify"]);
    assert!(verified.stdout.contains("TG3042"), "{verified:?}");
    let run = world.expect(11, &["gate", "run"]);
    assert!(run.stdout.contains("no-data") && run.stdout.contains("TG3042"), "{run:?}");
    fs::remove_file(&kept).unwrap();
    assert!(world.expect(11, &["gate", "run"]).stdout.contains("TG3043"));
}

#[test]
fn a_gate_that_nobody_can_answer_waits_for_a_waiver() {
    let world = World::with_server();
    let app = app(
        &world,
        "  version: {bump: minor}\n  change: {ticket: OPS-7}\n  notes: {files: [answer]}\n",
    );
    let refused = world.expect(11, &["deploy"]);
    assert!(refused.stdout.contains("change no-data: an approved change ticket"), "{refused:?}");

    world.expect(2, &["waive", "change"]);
    world.expect(5, &["waive", "nonsense", "--reason", "x"]);
    let late = ["waive", "change", "--reason", "x", "--for", "2000h"];
    assert!(world.expect(6, &late).stderr.contains("TG8041"));
    world.expect(0, &["waive", "change", "--for", "1h", "--reason", "the tracker is down"]);
    world.expect(19, &["deploy"]);
    let gates = world.expect(0, &["gate", "list", "--json"]).json();
    let results: Vec<_> = gates.as_array().unwrap().iter().map(|g| &g["result"]).collect();
    assert_eq!(results, [&json!("pass"), &json!("waived"), &json!("pass")], "{gates:#}");
    let said = gates[1]["sentence"].as_str().unwrap();
    assert!(said.contains("the tracker is down"), "{said}");

    // The waiver was for that version, and a version that goes back is no release.
    app.release("v0.9.0", "");
    let older = world.expect(11, &["deploy", "v0.9.0"]);
    assert!(older.stdout.contains("v0.9.0 is not higher than v1.0.0"), "{older:?}");
    let gates = world.expect(11, &["gate", "run", "--version", "v0.9.0", "--json"]).json();
    assert_eq!(gates["gates"][1]["result"], "no-data", "{gates:#}");
    assert_eq!(app.visit("/"), Some((200, "v1.0.0".to_owned())));
}
