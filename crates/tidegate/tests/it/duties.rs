//! Duties with the real binary: declared, overdue, done, in the calendar.
//! Must never wait for a date to come: what is overdue here is so at once.

use crate::harness::World;

#[test]
fn a_duty_that_blocks_is_done_before_the_next_release() {
    let world = World::with_server();
    let app = world.app();
    let more = "duties:\n  retro: {every: after each deployment, owner: ada, blocks: true}\n  \
                review: {every: 3 months, evidence: the notes}\n";
    app.write("tidegate.yaml", &format!("{}{more}", app.config("")));
    app.release("v1.0.0", "");
    world.expect(19, &["deploy"]);
    // The deployment ended, and so the retro is due; the review has its three months.
    let listed = world.expect(11, &["duty", "list", "--json"]).json();
    assert_eq!(listed[0]["overdue"], true, "{listed:#}");
    assert_eq!((&listed[1]["overdue"], &listed[1]["every"]), (&false.into(), &"3 months".into()));
    app.release("v1.0.1", "");
    let refused = world.run(&["deploy"]);
    assert!(refused.code != 0 && refused.stderr.contains("TG7131"), "{refused:?}");

    let odd = world.run(&["duty", "done", "nonsense", "--evidence", "x"]);
    assert!(odd.code != 0 && odd.stderr.contains("TG7130"), "{odd:?}");
    world.expect(0, &["duty", "done", "retro", "--evidence", "the notes of May"]);
    let listed = world.expect(0, &["duty", "list"]).stdout;
    assert!(listed.contains("the notes of May") && listed.contains("review"), "{listed}");
    let trail = world.expect(0, &["audit", "search", "--kind", "duty_done"]).stdout;
    assert!(trail.contains("duty_done"), "{trail}");
    let calendar = world.expect(0, &["window", "--ics"]).stdout;
    assert!(calendar.contains("duty review is due"), "{calendar}");

    let load = app.load();
    world.expect(0, &["deploy"]);
    drop(load);
    assert_eq!(world.run(&["duty", "list"]).code, 11, "it is due again");
    world.expect(0, &["rollback", "--reason", "a way back is never stopped"]);
}
