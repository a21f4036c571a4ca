//! The two applications under `examples/`, each deployed twice and rolled back once, with users.

use std::fs;
use std::path::Path;

use crate::harness::{App, World};

/// The example's files as the repository of a world, listening where the world says.
fn stage<'w>(world: &'w World, name: &str) -> App<'w> {
    let app = world.app();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name);
    copy(&example, &app.path());
    let config = fs::read_to_string(example.join("tidegate.yaml")).unwrap();
    let listen = config.split("listen: \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    app.write("tidegate.yaml", &config.replace(listen, &app.listen));
    app
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Puts a text into a file of the repository in place of another, and tags the result.
fn release(app: &App<'_>, version: &str, file: &str, change: (&str, &str)) {
    let before = fs::read_to_string(app.path().join(file)).unwrap();
    assert!(before.contains(change.0), "{file} does not say {}", change.0);
    app.write(file, &before.replace(change.0, change.1));
    app.git(&["add", "-A"]);
    app.git(&["commit", "-q", "--allow-empty", "-m", version]);
    app.git(&["tag", version]);
}

fn served(app: &App<'_>) -> String {
    let (status, body) = app.visit("/").unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

/// Two releases and the way back, with users from the first release on.
fn twice_and_back(name: &str, file: &str, first: (&str, &str), second: (&str, &str)) {
    let world = World::with_server();
    let app = stage(&world, name);
    release(&app, "v1", file, first);
    // Nobody was there to judge it by.
    world.expect(19, &["deploy", "v1", "--no-input"]);
    assert!(served(&app).contains(first.1));

    let load = app.load();
    release(&app, "v2", file, second);
    world.expect(0, &["deploy", "v2", "--no-input"]);
    assert!(served(&app).contains(second.1));

    world.expect(0, &["rollback", "--yes", "--no-input", "--reason", "the test"]);
    assert!(served(&app).contains(first.1));
    let (failed, lost) = (load.failed.clone(), load.lost.clone());
    drop(load);
    assert_eq!(failed.load(std::sync::atomic::Ordering::Relaxed), 0);
    assert_eq!(lost.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[test]
fn a_node_server_goes_live_twice_and_comes_back() {
    twice_and_back("node-server", "package.json", ("1.0.0", "1.0.0"), ("1.0.0", "2.0.0"));
}

#[test]
fn a_static_site_goes_live_twice_and_comes_back() {
    twice_and_back(
        "static-site",
        "public/index.html",
        ("Release 1.0.0", "Release 1.0.0"),
        ("Release 1.0.0", "Release 2.0.0"),
    );
}
