//! What people get wrong, from the file to the application: each is told in words with a code and
//! an exit code, and the traffic is as it was.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::harness::{App, Done, TIDEGATE, World, belonging_to, free_port, visit, wait};

/// A service whose `v1` is live.
struct Live<'w> {
    world: &'w World,
    app: App<'w>,
}

impl<'w> Live<'w> {
    #[track_caller]
    fn in_(world: &'w World) -> Self {
        let app = world.app();
        app.release("v1", "");
        world.expect(19, &["deploy", "v1"]);
        Self { world, app }
    }

    /// The configuration of `v1` with one text exchanged for another, as the release `tag`.
    fn release_with(&self, tag: &str, old: &str, new: &str) {
        let good = self.app.config("");
        assert!(good.contains(old), "{old}");
        self.app.write("tidegate.yaml", &good.replacen(old, new, 1));
        self.app.release(tag, "");
    }

    /// A release that is run by this shell script; `APP` in it is the tiny application.
    fn release_run_by(&self, tag: &str, script: &str) {
        self.release_run_with(tag, script, "");
    }

    /// The same with more keys below `deploy:`.
    fn release_run_with(&self, tag: &str, script: &str, more: &str) {
        let program = tiny_app();
        self.app.write("run.sh", &script.replace("APP", program.to_str().unwrap()));
        let good = self.app.config(more);
        let run = format!("[{}]", program.display());
        let config =
            good.replace(&run, "[sh, run.sh]").replace("start_within: 20s", "start_within: 4s");
        self.app.write("tidegate.yaml", &config);
        self.app.release(tag, "");
    }

    /// Deploys what must not go live: this exit code, these words, and users as before.
    #[track_caller]
    fn refuses(&self, tag: &str, exit: i32, code: &str, words: &[&str]) -> Done {
        assert_eq!(self.app.visit("/"), Some((200, "v1".to_owned())), "before {tag}");
        let done = self.world.run(&["deploy", tag]);
        assert_eq!(done.code, exit, "{tag}: {done:#?}");
        let said = format!("{}{}", done.stdout, done.stderr);
        for word in words.iter().chain(&[code]) {
            assert!(said.contains(word), "{tag} is not told of {word:?}: {done:#?}");
        }
        let page = self.world.expect(0, &["explain", code]);
        assert!(page.stdout.contains("What to do"), "{page:?}");
        assert_eq!(self.app.visit("/"), Some((200, "v1".to_owned())), "after {tag}");
        assert_eq!(self.world.get("/v1/services")["services"][0]["live"], "v1", "{tag}");
        done
    }

    /// Nothing runs but what serves users: one instance.
    fn nothing_is_left(&self) {
        wait("only the live instance is left", || {
            let left = belonging_to(&self.world.state_dir().join("artifacts"));
            (left.len() == 1).then_some(())
        });
    }
}

fn tiny_app() -> PathBuf {
    Path::new(TIDEGATE).with_file_name("examples").join("tinyshop")
}

#[test]
fn a_file_with_errors_is_refused_with_every_error_and_its_place() {
    let world = World::with_server();
    let live = Live::in_(&world);
    for (tag, old, new, code, words) in [
        ("unknown", "grace: 1s", "graze: 1s", "TG1007", ["graze", "grace"]),
        ("unit", "grace: 1s", "grace: 1", "TG1013", ["grace", "tidegate.yaml:6"]),
        ("minutes", "for: 2s, at", "for: 5M, at", "TG1013", ["5M", "tidegate.yaml:13"]),
        ("fall", "[50%, 100%]", "[50%, 25%, 100%]", "TG1015", ["25%", "50%"]),
        ("past", "[50%, 100%]", "[50%, 150%]", "TG1015", ["150%", "tidegate.yaml:12"]),
        ("short", "[50%, 100%]", "[5%, 50%]", "TG1015", ["100%", "tidegate.yaml:12"]),
    ] {
        live.release_with(tag, old, new);
        live.refuses(tag, 3, code, &words);
    }
    assert_eq!(world.get("/v1/deployments")["deployments"].as_array().unwrap().len(), 1);
}

#[test]
fn a_tag_that_is_missing_or_was_moved_is_not_deployed() {
    let world = World::with_server();
    let live = Live::in_(&world);
    live.refuses("v9", 5, "TG3001", &["v9"]);
    live.app.release("v2", "");
    let load = live.app.load();
    world.expect(0, &["deploy", "v2"]);
    world.expect(0, &["rollback"]);
    drop(load);
    // The same name for other bytes: not what anybody reviewed.
    live.app.release("v3", "");
    live.app.git(&["tag", "--force", "v2"]);
    live.refuses("v2", 6, "TG8006", &["v2", "moved"]);
}

#[test]
fn a_build_that_fails_stops_it_with_its_last_words() {
    let world = World::with_server();
    let live = Live::in_(&world);
    let broken =
        "build: {shell: \"echo linking the shop; echo no such library >&2; exit 7\"}\ndeploy:";
    live.release_with("v2", "deploy:", broken);
    let done = live.refuses("v2", 11, "TG3009", &["no such library"]);
    assert!(done.stdout.contains('7'), "the exit code is told: {done:?}");
    let slow = "build: {shell: \"sleep 100\", timeout: 1s}\ndeploy:";
    live.release_with("v3", "deploy:", slow);
    live.refuses("v3", 11, "TG3010", &[]);
    live.nothing_is_left();
    let work = world.state_dir().join("work");
    wait("no export is left behind", || {
        (fs::read_dir(&work).map_or(0, Iterator::count) == 0).then_some(())
    });
}

#[test]
fn a_new_listen_address_that_is_taken_stops_before_anything_is_started() {
    let world = World::with_server();
    let live = Live::in_(&world);
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = stranger.local_addr().unwrap().to_string();
    live.release_with("v2", &live.app.listen.clone(), &taken);
    live.refuses("v2", 11, "TG5006", &[&taken, "nothing was started"]);
    live.nothing_is_left();
}

#[test]
fn a_new_listen_address_that_is_taken_on_the_way_waits_and_users_keep_the_old_one() {
    let world = World::with_server();
    let live = Live::in_(&world);
    let taken = format!("127.0.0.1:{}", free_port());
    live.release_with("v2", &live.app.listen.clone(), &taken);
    let load = live.app.load();
    let id = live.app.deploy("v2");
    world
        .wait_for(&id, |event| event["text"].as_str().is_some_and(|text| text.contains("is free")));
    let stranger = TcpListener::bind(&taken).unwrap();
    // The address comes with the live role: until then there is one for both releases.
    let refused = world.wait_for(&id, |event| event["kind"] == "split_refused");
    assert!(refused["text"].as_str().unwrap().contains("TG5006"), "{refused}");
    let why = world.expect(0, &["why"]);
    assert!(why.stdout.contains("TG5006") && why.stdout.contains(&taken), "{why:?}");
    assert_eq!(live.app.visit("/"), Some((200, "v2".to_owned())));
    assert_eq!(load.lost.load(Ordering::Relaxed), 0);
    drop(load);
    drop(stranger);
    assert_eq!(world.wait_for_end(&id), "succeeded");
    assert_eq!(visit(&taken, "/"), Some((200, "v2".to_owned())));
}

#[test]
fn a_first_deployment_on_a_taken_address_stops() {
    let world = World::with_server();
    let app = world.app();
    let _stranger = TcpListener::bind(&app.listen).unwrap();
    app.release("v1", "");
    let done = world.expect(11, &["deploy", "v1"]);
    assert!(done.stdout.contains("TG5006") && done.stdout.contains(&app.listen), "{done:?}");
    wait("nothing of it runs", || {
        belonging_to(&world.state_dir().join("artifacts")).is_empty().then_some(())
    });
}

#[test]
fn an_application_that_never_listens_goes_back() {
    let world = World::with_server();
    let live = Live::in_(&world);
    live.release_run_by("v2", "echo thinking; exec tail -f /dev/null");
    let config = fs::read_to_string(live.app.path().join("tidegate.yaml")).unwrap();
    live.app.write("tidegate.yaml", &config.replace("start_within: 4s", "start_within: 13s"));
    live.app.git(&["commit", "-qam", "patience"]);
    live.app.git(&["tag", "--force", "v2"]);
    live.refuses("v2", 13, "TG4010", &["start"]);
    live.nothing_is_left();
}

#[test]
fn an_application_on_the_wrong_port_goes_back_and_the_port_is_named() {
    let world = World::with_server();
    let live = Live::in_(&world);
    let wrong = free_port().to_string();
    live.release_run_by("v2", &format!("PORT={wrong} exec APP"));
    live.refuses("v2", 13, "TG4011", &[&wrong]);
    live.nothing_is_left();
}

#[test]
fn an_application_that_ends_at_once_goes_back_with_its_last_words() {
    let world = World::with_server();
    let live = Live::in_(&world);
    live.release_run_by("v2", "echo no such table: orders >&2; exit 3");
    live.refuses("v2", 13, "TG4012", &["no such table: orders", "3"]);
    live.release_run_by("v3", "exec ./not-there");
    live.refuses("v3", 13, "TG4012", &["not-there"]);
    live.nothing_is_left();
}

#[test]
fn an_application_that_forks_away_goes_back_and_leaves_nobody() {
    let world = World::with_server();
    let live = Live::in_(&world);
    live.release_run_by("v2", "setsid APP &\nexit 0");
    live.refuses("v2", 13, "TG4015", &["must stay in the foreground"]);
    live.nothing_is_left();
}

#[test]
fn an_application_that_prints_without_end_fills_no_disk() {
    let world = World::with_server();
    let live = Live::in_(&world);
    // 200 MB in the first seconds of its life, and then it serves.
    let script = "head -c 200000000 /dev/zero | tr '\\0' x\nexec APP";
    live.release_run_with("v2", script, "  log: 1 MiB\n");
    let config = fs::read_to_string(live.app.path().join("tidegate.yaml")).unwrap();
    live.app.write("tidegate.yaml", &config.replace("start_within: 4s", "start_within: 40s"));
    live.app.release("v3", "");
    let load = live.app.load();
    world.expect(0, &["deploy", "v3"]);
    assert_eq!(load.lost.load(Ordering::Relaxed) + load.failed.load(Ordering::Relaxed), 0);
    assert_eq!(live.app.visit("/"), Some((200, "v3".to_owned())));
    let kept = size(&world.state_dir().join("slots"));
    assert!(kept < 3 * 1024 * 1024, "{kept} bytes of logs");
    let shown = world.expect(0, &["logs", "--part", "web"]);
    assert!(shown.stdout.len() < 2 * 1024 * 1024);
}

#[test]
fn an_application_that_ignores_sigterm_is_ended_all_the_same() {
    let world = World::with_server();
    let live = Live::in_(&world);
    // Deaf, and never healthy: it is taken down again.
    live.release_run_by("v2", "trap '' TERM\necho deaf\nexec APP");
    live.app.write("behaviour", "sick 1");
    live.app.git(&["commit", "-qam", "sick"]);
    live.app.git(&["tag", "v3"]);
    live.refuses("v3", 13, "TG4101", &["health"]);
    live.nothing_is_left();
}

/// Bytes of all files below a directory.
fn size(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let is_directory = entry.file_type().unwrap().is_dir();
            // Logs are cut while we look.
            if is_directory { size(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) }
        })
        .sum()
}
