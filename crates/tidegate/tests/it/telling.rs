//! People are told, called and asked, with the real binary and a town of channels: a rollback in the
//! middle of a deployment opens an incident, calls once, prepares the public page, and is over when
//! somebody says so. Must never let a message hold a deployment up.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::chromium::Chromium;
use crate::harness::{App, World, wait};
use crate::town::{Mood, Town};

/// A world whose server reaches the town, and an application that tells of itself.
fn telling<'w>(place: &'w mut Option<World>, town: &Town, more: &str) -> (&'w World, App<'w>) {
    let new = World::new();
    let url = town.url();
    let settings = format!(
        "channels:\n  slack: {{token: \"secret://file/slack\", url: \"{url}/slack\"}}\n  \
         pagerduty: {{routing_key: \"secret://file/pager\", url: \"{url}/pagerduty\"}}\n  \
         status_page: {{page: p1, token: \"secret://file/page\", url: \"{url}/v1\"}}\n  \
         webhooks:\n    cd: {{url: \"{url}/hook\", format: cdevents}}\n"
    );
    let world = place.insert(new.with_settings(&settings));
    let secrets = world.state_dir().join("secrets");
    fs::create_dir_all(&secrets).unwrap();
    for (name, value) in [("slack", "xoxb-1"), ("pager", "r0utingkey"), ("page", "key-1")] {
        fs::write(secrets.join(name), value).unwrap();
        fs::set_permissions(secrets.join(name), Permissions::from_mode(0o600)).unwrap();
    }
    let app = world.app();
    app.write("tidegate.yaml", &format!("{}{more}", app.config("")));
    (world, app)
}

const ROUTES: &str = "tell:\n  \
    start: {slack: \"#releases\", webhook: cd}\n  \
    success: {slack: \"#releases\", webhook: cd, says: [\"{service} {version} at https://shop\"]}\n  \
    rollback: {slack: \"#releases\", pagerduty: critical, webhook: cd}\n  \
    incident: {slack: \"#incidents\", pagerduty: critical, status_page: draft}\n";
const INCIDENT: &str = "incident:\n  ladder: [lead, director]\n  \
    severity: {p1: {means: users had it, within: 10m}}\n  \
    steps: [look at the logs]\n  postmortem: {within: 24h, contains: [lessons]}\n";

fn said(town: &Town, room: &str) -> Vec<Value> {
    let heard = town.heard("/slack/chat.postMessage").into_iter().map(|heard| heard.body);
    heard.filter(|body| body["channel"] == room).collect()
}

#[test]
fn a_rollback_opens_an_incident_calls_once_and_waits_for_a_person_with_the_public_page() {
    let town = Town::new();
    let mut place = None;
    let (world, app) = telling(&mut place, &town, &format!("{ROUTES}{INCIDENT}"));
    app.release("v1", "");
    let first = app.deploy("v1");
    let end = world.wait_for_end(&first);
    assert_eq!(
        end,
        "live_unverified",
        "{:#}",
        world.get(&format!("/v1/deployments/{first}/events"))
    );
    // A good release tells twice.
    wait("both were told", || (said(&town, "#releases").len() == 2).then_some(()));
    let told = said(&town, "#releases");
    assert!(told[0]["text"].as_str().unwrap().contains("deployment began"), "{told:#?}");
    let lines = told[1]["blocks"][1]["text"]["text"].as_str().unwrap();
    assert!(lines.contains("shop v1 at https://shop"), "{lines}");
    assert!(told[1]["thread_ts"].is_string(), "one thread a deployment: {told:#?}");
    assert_eq!(world.get("/v1/incidents")["incidents"], json!([]));

    app.release("v2", "fail 100");
    let load = app.load();
    let id = app.deploy("v2");
    assert_eq!(world.wait_for_end(&id), "rolled_back");
    drop(load);
    let open = world.get("/v1/incidents")["incidents"][0].clone();
    let incident = open["id"].as_str().unwrap().to_owned();
    assert_eq!((&open["severity"], &open["state"]), (&json!("p1"), &json!("open")), "{open:#}");
    assert_eq!(open["deployment"], id.as_str());
    assert!(open["sentence"].as_str().unwrap().starts_with("lead has to answer"), "{open:#}");
    let page = format!("shop/production/{incident}");
    wait("somebody was called", || town.pages().contains_key(&page).then_some(()));
    let whole = world.get(&format!("/v1/incidents/{incident}"));
    let impact = &whole["impact"];
    assert!(impact["requests"].as_u64().unwrap() > 0, "{impact:#}");
    assert_eq!(impact["share_bp"], 5_000, "{impact:#}");
    assert!(whole["verified"] == true, "{whole:#}");
    let timeline = whole["timeline"].to_string();
    assert!(timeline.contains("rolling back") && timeline.contains("opened"), "{timeline}");

    // Nothing was put before customers; somebody finds the words.
    assert!(town.public().is_empty());
    let draft = &whole["drafts"][0];
    assert_eq!(draft["channel"], "status_page", "{whole:#}");
    let number = draft["number"].to_string();
    let words = "Some orders failed for a minute.";
    world.expect(0, &["notify", "release", &number, "--text", words]);
    let public = wait("customers can read it", || town.public().pop());
    assert_eq!(public["body"], words, "{public:#}");

    let acked = world.expect(0, &["incident", "ack", &incident]);
    assert!(acked.stdout.contains("can be resolved"), "{acked:?}");
    let resolved = world.expect(0, &["incident", "resolve", &incident]);
    assert!(resolved.stdout.contains("the check after the rollback passed"), "{resolved:?}");
    wait("the page is closed", || {
        (town.pages().get(&page) == Some(&("resolved".to_owned(), 1))).then_some(())
    });
    assert_eq!(town.pages().len(), 1, "one page for one incident: {:?}", town.pages());
    let drafts = world.get(&format!("/v1/incidents/{incident}"))["drafts"].clone();
    for draft in drafts.as_array().unwrap() {
        world.expect(0, &["notify", "release", &draft["number"].to_string()]);
    }
    wait("customers read that it is over", || {
        (town.public()[0]["status"] == "resolved").then_some(())
    });

    is_written_up(world, &town, &id, &incident);
    town.has_no_complaint();
}

/// The draft, the report and the events of machines tell of it, and customers of nothing inside.
fn is_written_up(world: &World, town: &Town, id: &str, incident: &str) {
    let draft = world.expect(0, &["postmortem", id]).stdout;
    assert!(draft.contains(&format!("## Incident {incident} (P1)")), "{draft}");
    assert!(draft.contains("was on it") && draft.contains("## lessons"), "{draft}");
    // Nothing of how it is made is put before customers.
    assert!(!town.heard("/v1/pages")[0].raw.contains("v2"));
    is_learnt_from(world, incident);
    let report = world.expect(0, &["report", id]);
    assert!(report.stdout.contains("incident") && report.stdout.contains("for pagerduty"));
    let kinds = town.heard("/hook").into_iter();
    let kinds: Vec<String> =
        kinds.map(|heard| heard.body["type"].as_str().unwrap().to_owned()).collect();
    let back = kinds.iter().any(|kind| kind.starts_with("dev.cdevents.service.rolledback"));
    assert!(back, "{kinds:?}");
}

/// What is over is written up, with what is to be done.
fn is_learnt_from(world: &World, incident: &str) {
    let item = "test the price | ada | 1 March";
    world.expect(0, &["incident", "learn", incident, "https://wiki/pm", "--item", item]);
    let items = world.expect(0, &["incident", "items", incident]);
    assert!(items.stdout.contains("test the price,ada,1 March"), "{items:?}");
    let shown = world.expect(0, &["incident", "show", incident]);
    assert!(shown.stdout.contains("to do: look at the logs"), "{shown:?}");
    assert!(world.expect(0, &["incident", "list", "--open"]).stdout.is_empty());
}

/// The server dies with messages that nobody took: they are sent when it is back, each once.
#[test]
fn what_was_not_told_is_told_after_a_kill_and_nothing_twice() {
    let town = Town::new();
    let mut place = None;
    let (world, app) = telling(&mut place, &town, ROUTES);
    app.release("v1", "");
    // The chat is busy for an hour, for all that the deployment does.
    town.moods(&[Mood::Busy(3_600), Mood::Busy(3_600)]);
    let end = world.wait_for_end(&app.deploy("v1"));
    assert_eq!(end, "live_unverified", "it waits for no message");
    let resting = || {
        let found = world.get("/v1/messages")["messages"].clone();
        let resting = found.as_array().unwrap().iter().find(|it| it["state"] == "resting").cloned();
        resting.filter(|it| it["channel"] == "slack")
    };
    let stuck = wait("the chat was asked", resting);
    assert!(stuck["said"].as_str().unwrap().contains("429"), "{stuck:#}");
    world.end_server(Signal::KILL);
    world.start_server();
    assert!(resting().is_some(), "it is left alone as it asked");
    let number = stuck["number"].to_string();
    world.expect(0, &["notify", "redeliver", &number]);
    wait("all was told", || {
        let found = world.get("/v1/messages")["messages"].clone();
        found.as_array().unwrap().iter().all(|it| it["state"] != "due").then_some(())
    });
    let listed = world.expect(0, &["notify", "list"]);
    assert!(listed.stdout.contains("slack #releases sent"), "{listed:?}");
    let texts: Vec<Value> = said(&town, "#releases").iter().map(|it| it["text"].clone()).collect();
    let once: std::collections::BTreeSet<String> = texts.iter().map(Value::to_string).collect();
    assert_eq!(once.len(), texts.len(), "{texts:#?}");
    town.has_no_complaint();
}

#[test]
fn a_channel_is_tried_and_says_what_is_wrong_with_it() {
    let town = Town::new();
    let mut place = None;
    let (world, app) = telling(&mut place, &town, "");
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let tried = world.expect(0, &["notify", "test", "slack", "#releases"]);
    assert!(tried.stdout.contains("slack #releases took a test message"), "{tried:?}");
    let unknown = world.run(&["notify", "test", "teams", "releases"]);
    assert!(unknown.code != 0 && unknown.stderr.contains("TG7160"), "{unknown:?}");
    let public = world.run(&["notify", "test", "status_page", "publish"]);
    assert!(public.code != 0 && town.public().is_empty(), "{public:?}");
    town.moods(&[Mood::Closed]);
    let closed = world.run(&["notify", "test", "slack", "#gone"]);
    assert!(closed.code != 0 && closed.stderr.contains("TG7161"), "{closed:?}");
    // By hand, where no deployment is to blame: nothing shows that it is over but a person.
    world.expect(0, &["incident", "open", "search is slow", "--severity", "p2"]);
    let open = world.get("/v1/incidents")["incidents"][0].clone();
    let id = open["id"].as_str().unwrap();
    let refused = world.run(&["incident", "resolve", id]);
    assert!(refused.code != 0 && refused.stderr.contains("TG7152"), "{refused:?}");
    world.expect(0, &["incident", "note", id, "a third party", "--cause"]);
    world.expect(0, &["incident", "resolve", id, "--reason", "they are back"]);
    assert_eq!(world.get("/v1/incidents")["incidents"][0]["state"], "resolved");
    let none = world.run(&["incident", "show", "i-nope"]);
    assert!(none.code == 5 && none.stderr.contains("TG7150"), "{none:?}");
}

#[test]
fn an_incident_is_looked_after_on_its_page_without_a_script() {
    let town = Town::new();
    let mut place = None;
    let (world, app) = telling(&mut place, &town, &format!("{ROUTES}{INCIDENT}"));
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    app.release("v2", "fail 100");
    let load = app.load();
    assert_eq!(world.wait_for_end(&app.deploy("v2")), "rolled_back");
    drop(load);
    let browser = Chromium::of_owner(world);
    browser.open("/incidents");
    browser.see("#known", "P1 open");
    browser.is_accessible();
    browser.click("#known .button");
    browser.see("#impact", "requests met it");
    browser.see("#timeline", "rolling back");
    browser.is_accessible();
    browser.complains_not();
    browser.picture("incident");
    browser.without_scripts();
    browser.click("#ack button");
    browser.see(".said", "you are on it");
    browser.see(".state .light", "P1 acknowledged");
    browser.fill("#note-text", "the price was cached");
    browser.click("#note button");
    browser.see(".said", "written down");
    browser.see("#timeline", "the price was cached");
    browser.click("#drafts button");
    browser.see(".said", "customers read it");
    wait("customers can read it", || town.public().pop());
    browser.click("#resolve button");
    browser.see(".state .light", "P1 resolved");
    browser.see("#learnt", "tidegate postmortem");
    town.has_no_complaint();
}
