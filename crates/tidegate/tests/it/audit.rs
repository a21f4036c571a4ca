//! The audit with the real binary: a bundle that proves itself on a machine that has only it and
//! the public key, checkpoints in places outside, and a database that is an older copy.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::{App, Done, TIDEGATE, World, wait};

const REPORT: &str = r#"<testsuites><testsuite name="cart" tests="1" failures="0">
    <testcase name="adds"/></testsuite></testsuites>"#;

/// A world in which a release with a report went live.
fn deployed(world: &World) -> App<'_> {
    let app = world.app();
    fs::create_dir(app.path().join("reports")).unwrap();
    app.write(".gitignore", "reports\n");
    let check = "check:\n  unit: {junit: reports/unit.xml}\n";
    app.write("tidegate.yaml", &format!("{}{check}", app.config("")));
    app.release("v1.0.0", "");
    app.write("reports/unit.xml", REPORT);
    world.expect(0, &["evidence", "add", "reports/unit.xml"]);
    world.expect(19, &["deploy"]);
    app
}

/// An auditor's machine: the program, the bundle and the key, and no state directory.
fn auditor(bundle: &Path, key: &str) -> Done {
    let nowhere = bundle.with_extension("nowhere");
    let mut command = Command::new(TIDEGATE);
    command.env_clear().env("TIDEGATE_STATE_DIR", nowhere).args(["audit", "verify"]);
    Done::of(&command.arg(bundle).args(["--key", key]).output().unwrap())
}

#[test]
fn a_bundle_proves_itself_with_nothing_but_the_public_key() {
    let world = World::with_server();
    let _app = deployed(&world);
    let bundle = world.path().join("v1.tar");
    world.expect(0, &["audit", "bundle", "--output", bundle.to_str().unwrap()]);
    let key = world.expect(0, &["audit", "key"]).stdout.trim().to_owned();
    world.end_server(Signal::TERM);

    let path = bundle.to_str().unwrap();
    let checked = world.expect(0, &["audit", "verify", path, "--key", &key, "--json"]).json();
    assert_eq!(checked["problems"], serde_json::json!([]), "{checked:#}");
    assert_eq!(
        (&checked["reports"], &checked["manifest"]["version"]),
        (&1.into(), &"v1.0.0".into())
    );
    let course = checked["course"].as_array().unwrap();
    assert_eq!(course.first().unwrap()["kind"], "deployment_started");
    assert_eq!(course.last().unwrap()["kind"], "deployment_ended");
    let said = auditor(&bundle, &key);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("verified"), "{said:?}");

    // Another key proves nothing, and neither do other bytes, wherever they stand.
    let other = world.path().join("other");
    fs::create_dir(&other).unwrap();
    let stranger = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(auditor(&bundle, stranger).code, 2);
    let whole = fs::read(&bundle).unwrap();
    let changed = other.join("changed.tar");
    for (what, with) in [
        ("\"actor\":\"person:", "\"actor\":\"persoN:"),
        ("name=\"adds\"", "name=\"addS\""),
        ("\"version\": \"v1.0.0\"", "\"version\": \"v1.0.1\""),
        ("deployment_ended", "deployment_enDed"),
    ] {
        let at = whole.windows(what.len()).position(|bytes| bytes == what.as_bytes());
        let mut bytes = whole.clone();
        let at = at.unwrap_or_else(|| panic!("no {what} in the bundle"));
        bytes[at..at + with.len()].copy_from_slice(with.as_bytes());
        fs::write(&changed, bytes).unwrap();
        assert_ne!(auditor(&changed, &key).code, 0, "{what}");
    }
    fs::write(&changed, &whole[..whole.len() / 2]).unwrap();
    assert_ne!(auditor(&changed, &key).code, 0, "half of it");
}

#[test]
fn entries_are_found_and_exported() {
    let world = World::with_server();
    let _app = deployed(&world);
    let found = world.expect(0, &["audit", "search", "--kind", "deployment_started", "--json"]);
    let found = found.json();
    assert_eq!(found["entries"].as_array().unwrap().len(), 1, "{found:#}");
    assert_eq!(found["entries"][0]["stream"], "shop/production");
    let first = world.expect(0, &["audit", "search", "--limit", "1", "--json"]).json();
    assert_eq!((&first["entries"][0]["position"], &first["next"]), (&0.into(), &1.into()));
    let every = world.expect(0, &["audit", "export"]).ndjson();
    for (position, entry) in every.iter().enumerate() {
        assert_eq!(entry["position"], position, "{entry}");
    }
    let verified = world.expect(0, &["audit", "verify", "--json"]).json();
    assert_eq!(verified["journal"]["events"], every.len());
    let table = world.expect(0, &["audit", "export", "--format", "csv"]).stdout;
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    assert_eq!(reader.records().map(Result::unwrap).count(), every.len());
    world.expect(2, &["audit", "search", "--limit", "1001"]);
    let nobody = world.expect(0, &["audit", "search", "--actor", "person:nobody", "--json"]);
    assert_eq!(nobody.json()["entries"], serde_json::json!([]));
}

#[test]
fn checkpoints_go_outside_and_an_older_database_is_seen_by_them() {
    let world = World::new();
    let remote = world.path().join("remote.git");
    let folder = world.path().join("kept");
    fs::create_dir(&folder).unwrap();
    let made = Command::new("git").args(["init", "--quiet", "--bare"]).arg(&remote).status();
    assert!(made.unwrap().success());
    let settings =
        format!("audit:\n  - git: {}\n  - folder: {}\n", remote.display(), folder.display());
    let world = world.with_settings(&settings);
    let _app = deployed(&world);
    let size = || world.get("/v1/audit?limit=1000")["entries"].as_array().unwrap().len();
    let head = wait("both places have the newest checkpoint", || {
        let found = world.get("/v1/audit/checkpoint");
        let all = found["places"].as_array().unwrap().iter().all(|p| p["size"] == size());
        all.then_some(found)
    });
    // Both lie beside the database, so that the journal does not count as anchored.
    assert_eq!(head["anchored"], false, "{head:#}");
    assert!(head["sentence"].as_str().unwrap().starts_with("not externally anchored"), "{head:#}");

    // What was kept proves that the journal grew from it, and only with the log's key.
    let key = head["key"].as_str().unwrap();
    let log = key.split(['/', '+']).nth(1).unwrap();
    let kept = folder.join(log).join("checkpoint");
    let shown = Command::new("git")
        .arg("-C")
        .arg(&remote)
        .args(["show", &format!("tidegate-audit-{log}:checkpoint")])
        .output()
        .unwrap();
    assert_eq!(shown.stdout, fs::read(&kept).unwrap());
    let path = kept.to_str().unwrap();
    world.expect(0, &["audit", "verify", "--checkpoint", path, "--key", key]);

    // The database of before, with its own checkpoint file: only the places know better.
    world.end_server(Signal::TERM);
    for name in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "journal.checkpoint"]
    {
        let _gone = fs::remove_file(world.state_dir().join(name));
    }
    for name in ["proxy/tables", "slots"] {
        let _gone = fs::remove_dir_all(world.state_dir().join(name));
    }
    let refused = world.expect(1, &["server", "run"]);
    assert!(refused.stderr.contains("TG6202"), "{refused:?}");
    assert!(refused.stderr.contains("did not grow from"), "{refused:?}");
    // Nothing in the places was overwritten.
    assert_eq!(shown.stdout, fs::read(&kept).unwrap());
}

#[test]
fn the_key_is_kept_from_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::with_server();
    world.end_server(Signal::TERM);
    let key = world.state_dir().join("audit.key");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = world.expect(1, &["server", "run"]);
    assert!(
        refused.stderr.contains("TG6201") && refused.stderr.contains("chmod 600"),
        "{refused:?}"
    );
}
