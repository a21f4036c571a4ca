//! The judge as people meet it: verdicts made again, policies replayed, faults rehearsed.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::harness::World;

/// A policy for rehearsals: two steps of two minutes.
const POLICY: &str = "tidegate: 1
service: shop
deploy: {run: [./server]}
traffic:
  steps: [10%, 100%]
  each: {for: 2m, at_least: 100 requests}
  advance_if: [errors < 1%]
  rollback_if: [errors > 20% for 1m]
  budget: 500 failed requests
after: {watch: {for: 1m}}
";

#[test]
fn a_verdict_is_made_again_bit_for_bit_also_after_a_restart() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "fail 60");
    let id = app.deploy("v2");
    assert_eq!(world.wait_for_end(&id), "rolled_back");
    drop(load);

    let listed = world.expect(0, &["verdict", "list", &id, "--json"]).json();
    let verdicts = listed["verdicts"].as_array().unwrap();
    let back = verdicts.iter().position(|one| one["verdict"]["call"] == "rollback");
    let number = back.unwrap_or_else(|| panic!("nothing was sent back: {listed}")) + 1;
    let named = format!("{id}/{number}");
    assert_eq!(verdicts[number - 1]["id"], Value::from(named.clone()));

    world.end_server(rustix::process::Signal::KILL);
    world.start_server();
    let shown = world.expect(0, &["verdict", "show", &named, "--json"]).json();
    assert_eq!(shown["result"], "same", "{shown}");
    assert_eq!(shown["replay"], shown["journaled"]["verdict"]);
    assert_eq!(shown["inputs"], shown["journaled"]["inputs"]);
    assert!(shown["replay"]["proof"]["alpha"].as_f64() > Some(0.0), "{shown}");
    let words = world.expect(0, &["verdict", "show", &named]).stdout;
    assert!(words.contains("the same in every bit") && words.contains("sha256"), "{words}");

    // One byte of the recording is enough to be told.
    let recording = world.state_dir().join(format!("recordings/shop/production/{id}@web.ticks"));
    let recording = if recording.exists() { recording } else { only_recording(&world, &id) };
    fs::remove_file(&recording).unwrap();
    let gone = world.expect(11, &["verdict", "show", &named, "--json"]).json();
    assert_eq!(gone["result"], "no_recording");
    let none = world.expect(5, &["verdict", "show", &format!("{id}/999")]);
    assert!(none.stderr.contains("TG7030"), "{none:?}");
}

fn only_recording(world: &World, id: &str) -> std::path::PathBuf {
    let folder = world.state_dir().join("recordings/shop/production");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut mine = files.filter(|path| path.to_string_lossy().contains(id));
    mine.next().expect("the deployment was recorded")
}

#[test]
fn a_recorded_deployment_is_replayed_through_a_changed_policy() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "");
    assert_eq!(world.wait_for_end(&app.deploy("v2")), "succeeded");
    app.release("v3", "fail 60");
    assert_eq!(world.wait_for_end(&app.deploy("v3")), "rolled_back");
    drop(load);
    let journal_before = world.get("/v1/journal/verify");
    let tested = world.expect(0, &["backtest", "--shams", "2", "--faults", "1", "--json"]).json();
    let report = &tested["report"];
    assert_eq!(report["caught"]["of"], 1, "{tested}");
    assert_eq!(report["caught"]["count"], 1, "{tested}");
    assert_eq!(report["false_alarms"]["count"], 0, "{tested}");
    assert!(report["cases"].as_array().unwrap().len() >= 2);
    assert_eq!(tested["left_out"].as_array().map(Vec::len), Some(0), "{tested}");
    assert_eq!(world.get("/v1/journal/verify"), journal_before, "a backtest changes nothing");
}

#[test]
fn a_fault_is_rehearsed_without_a_server() {
    let world = World::new();
    fs::write(world.path().join("tidegate.yaml"), POLICY).unwrap();
    let bad = world.expect(0, &["simulate", "outage", "--json"]).json();
    assert_eq!((&bad["ending"], &bad["simulated"]), (&"rolled back".into(), &true.into()));
    assert!(bad["detected_after_s"].as_f64() <= Some(20.0), "{bad}");
    assert!(bad["timeline"].as_array().unwrap().len() > 10);
    let good = world.expect(0, &["simulate", "good", "--svg", "good.svg"]).stdout;
    assert!(good.contains("succeeded in a simulation of `good`"), "{good}");
    let drawn = fs::read_to_string(world.path().join("good.svg")).unwrap();
    assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"));
    assert!(drawn.contains("polyline"), "{drawn}");
    let unknown = world.expect(2, &["simulate", "meteor"]);
    assert!(unknown.stderr.contains("TG7033") && unknown.stderr.contains("trickle"), "{unknown:?}");
    assert!(!world.state_dir().exists(), "nothing was started");
}

#[test]
fn ticks_from_elsewhere_are_replayed() {
    let world = World::new();
    fs::write(world.path().join("tidegate.yaml"), POLICY).unwrap();
    let mut rows = "time,version,instance,requests,errors,histogram,fault\n".to_owned();
    for second in 0..300_u32 {
        let time = 1_700_000_000 + second;
        writeln!(rows, "{time},v1,a,90,0,50:80 100:10,0").unwrap();
        if second >= 120 {
            writeln!(rows, "{time},v2,b,10,3,50:9 inf:1,1").unwrap();
        }
    }
    fs::write(world.path().join("ticks.csv"), &rows).unwrap();
    let arguments = ["backtest", "--ticks", "ticks.csv", "--shams", "2", "--faults", "1", "--json"];
    let tested = world.expect(0, &arguments).json();
    let case = &tested["report"]["cases"][0];
    assert!(case["name"].as_str().unwrap().starts_with("ticks-1/"), "{case}");
    assert_eq!(case["truth"], "bad", "{case}");
    assert!(case["after"]["rollback_after_s"].as_f64() < Some(30.0), "{case}");
    assert_eq!(tested["report"]["caught"]["count"], 1);
    for (bad, said) in [
        ("time,version,requests,errors\nyesterday,v1,1,0\n", "line 2"),
        ("time,version,requests,errors\n1700000000,v1,1,2\n", "2 errors of 1"),
        ("time,version,requests,errors,histogram\n1700000000,v1,1,0,fast:1\n", "fast:1"),
        ("time,version,requests,errors\n1700000000,v1,1,0\n", "1 versions"),
        ("what,is,this\n1,2,3\n", "missing field"),
    ] {
        fs::write(world.path().join("bad.csv"), bad).unwrap();
        let refused = world.expect(2, &["backtest", "--ticks", "bad.csv"]);
        assert!(refused.stderr.contains("TG7032"), "{refused:?}");
        assert!(refused.stderr.contains(said), "{said}: {refused:?}");
    }
}
