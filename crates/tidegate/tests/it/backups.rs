//! Backups with the real binary: a gate before anything changes, by hand, and rehearsed.
//! Must never look at a database that this test did not make.

use std::fs;

use crate::harness::{App, World};

fn app<'w>(world: &'w World, more: &str) -> App<'w> {
    let app = world.app();
    app.write("tidegate.yaml", &format!("{}{more}", app.config("")));
    app
}

fn database(world: &World) -> std::path::PathBuf {
    let path = world.path().join("shop.db");
    let made = std::process::Command::new("python3")
        .args([
            "-c",
            "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); \
            c.execute('create table orders(id integer primary key, what text)'); \
            c.executemany('insert into orders(what) values (?)', [('tea',),('cake',)]); c.commit()",
        ])
        .arg(&path)
        .status()
        .unwrap();
    assert!(made.success());
    path
}

#[test]
fn a_release_has_a_backup_that_was_restored_and_can_be_restored_again() {
    let world = World::with_server();
    let path = database(&world);
    let more =
        format!("backup: {{by: sqlite, of: \"{}\", newer_than: 1h, keep: 30d}}\n", path.display());
    let app = app(&world, &more);
    app.release("v1.0.0", "");
    world.expect(19, &["deploy"]);
    let listed = world.expect(0, &["backup", "list", "--json"]).json();
    let first = &listed[0];
    assert_eq!((first["parts"].as_u64(), first["rows"].as_u64()), (Some(1), Some(2)), "{listed:#}");
    assert_eq!(first["drill"]["outcome"], "pass", "{listed:#}");
    let id = first["id"].as_str().unwrap().to_owned();
    let timeline = world.expect(0, &["timeline"]).stdout;
    assert!(timeline.contains(&format!("drill of {id}: pass")), "{timeline}");
    // It is young enough for the next release, and is read back for it.
    app.release("v1.0.1", "");
    let load = app.load();
    world.expect(0, &["deploy"]);
    drop(load);
    assert_eq!(world.expect(0, &["backup", "list", "--json"]).json().as_array().unwrap().len(), 1);

    let made = world.expect(0, &["backup", "create", "--json"]).json();
    let second = made[0]["id"].as_str().unwrap().to_owned();
    world.expect(0, &["backup", "verify", &second]);
    let drill = world.expect(0, &["drill", "restore"]).stdout;
    assert!(drill.contains(&second) && drill.contains("1 parts with 2 rows"), "{drill}");
    let into = world.path().join("restored.db");
    let into_text = into.to_str().unwrap();
    world.expect(0, &["backup", "restore", &second, "--into", into_text]);
    assert!(into.exists());
    let again = world.run(&["backup", "restore", &second, "--into", into_text]);
    assert!(again.code != 0 && again.stderr.contains("TG6623"), "{again:?}");

    world.expect(2, &["backup", "hold", &id]);
    world.expect(0, &["backup", "hold", &id, "--reason", "the audit of March"]);
    let listed = world.expect(0, &["backup", "list"]).stdout;
    assert!(listed.contains("held: the audit of March"), "{listed}");

    // One changed byte is seen, and no release rests on it.
    let place = made[0]["place"].as_str().unwrap();
    fs::write(std::path::Path::new(place).join("data"), "another").unwrap();
    let bad = world.run(&["backup", "verify", &second]);
    assert!(bad.code != 0 && bad.stderr.contains("TG6621"), "{bad:?}");
    assert_eq!(world.run(&["drill", "restore", &second]).code, 11);
}

#[test]
fn without_a_good_backup_nothing_is_started() {
    let world = World::with_server();
    let app = app(&world, "backup: {by: sqlite, of: /nowhere/shop.db}\n");
    app.release("v1.0.0", "");
    let refused = world.expect(11, &["deploy"]);
    assert!(refused.stdout.contains("backup fail: TG6620"), "{refused:?}");
    assert_eq!(app.visit("/"), None, "nothing was started");
    // A command that says that it succeeded and wrote nothing.
    for (make, said) in [("true", "TG6620"), ("echo x > $TIDEGATE_BACKUP", "TG6622")] {
        let more =
            format!("backup: {{by: exec, shell: \"{make}\", restore: [\"false\"], keep: 1d}}\n");
        app.write("tidegate.yaml", &format!("{}{more}", app.config("")));
        let version = if make == "true" { "v1.0.1" } else { "v1.0.2" };
        app.release(version, "");
        let refused = world.expect(11, &["deploy"]);
        assert!(refused.stdout.contains(said), "{make}: {refused:?}");
        assert_eq!(app.visit("/"), None, "nothing was started");
    }
}
