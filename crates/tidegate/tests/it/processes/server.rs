//! The server is killed in every phase, and started again where it was. Applications and users
//! must not notice; the deployment ends as ever.

use super::*;

fn killed_in(phases: &[&str]) {
    let world = World::with_server();
    let town = Town::new(&world);
    let mut live = "v1".to_owned();
    for phase in phases {
        let (version, id) = town.deploy_next();
        town.reach(&id, phase);
        let before = town.instances(&live);
        assert_eq!(before.len(), 2, "{live} runs");
        world.end_server(Signal::KILL);
        assert_eq!(town.instances(&live), before, "nobody but the server died");
        world.start_server();
        let still = live.clone();
        town.ends_as_ever(&id, &version, phase, &mut live);
        assert_eq!(town.instances(&still), before, "adopted, not started anew: {phase}");
    }
    town.everybody_was_served();
}

#[test]
fn a_server_killed_before_the_shift_changes_nothing() {
    killed_in(&PREPARING);
}

#[test]
fn a_server_killed_in_the_shift_changes_nothing() {
    killed_in(&SHIFTING);
}

#[test]
fn a_server_killed_on_the_way_back_changes_nothing() {
    killed_in(&RETURNING);
}

#[test]
fn a_server_killed_at_every_turn_still_gets_there() {
    let world = World::with_server();
    let town = Town::new(&world);
    let (v2, id) = town.deploy_next();
    for phase in PREPARING.iter().chain(&SHIFTING) {
        town.reach(&id, phase);
        world.end_server(Signal::KILL);
        world.start_server();
    }
    town.ends_as_ever(&id, &v2, "each", &mut "v1".to_owned());
    town.everybody_was_served();
}

#[test]
fn a_server_killed_in_a_first_deployment_changes_nothing() {
    for phase in ["plan", "deploy", "smoke", "bake"] {
        let world = World::with_server();
        let app = world.app();
        app.write("tidegate.yaml", &unhurried(&app.listen, ""));
        app.release("v1", "");
        let id = app.deploy("v1");
        world.wait_for_phase(&id, phase);
        world.end_server(Signal::KILL);
        world.start_server();
        assert_eq!(world.wait_for_end(&id), "live_unverified", "{phase}");
        assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
    }
}

#[test]
fn a_server_killed_in_a_return_changes_nothing() {
    let world = World::with_server();
    let town = Town::new(&world);
    let mut live = "v1".to_owned();
    for _release in 0..2 {
        let (version, id) = town.deploy_next();
        town.ends_as_ever(&id, &version, "traffic.step1", &mut live);
    }
    // v2 is warm and comes back at once; v3 and v1 have to be started for it.
    for (target, phase) in [("v2", "bake"), ("v3", "deploy"), ("v1", "health")] {
        let asked = json!({ "to": target, "reason": "a person wants it" });
        let accepted = world.ask(200, "POST", "/v1/services/shop/rollback", &asked);
        let id = accepted["id"].as_str().unwrap();
        world.wait_for_phase(id, phase);
        world.end_server(Signal::KILL);
        world.start_server();
        assert_eq!(world.wait_for_end(id), "succeeded", "{target}: {}", town.timeline(id));
        assert_eq!(town.app.visit("/"), Some((200, target.to_owned())));
    }
    town.everybody_was_served();
}

#[test]
fn a_stopped_server_is_not_taken_for_a_dead_one() {
    let world = World::with_server();
    send(world.server_pid(), Signal::STOP);
    let second = world.expect(6, &["server", "run"]);
    assert!(second.stderr.contains("TG6110"), "{second:?}");
    fs::remove_file(world.socket()).unwrap();
    let third = world.expect(6, &["server", "run"]);
    assert!(third.stderr.contains("TG6110") && third.stderr.contains("held"), "{third:?}");
    send(world.server_pid(), Signal::CONT);
}
