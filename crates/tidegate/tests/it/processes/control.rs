//! Control is lost in mid-shift for longer than the lease: the proxy goes back by itself, and
//! whoever takes the control up again adopts that and never undoes it.

use super::*;

const LEASE: &str = "  lease: 5s\n";

/// The proxy went back by itself, because it heard nothing.
fn went_back(world: &World) -> Option<Value> {
    let status = proxy_status(world)?;
    let held = status["services"][0]["override"].clone();
    (held["kind"] == "lease").then_some(held)
}

fn is_adopted(town: &Town<'_>, id: &str) {
    let world = town.world;
    let adopted = world.wait_for(id, |event| event["kind"] == "split_overridden");
    assert_eq!(adopted["event"]["kind"], "lease", "{adopted}");
    assert_eq!(world.wait_for_end(id), "rolled_back", "{}", town.timeline(id));
    let why = world.get(&format!("/v1/deployments/{id}"))["why"].to_string();
    assert!(why.contains("control lost"), "{why}");
    for _visitor in 0..20 {
        assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    }
}

#[test]
fn a_server_stopped_past_the_lease_finds_the_traffic_back_and_leaves_it_there() {
    let world = World::with_server();
    let town = Town::with(&world, LEASE);
    let (_version, id) = town.deploy_next();
    world.wait_for(&id, |event| event["kind"] == "step_converged");
    send(world.server_pid(), Signal::STOP);
    wait("the proxy goes back by itself", || went_back(&world));
    for _visitor in 0..20 {
        assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    }
    send(world.server_pid(), Signal::CONT);
    is_adopted(&town, &id);
    town.everybody_was_served();
}

#[test]
fn a_server_dead_past_the_lease_is_followed_by_one_that_adopts_what_happened() {
    let world = World::with_server();
    let town = Town::with(&world, LEASE);
    let (_version, id) = town.deploy_next();
    world.wait_for(&id, |event| event["kind"] == "step_converged");
    world.end_server(Signal::KILL);
    wait("the proxy goes back by itself", || went_back(&world));
    world.start_server();
    is_adopted(&town, &id);
    town.everybody_was_served();
}

#[test]
fn at_rest_the_traffic_needs_no_server() {
    let world = World::with_server();
    let town = Town::with(&world, LEASE);
    world.end_server(Signal::KILL);
    let status = proxy_status(&world).unwrap();
    let service = &status["services"][0];
    assert_eq!(service["lease_left_ms"], Value::Null, "a table outside a shift has no lease");
    town.users.wait_for_more(50);
    assert!(town.users.finish().failed.is_empty());
}

/// Deploys a release that fails most requests, and loses the server as soon as users meet it.
#[track_caller]
fn bad_release_without_a_server(town: &Town<'_>) -> String {
    town.app.release("bad", "fail 70");
    let id = town.app.deploy("bad");
    town.world.wait_for(&id, |event| event["kind"] == "split_confirmed");
    town.world.end_server(Signal::KILL);
    id
}

#[test]
fn a_bad_release_is_braked_by_the_proxy_alone() {
    let world = World::with_server();
    let town = Town::with(&world, "  floor: literal\n");
    let id = bad_release_without_a_server(&town);
    let held = wait("the proxy brakes by itself", || {
        let held = proxy_status(&world)?["services"][0]["override"].clone();
        (held["kind"] == "brake").then_some(held)
    });
    assert!(held["reason"].as_str().unwrap().contains("Roll back: "), "{held}");
    for _visitor in 0..20 {
        assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    }
    world.start_server();
    let adopted = world.wait_for(&id, |event| event["kind"] == "split_overridden");
    assert_eq!(adopted["event"]["kind"], "brake", "{adopted}");
    assert_eq!(world.wait_for_end(&id), "rolled_back", "{}", town.timeline(&id));
    let tally = town.users.finish();
    assert!(tally.failed.iter().all(|failed| failed.status == Some(500)), "{tally:?}");
    // What failed in production is not tried again by accident.
    let again = json!({ "repository": town.app.path(), "version": "bad" });
    let id = world.ask(200, "POST", "/v1/deployments", &again)["id"].as_str().unwrap().to_owned();
    assert_eq!(world.wait_for_end(&id), "stopped");
}

#[test]
fn a_server_that_comes_back_in_time_still_judges_the_release() {
    let world = World::with_server();
    let town = Town::new(&world);
    let id = bad_release_without_a_server(&town);
    world.start_server();
    assert_eq!(world.wait_for_end(&id), "rolled_back", "{}", town.timeline(&id));
    let why = world.get(&format!("/v1/deployments/{id}"))["why"].to_string();
    // By its rule or by its evidence, whichever was first.
    assert!(why.contains("errors") || why.contains("failed"), "{why}");
    for _visitor in 0..20 {
        assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    }
    let tally = town.users.finish();
    assert!(tally.failed.iter().all(|failed| failed.status == Some(500)), "{tally:?}");
}
