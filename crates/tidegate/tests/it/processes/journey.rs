//! The whole way without any accident: three deployments and a way back, under load.

use super::*;

#[test]
fn releases_go_live_and_come_back_without_a_lost_request() {
    let world = World::with_server();
    let town = Town::new(&world);
    let mut live = "v1".to_owned();
    let (v2, id) = town.deploy_next();
    town.ends_as_ever(&id, &v2, "traffic.step1", &mut live);
    let (v3, id) = town.deploy_next();
    town.reach(&id, "rollback.capacity");
    town.ends_as_ever(&id, &v3, "rollback.capacity", &mut live);
    // At rest: v1 runs no more in a slot that v3 took, and is started again for it.
    world.expect(0, &["rollback", "--to", "v1", "--reason", "out of caution"]);
    assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    town.users.wait_for_more(5);
    town.everybody_was_served();
}
