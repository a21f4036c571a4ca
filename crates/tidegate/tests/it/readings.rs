//! The pages that are read rather than acted on, of a service with a good release and a bad one: in
//! a real browser, by keys alone, and the same answers over the API and in the terminal.

use serde_json::json;

use crate::browser::Browser;
use crate::chromium::Chromium;
use crate::harness::{App, World};

/// A service with a first release, a good one and one that the judge sent back.
struct Shop<'w> {
    app: App<'w>,
    good: String,
    bad: String,
}

impl<'w> Shop<'w> {
    fn open(world: &'w World) -> Self {
        let app = world.app();
        std::fs::create_dir(app.path().join("reports")).unwrap();
        app.write(".gitignore", "reports\n");
        let gate = "check:\n  unit: {junit: \"reports/*.xml\"}\n";
        app.write("tidegate.yaml", &format!("{}{gate}", app.config("")));
        let brought = |version: &str, behaviour: &str| {
            app.release(version, behaviour);
            let report = "<testsuites><testsuite name='a' tests='1' failures='0'>\
                          <testcase name='b'/></testsuite></testsuites>";
            app.write("reports/unit.xml", report);
            world.expect(0, &["evidence", "add", "reports/unit.xml"]);
            let id = app.deploy(version);
            (id.clone(), world.wait_for_end(&id))
        };
        brought("v1", "");
        let load = app.load();
        let (good, ended) = brought("v2", "");
        assert_eq!(ended, "succeeded");
        let (bad, ended) = brought("v3", "fail 60");
        assert_eq!(ended, "rolled_back");
        drop(load);
        Self { app, good, bad }
    }
}

#[test]
fn every_page_tells_what_happened_to_everybody() {
    let world = World::with_pages("status_page: true\n");
    let shop = Shop::open(&world);
    let Shop { good, bad, .. } = &shop;
    let browser = Chromium::of_owner(&world);
    let seen = [
        (format!("/d/{bad}/why"), ".state .light", "rolled back"),
        (format!("/d/{bad}/plan"), "#declared", "traffic"),
        (format!("/d/{bad}/gates/unit"), "#evidence", "reports/unit.xml"),
        (format!("/d/{bad}/report"), "#back", "until users were safe"),
        ("/r/shop/v2".to_owned(), ".state", "live in production"),
        (format!("/compare/{good}...{bad}"), "#differs", "release.version"),
        ("/deployments?q=state:rolled".to_owned(), "#found", "v3"),
        ("/deployments?q=no-such-word".to_owned(), "#found", "Nothing fits"),
        ("/incidents".to_owned(), ".items", "users safe"),
        ("/calendar".to_owned(), "main", "no window"),
        ("/policy/shop".to_owned(), "#rules", "rollback_if"),
        ("/practice".to_owned(), "#measured", bad.as_str()),
        ("/insights".to_owned(), "#dora", "Change failure rate"),
        ("/audit?verify=1&kind=rollback_began".to_owned(), "#verified", "Verified"),
        ("/admin".to_owned(), "#server", "answers"),
        ("/status".to_owned(), "h1", "Everything works"),
    ];
    for (path, css, words) in seen {
        browser.open(&path);
        browser.see(css, words);
        browser.is_accessible();
        browser.complains_not();
        let name = path.rsplit(['/', '?']).next().unwrap();
        if ["report", "insights", "incidents"].contains(&name) {
            browser.picture(name);
        }
    }
}

#[test]
fn keys_alone_lead_everywhere() {
    let world = World::with_pages("");
    let shop = Shop::open(&world);
    let browser = Chromium::of_owner(&world);
    browser.press("?");
    browser.see("#keys", "roll back");
    browser.is_accessible();
    browser.fill("#keys button", "\u{e00c}");
    browser.press("gd");
    browser.see("h1", "Deployments");
    browser.press("j");
    let row = browser.ask("return document.activeElement.getAttribute('href')");
    assert_eq!(row, format!("/d/{}", shop.bad));
    browser.ask("document.activeElement.click()");
    browser.see(".state .light", "rolled back");
    // The menu finds a page, a service, and searches for what it does not know.
    browser.press("/");
    browser.see("#menu-found", "Insights");
    browser.is_accessible();
    browser.fill("#menu-q", "insi\u{e007}");
    browser.see("h1", "Insights");
    browser.press("/");
    browser.see("#menu-found", "shop in production");
    browser.fill("#menu-q", "shop prod\u{e007}");
    browser.see("#slots", "live");
    browser.press("/");
    browser.fill("#menu-q", "state:rolled\u{e007}");
    browser.see("#found", "v3");
    browser.complains_not();
}

#[test]
fn two_people_look_at_one_deployment_and_see_the_same() {
    let world = World::with_pages("");
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    let load = app.load();
    app.release("v2", "");
    let id = app.deploy("v2");
    world.wait_for_phase(&id, "traffic.step1");
    let hold = |act: &str| format!("/v1/deployments/{id}/{act}");
    world.ask(200, "POST", &hold("hold"), &json!({ "reason": "two look" }));
    let (one, other) = (Chromium::of_owner(&world), Chromium::of_owner(&world));
    for browser in [&one, &other] {
        browser.open(&format!("/d/{id}"));
        browser.see(".state .light", "holding");
        browser.ask("window.opened = 'once'");
    }
    // One of them lets it go on; the other sees it without doing anything.
    one.click(".acts a[href$='#resume']");
    one.click("#resume button");
    other.see(".state .light", "succeeded");
    assert_eq!(other.ask("return window.opened"), "once");
    one.see(".state .light", "succeeded");
    for browser in [&one, &other] {
        browser.see("#timeline", "two look");
        browser.complains_not();
    }
    drop(load);
}

#[test]
fn lists_have_pages_and_reports_are_the_same_everywhere() {
    let world = World::with_pages("");
    let shop = Shop::open(&world);
    let bad = &shop.bad;
    // Page by page, each deployment comes once.
    let (mut path, mut ids) = ("/v1/deployments?limit=1".to_owned(), Vec::new());
    loop {
        let page = world.get(&path);
        let rows = page["deployments"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/deployments?limit=1&before={next}");
    }
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(ids.first(), Some(bad));
    world.ask(404, "GET", "/v1/deployments?before=d-none", &json!({}));

    let found = world.get("/v1/search?q=service:shop%20state:rolled%20since:1d%20gate:unit");
    assert_eq!(found["deployments"].as_array().unwrap().len(), 1, "{found:#}");
    assert_eq!(found["deployments"][0]["id"], json!(bad));

    let entries = world.get("/v1/journal/entries?kind=rollback_began");
    assert_eq!(entries["entries"][0]["deployment"], json!(bad), "{entries:#}");
    assert!(entries["searched"].as_u64().unwrap() > 50);
    // The same entry is the chain's, at the same place.
    let position = entries["entries"][0]["position"].as_u64().unwrap();
    let chain = world.get(&format!("/v1/audit?from={position}&limit=1"));
    assert_eq!(chain["entries"][0]["event"], entries["entries"][0]["event"], "{chain:#}");
    let whole = world.get("/v1/journal/entries?limit=1000");
    let exported = world.expect(0, &["audit", "export"]).ndjson();
    assert_eq!(whole["entries"].as_array().unwrap().len(), exported.len());

    let numbers = world.get("/v1/insights?days=1");
    assert_eq!(numbers["deployments"], 3, "{numbers:#}");
    assert_eq!(numbers["services"][0]["failed"], 1);
    assert_eq!(numbers["gates"]["shop/unit"]["passed"], 3);
    let safe = numbers["rollbacks"][0]["safe_ms"].as_i64().unwrap();
    assert!(safe >= 0, "{numbers:#}");

    let report = world.expect(0, &["report", bad, "--json"]).json();
    assert_eq!(report["back"]["safe_ms"], json!(safe), "{report:#}");
    assert_eq!(report["evidence"][0]["name"], "reports/unit.xml");
    let printed = world.expect(0, &["report", bad]).stdout;
    for words in ["# shop v3: rolled back", "## The way back", "## Gates", "## Timeline"] {
        assert!(printed.contains(words), "{words}: {printed}");
    }
    let mut owner = Browser::of_owner(&world);
    let file = owner.get(&format!("/d/{bad}/report.md"));
    assert!(file.header("content-type").starts_with("text/markdown"));
    let without_time = |text: &str| text.split("Made at").next().unwrap().to_owned();
    assert_eq!(without_time(&file.text), without_time(&printed));
    let file = owner.get(&format!("/d/{bad}/report.json"));
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&file.text).unwrap()["back"],
        report["back"]
    );
    let feed = owner.get("/calendar.ics");
    assert!(feed.text.starts_with("BEGIN:VCALENDAR"), "{feed:?}");
}

#[test]
fn forms_that_come_too_late_or_name_nothing_change_nothing() {
    let world = World::with_pages("");
    let shop = Shop::open(&world);
    let bad = &shop.bad;
    let mut owner = Browser::of_owner(&world);
    let token = owner.get("/").hidden("form_token");
    let late = owner.post(&format!("/d/{bad}/rollback"), &[("form_token", &token)]);
    assert_eq!(late.status, 409, "{late:?}");
    assert!(late.text.contains("TG7501"), "{late:?}");
    let never = owner.get("/s/shop/production/rollback?to=v9");
    assert_eq!(never.status, 404, "{never:?}");
    assert!(never.text.contains("TG7502"), "{never:?}");
    assert_eq!(owner.get("/status").status, 404, "nobody made it public");
    assert_eq!(owner.get("/compare/nonsense").status, 400);
    assert_eq!(owner.get("/r/shop/v9").status, 404);
    assert_eq!(owner.get(&format!("/d/{bad}/gates/none")).status, 404);

    // What is changed on a page is what the terminal says.
    let place = "/calendar/shop/production";
    let fields = [
        ("form_token", token.as_str()),
        ("what", "freeze"),
        ("name", "holidays"),
        ("reason", "nobody is here"),
        ("hours", "24"),
    ];
    assert_eq!(owner.post(place, &fields).status, 303);
    assert!(world.expect(0, &["freeze", "list"]).stdout.contains("nobody is here"));
    assert!(owner.get("/calendar").text.contains("nobody is here"));
    let fields =
        [("form_token", token.as_str()), ("what", "thaw"), ("name", "holidays"), ("reason", "x")];
    assert_eq!(owner.post(place, &fields).status, 303);
    assert!(!world.expect(0, &["freeze", "list"]).stdout.contains("nobody is here"));

    // Other limits over what was recorded: at 99 % nothing is sent back by its rule.
    let fields = [("form_token", token.as_str()), ("limit.0", "99"), ("for.0", "2")];
    let tested = owner.post("/policy/shop/backtest?environment=production", &fields);
    assert_eq!(tested.status, 200, "{tested:?}");
    assert!(tested.text.contains(bad.as_str()), "{tested:?}");
    let fields = [("form_token", token.as_str()), ("limit.0", "many")];
    assert_eq!(owner.post("/policy/shop/backtest", &fields).status, 400);

    let fields =
        [("form_token", token.as_str()), ("place", "shop/production"), ("scenario", "outage")];
    let played = owner.post("/practice", &fields);
    assert!(played.text.contains("after the fault"), "{played:?}");
    let _still = shop.app;
}

#[test]
fn who_may_not_read_the_journal_is_told_so_and_sees_no_link_to_it() {
    let world = World::with_pages("");
    let code = world.expect(0, &["user", "invite", "mira", "--role", "developer"]).stdout;
    let mut mira = Browser::new(&world.pages());
    let page = mira.set_up("mira", code.trim(), "correct horse battery");
    let code = crate::browser::Authenticator::of(&page).code();
    mira.sign_in("mira", "correct horse battery", &code);
    let now = mira.get("/");
    assert_eq!(now.status, 200, "{now:?}");
    for path in ["/audit", "/admin"] {
        assert!(!now.text.contains(&format!("href=\"{path}\"")), "{now:?}");
        let refused = mira.get(path);
        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(refused.text.contains("TG7012"));
    }
    assert!(now.text.contains("href=\"/insights\""), "{now:?}");
}
