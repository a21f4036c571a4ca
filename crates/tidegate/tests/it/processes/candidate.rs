//! The candidate's instances are killed in every phase: once, which the deployment survives, and
//! for good, which ends it. The live release never pays for it.

use super::*;

fn killed_once_in(phases: &[&str]) {
    let world = World::with_server();
    let town = Town::new(&world);
    let mut live = "v1".to_owned();
    for phase in phases {
        let (version, id) = town.deploy_next();
        town.reach(&id, phase);
        let victim = wait("an instance of it runs", || town.instances(&version).pop());
        let before = town.instances(&live);
        Town::kill(victim);
        let still = live.clone();
        town.ends_as_ever(&id, &version, phase, &mut live);
        assert_eq!(town.instances(&still), before, "{phase}");
        let now = wait("both run", || {
            Some(town.instances(&version)).filter(|instances| instances.len() == 2)
        });
        assert!(!now.contains(&victim));
    }
    only_the_dead_answered_nobody(town.users);
}

/// A request in the hands of an instance that is killed gets 502; there is no other failure.
fn only_the_dead_answered_nobody(users: Users) {
    users.wait_for_more(5);
    let tally = users.finish();
    let theirs = |failed: &users::Failed| failed.status == Some(502);
    assert!(tally.failed.iter().all(theirs), "{tally:?}");
    assert!(tally.failed.len() < 20, "the other instance takes over: {tally:?}");
}

#[test]
fn an_instance_killed_before_the_shift_is_started_again() {
    killed_once_in(&["deploy", "health", "smoke"]);
}

#[test]
fn an_instance_killed_in_the_shift_is_started_again() {
    killed_once_in(&["traffic.step1", "traffic.step2", "bake"]);
}

#[test]
fn a_candidate_killed_for_good_goes_back() {
    let world = World::with_server();
    let town = Town::new(&world);
    let before = town.instances("v1");
    for phase in ["health", "smoke", "traffic.step1", "traffic.step2"] {
        let (version, id) = town.deploy_next();
        town.reach(&id, phase);
        // Whatever of it comes up again dies again, until nothing of it is wanted any more.
        wait("the deployment ends", || {
            for instance in town.instances(&version) {
                send(instance, Signal::KILL);
            }
            let shown = world.get(&format!("/v1/deployments/{id}"));
            shown["ended_at"].is_string().then_some(())
        });
        let shown = world.get(&format!("/v1/deployments/{id}"));
        assert_eq!(shown["state"], "rolled_back", "{phase}: {}", town.timeline(&id));
        assert_eq!(town.instances("v1"), before);
        assert!(town.instances(&version).is_empty());
        for _visitor in 0..10 {
            assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())), "{phase}");
        }
    }
    let tally = town.users.finish();
    let theirs = |failed: &users::Failed| matches!(failed.status, Some(502));
    assert!(tally.failed.iter().all(theirs), "{tally:?}");
}
