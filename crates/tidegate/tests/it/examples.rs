//! The applications under `examples/`, deployed twice and rolled back once while users come.
//! They are used as their README says: copied into a repository, nothing changed but the port.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::harness::{App, World};

/// Copies an example into the repository, with a port of this test.
fn adopt(app: &App<'_>, example: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example);
    copy(&from, &app.path());
    let config = fs::read_to_string(from.join("tidegate.yaml")).unwrap();
    let (before, rest) = config.split_once("listen: \"").unwrap();
    let (_port, after) = rest.split_once('"').unwrap();
    app.write("tidegate.yaml", &format!("{before}listen: \"{}\"{after}", app.listen));
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            // With its mode: a script stays executable.
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Commits all and tags it, after replacing a text in a file.
fn release(app: &App<'_>, version: &str, file: &str, replace: (&str, &str)) {
    let path: PathBuf = app.path().join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(replace.0), "{text}");
    fs::write(&path, text.replace(replace.0, replace.1)).unwrap();
    app.git(&["add", "--all"]);
    app.git(&["commit", "--quiet", "--message", version]);
    app.git(&["tag", version]);
}

/// Twice forward, once back. What the front page must say of each release is given.
fn there_and_back(example: &str, file: &str, first: (&str, &str), second: (&str, &str)) {
    let world = World::with_server();
    let app = world.app();
    adopt(&app, example);
    release(&app, "v1", file, (first.0, first.0));
    // Nobody has used it while it was watched: live, unverified.
    world.expect(19, &["deploy", "v1", "--no-input"]);
    let says = |words: &str| {
        let (status, body) = app.visit("/").unwrap();
        assert_eq!(status, 200);
        assert!(body.contains(words), "{words}: {body}");
    };
    says(first.1);
    assert_eq!(app.visit("/nothing").unwrap().0, 404);

    let load = app.load();
    release(&app, "v2", file, (first.0, second.0));
    world.expect(0, &["deploy", "v2", "--no-input"]);
    says(second.1);
    world.expect(0, &["rollback", "--reason", "the first was nicer", "--no-input"]);
    says(first.1);
    assert!(load.good.load(Ordering::Relaxed) > 0);
    assert_eq!(load.failed.load(Ordering::Relaxed), 0, "a user met an error");
    assert_eq!(load.lost.load(Ordering::Relaxed), 0, "a user met nobody");
}

#[test]
fn a_node_server_goes_there_and_back() {
    there_and_back(
        "node-server",
        "package.json",
        ("\"version\": \"1.0.0\"", "hello from 1.0.0"),
        ("\"version\": \"2.0.0\"", "hello from 2.0.0"),
    );
}

#[test]
fn a_static_site_behind_nginx_goes_there_and_back() {
    there_and_back(
        "static-site",
        "public/index.html",
        ("<h1>Release 1.0.0</h1>", "<h1>Release 1.0.0</h1>"),
        ("<h1>Release 2.0.0</h1>", "<h1>Release 2.0.0</h1>"),
    );
}
