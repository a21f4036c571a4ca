//! The way back by hand: in flight, at rest, to a version, and with the server dead.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::{TIDEGATE, World};

#[test]
fn at_rest_the_earlier_release_comes_back() {
    let world = World::with_server();
    let app = world.app();
    let nothing = world.run(&["rollback", "--service", "shop"]);
    assert_eq!(nothing.code, 5, "{nothing:?}");
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "");
    assert_eq!(world.wait_for_end(&app.deploy("v2")), "succeeded");
    drop(load);
    let list = world.expect(0, &["rollback", "--list"]);
    assert!(list.stdout.contains("v1") && list.stdout.contains("(the default)"), "{list:?}");
    let targets = world.expect(0, &["rollback", "--list", "--json"]).json();
    assert_eq!(targets["default"], "v1");
    let dry = world.expect(0, &["rollback", "--dry-run"]);
    assert!(dry.stdout.contains("would call: POST /v1/services/shop/rollback"), "{dry:?}");
    assert_eq!(app.visit("/"), Some((200, "v2".to_owned())), "a dry run moves nothing");
    let done = world.expect(0, &["rollback", "--reason", "v2 is slow"]);
    assert!(done.stdout.contains("v2 is slow"), "{done:?}");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
    let unknown = world.run(&["rollback", "--to", "v9"]);
    assert_eq!(unknown.code, 6, "{unknown:?}");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
    world.expect(0, &["rollback", "--to", "v2"]);
    assert_eq!(app.visit("/"), Some((200, "v2".to_owned())));
}

#[test]
fn in_flight_it_goes_back_from_the_middle_of_a_shift() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    app.release("v2", "");
    let load = app.load();
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "traffic.step1");
    let answer = world.ask(200, "POST", "/v1/services/shop/rollback", &json!({ "reason": "no" }));
    assert_eq!(answer["id"], id.as_str(), "the one in flight goes back");
    assert_eq!(world.wait_for_end(&id), "rolled_back");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
    assert_eq!(load.lost.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert_eq!(load.failed.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn the_emergency_needs_neither_server_nor_journal() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    app.release("v2", "");
    let load = app.load();
    let id = app.deploy("v2");
    // Read back: the proxy holds the table that names where to go back to.
    world.wait_for(&id, |event| event["kind"] == "step_converged");
    world.end_server(Signal::KILL);
    let gone = world.path().join("gone");
    std::fs::create_dir(&gone).unwrap();
    for entry in std::fs::read_dir(world.state_dir()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("journal") {
            std::fs::rename(entry.path(), gone.join(entry.file_name())).unwrap();
        }
    }
    let done = world.expect(0, &["rollback", "--emergency", "--reason", "fire"]);
    assert!(done.stderr.contains("calling: POST /v1/rollback"), "each call is told: {done:?}");
    assert!(done.stdout.contains("back:"), "{done:?}");
    for _visitor in 0..20 {
        assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
    }
    assert_eq!(load.lost.load(std::sync::atomic::Ordering::Relaxed), 0);
    // With its journal back, the server adopts what was done and never undoes it.
    for entry in std::fs::read_dir(&gone).unwrap().flatten() {
        std::fs::rename(entry.path(), world.state_dir().join(entry.file_name())).unwrap();
    }
    world.start_server();
    world.wait_for(&id, |event| event["kind"] == "split_overridden");
    assert_eq!(world.wait_for_end(&id), "rolled_back");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
}

/// What a person asked for is `v2`; that `v4` stayed because `v2` does not start is no success.
#[test]
fn a_return_that_is_itself_taken_back_is_no_success() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    let good = app.config("");
    let broken = world.path().join("broken");
    let program = std::path::Path::new(TIDEGATE).with_file_name("examples").join("tinyshop");
    let script = format!("[ -e {} ] && exit 3; exec {}", broken.display(), program.display());
    app.write("run.sh", &script);
    let run = format!("[{}]", program.display());
    app.write("tidegate.yaml", &good.replace(&run, "[sh, run.sh]"));
    app.release("v2", "");
    app.write("tidegate.yaml", &good);
    for later in ["v2", "v3", "v4"] {
        if later != "v2" {
            app.release(later, "");
        }
        assert_eq!(world.wait_for_end(&app.deploy(later)), "succeeded", "{later}");
    }
    drop(load);
    std::fs::write(&broken, "").unwrap();
    let done = world.expect(13, &["rollback", "--to", "v2"]);
    assert!(done.stdout.contains("v4"), "{done:?}");
    assert_eq!(app.visit("/"), Some((200, "v4".to_owned())));
}
