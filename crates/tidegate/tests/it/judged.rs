//! The judge as people meet it: verdicts made again, policies replayed, faults rehearsed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tidegate_engine::recording::{self, Counted, Entry};

use crate::harness::{World, free_port, wait};

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

/// A real Prometheus that knows numbers of its own only.
struct Prometheus(Child);

impl Prometheus {
    #[track_caller]
    fn start(dir: &Path, port: u16) -> Self {
        let config = dir.join("prometheus.yml");
        fs::write(&config, "global: {scrape_interval: 1h}\n").unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("tsdb").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("prometheus (./test installs it): {error}")))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn numbers_of_others_that_go_missing_hold_and_never_roll_back_by_themselves() {
    let world = World::with_server();
    let (app, port) = (world.app(), free_port());
    let numbers = Prometheus::start(world.path(), port);
    let config = app
        .config("")
        .replace("each: {for: 2s", "each: {for: 6s")
        .replace("advance_if: [errors < 10%]", "advance_if: [errors < 10%, orders >= 10/min]");
    let config = config
        .replace("for 2s]\n", "for 2s, orders < 5/min for 2s]\n")
        .replace("{hold: 30s", "{hold: 30m")
        + &format!(
            "sources: {{prometheus: {{url: \"http://127.0.0.1:{port}\"}}}}\nmetrics:\n  orders: \
             {{prometheus: 'vector(12) or none{{slot=\"$slot\"}}', unit: /min, every: 1s, \
             timeout: 900ms, stale_after: 3s}}\n"
        );
    app.write("tidegate.yaml", &config);
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "");
    let id = app.deploy("v2");
    world.wait_for(&id, |event| event["kind"] == "step_converged");
    drop(numbers);
    let held = world.wait_for(&id, |event| event["kind"] == "hold_began");
    assert!(held["event"].to_string().contains("orders"), "{held}");
    let listed = world.get(&format!("/v1/deployments/{id}/verdicts"));
    let call = listed["verdicts"].as_array().unwrap().last().unwrap()["verdict"].clone();
    assert_eq!(
        (&call["call"], &call["reason"]),
        (&"hold".into(), &"readings are missing".into()),
        "{call}"
    );

    // It is back, and the release goes on from where it was: one hold, one word to people.
    let numbers = Prometheus::start(world.path(), port);
    assert_eq!(world.wait_for_end(&id), "succeeded");
    let timeline = world.expect(0, &["timeline", &id, "--json"]).stdout;
    assert_eq!(timeline.matches(r#""kind":"hold_began""#).count(), 1, "{timeline}");

    // What the data plane counts by itself needs nobody else.
    drop(numbers);
    app.release("v3", "fail 60");
    let id = app.deploy("v3");
    assert_eq!(world.wait_for_end(&id), "rolled_back");
    let why = world.get(&format!("/v1/deployments/{id}"))["why"].to_string();
    assert!(why.contains("failed") || why.contains("errors"), "{why}");
    drop(load);
    wait("the traffic is back", || (app.visit("/")? == (200, "v2".to_owned())).then_some(()));
}

#[test]
fn real_instances_of_live_are_told_apart_to_the_judge() {
    let world = World::with_server();
    let app = world.app();
    app.write("tidegate.yaml", &app.config("").replace("instances: 1", "instances: 3"));
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "");
    let id = app.deploy("v2");
    assert_eq!(world.wait_for_end(&id), "succeeded");
    drop(load);
    let bytes = fs::read(only_recording(&world, &id)).unwrap();
    let recording = recording::read(&bytes).unwrap();
    assert_eq!(recording.header.instances, (3, 3));
    let mut served = [0; 3];
    for (entry, _) in &recording.entries {
        let Entry::Tick(Counted { live: Some(live), candidate, .. }) = entry else { continue };
        if live.requests == 0 {
            continue;
        }
        assert_eq!(live.streams.len(), 3, "{live:?}");
        let sum: u64 = live.streams.iter().map(|stream| stream.requests).sum();
        assert!(sum <= live.requests, "parts of the whole: {live:?}");
        for (served, stream) in served.iter_mut().zip(&live.streams) {
            *served += stream.requests;
            let timed: u32 = stream.latency.iter().map(|(_, count)| *count).sum();
            assert_eq!(u64::from(timed), stream.requests, "nobody failed: {stream:?}");
        }
        assert!(candidate.iter().all(|side| side.streams.is_empty()), "judged as a whole");
    }
    assert!(served.iter().all(|served| *served > 0), "each of them served: {served:?}");
}

#[test]
fn a_release_that_went_back_is_written_up() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    let good = app.deploy("v1");
    world.wait_for_end(&good);
    let refused = world.expect(2, &["postmortem", &good]);
    assert!(refused.stderr.contains("TG6501"), "{refused:?}");
    let load = app.load();
    app.release("v2", "fail 60");
    let bad = app.deploy("v2");
    assert_eq!(world.wait_for_end(&bad), "rolled_back");
    drop(load);
    let facts = world.expect(0, &["postmortem", &bad, "--json"]).json();
    let (exposed, failed) = (facts["exposed"].as_u64().unwrap(), facts["failed"].as_u64().unwrap());
    assert!(failed > 0 && failed <= exposed, "{facts}");
    assert_eq!(facts["largest_share_bp"], 5_000, "{facts}");
    let order = ["started_at", "users_from", "decided_at", "users_back_at", "ended_at", "due_at"];
    let times = order.map(|name| facts[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap());
    assert!(times.is_sorted(), "{facts}");
    let events = world.expect(0, &["timeline", &bad, "--json"]).stdout.lines().count();
    let draft = world.expect(0, &["postmortem", &bad]).stdout;
    assert!(draft.starts_with("# Post-mortem: shop v2 in production\n"), "{draft}");
    let (_, timeline) = draft.split_once("## Timeline").unwrap();
    let (timeline, blanks) = timeline.split_once("## Why it happened").unwrap();
    let rows = timeline.lines().filter(|line| line.starts_with("| 2")).count();
    assert_eq!(rows, events, "no event is left out: {draft}");
    assert!(blanks.contains("to fill in") && draft.contains("all requests on v1"), "{draft}");
}
