//! The way back by hand: in flight, at rest, to a version, and with the server dead.

use rustix::process::Signal;
use serde_json::json;

use crate::harness::World;

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
