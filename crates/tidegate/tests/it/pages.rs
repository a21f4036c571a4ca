//! The pages as people use them, in a real browser: a rollout watched to its end, the emergency
//! rollback without scripts, approvals, a stream that is cut, names of strangers.

use rustix::process::Signal;
use serde_json::json;

use crate::browser::{Authenticator, Browser};
use crate::chromium::Chromium;
use crate::harness::{App, World, free_port};

/// What blocks the first paint of a page, bytes: the page and its style sheet.
const FIRST_PAINT: usize = 60 * 1024;

/// A world whose shop has a first release.
fn shop(world: &World) -> App<'_> {
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    app
}

#[test]
fn a_rollout_is_watched_to_its_end_and_a_bad_one_to_its_way_back() {
    let world = World::with_pages("");
    let browser = Chromium::of_owner(&world);
    browser.see(".empty", "tidegate init");
    let app = shop(&world);
    // The page was open all the time.
    browser.see("#services", "v1");
    let load = app.load();
    app.release("v2", "");
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "traffic.step1");
    // What is looked at in the middle must not be over before the browser is there.
    world.expect(0, &["hold", "--reason", "looking"]);
    browser.see("#services .service", "holding");
    browser.open(&format!("/d/{id}"));
    browser.ask("window.opened = 'once'");
    browser.see("#traffic", "candidate");
    browser.see("#verdict", "errors");
    browser.see("#metrics", "live");
    browser.picture("deployment");
    world.expect(0, &["resume"]);
    browser.see(".state .light", "succeeded");
    assert_eq!(browser.ask("return window.opened"), "once", "nothing was loaded again");
    browser.see("#rail", "bake");
    browser.see("#timeline", "succeeded");
    let said = world.get(&format!("/v1/deployments/{id}"));
    let sentence = browser.text(".state h1").unwrap().to_lowercase();
    assert_eq!(sentence, said["sentence"].as_str().unwrap().to_lowercase(), "the words of the API");
    let drawn = browser.ask("return document.querySelectorAll('#charts canvas').length");
    assert!(drawn.as_u64().unwrap() >= 2, "{drawn}");
    browser.is_accessible();
    browser.complains_not();

    app.release("v3", "fail 60");
    let bad = app.deploy("v3");
    browser.open(&format!("/d/{bad}"));
    browser.see(".state .light", "rolled back");
    browser.see("#verdict", "roll");
    browser.see("#rail .failed", "traffic");
    browser.is_accessible();
    browser.open("/");
    browser.see("#deployments", "rolled back");
    browser.picture("now");
    browser.is_accessible();
    browser.open("/s/shop/production");
    browser.see("#rollback", "v2");
    browser.is_accessible();
    browser.complains_not();
    drop(load);
}

#[test]
fn an_emergency_rollback_needs_no_script_and_one_confirmation() {
    let world = World::with_pages("");
    let app = shop(&world);
    let load = app.load();
    app.release("v2", "");
    let browser = Chromium::of_owner(&world);
    browser.without_scripts();
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "traffic.step1");
    browser.open(&format!("/d/{id}"));
    browser.click("#rollback .danger");
    browser.see("h1", "back to v1");
    browser.see(".calls", "100 %");
    browser.fill("#reason", "it hurts");
    browser.click("main .danger");
    browser.see(".said", "it goes back");
    assert_eq!(world.wait_for_end(&id), "rolled_back");
    browser.open(&format!("/d/{id}"));
    browser.see(".state .light", "rolled back");
    browser.see("#timeline", "it hurts");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
    assert_eq!(load.lost.load(std::sync::atomic::Ordering::Relaxed), 0);
    // At rest, what was live before can be brought back in the same way.
    app.release("v3", "");
    assert_eq!(world.wait_for_end(&app.deploy("v3")), "succeeded");
    browser.open("/s/shop/production");
    browser.click("#rollback .button");
    browser.see("h1", "Bring v1 back");
    browser.click("main .danger");
    browser.see(".said", "it goes back");
    let back = browser.path().replace("/d/", "");
    assert_eq!(world.wait_for_end(&back), "succeeded");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));
}

#[test]
fn a_hold_is_asked_for_and_ended_by_forms() {
    let world = World::with_pages("");
    let app = shop(&world);
    let load = app.load();
    app.release("v2", "");
    let browser = Chromium::of_owner(&world);
    let id = app.deploy("v2");
    browser.open(&format!("/d/{id}"));
    browser.press("h");
    browser.see("#hold", "Rollback stays armed");
    browser.is_accessible();
    // Text of a stranger, wherever it is shown, is text.
    let evil = "\"><img src=x onerror=alert(1)>\u{202e}<script>alert(2)</script>";
    browser.fill("#hold-reason", evil);
    browser.click("#hold button");
    browser.see(".said", "it holds");
    browser.see("#timeline", "<img src=x onerror=alert(1)>");
    assert_eq!(browser.ask("return document.querySelectorAll('img, main script').length"), 0);
    let page = browser.ask("return document.documentElement.outerHTML");
    assert!(!page.as_str().unwrap().contains('\u{202e}'), "nothing turns the text around");
    browser.click(".acts a[href$='#resume']");
    browser.click("#resume button");
    browser.see(".said", "it goes on");
    browser.see(".state .light", "succeeded");
    browser.complains_not();
    drop(load);
}

#[test]
fn a_person_signs_in_with_both_factors_and_answers_on_the_sheet() {
    let world = World::with_pages("");
    let app = shop(&world);
    let code = world.expect(0, &["user", "invite", "mira", "--role", "developer"]).stdout;
    let mut visitor = Browser::new(&world.pages());
    let page = visitor.set_up("mira", code.trim(), "correct horse battery");
    let mut factor = Authenticator::of(&page);

    let policy = "approve: {rules: [{need: 1}], attest: [the support team knows]}\n";
    app.write("tidegate.yaml", &format!("{}{policy}", app.config("")));
    app.release("v2", "");
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "approvals");
    let browser = Chromium::new(&world.pages());
    browser.open(&format!("/d/{id}/approve"));
    browser.see("h1", "Sign in");
    browser.is_accessible();
    browser.fill("[name=account]", "mira");
    browser.fill("[name=password]", "correct horse battery");
    browser.fill("[name=code]", &factor.code());
    browser.click("main button");
    browser.see("h1", "shop v2 to production");
    browser.see("#risk h2", "Risk");
    browser.see("#change", "declared value");
    browser.is_accessible();
    browser.complains_not();
    browser.picture("approval");
    browser.open("/inbox");
    browser.see(".items", "approval");
    browser.is_accessible();
    browser.click(".items .button");
    browser.without_scripts();
    browser.click("#attestations button");
    browser.see(".said", "vouched");
    browser.click("#answer .main");
    browser.see(".said", "your approval counts");
    let load = app.load();
    assert_eq!(world.wait_for_end(&id), "succeeded");
    browser.open(&format!("/d/{id}/approve"));
    browser.see("h1", "Nobody is asked");
    drop(load);

    app.release("v3", "");
    let refused = app.deploy("v3");
    world.wait_for_phase(&refused, "approvals");
    browser.open(&format!("/d/{refused}/approve"));
    browser.see("#since", &format!("You looked at {id}"));
    browser.see("#since", "release.version");
    browser.click("#answer summary");
    browser.fill("#reason", "no test of the new price");
    browser.click("#answer .danger");
    browser.see(".said", "it is refused");
    assert_eq!(world.wait_for_end(&refused), "rejected");
}

#[test]
fn a_stream_that_is_cut_says_so_and_comes_back_with_all_that_happened() {
    let world = World::new();
    // A browser asks the same address again, so the server has to come back to it.
    let settings = format!("listen: 127.0.0.1:{}\n", free_port());
    std::fs::create_dir(world.state_dir()).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(world.state_dir(), private).unwrap();
    std::fs::write(world.state_dir().join("server.yaml"), settings).unwrap();
    world.start_server();
    let app = shop(&world);
    let load = app.load();
    app.release("v2", "");
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "traffic.step1");
    world.ask(200, "POST", &format!("/v1/deployments/{id}/hold"), &json!({ "reason": "a look" }));
    let browser = Chromium::of_owner(&world);
    browser.open(&format!("/d/{id}"));
    browser.see(".state .light", "holding");
    browser.complains_not();
    browser.ask("window.opened = 'once'");
    world.end_server(Signal::KILL);
    browser.see("#stale", "s old");
    world.start_server();
    world.ask(200, "POST", &format!("/v1/deployments/{id}/resume"), &json!({}));
    browser.see(".state .light", "succeeded");
    browser.see("#timeline", "a look");
    let hidden = browser.ask("return document.getElementById('stale').hidden");
    assert_eq!((hidden, browser.ask("return window.opened")), (json!(true), json!("once")));
    browser.forget();
    drop(load);
}

#[test]
fn the_first_paint_is_small_and_every_link_leads_somewhere() {
    let world = World::with_pages("");
    let app = shop(&world);
    app.write("tidegate.yaml", &format!("{}approve: {{rules: [{{need: 1}}]}}\n", app.config("")));
    app.release("v2", "");
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "approvals");
    let mut owner = Browser::of_owner(&world);
    let mut todo: Vec<String> = vec![
        "/".to_owned(),
        "/inbox".to_owned(),
        "/s/shop/production".to_owned(),
        format!("/d/{id}"),
        format!("/d/{id}/approve"),
        format!("/d/{id}/rollback"),
        format!("/d/{id}/act"),
    ];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = todo.pop() {
        let path = path.split('#').next().unwrap().to_owned();
        if !seen.insert(path.clone()) {
            continue;
        }
        let page = owner.get(&path);
        assert_eq!(page.status, 200, "{path}: {page:?}");
        if path.starts_with("/assets/") {
            assert!(page.header("cache-control").contains("immutable"), "{path}");
            continue;
        }
        // Reports and calendars can be had in other forms as well.
        if !page.header("content-type").starts_with("text/html") {
            continue;
        }
        let sheet = page.text.split("stylesheet\" href=\"").nth(1).unwrap();
        let sheet = owner.get(sheet.split('"').next().unwrap());
        let bytes = page.text.len() + sheet.text.len();
        assert!(bytes < FIRST_PAINT, "{path}: {bytes}");
        assert!(!page.text.contains(" style=") && !page.text.contains(" onclick="), "{path}");
        for attribute in [" href=\"", " src=\""] {
            let found = page.text.split(attribute).skip(1);
            let links = found.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"));
            todo.extend(links.filter(|link| link.starts_with('/')));
        }
    }
    assert!(seen.len() > 30, "{seen:?}");
    world.ask(200, "POST", &format!("/v1/deployments/{id}/abort"), &json!({}));
}
