//! What repositories say to gates: tags, signatures, branches, changelogs, from real git with real
//! keys. Must never use a key or a setting of the person who tests.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use jiff::Timestamp;
use tidegate_core::effect::Question;
use tidegate_core::gate::{Bump, Demand, Gate, GateResult, Versions, weigh_all};
use tidegate_core::plan::Release;
use tidegate_core::verdict::Outcome;
use tidegate_drivers::evidence::{Config, LocalEvidence};
use tidegate_drivers::scm::{self, GitReleases};
use tidegate_engine::ports::Evidence;

struct Shop {
    directory: tempfile::TempDir,
    evidence: LocalEvidence,
}

impl Shop {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("state");
        fs::create_dir(&state_dir).unwrap();
        let releases = GitReleases::new(scm::Config { state_dir: state_dir.clone() });
        let evidence =
            LocalEvidence::new(Config { state_dir, github_api: None }, Arc::new(releases));
        let shop = Self { directory, evidence };
        fs::create_dir(shop.repository()).unwrap();
        shop.git(&["init", "--quiet", "--initial-branch", "main"]);
        for who in ["ada", "mallory"] {
            let key = shop.key(who);
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", who, "-f"])
                .arg(&key)
                .status();
            assert!(made.unwrap().success());
        }
        shop
    }

    fn repository(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    fn key(&self, who: &str) -> PathBuf {
        self.directory.path().join(who)
    }

    /// Pins the key of one person.
    fn pin(&self, who: &str) {
        let key = fs::read_to_string(self.key(who).with_extension("pub")).unwrap();
        let line = format!("{who}@example.org namespaces=\"git\" {key}");
        fs::write(self.directory.path().join("state/allowed_signers"), line).unwrap();
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_as("ada", arguments)
    }

    fn git_as(&self, who: &str, arguments: &[&str]) -> String {
        let out = Command::new("git")
            .current_dir(self.repository())
            .args(["-c", &format!("user.name={who}"), "-c", "user.email=t@example.org"])
            .args(["-c", "gpg.format=ssh", "-c"])
            .arg(format!("user.signingKey={}", self.key(who).display()))
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, who: &str, signed: bool, subject: &str) {
        let sign = if signed { "--gpg-sign" } else { "--no-gpg-sign" };
        self.git_as(who, &["commit", "--quiet", "--allow-empty", sign, "-m", subject]);
    }

    fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// How one gate stands for a tag, with another version live.
    async fn weigh(&self, version: &str, live: Option<&str>, demand: Demand) -> GateResult {
        let commit = self.git(&["rev-parse", &format!("{version}^{{commit}}")]);
        let mut plan =
            crate::releases::plan(&self.repository().display().to_string(), &commit, None);
        plan.release = Release { version: version.to_owned(), ..plan.release };
        plan.gates =
            vec![Gate { name: "g".to_owned(), demand, when: None, unless: None, decided: None }];
        let commit_of = |version: &str| self.git(&["rev-parse", &format!("{version}^{{commit}}")]);
        let question = Question {
            versions: Versions {
                live: live.map(str::to_owned),
                live_commit: live.map(commit_of),
                version: version.to_owned(),
                commit,
            },
            plan: Arc::new(plan),
            evidence: Vec::new(),
        };
        let found = self.evidence.gather(&question).await;
        weigh_all(&question, &found, &[], Timestamp::UNIX_EPOCH).remove(0)
    }
}

#[tokio::test]
async fn a_tag_is_annotated_and_signed_with_a_pinned_key() {
    let shop = Shop::new();
    shop.commit("ada", true, "feat: carts");
    shop.git(&["tag", "v1.0.0"]);
    shop.git(&["tag", "-a", "-m", "plain", "v1.0.1"]);
    shop.git(&["tag", "-s", "-m", "signed", "v1.0.2"]);
    shop.git_as("mallory", &["tag", "-s", "-m", "signed", "v1.0.3"]);
    let signed = || Demand::Tag { signed: true };
    // No key is pinned: a signature proves nothing, and its absence is still an absence.
    assert_eq!(shop.weigh("v1.0.2", None, signed()).await.outcome, Outcome::NoData);
    assert_eq!(shop.weigh("v1.0.1", None, signed()).await.outcome, Outcome::Fail);
    shop.pin("ada");
    let light = shop.weigh("v1.0.0", None, Demand::Tag { signed: false }).await;
    assert!(light.outcome == Outcome::Fail && light.help.unwrap().contains("git tag -a"));
    let good = shop.weigh("v1.0.2", None, signed()).await;
    assert_eq!(good.outcome, Outcome::Pass, "{good:?}");
    assert!(good.sentence.contains("ada@example.org"), "{good:?}");
    let other = shop.weigh("v1.0.3", None, signed()).await;
    assert_eq!(other.outcome, Outcome::Fail, "{other:?}");
}

#[tokio::test]
async fn every_commit_since_live_is_signed_and_says_what_it_is() {
    let shop = Shop::new();
    shop.pin("ada");
    // What lies before the live release was judged when it went live.
    shop.commit("ada", false, "begin");
    shop.git(&["tag", "v1.0.0"]);
    shop.commit("ada", true, "fix: count once");
    shop.git(&["tag", "v1.0.1"]);
    shop.commit("mallory", true, "feat: prices");
    shop.git(&["tag", "v1.1.0"]);
    shop.commit("ada", false, "Prices again");
    let unsigned = shop.head();
    shop.git(&["tag", "v1.2.0"]);
    let both = || Demand::Commits { signed: true, conventional: true };
    let good = shop.weigh("v1.0.1", Some("v1.0.0"), both()).await;
    assert_eq!(good.outcome, Outcome::Pass, "{good:?}");
    assert!(good.sentence.contains("1 commits since v1.0.0"), "{good:?}");
    let stranger = shop.weigh("v1.1.0", Some("v1.0.1"), both()).await;
    assert!(stranger.sentence.contains("of mallory: the key is not pinned"), "{stranger:?}");
    let nobody = shop.weigh("v1.2.0", Some("v1.1.0"), both()).await;
    assert!(nobody.sentence.contains(unsigned.get(..8).unwrap()), "{nobody:?}");
    assert!(nobody.sentence.contains("of ada: not signed"), "{nobody:?}");
    let words = Demand::Commits { signed: false, conventional: true };
    let odd = shop.weigh("v1.2.0", Some("v1.1.0"), words).await;
    assert!(odd.outcome == Outcome::Fail && odd.sentence.contains("Prices again"), "{odd:?}");
    // A repository cannot bring its own verifier.
    shop.git(&["config", "gpg.ssh.program", "/bin/true"]);
    shop.git(&["config", "gpg.ssh.allowedSignersFile", "/dev/null"]);
    let again = shop.weigh("v1.1.0", Some("v1.0.1"), both()).await;
    assert_eq!(again.outcome, Outcome::Fail, "{again:?}");
    let elsewhere = shop.weigh("v1.0.0", Some("v1.2.0"), both()).await;
    assert!(elsewhere.sentence.contains("does not descend"), "{elsewhere:?}");
}

#[tokio::test]
async fn a_release_comes_by_a_merge_of_its_branch() {
    let shop = Shop::new();
    let demand =
        |into: &str| Demand::Branch { into: into.to_owned(), from: vec!["release/*".to_owned()] };
    shop.commit("ada", false, "begin");
    // By a merge commit of a release branch.
    shop.git(&["checkout", "-q", "-b", "release/1.0"]);
    shop.commit("ada", false, "feat: carts");
    shop.git(&["tag", "v1.0.0-rc.1"]);
    shop.git(&["checkout", "-q", "main"]);
    shop.git(&["merge", "-q", "--no-ff", "-m", "Merge branch 'release/1.0'", "release/1.0"]);
    shop.git(&["tag", "v1.0.0"]);
    // By a direct push.
    shop.commit("ada", false, "fix: in a hurry");
    shop.git(&["tag", "v1.0.1"]);
    // By a merge of some other branch.
    shop.git(&["checkout", "-q", "-b", "feature"]);
    shop.commit("ada", false, "feat: prices");
    shop.git(&["checkout", "-q", "main"]);
    shop.git(&["merge", "-q", "--no-ff", "-m", "Merge branch 'feature'", "feature"]);
    shop.git(&["tag", "v1.1.0"]);
    // Not on the branch at all.
    shop.git(&["checkout", "-q", "-b", "aside"]);
    shop.commit("ada", false, "feat: aside");
    shop.git(&["tag", "v1.2.0"]);
    for (version, outcome) in [
        ("v1.0.0", Outcome::Pass),
        // The head of the release branch itself, which the merge brought.
        ("v1.0.0-rc.1", Outcome::Pass),
        ("v1.0.1", Outcome::Fail),
        ("v1.1.0", Outcome::Fail),
        ("v1.2.0", Outcome::Fail),
    ] {
        let result = shop.weigh(version, None, demand("main")).await;
        assert_eq!(result.outcome, outcome, "{version}: {result:?}");
    }
    let missing = shop.weigh("v1.0.0", None, demand("production")).await;
    assert!(missing.sentence.contains("no branch production"), "{missing:?}");
}

#[tokio::test]
async fn changelog_and_documents_stand_in_the_commit() {
    let shop = Shop::new();
    let write = |path: &str, text: &str| {
        let path = shop.repository().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("CHANGELOG.md", "# Changelog\n\n## [1.0.0] - 2026-11-25\n\n- carts\n");
    write("docs/notes.md", "Carts.\n");
    write("docs/empty.md", "\n");
    shop.git(&["add", "--all"]);
    shop.commit("ada", false, "feat: carts");
    shop.git(&["tag", "v1.0.0"]);
    shop.git(&["tag", "v1.0.1"]);
    let changelog = || Demand::Changelog { file: "CHANGELOG.md".to_owned() };
    assert_eq!(shop.weigh("v1.0.0", None, changelog()).await.outcome, Outcome::Pass);
    assert_eq!(shop.weigh("v1.0.1", None, changelog()).await.outcome, Outcome::Fail);
    let files = |paths: &[&str]| Demand::Files {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
    };
    assert_eq!(shop.weigh("v1.0.0", None, files(&["docs/notes.md"])).await.outcome, Outcome::Pass);
    for missing in ["docs/empty.md", "docs/none.md", "docs"] {
        let result = shop.weigh("v1.0.0", None, files(&["docs/notes.md", missing])).await;
        assert_eq!(result.outcome, Outcome::Fail, "{missing}: {result:?}");
    }
    let version = Demand::Version { bump: Bump::Patch };
    assert_eq!(shop.weigh("v1.0.1", Some("v1.0.0"), version).await.outcome, Outcome::Pass);
}
