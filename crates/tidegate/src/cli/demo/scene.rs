//! What the demo sets up: a directory, a git repository with releases of the shop, and the two
//! files that every user of Tidegate writes.
//!
//! The files must stay ordinary: no key, name or value in them may mean more here than anywhere.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::process::Command;

use super::shop::{Fault, SHOP_FILE, ShopFile};

/// A git command on a repository of three files takes milliseconds.
const GIT_WITHIN: Duration = Duration::from_secs(20);
/// Good answers of each instance before a fault strikes: more than the smoke suite asks for, so
/// that only users can find it.
const GOOD_ANSWERS: u64 = 40;

/// What the third release is bad at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fail {
    /// One answer in five is an error.
    Errors,
    /// Every answer takes a second and a half.
    Latency,
    /// The process dies again and again.
    Crash,
    /// Memory grows and grows.
    Memory,
    /// It says that it is unwell.
    Health,
}

impl Fail {
    fn fault(self) -> Fault {
        match self {
            Self::Errors => Fault::Errors { one_in: 5 },
            Self::Latency => Fault::Latency { delay_ms: 1_500 },
            Self::Crash => Fault::Crash,
            Self::Memory => Fault::Memory { mib_a_request: 4, mib_max: 160 },
            Self::Health => Fault::Health,
        }
    }

    /// What is wrong with the bad release, behind "a release that".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Errors => "fails one request in five",
            Self::Latency => "makes every user wait for a second and a half",
            Self::Crash => "dies under its users",
            Self::Memory => "eats the machine's memory",
            Self::Health => "says that it is unwell",
        }
    }
}

/// Everything that is on the stage before the first process is.
#[derive(Debug)]
pub(crate) struct Scene {
    directory: TempDir,
    program: PathBuf,
    /// Where users find the shop.
    pub(crate) address: SocketAddr,
    /// The text of `tidegate.yaml`.
    pub(crate) config: String,
}

impl Scene {
    /// Makes the directory and the repository with the tags `v1`, `v2` and `v3`.
    ///
    /// # Errors
    /// When the directory cannot be made, or git is missing or refuses.
    pub(crate) async fn set(fail: Fail, with_rules: bool) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("tidegate-demo-")
            .tempdir()
            .context("no temporary directory can be made")?;
        let program = std::env::current_exe().context("this program does not know where it is")?;
        let address = free_address()?;
        let config = config(&program, address, with_rules);
        let scene = Self { directory, program, address, config };
        std::fs::create_dir(scene.repository())?;
        scene.git(&["init", "--quiet", "--initial-branch=main"]).await?;
        scene.write("tidegate.yaml", &scene.config)?;
        scene.write("smoke.yaml", SMOKE)?;
        scene.release(1, Fault::None).await?;
        scene.release(2, Fault::None).await?;
        scene.release(3, fail.fault()).await?;
        Ok(scene)
    }

    /// Commits and tags one more good release.
    ///
    /// # Errors
    /// When git refuses.
    pub(crate) async fn add_good_release(&self, version: u8) -> anyhow::Result<()> {
        self.release(version, Fault::None).await
    }

    /// The directory that holds all of it.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The repository of the shop.
    pub(crate) fn repository(&self) -> PathBuf {
        self.directory().join("shop")
    }

    /// The state directory of the server.
    pub(crate) fn state_dir(&self) -> PathBuf {
        self.directory().join("state")
    }

    /// This program, for the processes that it starts.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Leaves the directory where it is, for a look.
    pub(crate) fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    /// Removes everything. Artifacts are sealed against writing, so they are opened first.
    ///
    /// # Errors
    /// When a file resists; the rest is gone.
    pub(crate) fn remove(self) -> std::io::Result<()> {
        unseal(self.directory())?;
        self.directory.close()
    }

    async fn release(&self, version: u8, fault: Fault) -> anyhow::Result<()> {
        let file = ShopFile { version, fault, fault_after_requests: GOOD_ANSWERS };
        let mut text = serde_json::to_string_pretty(&file)?;
        text.push('\n');
        self.write(SHOP_FILE, &text)?;
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", &format!("The shop, v{version}")]).await?;
        self.git(&["tag", &format!("v{version}")]).await
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.repository().join(name);
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Git as if the machine had no configuration: a user's hooks and signing keys stay out of it.
    async fn git(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=The shop", "-c", "user.email=shop@localhost"])
            .args(["-c", "commit.gpgSign=false", "-c", "tag.gpgSign=false"])
            .args(arguments)
            .current_dir(self.repository())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env_remove("GIT_DIR")
            .env_remove("GIT_WORK_TREE")
            .env_remove("GIT_INDEX_FILE")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = tokio::time::timeout(GIT_WITHIN, command.output())
            .await
            .context("git does not come to an end")?
            .context("git cannot be run; install it")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("git {} failed: {}", arguments.join(" "), crate::text::plain(&said));
        }
        Ok(())
    }
}

/// A port that nobody has at this moment. Whoever takes it before the proxy does is reported by
/// the deployment, as anywhere.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr()?)
}

fn unseal(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // Of the entry itself: a link to a directory is not followed.
        if entry.file_type()?.is_dir() {
            unseal(&entry.path())?;
        }
    }
    Ok(())
}

fn config(program: &Path, address: SocketAddr, with_rules: bool) -> String {
    // A JSON string is a double-quoted YAML text.
    let program = serde_json::Value::from(program.to_string_lossy()).to_string();
    let rules = if with_rules { RULES } else { NO_RULES };
    CONFIG
        .replace("PROGRAM", &program)
        .replace("ADDRESS", &address.to_string())
        .replace("RULES\n", rules)
}

/// The shares in the file, percent, for whoever tells the story.
pub(crate) const STEPS: [u16; 4] = [5, 25, 50, 100];

const CONFIG: &str = r#"tidegate: 1
service: shop
release: {tag: "v*"}

deploy:
  run: [PROGRAM, demo, shop]
  port: PORT
  instances: 2
  memory: 128 MiB
  grace: 5s
  probes:
    basic: {get: /health, expect: 200, within: 1s, interval: 500ms, retries: 4}
  smoke: {suite: smoke.yaml}

traffic:
  route: {listen: "ADDRESS"}
  steps: [5%, 25%, 50%, 100%]
  each: {for: 3s, confidence: 95%, at_least: 50 requests}
RULES
  otherwise: {hold: 2m, then: rollback}
  floor: attributed

after:
  watch: {for: 3s, keep_previous: warm}
"#;

const RULES: &str = "  \
  advance_if:  [errors < 1%, p95 < 500ms, memory < 80%]
  rollback_if:
    - errors > 2% for 2s
    - p95 > 1s for 3s
    - memory > 90% for 2s
    - sick > 50% for 2s
";

const NO_RULES: &str = "  \
  judge: rules
  advance_if: []
  rollback_if: []
";

const SMOKE: &str = r#"steps:
  - name: the front page
    get: /
    expect: {status: 200, body: "The Tide Shop", within: 1s}
  - name: the items
    get: /items
    expect: {status: 200, body: "Brass lock key"}
  - name: sign in
    post: /login
    form: {user: mira, password: sesame}
    expect: {status: 303, header: {location: /account}}
  - name: the account
    get: /account
    expect: {status: 200, body: "Welcome, mira"}
  - name: upload a drawing
    post: /upload
    body: "a heron, standing"
    expect: {status: 201, json: {/bytes: 17}}
    capture: {number: {json: /number}}
  - name: the drawing comes back
    get: /upload/${number}
    expect: {status: 200, body: "heron"}
"#;

#[cfg(test)]
mod tests {
    use tidegate_core::plan::Release;

    use super::*;

    fn findings(with_rules: bool) -> Vec<String> {
        let address = "127.0.0.1:8080".parse().unwrap();
        let text = config(Path::new("/opt/tide gate/tidegate"), address, with_rules);
        let release = Release {
            version: "v1".to_owned(),
            repository: "/srv/shop".to_owned(),
            commit: "0".repeat(40),
        };
        match tidegate_spec::parse(&text, "tidegate.yaml", release, None) {
            Ok(parsed) => {
                let steps = parsed.plan.traffic.steps.iter().map(|weight| weight.bp() / 100);
                assert!(steps.eq(STEPS));
                let rules = parsed.plan.traffic.rollback_if.len();
                assert_eq!(rules, if with_rules { 4 } else { 0 });
                parsed.notes.iter().map(ToString::to_string).collect()
            }
            Err(errors) => panic!("{errors}"),
        }
    }

    #[test]
    fn the_printed_file_is_valid_and_only_its_short_steps_are_remarked_on() {
        let [note] = findings(true).try_into().unwrap();
        // True: three seconds are short, and a step lasts until its sample is large enough.
        assert!(note.starts_with("note[TG2010]"), "{note}");
    }

    #[test]
    fn without_rules_the_file_is_still_valid() {
        findings(false);
    }

    #[tokio::test]
    async fn the_repository_has_three_releases_that_differ_and_is_removed() {
        let scene = Scene::set(Fail::Crash, true).await.unwrap();
        let tags = std::process::Command::new("git")
            .args(["tag", "--list"])
            .current_dir(scene.repository())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(tags.stdout).unwrap(), "v1\nv2\nv3\n");
        let text = std::fs::read_to_string(scene.repository().join(SHOP_FILE)).unwrap();
        let file: ShopFile = serde_json::from_str(&text).unwrap();
        assert_eq!((file.version, file.fault), (3, Fault::Crash));
        let directory = scene.directory().to_owned();
        let sealed = directory.join("shop/sealed");
        std::fs::create_dir(&sealed).unwrap();
        std::fs::write(sealed.join("file"), "x").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o500);
        std::fs::set_permissions(&sealed, mode).unwrap();
        scene.remove().unwrap();
        assert!(!directory.exists());
    }
}
