//! Releases from real git repositories. Must never touch a repository of the person who tests.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::SignedDuration;
use tidegate_core::digest::Digest;
use tidegate_core::ids::DeploymentId;
use tidegate_core::plan::{
    Bake, Floor, HoldEnd, Judging, KeepPrevious, Limits, Otherwise, Plan, Release, Required, Step,
    Traffic,
};
use tidegate_core::weight::Weight;
use tidegate_drivers::scm::{Config, GitReleases};
use tidegate_engine::ports::{Failure, Releases};

use crate::setup::scope;

struct Shop {
    directory: tempfile::TempDir,
    releases: GitReleases,
}

impl Shop {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("state");
        let shop = Self { releases: GitReleases::new(Config { state_dir }), directory };
        fs::create_dir(shop.repository()).unwrap();
        shop.git(&["init", "--quiet", "--initial-branch", "main"]);
        shop
    }

    fn repository(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let out = Command::new("git")
            .current_dir(self.repository())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.repository().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn release(&self, version: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", version]);
        self.git(&["tag", "-a", "-f", version, "-m", version]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn plan(&self, commit: &str, build: Option<&str>) -> Plan {
        let build = build.map(|script| Step {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            env: BTreeMap::from([("FLAVOUR".to_owned(), "plain".to_owned())]),
            timeout: SignedDuration::from_secs(20),
        });
        plan(&self.repository().display().to_string(), commit, build)
    }

    async fn prepare(&self, plan: &Plan) -> Result<Digest, Failure> {
        self.releases.prepare(&deployment(), plan).await
    }

    fn artifact(&self, digest: &Digest) -> PathBuf {
        self.releases.artifact(digest)
    }
}

impl Drop for Shop {
    // Artifacts are read-only; the temporary directory could not remove itself.
    fn drop(&mut self) {
        drop(Command::new("chmod").args(["-R", "u+w"]).arg(self.directory.path()).output());
    }
}

fn deployment() -> DeploymentId {
    DeploymentId::new("d-1").unwrap()
}

pub(crate) fn plan(repository: &str, commit: &str, build: Option<Step>) -> Plan {
    Plan {
        scope: scope(),
        release: Release {
            version: "v1".to_owned(),
            repository: repository.to_owned(),
            commit: commit.to_owned(),
        },
        build,
        parts: Vec::new(),
        traffic: Traffic {
            steps: vec![Weight::WHOLE],
            dwell: SignedDuration::from_secs(1),
            confidence: None,
            at_least: 0,
            advance_if: Vec::new(),
            rollback_if: Vec::new(),
            otherwise: Otherwise { hold: SignedDuration::from_secs(1), then: HoldEnd::Rollback },
            floor: Floor::Literal,
            judging: Judging::default(),
        },
        bake: Bake { watch: SignedDuration::ZERO, keep_previous: KeepPrevious::Cold },
        required: Required::default(),
        limits: Limits::default(),
        gates: Vec::new(),
        approve: None,
        change: None,
        backup: None,
        custom: Vec::new(),
        window: None,
        checklist: Vec::new(),
        duties: Vec::new(),
        layers: Vec::new(),
        tell: Vec::new(),
        incident: None,
    }
}

fn listing(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let path = entry.path();
                found.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_tag_is_a_tag_and_nothing_else() {
    let shop = Shop::new();
    let path = shop.repository().display().to_string();
    let empty = shop.releases.resolve(&path, "v1.0.0").await.unwrap_err();
    assert!(empty.what.contains("the repository has no tags"), "{empty}");

    shop.write("a", "1");
    let first = shop.release("v1.0.0");
    shop.write("a", "2");
    let second = shop.release("v1.1.0");
    assert_eq!(shop.releases.resolve(&path, "v1.0.0").await.unwrap(), first);
    assert_eq!(shop.releases.resolve(&path, "v1.1.0").await.unwrap(), second);

    shop.git(&["branch", "v1.2.0"]);
    let missing = shop.releases.resolve(&path, "v1.2.0").await.unwrap_err();
    assert_eq!(missing.code, "TG3001");
    assert!(missing.what.contains("there is a branch of that name"), "{missing}");
    assert!(missing.what.contains("near it: v1.1.0, v1.0.0"), "{missing}");

    // A branch of the same name beside the tag changes nothing.
    shop.git(&["branch", "v1.0.0", "v1.1.0^{commit}"]);
    assert_eq!(shop.releases.resolve(&path, "v1.0.0").await.unwrap(), first);

    // A moved tag is told as it is; whether that is allowed is not for a driver to say.
    shop.git(&["tag", "-f", "v1.0.0", &second]);
    assert_eq!(shop.releases.resolve(&path, "v1.0.0").await.unwrap(), second);

    for odd in ["--help", "HEAD^{commit}", "", "v1 0"] {
        assert_eq!(shop.releases.resolve(&path, odd).await.unwrap_err().code, "TG3002");
    }
    let nowhere = shop.releases.resolve("/no/such/repository", "v1").await.unwrap_err();
    assert_eq!(nowhere.code, "TG3003");
    let plain = shop.directory.path().display().to_string();
    assert_eq!(shop.releases.resolve(&plain, "v1").await.unwrap_err().code, "TG3003");
}

#[tokio::test]
async fn a_file_is_read_from_the_commit() {
    let shop = Shop::new();
    let path = shop.repository().display().to_string();
    shop.write("tidegate.yaml", "tidegate: 1\n");
    symlink("tidegate.yaml", shop.repository().join("link.yaml")).unwrap();
    let commit = shop.release("v1");
    shop.write("tidegate.yaml", "changed in the work tree\n");
    let read = async |name: &str, max| shop.releases.file(&path, &commit, name, max).await;
    assert_eq!(read("tidegate.yaml", 100).await.unwrap().unwrap(), b"tidegate: 1\n");
    assert_eq!(read("other.yaml", 100).await.unwrap(), None);
    assert_eq!(read("link.yaml", 100).await.unwrap(), None);
    assert_eq!(read("tidegate.yaml", 5).await.unwrap_err().code, "TG3006");
    let odd = shop.releases.file(&path, "HEAD", "tidegate.yaml", 100).await.unwrap_err();
    assert_eq!(odd.code, "TG3005");
    let unknown = "0".repeat(40);
    let odd = shop.releases.file(&path, &unknown, "tidegate.yaml", 100).await.unwrap_err();
    assert_eq!(odd.code, "TG3005");
}

#[tokio::test]
async fn the_export_is_the_commit_and_never_the_work_tree() {
    let shop = Shop::new();
    shop.write("server.js", "serve();\n");
    shop.write("lib/deep/a.txt", "a\n");
    shop.write(".gitattributes", "*.txt text eol=crlf export-ignore filter=evil\n");
    symlink("lib/deep", shop.repository().join("short")).unwrap();
    let commit = shop.release("v1");
    // Dirt in the work tree, an untracked file, a hook and a filter that must not run.
    shop.write("server.js", "dirty();\n");
    shop.write("untracked", "x");
    let trace = shop.directory.path().join("executed");
    let evil = format!("touch {}; cat", trace.display());
    shop.git(&["config", "filter.evil.smudge", &evil]);
    shop.git(&["config", "core.fsmonitor", &evil]);
    let digest = shop.prepare(&shop.plan(&commit, None)).await.unwrap();
    let artifact = shop.artifact(&digest);
    let files = [".gitattributes", "lib/deep/a.txt", "server.js", "short"];
    assert_eq!(listing(&artifact), files);
    assert_eq!(fs::read_to_string(artifact.join("server.js")).unwrap(), "serve();\n");
    assert_eq!(fs::read(artifact.join("short/a.txt")).unwrap(), b"a\n");
    assert!(!trace.exists());
    assert!(fs::metadata(artifact.join("server.js")).unwrap().permissions().readonly());

    // The same commit is the same artifact, also from a bare clone and by URL.
    assert_eq!(shop.prepare(&shop.plan(&commit, None)).await.unwrap(), digest);
    let bare = shop.directory.path().join("bare.git").display().to_string();
    shop.git(&["clone", "--quiet", "--bare", ".", &bare]);
    assert_eq!(shop.prepare(&plan(&bare, &commit, None)).await.unwrap(), digest);
    let url = format!("file://{bare}");
    assert_eq!(shop.releases.resolve(&url, "v1").await.unwrap(), commit);
    assert_eq!(shop.prepare(&plan(&url, &commit, None)).await.unwrap(), digest);
    assert!(!shop.directory.path().join("state/work/d-1").exists());
}

#[tokio::test]
async fn the_build_sees_only_what_it_was_given() {
    let shop = Shop::new();
    shop.write("a", "1");
    let commit = shop.release("v1");
    let script = "env | cut -d= -f1 | sort | tr '\\n' ' ' > names; mkdir .git; echo hi > .git/x; \
                  echo built; test \"$FLAVOUR\" = plain";
    let digest = shop.prepare(&shop.plan(&commit, Some(script))).await.unwrap();
    let artifact = shop.artifact(&digest);
    assert_eq!(listing(&artifact), ["a", "names"]);
    let names = fs::read_to_string(artifact.join("names")).unwrap();
    // `PWD`, `OLDPWD`, `SHLVL` and `_` are the shell's own.
    let allowed =
        ["FLAVOUR", "HOME", "LANG", "OLDPWD", "PATH", "PWD", "SHLVL", "TIDEGATE_INSTANCE", "_"];
    assert!(names.split_whitespace().all(|name| allowed.contains(&name)), "{names}");
    let log = shop.releases.logs(&deployment(), 1000).await.unwrap();
    assert!(String::from_utf8_lossy(&log).ends_with("built\n"), "{log:?}");
}

#[tokio::test]
async fn a_build_that_fails_or_hangs_is_told_with_its_last_words() {
    let shop = Shop::new();
    let commit = shop.release("v1");
    assert_eq!(shop.releases.logs(&deployment(), 10).await.unwrap_err().code, "TG3013");
    let failing = shop.plan(&commit, Some("echo 'no such module: left-pad' >&2; exit 7"));
    let failed = shop.prepare(&failing).await.unwrap_err();
    assert_eq!(failed.code, "TG3009");
    assert!(failed.what.ends_with("exited with code 7: no such module: left-pad"), "{failed}");

    let mut hanging = shop.plan(&commit, Some("echo waiting; setsid sleep 601.25 & sleep 600"));
    hanging.build.as_mut().unwrap().timeout = SignedDuration::from_millis(300);
    let failed = shop.prepare(&hanging).await.unwrap_err();
    assert_eq!(failed.code, "TG3010");
    assert!(failed.what.contains("waiting"), "{failed}");
    // What left the process group of the build is ended as well.
    let left = fs::read_dir("/proc").unwrap().flatten().find(|entry| {
        fs::read_to_string(entry.path().join("cmdline")).is_ok_and(|line| line.contains("601.25"))
    });
    assert!(left.is_none(), "{left:?}");

    let mut missing = shop.plan(&commit, None);
    missing.build = hanging.build.take();
    missing.build.as_mut().unwrap().argv = vec!["no-such-tool".to_owned()];
    let failed = shop.prepare(&missing).await.unwrap_err();
    assert!(failed.what.contains("`no-such-tool` could not be started"), "{failed}");
    assert!(fs::read_dir(shop.directory.path().join("state/artifacts")).unwrap().next().is_none());
}

#[tokio::test]
async fn what_cannot_be_exported_whole_is_refused() {
    let shop = Shop::new();
    symlink("../../etc/passwd", shop.repository().join("link")).unwrap();
    let escaping = shop.release("v1");
    let refused = shop.prepare(&shop.plan(&escaping, None)).await.unwrap_err();
    assert_eq!(refused.code, "TG3008");
    assert!(refused.what.contains("`link` leads to `../../etc/passwd`"), "{refused}");

    fs::remove_file(shop.repository().join("link")).unwrap();
    shop.write("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n");
    let pointer = shop.release("v2");
    let refused = shop.prepare(&shop.plan(&pointer, None)).await.unwrap_err();
    assert_eq!(refused.code, "TG3007");

    fs::remove_file(shop.repository().join("big.bin")).unwrap();
    shop.git(&["clone", "--quiet", ".", "nested"]);
    let module = shop.release("v3");
    let refused = shop.prepare(&shop.plan(&module, None)).await.unwrap_err();
    assert!(refused.what.contains("`nested` is a submodule"), "{refused}");

    fs::remove_dir_all(shop.repository().join("nested")).unwrap();
    let clean = shop.release("v4");
    let build = shop.plan(&clean, Some("ln -s /etc/passwd out"));
    assert_eq!(shop.prepare(&build).await.unwrap_err().code, "TG3008");
}

#[tokio::test]
async fn a_change_names_every_hand_and_takes_owners_from_the_base() {
    let shop = Shop::new();
    shop.write(".github/CODEOWNERS", "* @lin\ndocs/ @acme/docs\n");
    shop.write("src/pay.rs", "1");
    let base = shop.release("v1");
    shop.write(".github/CODEOWNERS", "* @bob\n");
    shop.write("src/pay.rs", "2");
    shop.git(&["add", "--all"]);
    let message = "pay\n\nCo-authored-by: Kofi <kofi@example.org>\n";
    shop.git(&["commit", "--quiet", "--author", "Bob Ray <bob@example.org>", "-m", message]);
    shop.git(&["mv", "src/pay.rs", "src/paid.rs"]);
    shop.write("docs/a b.md", "x");
    let commit = shop.release("v2");
    let release = Release {
        version: "v2".to_owned(),
        repository: shop.repository().display().to_string(),
        commit: commit.clone(),
    };
    let ask =
        async |base: Option<&str>| shop.releases.change(&release.repository, base, &release).await;
    let changed = ask(Some(&base)).await.unwrap();
    let mut paths = changed.paths.clone();
    paths.sort();
    assert_eq!(paths, [".github/CODEOWNERS", "docs/a b.md", "src/paid.rs", "src/pay.rs"]);
    let change = changed.change;
    assert_eq!(change.base.as_deref(), Some(base.as_str()));
    assert_eq!(change.owners, Some(Digest::of(b"* @lin\ndocs/ @acme/docs\n")));
    let owners: Vec<(u64, &str)> =
        change.owned.iter().map(|owned| (owned.paths, owned.owners[0].as_str())).collect();
    assert_eq!(owners, [(1, "@acme/docs"), (3, "@lin")]);
    for hand in ["bob ray", "bob@example.org", "bob", "kofi", "kofi@example.org", "t"] {
        assert!(change.hands.contains(hand), "{hand}: {:?}", change.hands);
    }

    // The first deployment touches everything, and only the tagged commit's hands are in it.
    let first = ask(None).await.unwrap().change;
    assert_eq!((first.base, first.paths), (None, 3));
    assert!(!first.hands.contains("bob"), "{:?}", first.hands);
    assert_eq!(first.owners, Some(Digest::of(b"* @bob\n")));
    let unknown = "0123456789abcdef0123456789abcdef01234567";
    assert_eq!(ask(Some(unknown)).await.unwrap_err().code, "TG3005");
    let option = "--output=/tmp/x";
    assert_eq!(ask(Some(option)).await.unwrap_err().code, "TG3005");
}
