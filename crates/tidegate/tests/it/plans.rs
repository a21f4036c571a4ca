//! What a release would do and what it changes, before anybody begins it.

use std::fs;

use crate::harness::World;

#[test]
fn diff_says_what_lies_between_two_tags() {
    let world = World::new();
    let app = world.app();
    app.release("v1.0.0", "");
    app.write("tidegate.yaml", &app.config("").replace("[50%, 100%]", "[25%, 100%]"));
    app.write("notes.md", "new\n");
    app.release("v1.1.0", "");
    // The work tree is no release: what is not committed is not in it.
    app.write("tidegate.yaml", "nonsense");

    let said = world.expect(0, &["diff", "v1.0.0", "v1.1.0"]).stdout;
    assert!(said.contains("1 commits from v1.0.0 to v1.1.0"), "{said}");
    assert!(said.contains("notes.md"), "{said}");
    assert!(said.contains("traffic.steps"), "{said}");
    let found = world.expect(0, &["diff", "v1.0.0", "v1.1.0", "--json"]).json();
    assert_eq!(found["commits"].as_array().unwrap().len(), 1, "{found:#}");
    let changed = found["configuration"].as_array().unwrap();
    assert!(changed.iter().any(|change| change["after"] == "25%"), "{found:#}");
    let same = world.expect(0, &["diff", "v1.1.0", "v1.1.0", "--json"]).json();
    assert!(same["configuration"].as_array().unwrap().is_empty(), "{same:#}");

    let unknown = world.expect(5, &["diff", "v1.0.0", "v9"]);
    assert!(unknown.stderr.contains("TG7002") && unknown.stderr.contains("v1.1.0"), "{unknown:?}");
    fs::remove_dir_all(app.path().join(".git")).unwrap();
    assert!(world.run(&["diff", "v1.0.0", "v1.1.0"]).stderr.contains("TG7006"));
}

/// What changed, how the gates stand and what would be called, each with its values.
#[test]
fn a_plan_says_what_changed_what_may_go_wrong_and_every_call() {
    let world = World::with_server();
    let app = world.app();
    let lock = |version: &str| format!("[[package]]\nname = \"serde\"\nversion = \"{version}\"\n");
    app.write("Cargo.lock", &lock("1.2.3"));
    app.write("CODEOWNERS", "*.md @writers\n");
    app.release("v1.0.0", "");
    let first = world.expect(0, &["plan", "--json"]).json();
    assert!(first["change"].is_null() && first["live"].is_null(), "{first:#}");
    assert_eq!(first["risk"]["level"], "high", "{first:#}");
    world.expect(19, &["deploy"]);

    app.write("Cargo.lock", &lock("2.0.0"));
    app.write("notes.md", "new\n");
    let config = app.config("").replace("[50%, 100%]", "[25%, 100%]");
    app.write("tidegate.yaml", &format!("{config}check:\n  unit: {{junit: reports/unit.xml}}\n"));
    app.release("v1.0.1", "");
    let plan = world.expect(0, &["plan", "--json", "--rate", "100"]).json();

    let change = &plan["change"];
    assert_eq!(change["commit_count"], 1, "{plan:#}");
    assert_eq!(change["commits"][0]["subject"], "v1.0.1");
    let owned = change["owned"].as_array().unwrap();
    let of = |who: &str| owned.iter().any(|o| o["owners"][0] == who && o["path"] == "notes.md");
    assert!(of("@writers"), "{change:#}");
    let configured = change["configuration"].as_array().unwrap();
    assert!(configured.iter().any(|c| c["place"] == "traffic.steps[1]" && c["after"] == "25%"));
    assert_eq!(change["dependencies"][0]["after"][0], "2.0.0", "{change:#}");
    assert_eq!(plan["gates"][0]["result"], "no-data", "{plan:#}");
    let reasons = plan["risk"]["reasons"].to_string();
    assert!(reasons.contains("serde 1.2.3 -> 2.0.0") && reasons.contains("steps"), "{reasons}");
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(
        (&steps[0]["percent"], &steps[0]["exposed"]),
        (&25.0.into(), &50.into()),
        "{plan:#}"
    );
    assert_eq!(plan["rate"]["from"], "given");
    let calls: Vec<&str> =
        plan["calls"].as_array().unwrap().iter().map(|c| c["does"].as_str().unwrap()).collect();
    let at = |words: &str| calls.iter().position(|call| call.contains(words)).expect(words);
    assert!(at("weigh 1 gates") < at("export commit"), "{calls:#?}");
    assert!(at("export commit") < at("run 1 instances of web v1.0.1"), "{calls:#?}");
    assert!(at("GET /health") < at("25 %"), "{calls:#?}");
    let back = plan["rollback"]["calls"].to_string();
    assert!(plan["rollback"]["to"] == "v1.0.0" && back.contains("route web: "), "{back}");
    assert!(plan["binding"].is_null(), "nothing was built of this commit");
    let again = world.expect(0, &["plan", "v1.0.0", "--json"]).json();
    assert!(again["binding"].as_str().is_some_and(|d| d.len() == 64), "{again:#}");

    let text = world.expect(0, &["plan"]).stdout;
    assert!(text.contains("~ serde 1.2.3 -> 2.0.0 (Cargo.lock)"), "{text}");
    let markdown = world.expect(0, &["plan", "--markdown"]).stdout;
    assert!(markdown.contains("| unit | no-data |") && markdown.contains("**Risk**"), "{markdown}");
    world.expect(20, &["plan", "--exit-code", "--json"]);
}

/// A gate, a phase and somebody's word, and the ending that follows from them.
#[test]
fn boxes_are_closed_by_gates_phases_and_words() {
    let world = World::with_server();
    let app = world.app();
    let boxes = "checklist:\n  before:\n    \
        - {box: The version is one, proof: check.version, mandatory: true, line: 7}\n  after:\n    \
        - {box: Asked for its health, proof: deploy.probes, mandatory: true}\n    \
        - {box: Support has been told, attest: support, mandatory: true}\n    \
        - {box: Somebody cheered, attest: anybody}\n";
    let config = app.config("").replace("for: 2s, keep_previous", "for: 600s, keep_previous");
    let check = "check:\n  version: {bump: minor}\n";
    app.write("tidegate.yaml", &format!("{config}{check}{boxes}"));
    app.release("v1.0.0", "");
    let id = app.deploy("v1.0.0");
    world.wait_for_phase(&id, "bake");

    let open = world.expect(11, &["checklist"]).stdout;
    for words in [
        "before.1 The version is one",
        "version pass: v1.0.0 is the first release",
        "health passed",
        "it waits for the word of support",
        "1 of 3 mandatory boxes are not closed: after.2 \"Support has been told\"",
    ] {
        assert!(open.contains(words), "{words}: {open}");
    }
    // What a machine shows is nobody's to vouch for, and a word lasts at most a month.
    assert!(world.expect(5, &["attest", "before.1"]).stderr.contains("TG8055"));
    world.expect(2, &["attest", "after.2", "--expires", "2000h"]);
    assert!(world.expect(0, &["inbox"]).stdout.contains("Support has been told"));
    world.expect(0, &["attest", "after.2", "--note", "by phone", "--expires", "8h"]);
    let left = world.expect(0, &["checklist", "--open"]).stdout;
    assert!(left.contains("Somebody cheered") && !left.contains("Support"), "{left}");
    let lists = world.expect(0, &["checklist", "--json"]).json();
    assert_eq!((&lists["closed"], &lists["missing"]), (&3.into(), &0.into()), "{lists:#}");
    let told = &lists["lists"][1]["boxes"][1];
    assert!(told["sentence"].as_str().unwrap().contains("by phone"), "{told:#}");
    assert!(told["expires"].is_string(), "{told:#}");
}

/// Given evidence, expected verdict: what a team runs in its CI, without a server.
#[test]
fn a_policy_is_tried_on_cases_that_a_team_writes_down() {
    let world = World::new();
    let app = world.app();
    let check = "check:\n  unit: {junit: \"reports/*.xml\", at_least: 2 tests}\n  \
        version: {bump: minor}\n  soak: {soak: {env: staging, for: 48h}}\n  \
        review: {reviews: 2, owners: true, when: \"risk >= high\"}\n  ci: {ci: [build]}\n\
        approve: {rules: [{name: leads, need: 1}, {name: database, need: 1, \
        when: \"touches('db/**')\"}]}\n\
        window: {zone: UTC, allow: \"mon-thu 09:00-16:00\"}\n";
    app.write("tidegate.yaml", &format!("{}{check}", app.config("")));
    let suite = |failures: u32| {
        let failing = "<failure/>".repeat(usize::try_from(failures).unwrap());
        format!(
            "<testsuites><testsuite name=\"cart\" tests=\"2\" failures=\"{failures}\">\
             <testcase name=\"adds\"/><testcase name=\"pays\">{failing}</testcase>\
             </testsuite></testsuites>"
        )
    };
    app.write("bad.xml", &suite(1));
    app.write("good.xml", &suite(0));
    let cases = "cases:\n\
        - name: one failing test keeps it out\n  live: v1.0.0\n  version: v1.1.0\n  \
          evidence: [{file: bad.xml, name: reports/unit.xml}]\n  facts: {soak: {soak: {lasts: 48h}}}\n  \
          expect: {gates: {unit: fail, version: pass, soak: pass}, result: fail, says: [1 of 2 tests]}\n\
        - name: two days less a minute are no two days\n  \
          evidence: [{file: good.xml, name: reports/unit.xml}]\n  \
          facts: {soak: {soak: {lasts: 47h59m}}}\n  expect: {gates: {unit: pass, soak: fail}}\n\
        - name: nothing is known\n  at: 2026-11-27T10:00:00Z\n  waived: [soak]\n  \
          expect: {gates: {unit: no-data, soak: waived}, window: closed}\n\
        - name: a bad release goes back\n  simulate: {scenario: outage, rate: 50}\n  \
          expect: {ending: rolled back, detected_within: 1m}\n\
        - name: a risky change of the schema is looked at\n  risk: high\n  \
          paths: [db/migrations/0042.sql]\n  facts: {review: {reviews: {approved: [ada]}}, \
          ci: {ci: {failed: [build]}}}\n  \
          expect: {asks: [leads, database], gates: {review: fail, ci: fail}}\n\
        - name: another is not\n  paths: [README.md]\n  facts: {ci: {ci: {passed: [build]}}}\n  \
          expect: {asks: [leads], gates: {review: not-needed, ci: pass}}\n";
    app.write("tidegate.test.yaml", cases);
    let tried = world.expect(0, &["policy", "test"]).stdout;
    assert!(tried.contains("6 of 6 cases came out as expected"), "{tried}");

    app.write("tidegate.test.yaml", &cases.replace("unit: fail", "unit: pass"));
    let wrong = world.expect(11, &["policy", "test"]).stdout;
    assert!(wrong.contains("the gate unit is fail, expected pass: 1 of 2 tests"), "{wrong}");
    let one = world.expect(0, &["policy", "test", "--only", "nothing is", "--json"]).json();
    assert_eq!(one["cases"][0]["gates"]["soak"], "waived", "{one:#}");
    for (table, code) in [
        (cases.replace("expect:", "expects:"), "TG7120"),
        (cases.replace("bad.xml, name", "none.xml, name"), "TG7121"),
        ("cases: [{name: x, expect: {}}]".to_owned(), "TG7120"),
        (cases.replace("outage", "storm"), "TG7033"),
    ] {
        app.write("tidegate.test.yaml", &table);
        let refused = world.expect(2, &["policy", "test"]);
        assert!(refused.stderr.contains(code), "{code}: {refused:?}");
    }
}

/// The five processes run from beginning to end on the virtual clock, with a good and with a bad
/// release. What nobody carries out is named: the simulation answered for it.
#[test]
fn the_five_processes_run_on_the_virtual_clock() {
    let world = World::new();
    for process in
        ["flow-of-stages", "manual-release", "static-web-app", "canary-guide", "tagged-release"]
    {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../examples")
            .join(process)
            .join("tidegate.yaml");
        let file = file.to_str().unwrap();
        let good = world.expect(0, &["simulate", "good", "--json", "-c", file]).json();
        assert_eq!(good["ending"], "succeeded", "{process}: {}", good["why"]);
        let bad = world.expect(0, &["simulate", "outage", "--json", "-c", file]).json();
        assert_eq!(bad["ending"], "rolled back", "{process}: {}", bad["why"]);
        assert!(bad["detected_after_s"].as_f64().is_some_and(|s| s < 600.0), "{process}: {bad:#}");
        let answered = bad["answered_for"].as_array().unwrap();
        assert!(!answered.is_empty(), "{process} names drivers that are not there");
    }
}

/// Conditions are decided with the plan; a gate that is dropped is asked once more; what the
/// organisation demands is demanded of everybody.
#[test]
fn conditions_and_layers_decide_what_a_release_is_asked() {
    let world = World::with_server();
    let app = world.app();
    let check = "check:\n  notes: {files: [answer]}\n  \
        safety: {files: [nothing], when: \"touches('safety/**')\"}\n  \
        big: {files: [nothing], unless: 'risk <= high && bump != \"major\"'}\n";
    app.write("tidegate.yaml", &format!("{}{check}", app.config("")));
    app.release("v1.0.0", "");
    let gates = world.expect(0, &["gate", "run", "--json"]).json();
    let of = |name: &str| {
        let all = gates["gates"].as_array().unwrap();
        all.iter().find(|gate| gate["name"] == name).cloned().unwrap_or_default()
    };
    assert_eq!(of("safety")["result"], "not-needed", "{gates:#}");
    let said = of("big")["sentence"].as_str().unwrap().to_owned();
    assert!(said.contains("bump is none") && said.contains("risk is "), "{said}");
    world.expect(19, &["deploy"]);

    // The file drops a gate: the release is judged by it once more, and the next is not.
    app.write("tidegate.yaml", &app.config(""));
    app.release("v1.0.1", "");
    let plan = world.expect(0, &["plan", "--json"]).json();
    assert_eq!(plan["layers"][0]["layer"], "live", "{plan:#}");
    assert!(plan["layers"][0]["adds"].to_string().contains("the gate notes"), "{plan:#}");
    assert_eq!(plan["risk"]["level"], "high");
    assert_eq!(plan["gates"].as_array().unwrap().len(), 3, "{plan:#}");

    let policy = world.state_dir().join("policy.yaml");
    fs::write(&policy, "tidegate: 1\ncheck:\n  owners: {files: [CODEOWNERS]}\n").unwrap();
    let refused = world.expect(11, &["deploy"]);
    assert!(refused.stdout.contains("owners fail: "), "{refused:?}");
    app.write("CODEOWNERS", "* @t\n");
    app.write("safety", "x");
    app.release("v1.0.2", "");
    let gates = world.expect(0, &["gate", "run"]).stdout;
    assert!(gates.contains("owners") && gates.contains("notes"), "{gates}");
    fs::write(&policy, "tidegate: 1\ncheck: [\n").unwrap();
    let broken = world.run(&["deploy"]);
    assert!(broken.code != 0 && broken.stderr.contains("TG7122"), "{broken:?}");
    fs::write(&policy, "tidegate: 1\ntraffic: {steps: [100%]}\n").unwrap();
    assert!(world.run(&["plan"]).stderr.contains("TG7122"), "what could loosen is no key of it");
    fs::remove_file(&policy).unwrap();

    // A run demands more of itself, and never less.
    let more = ["plan", "--json", "--tighten", "after.watch.for=2h"];
    let plan = world.expect(0, &more).json();
    let layers = plan["layers"].as_array().unwrap();
    let run = layers.iter().find(|layer| layer["layer"] == "run").unwrap();
    assert!(run["adds"].to_string().contains("the watch lasts longer"), "{plan:#}");
    let less = world.run(&["plan", "--tighten", "after.watch.for=1s"]);
    assert!(less.code != 0 && less.stderr.contains("TG3014"), "{less:?}");
    let looser = world.run(&["plan", "--tighten", "traffic.floor=attributed"]);
    assert!(looser.code != 0 && looser.stderr.contains("TG1007"), "{looser:?}");

    // A condition of known words that is none is refused before anything begins.
    let bad = "check:\n  notes: {files: [answer], when: 'version > 1'}\n";
    app.write("tidegate.yaml", &format!("{}{bad}", app.config("")));
    app.release("v1.0.3", "");
    let refused = world.run(&["deploy"]);
    assert!(refused.code != 0 && refused.stderr.contains("TG7124"), "{refused:?}");
    assert_eq!(app.visit("/"), Some((200, "v1.0.0".to_owned())));
}
