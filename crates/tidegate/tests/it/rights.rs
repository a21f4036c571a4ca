//! Every route of the API's own description, over the network, with nobody, a machine, and each role:
//! who gets through is the table in docs/reference/rights.md. A route that is not in it fails.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::browser::{Authenticator, Browser, Page};
use crate::harness::World;

const PASSWORD: &str = "correct horse battery";
const ROLES: [&str; 6] = ["administrator", "release-manager", "sre", "devops", "qa", "developer"];
const MACHINE_ACTS: [&str; 12] = [
    "read",
    "deploy",
    "hold",
    "resume",
    "advance",
    "abort",
    "add-evidence",
    "roll-back",
    "return",
    "ask",
    "audit",
    "serve",
];
/// Routes that end what the others need: the server, or the session itself.
const LAST: [&str; 2] = ["/v1/server/stop", "/v1/session/end"];
/// A report that is one.
const REPORT: &str = "<testsuites><testsuite name='a' tests='1' failures='0' errors='0'>\
                      <testcase name='b'/></testsuite></testsuites>";

/// Everybody who asks, with their token.
fn everybody(world: &World) -> Vec<(&'static str, Option<String>)> {
    let mut all = vec![("nobody", None)];
    let machine = json!({"name": "machine", "acts": MACHINE_ACTS, "days": 1});
    let token = world.ask(200, "POST", "/v1/tokens", &machine);
    all.push(("machine", Some(token["secret"].as_str().unwrap().to_owned())));
    for role in ROLES {
        let invite = format!("/v1/people/{role}/invite");
        let code = world.ask(200, "POST", &invite, &json!({"roles": [role]}));
        let set_up = json!({"account": role, "invitation": code["secret"], "password": PASSWORD});
        let secret = world.ask(200, "POST", "/v1/setup", &set_up);
        let code = Authenticator::new(secret["secret"].as_str().unwrap()).code();
        let sign_in = json!({"account": role, "password": PASSWORD, "code": code});
        let token = world.ask(200, "POST", "/v1/session", &sign_in);
        all.push((role, Some(token["secret"].as_str().unwrap().to_owned())));
    }
    all
}

/// A body that its reader takes, so that rights are what is asked about.
fn body_for(path: &str, release: &Value) -> Value {
    let mut with_release = release.clone();
    match path.rsplit('/').next().unwrap() {
        "deployments" => release.clone(),
        "advance" => json!({"step": 1}),
        "approve" => json!({"binding": "0".repeat(64)}),
        "attest" => json!({"item": "none"}),
        "reject" => json!({"reason": "a test"}),
        "settle" => json!({"done": true, "reason": "a test"}),
        "waivers" => {
            with_release["version"] = json!("v2");
            json!({"release": with_release, "gate": "unit", "reason": "a test", "lasts_ms": 60_000})
        }
        "plans" => {
            with_release["config"] = json!("tidegate.yaml");
            with_release
        }
        _ => json!({}),
    }
}

fn ask(browser: &mut Browser, token: Option<&str>, method: &str, path: &str, body: &str) -> Page {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    browser.send(method, path, &headers, body)
}

/// Whether an answer is of somebody who got through the door; what is behind it may say no.
fn got_through(page: &Page, what: &str) -> bool {
    assert!(page.status < 500 || page.status == 501 || page.status == 503, "{what}: {page:?}");
    match page.status {
        401 => false,
        403 => !["TG7012", "TG8056"].iter().any(|code| page.text.contains(code)),
        _ => true,
    }
}

/// Every route that the API describes; those that end something at the end.
fn routes(world: &World) -> Vec<(String, String)> {
    let description = world.get("/v1/openapi.json");
    let mut routes: Vec<(String, String)> = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push((path.clone(), method.to_uppercase()));
        }
    }
    routes.sort_by_key(|(path, method)| {
        (LAST.iter().position(|last| last == path), path.clone(), method.clone())
    });
    routes
}

/// The table as the page has it.
fn table(
    everybody: &[(&str, Option<String>)],
    found: &BTreeMap<(String, String), Vec<bool>>,
) -> String {
    let mut text = String::from(
        "# Who gets through which door\n\n\
         Made by a test that asks every route of a running server over the network, as nobody, as a \
         machine whose token carries every act that tokens may carry, and with each role.\n\
         `yes` means that the caller is let through; what is behind may still say no: an approval asks \
         whether the person counts, a command whether the state allows it.\n\
         The owner of the server's socket may do everything, on its machine. \
         `POST /v1/session/link` is the owner's alone.\n\n",
    );
    let columns: Vec<&str> = everybody.iter().map(|(who, _)| *who).collect();
    writeln!(text, "| Route | {} |", columns.join(" | ")).unwrap();
    writeln!(text, "|---|{}", "---|".repeat(columns.len())).unwrap();
    for ((path, method), through) in found {
        let cells: Vec<&str> = through.iter().map(|yes| if *yes { "yes" } else { "-" }).collect();
        writeln!(text, "| `{method} {path}` | {} |", cells.join(" | ")).unwrap();
    }
    text
}

#[test]
fn every_route_is_walked_with_every_role_over_the_network() {
    let world = World::with_pages("");
    let app = world.app();
    app.release("v1", "");
    let deployment = app.deploy("v1");
    world.wait_for_end(&deployment);
    // A release with a gate that can be waived.
    app.write("tidegate.yaml", &format!("{}check:\n  unit: {{junit: a.xml}}\n", app.config("")));
    app.release("v2", "");
    let release = json!({"repository": app.path(), "version": "v1"});
    let everybody = everybody(&world);
    let routes = routes(&world);
    let mut found: BTreeMap<(String, String), Vec<bool>> = BTreeMap::new();
    let mut browser = Browser::new(&world.pages());
    for (path, method) in &routes {
        let asked = path
            .replace("{id}", &deployment)
            .replace("{service}", "shop")
            .replace("{name}", "somebody")
            .replace("{number}", "1")
            .replace("{step}", "migrate")
            .replace("{digest}", &format!("sha256:{}", "0".repeat(64)))
            .replace("{code}", "TG7041");
        let body = match (method.as_str(), path.as_str()) {
            ("GET", _) => String::new(),
            (_, "/v1/evidence") => REPORT.to_owned(),
            _ => body_for(path, &release).to_string(),
        };
        let query = match path.as_str() {
            "/v1/evidence" => format!(
                "?repository={}&version=v1&name=a.xml&format=junit",
                app.path().to_str().unwrap().replace('/', "%2F")
            ),
            _ => String::new(),
        };
        for (who, token) in &everybody {
            let what = format!("{method} {path} by {who}");
            let page =
                ask(&mut browser, token.as_deref(), method, &(asked.clone() + &query), &body);
            let through = got_through(&page, &what);
            // These ask for the right last of all: anything but a yes would hide the no.
            let hides = ["/v1/evidence", "/v1/waivers"].contains(&path.as_str());
            assert!(!hides || !through || page.status == 200, "{what}: {page:?}");
            found.entry((path.clone(), method.clone())).or_default().push(through);
            if path == "/v1/server/stop" && through {
                assert_eq!(world.server_ended(), Some(0), "{what}");
                world.start_server();
                browser = Browser::new(&world.pages());
            }
        }
    }
    let text = table(&everybody, &found);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rights.md");
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(&page, &text).unwrap();
    }
    let listed = std::fs::read_to_string(&page).unwrap_or_default();
    for (listed, found) in listed.lines().zip(text.lines()) {
        assert_eq!(listed, found, "TIDEGATE_BLESS=1 writes the table, after you looked at it");
    }
    assert_eq!(listed, text);
}

#[test]
fn a_change_that_is_sent_again_with_its_key_takes_effect_once() {
    let world = World::with_pages("");
    let made = world.expect(0, &["token", "create", "ci", "--may", "serve", "--may", "read"]);
    let bearer = format!("Bearer {}", made.stdout.trim());
    let mut browser = Browser::new(&world.pages());
    let app = world.app();
    app.release("v1", "");
    let body = json!({"repository": app.path(), "version": "v1"}).to_string();
    let with_key = |key: &str, body: &str| {
        let mut stream = std::os::unix::net::UnixStream::connect(world.socket()).unwrap();
        std::io::Write::write_all(
            &mut stream,
            format!(
                "POST /v1/deployments HTTP/1.1\r\nHost: t\r\nConnection: close\r\nIdempotency-Key: {key}\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
        .unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
        answer
    };
    let first = with_key("k-1", &body);
    assert!(
        first.starts_with("HTTP/1.1 200") && !first.contains("idempotency-replayed"),
        "{first}"
    );
    let again = with_key("k-1", &body);
    assert!(again.contains("idempotency-replayed: true"), "{again}");
    let last = |answer: &str| answer.lines().last().unwrap().to_owned();
    assert_eq!(last(&first), last(&again));
    let other = with_key("k-1", &body.replace("v1", "v2"));
    assert!(other.starts_with("HTTP/1.1 422") && other.contains("TG7055"), "{other}");
    assert_eq!(world.get("/v1/deployments")["deployments"].as_array().unwrap().len(), 1);
    // The journal keeps the key, so that it counts after the server is another one.
    world.end_server(rustix::process::Signal::KILL);
    world.start_server();
    let after = with_key("k-1", &body);
    assert!(after.starts_with("HTTP/1.1 200") && after.contains("\"repeated\":true"), "{after}");
    // Who looks again at the same is told in a head alone.
    browser.origin = world.pages();
    let page = browser.send("GET", "/v1/people", &[("Authorization", &bearer)], "");
    assert_eq!(page.status, 403, "{page:?}");
    let page = browser.send("GET", "/v1/whoami", &[("Authorization", &bearer)], "");
    let tag = page.header("etag").to_owned();
    let known = [("Authorization", bearer.as_str()), ("If-None-Match", tag.as_str())];
    let page = browser.send("GET", "/v1/whoami", &known, "");
    assert_eq!((page.status, page.text.as_str()), (304, ""));
}
