//! Several things die at once: the server with the proxy, and everything, as when the machine
//! loses its power. What was live must serve again, and what was in flight must come to an end.

use super::*;

/// Every process of this world but the test.
fn all_of(world: &World) -> Vec<u32> {
    belonging_to(world.path())
}

#[test]
fn server_and_proxy_killed_together_change_nothing() {
    let world = World::with_server();
    let town = Town::new(&world);
    let mut live = "v1".to_owned();
    for phase in ["smoke", "traffic.step1", "bake", "rollback.traffic"] {
        let (version, id) = town.deploy_next();
        town.reach(&id, phase);
        let before = town.instances(&live);
        let proxy = proxy_pid(&world);
        world.end_server(Signal::KILL);
        Town::kill(proxy);
        world.start_server();
        wait("users are served again", || town.app.visit("/"));
        let still = live.clone();
        town.ends_as_ever(&id, &version, phase, &mut live);
        assert_eq!(town.instances(&still), before, "{phase}");
    }
}

#[test]
fn after_a_loss_of_power_what_was_live_serves_and_what_was_in_flight_ends() {
    let world = World::with_server();
    let town = Town::new(&world);
    let mut live = "v1".to_owned();
    for phase in ["plan", "smoke", "traffic.step1", "bake"] {
        let (version, id) = town.deploy_next();
        town.reach(&id, phase);
        world.end_server(Signal::KILL);
        // What starts others goes first; a second look finds whom nobody has started since.
        for _look in 0..2 {
            for pid in all_of(&world) {
                Town::kill(pid);
            }
        }
        assert_eq!(town.app.visit("/"), None);
        world.start_server();
        // The live release comes first: it serves although nobody asked for it again.
        wait("users are served again", || town.app.visit("/").filter(|(status, _)| *status == 200));
        let end = world.wait_for_end(&id);
        match end.as_str() {
            "succeeded" => live = version,
            // Its instances were gone for a moment, which is reason enough.
            "rolled_back" => {}
            other => panic!("{phase} ended as {other}: {}", town.timeline(&id)),
        }
        for _visitor in 0..10 {
            assert_eq!(town.app.visit("/"), Some((200, live.clone())), "{phase}");
        }
        assert_eq!(town.instances(&live).len(), 2, "{phase}");
    }
    assert_eq!(world.get("/v1/journal/verify")["verified"], true);
}

#[test]
fn candidate_and_server_killed_together_end_the_deployment_and_nothing_else() {
    let world = World::with_server();
    let town = Town::new(&world);
    let before = town.instances("v1");
    let (version, id) = town.deploy_next();
    town.reach(&id, "traffic.step1");
    world.wait_for(&id, |event| event["kind"] == "step_converged");
    world.end_server(Signal::KILL);
    // Its shim as well, so that nobody starts it again.
    let slots = world.state_dir().join("slots");
    let pid_files: Vec<u32> = belonging_to(&slots);
    for shim in pid_files {
        Town::kill(shim);
    }
    for instance in town.instances(&version) {
        Town::kill(instance);
    }
    world.start_server();
    let end = world.wait_for_end(&id);
    assert!(["succeeded", "rolled_back"].contains(&end.as_str()), "{end}");
    if end == "rolled_back" {
        assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    }
    assert_eq!(town.instances("v1"), before);
    let tally = town.users.finish();
    let theirs = |failed: &users::Failed| failed.status == Some(502);
    assert!(tally.failed.iter().all(theirs), "{tally:?}");
}

#[test]
fn a_proxy_that_stands_still_is_waited_for() {
    let world = World::with_server();
    let town = Town::new(&world);
    let (version, id) = town.deploy_next();
    town.reach(&id, "traffic.step1");
    let pid = proxy_pid(&world);
    send(pid, Signal::STOP);
    let problem = wait("the server notices", || {
        let seen = world.get("/v1/server");
        seen["proxy"]["problem"].as_str().map(str::to_owned)
    });
    assert!(problem.contains("TG5901"), "{problem}");
    send(pid, Signal::CONT);
    town.ends_as_ever(&id, &version, "traffic.step1", &mut "v1".to_owned());
    assert_eq!(proxy_pid(&world), pid, "the same proxy, not a second one");
    // They waited, and were served.
    town.everybody_was_served();
}
