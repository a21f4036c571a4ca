//! The ways in on the network: the link of the first start, both factors in a browser, the owner's
//! link; and everything that is not one.

use crate::browser::{Authenticator, Browser};
use crate::harness::World;

const PASSWORD: &str = "correct horse battery";

/// The first administrator, made by the link that the first start printed.
fn administrator(world: &World) -> (Browser, Authenticator) {
    let words = world.server_words();
    let link = words.split_whitespace().find(|word| word.contains("/setup?code=")).unwrap();
    let mut browser = Browser::new(&world.pages());
    let page = browser.get(link.strip_prefix(&browser.origin).unwrap());
    let (token, code) = (page.hidden("form_token"), link.split('=').nth(1).unwrap().to_owned());
    let set_up = [
        ("form_token", token.as_str()),
        ("account", "mira"),
        ("code", &code),
        ("password", PASSWORD),
        ("again", PASSWORD),
    ];
    let page = browser.post("/setup", &set_up);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains("data:image/svg+xml;base64,"), "{page:?}");
    // It works once.
    let again = browser.post("/setup", &set_up);
    assert_eq!(again.status, 401, "{again:?}");
    (browser, Authenticator::of(&page))
}

#[test]
fn the_first_start_prints_a_link_that_makes_an_administrator_once() {
    let world = World::with_pages("");
    let (mut browser, mut factor) = administrator(&world);
    let nobody = browser.get("/");
    assert_eq!((nobody.status, nobody.header("location")), (303, "/login?next=%2F"));
    let wrong = browser.sign_in("mira", "correct horse", &factor.code());
    assert_eq!(wrong.status, 401, "{wrong:?}");
    let signed_in = browser.sign_in("mira", PASSWORD, &factor.code());
    assert_eq!((signed_in.status, signed_in.header("location")), (303, "/"), "{signed_in:?}");
    let cookie = signed_in.all("set-cookie")[0];
    assert!(
        cookie.starts_with("tidegate=") && cookie.contains("HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    let home = browser.get("/");
    assert!(home.status == 200 && home.text.contains("mira"), "{home:?}");
    // The API knows the session as well, to look at.
    let whoami = browser.get("/v1/whoami");
    assert!(whoami.text.contains("\"administrator\"") && whoami.text.contains("password+totp"));
    // The next start prints no link: there is an administrator who can sign in.
    world.end_server(rustix::process::Signal::TERM);
    world.start_server();
    assert!(!world.server_words().contains("/setup?code="), "{}", world.server_words());
    assert!(!world.server_log().contains("/setup?code="), "a link is not logged");
}

#[test]
fn a_change_needs_the_cookie_its_token_and_our_own_page() {
    let world = World::with_pages("");
    let (mut browser, mut factor) = administrator(&world);
    browser.sign_in("mira", PASSWORD, &factor.code());
    let token = browser.get("/confirm").hidden("form_token");
    let origin = browser.origin.clone();
    let ours = [("Origin", origin.as_str()), ("Sec-Fetch-Site", "same-origin")];
    let good = [("form_token", token.as_str())];
    for (headers, fields) in [
        (&ours[..], &[][..]),
        (&ours, &[("form_token", "0123")]),
        (&[("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")], &good),
        (&[("Origin", "null")], &good),
        (&[], &good),
    ] {
        let refused = browser.send_form("/logout", headers, fields);
        assert_eq!(refused.status, 403, "{headers:?} {fields:?} {refused:?}");
        assert!(refused.text.contains("TG7051"), "{refused:?}");
    }
    let json = [("Content-Type", "application/json")];
    let asked = |browser: &mut Browser, headers: &[(&str, &str)]| {
        let page = browser.send("POST", "/v1/people/kofi/invite", &[headers, &json].concat(), "{}");
        page.status
    };
    assert_eq!(asked(&mut browser, &ours), 403, "without the token of a page");
    let shown = [&ours[..], &[("X-Tidegate-Form", token.as_str())]].concat();
    assert_eq!(asked(&mut browser, &shown), 200);
    assert_eq!(asked(&mut browser, &[("X-Tidegate-Form", token.as_str())]), 403, "from nowhere");
    // The session's token in the header of machines would lead around the forms.
    let bearer = format!("Bearer {}", browser.cookies["tidegate"]);
    let mut machine = Browser::new(&origin);
    let page = machine.send("GET", "/v1/whoami", &[("Authorization", &bearer)], "");
    assert_eq!(page.status, 401, "{page:?}");
    // Signed out is signed out at the server.
    let kept = browser.cookies.clone();
    assert_eq!(browser.post("/logout", &good).status, 303);
    assert!(!browser.cookies.contains_key("tidegate"));
    browser.cookies = kept;
    assert_eq!(browser.get("/v1/whoami").status, 401);
}

#[test]
fn the_owner_signs_in_by_a_link_of_the_socket_and_nobody_else_makes_one() {
    let world = World::with_pages("");
    let link = world.expect(0, &["login", "--link", "--json"]).json();
    let link = link["url"].as_str().unwrap();
    let mut browser = Browser::new(&world.pages());
    let path = link.strip_prefix(&browser.origin).unwrap();
    // To look at it is not to use it: chats and scanners open links.
    for _look in 0..2 {
        let page = browser.get(path);
        assert!(page.status == 200 && page.text.contains("owner of this server"), "{page:?}");
        assert!(!browser.cookies.contains_key("tidegate"));
    }
    let page = browser.get(path);
    let (token, code) = (page.hidden("form_token"), page.hidden("link"));
    let fields = [("form_token", token.as_str()), ("link", code.as_str())];
    assert_eq!(browser.post("/login", &fields).status, 303);
    let whoami = browser.get("/v1/whoami");
    assert!(whoami.text.contains("\"owner\"") && whoami.text.contains("\"link\""), "{whoami:?}");
    let mut other = Browser::new(&browser.origin);
    let token = other.get("/login").hidden("form_token");
    let again = other.post("/login", &[("form_token", &token), ("link", &code)]);
    assert_eq!(again.status, 401, "{again:?}");
    // A link does not make another one, on the network.
    let token = browser.get("/confirm").hidden("form_token");
    let origin = browser.origin.clone();
    let headers = [
        ("Origin", origin.as_str()),
        ("X-Tidegate-Form", &token),
        ("Content-Type", "application/json"),
    ];
    let page = browser.send("POST", "/v1/session/link", &headers, "{}");
    assert!(page.status == 403 && page.text.contains("TG7012"), "{page:?}");
}

#[test]
fn on_the_network_nobody_is_somebody_without_having_signed_in() {
    let world = World::with_pages("");
    let mut stranger = Browser::new(&world.pages());
    for path in ["/v1/whoami", "/v1/server", "/v1/deployments", "/v1/people", "/v1/journal/verify"]
    {
        let page = stranger.get(path);
        assert_eq!(page.status, 401, "{path} {page:?}");
        assert_eq!(page.header("content-type"), "application/problem+json");
    }
    for path in ["/", "/confirm"] {
        assert_eq!(stranger.get(path).status, 303, "{path}");
    }
    assert_eq!(stranger.get("/nowhere").status, 404);
    assert_eq!(stranger.get("//v1/whoami").status, 404);
    assert_eq!(stranger.get("/v1/../v1/whoami").status, 404);
    let without_pages = World::with_server();
    let refused = without_pages.expect(6, &["login", "--link"]);
    assert!(refused.stderr.contains("TG7050"), "{refused:?}");
}

#[test]
fn every_page_tells_the_browser_what_it_may_do() {
    let world = World::with_pages("");
    let mut browser = Browser::new(&world.pages());
    let door = browser.get("/login").text;
    let (_, sheet) = door.split_once("rel=\"stylesheet\" href=\"").expect("the door has a style");
    let (sheet, _) = sheet.split_once('"').unwrap();
    for path in [
        "/",
        "/login",
        "/setup",
        "/confirm",
        "/nowhere",
        "/assets/0/app.css",
        sheet,
        "/v1/whoami",
        "/v1/nowhere",
    ] {
        let page = browser.get(path);
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "require-trusted-types-for 'script'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{path}: {policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        // Only under the digest of its bytes is it the same for ever.
        let cached = if path == sheet { "public, max-age=31536000, immutable" } else { "no-store" };
        assert_eq!(page.header("cache-control"), cached, "{path}");
        for cookie in page.all("set-cookie") {
            assert!(cookie.contains("HttpOnly; SameSite=Lax; Path=/"), "{path}: {cookie}");
            assert!(!cookie.contains("Domain"), "{path}: {cookie}");
        }
        for inline in ["<script>", "onclick", "onload", "style=", "<style"] {
            assert!(!page.text.contains(inline), "{path}: {inline}");
        }
    }
}

#[test]
fn without_tls_only_this_machine_is_listened_to() {
    let world = World::new();
    let open = world.expect(1, &["server", "run", "--listen", "0.0.0.0:0"]);
    assert!(open.stderr.contains("TG6117") && open.stderr.contains("in the clear"), "{open:?}");
    let settings = world.state_dir().join("server.yaml");
    std::fs::write(&settings, "lissen: 127.0.0.1:0\n").unwrap();
    let odd = world.expect(3, &["server", "run"]);
    assert!(odd.stderr.contains("TG6118") && odd.stderr.contains("lissen"), "{odd:?}");
}
