//! Windows and freezes with the real binary: a deployment waits at the door, a rollback does not.

use crate::harness::World;

#[test]
fn a_freeze_keeps_a_release_at_the_door_and_lets_a_rollback_through() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1.0.0", "");
    world.expect(19, &["deploy"]);
    app.release("v1.1.0", "");

    world.expect(2, &["freeze", "begin", "--for", "2h"]);
    let begun = ["freeze", "begin", "year-end", "--for", "2h", "--reason", "the books are closed"];
    assert!(world.expect(0, &begun).stdout.contains("a rollback does not"));
    let list = world.expect(0, &["freeze", "list", "--json"]).json();
    assert_eq!(list[0]["name"], "year-end", "{list:#}");
    assert!(world.expect(0, &["window"]).stdout.contains("closed"));
    let ics = world.expect(0, &["window", "--ics"]).stdout;
    assert!(ics.contains("BEGIN:VEVENT") && ics.contains("freeze year-end"), "{ics}");

    let id = app.deploy("v1.1.0");
    world.wait_for(&id, |event| event["kind"] == "hold_began");
    let why = world.expect(0, &["why", &id]).stdout;
    assert!(why.contains("the books are closed") && why.contains("waive window"), "{why}");
    assert!(world.run(&["resume", &id]).stderr.contains("TG8043"));
    assert_eq!(app.visit("/"), Some((200, "v1.0.0".to_owned())), "nothing was started");

    world.expect(0, &["freeze", "end", "year-end", "--reason", "closed early"]);
    world.wait_for_phase(&id, "deploy");
    assert!(world.run(&["freeze", "end", "--reason", "x"]).stderr.contains("TG8042"));
    world.expect(0, &["freeze", "begin", "again", "--for", "2h", "--all", "--reason", "no more"]);
    world.wait_for_phase(&id, "traffic.step1");
    world.expect(0, &["rollback", "-y"]);
    assert_eq!(app.visit("/"), Some((200, "v1.0.0".to_owned())));
}
