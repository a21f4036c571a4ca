//! Shims are killed in every phase: of the live slot, of the candidate's. The runtime starts them
//! again, and what they looked after runs on.

use super::*;

fn killed_in(phases: &[&str]) {
    let world = World::with_server();
    let town = Town::new(&world);
    let mut live = "v1".to_owned();
    for phase in phases {
        let (version, id) = town.deploy_next();
        town.reach(&id, phase);
        let before = town.instances(&live);
        let shims = town.shims();
        assert!(!shims.is_empty());
        for shim in &shims {
            Town::kill(*shim);
        }
        let still = live.clone();
        town.ends_as_ever(&id, &version, phase, &mut live);
        assert_eq!(town.instances(&still), before, "adopted, not started anew: {phase}");
        let again = wait("each slot has a shim again", || {
            let found = town.shims();
            (found.len() == 2).then_some(found)
        });
        assert!(again.iter().all(|shim| !shims.contains(shim)));
    }
    town.everybody_was_served();
}

#[test]
fn shims_killed_before_the_shift_change_nothing() {
    killed_in(&PREPARING[1..]);
}

#[test]
fn shims_killed_in_the_shift_change_nothing() {
    killed_in(&SHIFTING[..3]);
}
