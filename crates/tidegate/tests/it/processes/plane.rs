//! The proxy is killed in every phase. Requests in its hands are lost and no others; it is back
//! with its last table by itself, and the deployment ends as ever.

use std::time::Instant;

use super::*;

fn killed_in(phases: &[&str]) {
    let world = World::with_server();
    let town = Town::new(&world);
    let mut live = "v1".to_owned();
    let mut outages = Vec::new();
    for phase in phases {
        let (version, id) = town.deploy_next();
        town.reach(&id, phase);
        let pid = proxy_pid(&world);
        let killed = Instant::now();
        Town::kill(pid);
        wait("the proxy serves again", || town.app.visit("/"));
        outages.push((killed, Instant::now()));
        assert_ne!(proxy_pid(&world), pid);
        town.ends_as_ever(&id, &version, phase, &mut live);
    }
    town.users.wait_for_more(5);
    let tally = town.users.finish();
    for failed in &tally.failed {
        let in_an_outage =
            outages.iter().any(|(from, until)| failed.sent <= *until && failed.over >= *from);
        // A proxy that came back answers for whoever is there: it never says "not ready".
        assert!(in_an_outage && failed.status.is_none(), "{failed:?} of {outages:?}: {tally:?}");
    }
}

#[test]
fn a_proxy_killed_before_the_shift_is_back_with_its_table() {
    killed_in(&PREPARING);
}

#[test]
fn a_proxy_killed_in_the_shift_is_back_with_its_table() {
    killed_in(&SHIFTING[..3]);
}

#[test]
fn a_proxy_killed_on_the_way_back_is_back_with_its_table() {
    killed_in(&RETURNING);
}

#[test]
fn without_a_server_a_dead_proxy_stays_dead_and_comes_back_with_it() {
    let world = World::with_server();
    let town = Town::new(&world);
    let before = town.instances("v1");
    world.end_server(Signal::KILL);
    Town::kill(proxy_pid(&world));
    assert_eq!(town.app.visit("/"), None);
    world.start_server();
    let back = wait("the proxy serves again", || town.app.visit("/"));
    assert_eq!(back, (200, "v1".to_owned()));
    assert_eq!(town.instances("v1"), before);
}
