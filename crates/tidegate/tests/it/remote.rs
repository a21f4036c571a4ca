//! The command line against a server on the network: by TLS, signed in with both factors, with a
//! name for the server, and never with a token in the clear.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::browser::Authenticator;
use crate::harness::{Done, World};

const PASSWORD: &str = "correct horse battery";

/// A certificate for this machine that vouches for itself.
fn certificate(directory: &Path) -> String {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "9", "-subj", "/CN=tidegate"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(directory.join("server.key"))
        .arg("-out")
        .arg(directory.join("server.pem"))
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl, which ./test installs").success());
    format!("tls: {{certificate: {0}/server.pem, key: {0}/server.key}}\n", directory.display())
}

/// Somebody at another machine: no state directory, no socket, a home of their own.
struct Laptop<'w> {
    world: &'w World,
    /// The certificates that this machine believes.
    believed: String,
}

impl Laptop<'_> {
    fn told(&self, arguments: &[&str], lines: &[&str]) -> Done {
        let home = self.world.path().join("laptop");
        std::fs::create_dir_all(&home).unwrap();
        let mut command = self.world.command(arguments);
        command.env_remove("TIDEGATE_STATE_DIR").env("SSL_CERT_FILE", &self.believed);
        Done::told(command.env("HOME", &home), lines)
    }

    #[track_caller]
    fn expect(&self, code: i32, arguments: &[&str]) -> Done {
        let done = self.told(arguments, &[]);
        assert_eq!(done.code, code, "{arguments:?}: {done:?}");
        done
    }
}

#[test]
fn somebody_elsewhere_signs_in_follows_and_decides() {
    let world = World::new();
    let settings = certificate(world.path());
    let world = world.with_settings(&settings);
    let app = world.app();
    app.write("tidegate.yaml", &format!("{}approve: {{rules: [{{need: 1}}]}}\n", app.config("")));
    app.release("v1", "");
    let code = world.expect(0, &["user", "invite", "mira", "--role", "developer"]).stdout;
    let server = format!("https://{}", world.listening());
    let believed = world.path().join("server.pem").display().to_string();
    let laptop = Laptop { world: &world, believed };

    // A name for the server, and nothing without a sign-in.
    laptop.expect(0, &["context", "add", "prod", &server]);
    laptop.expect(0, &["context", "use", "prod"]);
    let listed = laptop.expect(0, &["context", "list", "--json"]).json();
    assert_eq!(listed, json!({"current": "prod", "servers": {"prod": server}}));
    let stranger = laptop.expect(4, &["list"]);
    assert!(stranger.stderr.contains("tidegate login"), "{stranger:?}");

    let set_up = ["login", "--set-up", "--account", "mira"];
    let done = laptop.told(&set_up, &[code.trim(), PASSWORD]);
    assert_eq!(done.code, 0, "{done:?}");
    let secret = done.stdout.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let mut factor = Authenticator::new(secret);
    let done = laptop.told(&["login", "--account", "mira"], &[PASSWORD, &factor.code()]);
    assert_eq!(done.code, 0, "{done:?}");
    let who = laptop.expect(0, &["whoami", "--json"]).json();
    assert_eq!(
        (&who["name"], &who["factor"]),
        (&json!("mira"), &json!("password+totp")),
        "{who:#}"
    );

    // She decides from there, and follows the deployment to its end over the same way.
    let id = app.deploy("v1");
    world.wait_for_phase(&id, "approvals");
    let shown = laptop.expect(0, &["inbox"]);
    assert!(shown.stdout.contains(&id), "{shown:?}");
    laptop.expect(0, &["approve", &id, "-y"]);
    let followed = laptop.expect(19, &["watch", &id, "--progress", "json"]);
    assert!(followed.stdout.contains("deployment_ended"), "{followed:?}");

    // A directory of hers is none of the server's: it needs a repository that both can reach.
    let elsewhere = laptop.expect(2, &["deploy", "v1"]);
    assert!(elsewhere.stderr.contains("TG7007"), "{elsewhere:?}");
    laptop.expect(0, &["logout"]);
    laptop.expect(4, &["list"]);
}

#[test]
fn no_token_goes_to_a_server_that_is_not_believed_or_not_named() {
    let world = World::new();
    let settings = certificate(world.path());
    let world = world.with_settings(&settings);
    let server = format!("https://{}", world.listening());
    // Nobody vouches for the certificate here.
    let nobody = world.path().join("nobody.pem");
    std::fs::write(&nobody, "").unwrap();
    let laptop = Laptop { world: &world, believed: nobody.display().to_string() };
    let refused = laptop.expect(69, &["list", "--server", &server]);
    assert!(refused.stderr.contains("TG7001"), "{refused:?}");
    for (server, code) in [
        ("http://tidegate.example", "TG7016"),
        ("https://tidegate.example/pages", "TG7016"),
        ("ftp://tidegate.example", "TG7016"),
    ] {
        let refused = laptop.expect(2, &["list", "--server", server]);
        assert!(refused.stderr.contains(code), "{refused:?}");
    }
    let unknown = laptop.expect(5, &["list", "--context", "prod"]);
    assert!(unknown.stderr.contains("TG7018"), "{unknown:?}");
    laptop.expect(2, &["context", "add", "a b", &server]);
    laptop.expect(5, &["context", "use", "prod"]);
    laptop.expect(5, &["context", "remove", "prod"]);
}
