//! The server is dead and its journal is gone: the way back must still be one command, and a new
//! server must say what it has lost instead of making something up.

use super::*;

fn journal_files(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.state_dir()).unwrap().map(|entry| entry.unwrap().path());
    let is_journal = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal"))
    };
    entries.filter(is_journal).collect()
}

/// In mid-shift, without a server.
fn left_alone<'w>(world: &'w World) -> Town<'w> {
    let town = Town::new(world);
    let (_version, id) = town.deploy_next();
    world.wait_for(&id, |event| event["kind"] == "step_converged");
    world.end_server(Signal::KILL);
    town
}

fn comes_back(town: &Town<'_>) {
    let done = town.world.expect(0, &["rollback", "--emergency", "--reason", "fire"]);
    assert!(done.stdout.contains("back:"), "{done:?}");
    for _visitor in 0..20 {
        assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    }
}

#[test]
fn without_server_and_journal_one_command_moves_the_traffic() {
    let world = World::with_server();
    let town = left_alone(&world);
    for file in journal_files(&world) {
        fs::remove_file(file).unwrap();
    }
    comes_back(&town);
    // What runs was wanted by a journal that is not there: none is made up.
    for _attempt in 0..2 {
        let refused = world.run(&["server", "run"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("error[TG6116]"), "{refused:?}");
        assert!(refused.stderr.contains("the proxy serves its last table"), "{refused:?}");
    }
    let refused = world.run(&["deploy", "v2"]);
    assert!(refused.stderr.contains("TG6116") && refused.code == 1, "{refused:?}");
    assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    assert!(town.users.finish().failed.is_empty());
}

#[test]
fn a_journal_cut_short_is_refused() {
    let world = World::with_server();
    let town = Town::new(&world);
    // An orderly end leaves a checkpoint of everything.
    assert_eq!(world.end_server(Signal::TERM), Some(0));
    fs::write(world.state_dir().join("journal.sqlite"), "").unwrap();
    let refused = world.run(&["server", "run"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("error[TG6013]"), "{refused:?}");
    assert_eq!(town.app.visit("/"), Some((200, "v1".to_owned())));
    assert!(town.users.finish().failed.is_empty());
}

#[test]
fn a_damaged_journal_is_refused_by_name_and_the_traffic_comes_back_all_the_same() {
    let world = World::with_server();
    let town = left_alone(&world);
    for file in journal_files(&world) {
        let length = fs::metadata(&file).unwrap().len();
        fs::write(&file, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
    }
    let refused = world.run(&["server", "run"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.stderr.contains("error[TG60"), "{refused:?}");
    assert!(refused.stderr.contains("the proxy serves its last table"), "{refused:?}");
    comes_back(&town);
    assert!(town.users.finish().failed.is_empty());
}
