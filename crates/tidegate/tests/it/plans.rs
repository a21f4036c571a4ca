//! What a release would do and what it changes, before anybody begins it.

use std::fs;

use crate::harness::World;

#[test]
fn diff_says_what_lies_between_two_tags() {
    let world = World::new();
    let app = world.app();
    app.release("v1.0.0", "");
    app.write("tidegate.yaml", &app.config("").replace("[50%, 100%]", "[25%, 100%]"));
    app.write("notes.md", "new\n");
    app.release("v1.1.0", "");
    // The work tree is no release: what is not committed is not in it.
    app.write("tidegate.yaml", "nonsense");

    let said = world.expect(0, &["diff", "v1.0.0", "v1.1.0"]).stdout;
    assert!(said.contains("1 commits from v1.0.0 to v1.1.0"), "{said}");
    assert!(said.contains("notes.md"), "{said}");
    assert!(said.contains("traffic.steps"), "{said}");
    let found = world.expect(0, &["diff", "v1.0.0", "v1.1.0", "--json"]).json();
    assert_eq!(found["commits"].as_array().unwrap().len(), 1, "{found:#}");
    let changed = found["configuration"].as_array().unwrap();
    assert!(changed.iter().any(|change| change["after"] == "25%"), "{found:#}");
    let same = world.expect(0, &["diff", "v1.1.0", "v1.1.0", "--json"]).json();
    assert!(same["configuration"].as_array().unwrap().is_empty(), "{same:#}");

    let unknown = world.expect(5, &["diff", "v1.0.0", "v9"]);
    assert!(unknown.stderr.contains("TG7002") && unknown.stderr.contains("v1.1.0"), "{unknown:?}");
    fs::remove_dir_all(app.path().join(".git")).unwrap();
    assert!(world.run(&["diff", "v1.0.0", "v1.1.0"]).stderr.contains("TG7006"));
}
