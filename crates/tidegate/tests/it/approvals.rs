//! People with accounts of two factors decide about a release: who wrote it does not count, a code
//! owner must be among them, a further push voids what they gave, and machines never approve.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::browser::Authenticator;
use crate::harness::{App, Done, World};

const PASSWORD: &str = "correct horse battery";

/// Somebody at their own terminal: their own home, and so their own credentials.
struct Person<'w> {
    world: &'w World,
    name: &'static str,
    home: PathBuf,
    factor: Authenticator,
}

impl<'w> Person<'w> {
    /// Invited by the owner, set up and signed in, all by the command line.
    fn new(world: &'w World, name: &'static str, more: &[&str]) -> Self {
        let home = world.path().join(format!("home-{name}"));
        std::fs::create_dir(&home).unwrap();
        let invite = [&["user", "invite", name, "--role", "developer"][..], more].concat();
        let code = world.expect(0, &invite).stdout.trim().to_owned();
        let mut person = Self { world, name, home, factor: Authenticator::new("") };
        let done = person.told(&["login", "--set-up", "--account", name], &[&code, PASSWORD]);
        assert_eq!(done.code, 0, "{done:?}");
        let secret = done.stdout.split("secret=").nth(1).unwrap().split('&').next().unwrap();
        person.factor = Authenticator::new(secret);
        // An invitation is used once.
        let again = person.told(&["login", "--set-up", "--account", name], &[&code, PASSWORD]);
        assert_eq!(again.code, 4, "{again:?}");
        let code = person.factor.code();
        let done = person.told(&["login", "--account", name], &[PASSWORD, &code]);
        assert_eq!(done.code, 0, "{done:?}");
        person
    }

    fn run(&self, arguments: &[&str]) -> Done {
        self.told(arguments, &[])
    }

    fn told(&self, arguments: &[&str], lines: &[&str]) -> Done {
        Done::told(self.world.command(arguments).env("HOME", &self.home), lines)
    }

    #[track_caller]
    fn approves(&self, id: &str) -> Done {
        let done = self.run(&["approve", id, "-y"]);
        assert_eq!(done.code, 0, "{}: {done:?}", self.name);
        done
    }
}

/// A release that somebody wrote.
fn release_by(app: &App<'_>, version: &str, author: &str) {
    app.write("answer", version);
    app.git(&["add", "-A"]);
    let author = format!("{author} <{author}@example.org>");
    app.git(&["commit", "-q", "--allow-empty", "--author", &author, "-m", version]);
    app.git(&["tag", version]);
}

const POLICY: &str = "people:
  product: {members: [kofi]}
  security: {members: [mira, bob]}
  engineering: {members: [lin]}
approve: three-signatures
";

#[test]
fn three_accounts_sign_and_a_further_push_voids_what_they_gave() {
    let world = World::with_server();
    let app = world.app();
    app.write("CODEOWNERS", "* @lin-dev\n");
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let mira = Person::new(&world, "mira", &[]);
    let kofi = Person::new(&world, "kofi", &[]);
    let lin = Person::new(&world, "lin", &["--known-as", "@lin-dev"]);
    let bob = Person::new(&world, "bob", &["--known-as", "bob@example.org"]);
    app.write("tidegate.yaml", &format!("{}{POLICY}", app.config("")));
    // Whoever writes the change makes themselves its owner: the file of the live commit counts.
    app.write("CODEOWNERS", "* @bob\n");
    release_by(&app, "v2", "bob");
    let load = app.load();
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "approvals");

    let author = bob.run(&["approve", &id, "-y"]);
    assert_eq!(author.code, 4, "{author:?}");
    assert!(author.stderr.contains("TG8050") && author.stderr.contains("author"), "{author:?}");
    let said = mira.approves(&id);
    assert!(said.stdout.contains("recorded"), "{said:?}");
    assert!(said.stderr.contains("1 more approval from product"), "{said:?}");
    assert!(said.stderr.contains("is stopped in"), "{said:?}");
    kofi.approves(&id);
    let why = world.expect(0, &["why", &id]).stdout;
    assert!(why.contains("@lin-dev") && !why.contains("product"), "{why}");
    let inbox = lin.run(&["inbox", "--json"]).json();
    assert_eq!(inbox["who"], "lin");
    assert_eq!(inbox["items"][0]["deployment"], id.as_str());

    // A further push is another D.
    release_by(&app, "v3", "bob");
    let body = json!({ "repository": app.path(), "version": "v3", "supersede": true });
    let next = world.ask(200, "POST", "/v1/deployments", &body)["id"].as_str().unwrap().to_owned();
    assert_eq!(world.wait_for_end(&id), "superseded");
    world.wait_for_phase(&next, "approvals");
    let sheet = world.get(&format!("/v1/deployments/{next}/approvals"));
    assert_eq!(sheet["approvals"], json!([]));
    let voided = sheet["voided"].as_str().unwrap();
    assert!(voided.contains("mira, kofi are void") && voided.contains("source commit"), "{voided}");
    assert_eq!(sheet["change"]["owned"][0]["owners"], json!(["@lin-dev"]), "{sheet}");
    let stakes = &sheet["stakes"];
    let subjects: Vec<&Value> =
        stakes["change"]["commits"].as_array().unwrap().iter().map(|c| &c["subject"]).collect();
    assert_eq!(subjects, ["v3", "v2"], "{stakes}");
    let differing = stakes["change"]["configuration"].as_array().unwrap();
    assert!(differing.iter().any(|one| one["place"] == "approve.rules[product].need"), "{stakes}");
    assert_eq!(stakes["change"]["unread"], json!([]), "{stakes}");
    assert!(stakes["risk"]["level"].is_string(), "{stakes}");

    lin.approves(&next);
    mira.approves(&next);
    kofi.approves(&next);
    assert_eq!(world.wait_for_end(&next), "succeeded");
    drop(load);
    let given: Vec<Value> =
        world.events(&next, 0).filter(|event| event["kind"] == "approval_given").collect();
    assert_eq!(given.len(), 3, "{given:?}");
}

#[test]
fn a_code_counts_once_and_a_machine_never_approves() {
    let world = World::with_server();
    let app = world.app();
    app.write("tidegate.yaml", &format!("{}approve: {{rules: [{{need: 1}}]}}\n", app.config("")));
    app.release("v1", "");
    let id = app.deploy("v1");
    world.wait_for_phase(&id, "approvals");

    let mut mira = Person::new(&world, "mira", &[]);
    let code = mira.factor.code();
    let confirmed = mira.told(&["login", "--confirm"], &[&code]);
    assert_eq!(confirmed.code, 0, "{confirmed:?}");
    let replayed = mira.told(&["login", "--account", "mira"], &[PASSWORD, &code]);
    assert_eq!(replayed.code, 4, "{replayed:?}");
    assert!(replayed.stderr.contains("TG7040"), "{replayed:?}");
    let unknown = mira.told(&["login", "--account", "nobody"], &[PASSWORD, &code]);
    assert_eq!(unknown.code, 4);
    assert!(unknown.stderr.contains("TG7040"), "the same words: {unknown:?}");

    // What an account may not do is refused where the event would be appended.
    let body = json!({ "repository": app.path(), "version": "v1" }).to_string();
    let deploy = mira.run(&["api", "POST", "/v1/deployments", "--body", &body]);
    assert_eq!(deploy.code, 4, "{deploy:?}");
    assert!(deploy.stderr.contains("TG8056"), "{deploy:?}");
    let people = mira.run(&["user", "list"]);
    assert_eq!(people.code, 4, "{people:?}");

    let never = world.run(&["token", "create", "ci", "--may", "approve"]);
    assert_eq!(never.code, 2, "{never:?}");
    let token = world.expect(0, &["token", "create", "ci", "--may", "read", "--may", "deploy"]);
    let token = token.stdout.trim().to_owned();
    let machine = |arguments: &[&str]| {
        let output = world.command(arguments).env("TIDEGATE_TOKEN", &token).output().unwrap();
        Done::of(&output)
    };
    let approve = machine(&["approve", &id, "-y"]);
    assert_eq!(approve.code, 4, "{approve:?}");
    let who = machine(&["whoami", "--json"]).json();
    assert_eq!((&who["name"], &who["human"]), (&json!("ci"), &json!(false)));
    world.expect(0, &["token", "revoke", "ci"]);
    let gone = machine(&["status"]);
    assert!(gone.code == 4 && gone.stderr.contains("TG7041"), "{gone:?}");

    // Who started it does not approve it, though they own the server.
    let starter = world.run(&["approve", &id, "-y"]);
    assert!(starter.code == 4 && starter.stderr.contains("started this deployment"), "{starter:?}");
    // A right that is taken is gone at once.
    world.expect(0, &["user", "set", "mira", "--active", "false"]);
    let disabled = mira.run(&["approve", &id, "-y"]);
    assert!(disabled.code == 4 && disabled.stderr.contains("TG7041"), "{disabled:?}");
    world.expect(0, &["abort", &id]);

    let book = std::fs::read_to_string(world.state_dir().join("people.json")).unwrap();
    let log = world.server_log();
    for secret in [PASSWORD, token.as_str()] {
        assert!(!book.contains(secret) && !log.contains(secret), "a secret was kept");
    }
}
