//! The server process: one a state directory, for its owner alone, replaced without notice.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use crate::harness::{World, send, wait};

#[test]
fn a_second_server_is_refused_and_the_first_goes_on() {
    let world = World::with_server();
    let second = world.expect(6, &["server", "run"]);
    assert!(second.stderr.contains("TG6110"), "{second:?}");
    assert!(second.stderr.contains("that server goes on"), "{second:?}");
    let shown = world.expect(0, &["server", "status", "--json"]).json();
    assert_eq!(shown["pid"], world.server_pid());
    // Its socket gone, the lock of the journal still stands.
    fs::remove_file(world.socket()).unwrap();
    let locked = world.expect(6, &["server", "run"]);
    assert!(locked.stderr.contains("TG6110") && locked.stderr.contains("held"), "{locked:?}");
}

#[test]
fn everything_it_keeps_is_for_its_owner_alone() {
    let world = World::with_server();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(world.state_dir()), 0o700);
    assert_eq!(mode(world.socket()), 0o600);
    assert_eq!(mode(world.state_dir().join("server.log")), 0o600);
    let shown = world.get("/v1/server");
    let me = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    assert_eq!(shown["you"], String::from_utf8(me).unwrap().trim(), "the kernel says who asks");
    world.end_server(Signal::TERM);
    fs::set_permissions(world.state_dir(), fs::Permissions::from_mode(0o755)).unwrap();
    let open = world.expect(4, &["server", "run"]);
    assert!(open.stderr.contains("TG6111") && open.stderr.contains("chmod 700"), "{open:?}");
}

#[test]
fn sigterm_ends_it_cleanly_and_users_do_not_notice() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let before = world.get("/v1/services/shop/slots")["parts"][0]["slots"].clone();
    assert_eq!(world.end_server(Signal::TERM), Some(0));
    assert!(!world.socket().exists());
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
    world.start_server();
    let after = world.get("/v1/services/shop/slots")["parts"][0]["slots"].clone();
    assert_eq!(before, after, "the same slots, adopted");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
}

#[test]
fn a_killed_server_leaves_a_socket_that_the_next_one_takes_over() {
    let world = World::with_server();
    let epoch = world.get("/v1/server")["epoch"].as_u64().unwrap();
    world.end_server(Signal::KILL);
    assert!(world.socket().exists());
    world.expect(69, &["server", "status"]);
    world.start_server();
    assert!(world.get("/v1/server")["epoch"].as_u64().unwrap() > epoch);
}

#[test]
fn a_killed_proxy_is_back_within_a_second_with_its_table() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let pid = |world: &World| world.get("/v1/server")["proxy"]["pid"].as_u64();
    let first = wait("the proxy runs", || pid(&world));
    send(u32::try_from(first).unwrap(), Signal::KILL);
    let back = wait("the proxy serves again", || app.visit("/"));
    assert_eq!(back, (200, "v1".to_owned()));
    let second = wait("another process serves", || pid(&world).filter(|pid| *pid != first));
    assert_ne!(first, second);
    let status = world.expect(0, &["proxy", "status", "--json"]).json();
    assert_eq!(status["running"], true);
}

#[test]
fn a_path_too_long_for_a_socket_is_refused_in_words() {
    let world = World::new();
    let long = world.path().join("d".repeat(120));
    let done = world.expect(2, &["server", "run", "--state-dir", long.to_str().unwrap()]);
    assert!(done.stderr.contains("TG6113") && done.stderr.contains("shorter"), "{done:?}");
}
