//! What GitHub says to gates, by a server of our own with the state of a repository: it answers as
//! the documentation of the REST API says, and refuses what is asked wrongly.
//! Must never answer a request that GitHub would refuse.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};
use tidegate_core::effect::Question;
use tidegate_core::gate::{Demand, Gate, GateResult, Versions, weigh_all};
use tidegate_core::verdict::Outcome;
use tidegate_drivers::evidence::{Config, LocalEvidence};
use tidegate_drivers::scm::{self, GitReleases};
use tidegate_engine::ports::Evidence as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "github_pat_of_this_test";
const PER_PAGE: usize = 100;

/// A repository on the host.
#[derive(Default)]
struct Hosted {
    /// Lists by path, given out in pages.
    lists: BTreeMap<String, Vec<Value>>,
    /// Everything else by path.
    objects: BTreeMap<String, Value>,
    /// What was asked.
    asked: Vec<String>,
    /// Answers every request with this status.
    down: Option<u16>,
}

impl Hosted {
    /// Status and body of a request.
    fn answer(&mut self, head: &str) -> (u16, Value) {
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap_or_default().to_owned();
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let header = |name: &str| headers.get(name).map(String::as_str);
        self.asked.push(first.clone());
        let refused = |status: u16, why: &str| (status, json!({ "message": why }));
        let Some(target) = first.strip_prefix("GET ").and_then(|t| t.strip_suffix(" HTTP/1.1"))
        else {
            return refused(405, "this token only reads");
        };
        if header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return refused(401, "Bad credentials");
        }
        // GitHub refuses requests without a user agent.
        if header("user-agent").is_none_or(str::is_empty) {
            return refused(403, "Request forbidden by administrative rules");
        }
        if header("accept") != Some("application/vnd.github+json")
            || header("x-github-api-version") != Some("2022-11-28")
        {
            return refused(415, "another version was asked for");
        }
        if let Some(status) = self.down {
            return refused(status, "API rate limit exceeded");
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let number = |name: &str, default: usize| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let mut found = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.parse());
            found.next_back().map_or(default, |value| value.unwrap_or(default))
        };
        let (per_page, page) = (number("per_page", 30).min(PER_PAGE), number("page", 1).max(1));
        let window = |list: &[Value]| -> Vec<Value> {
            list.iter().skip((page - 1) * per_page).take(per_page).cloned().collect()
        };
        if let Some(list) = self.lists.get(path) {
            let shown = window(list);
            // Check runs come in an envelope.
            let body = if path.ends_with("/check-runs") {
                json!({ "total_count": list.len(), "check_runs": shown })
            } else {
                Value::Array(shown)
            };
            return (200, body);
        }
        match self.objects.get(path) {
            Some(object) => (200, object.clone()),
            None => refused(404, "Not Found"),
        }
    }
}

async fn serve(listener: TcpListener, hosted: Arc<Mutex<Hosted>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let hosted = Arc::clone(&hosted);
        tokio::spawn(async move { exchange(stream, &hosted).await });
    }
}

async fn exchange(mut stream: TcpStream, hosted: &Mutex<Hosted>) {
    let mut head = Vec::new();
    let mut byte = [0_u8; 1];
    while !head.ends_with(b"\r\n\r\n") && head.len() < 16 * 1024 {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let (status, body) = hosted.lock().unwrap().answer(&String::from_utf8_lossy(&head));
    let body = body.to_string();
    let answer = format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json; charset=utf-8\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    drop(stream.write_all(answer.as_bytes()).await);
}

/// A repository with an owners file, and the host that knows how it was reviewed.
struct Shop {
    directory: tempfile::TempDir,
    evidence: LocalEvidence,
    hosted: Arc<Mutex<Hosted>>,
    base: String,
    commit: String,
}

impl Shop {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("state");
        fs::create_dir(&state_dir).unwrap();
        fs::write(state_dir.join("github_token"), format!("{TOKEN}\n")).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = format!("http://{}", listener.local_addr().unwrap());
        let hosted = Arc::new(Mutex::new(Hosted::default()));
        tokio::spawn(serve(listener, Arc::clone(&hosted)));
        let releases = GitReleases::new(scm::Config { state_dir: state_dir.clone() });
        let config = Config { state_dir, github_api: Some(api) };
        let evidence = LocalEvidence::new(config, Arc::new(releases));
        let none = String::new;
        let mut shop = Self { directory, evidence, hosted, base: none(), commit: none() };
        fs::create_dir(shop.repository()).unwrap();
        shop.git(&["init", "--quiet", "--initial-branch", "main"]);
        let owners = "* @ada\n/payment/ @acme/payments\n/docs/ docs@example.org\n";
        shop.base = shop.commit("CODEOWNERS", owners);
        // Who would make themselves an owner in the change that is judged.
        shop.commit = shop.commit("CODEOWNERS", "* @mallory\n");
        shop
    }

    fn repository(&self) -> PathBuf {
        self.directory.path().join("repository")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let out = Command::new("git")
            .current_dir(self.repository())
            .args(["-c", "user.name=ada", "-c", "user.email=t@example.org"])
            .args(arguments)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap();
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, file: &str, text: &str) -> String {
        fs::write(self.repository().join(file), text).unwrap();
        self.git(&["add", file]);
        self.git(&["commit", "--quiet", "--no-gpg-sign", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// The pull request by which the commit came, with its files.
    fn pull(&self, files: &[&str]) {
        let pull = json!({
            "number": 7, "state": "closed", "merged_at": "2026-11-25T12:00:00Z",
            "merge_commit_sha": self.commit, "user": {"login": "mira"},
            "head": {"sha": "a".repeat(40)}, "base": {"sha": self.base},
        });
        let files = files.iter().map(|name| json!({"filename": name, "status": "modified"}));
        let mut hosted = self.hosted.lock().unwrap();
        let pulls = format!("/repos/acme/shop/commits/{}/pulls", self.commit);
        hosted.lists.insert(pulls, vec![pull]);
        hosted.lists.insert("/repos/acme/shop/pulls/7/files".to_owned(), files.collect());
        hosted.lists.insert("/repos/acme/shop/pulls/7/reviews".to_owned(), Vec::new());
        let team = "/orgs/acme/teams/payments/members".to_owned();
        hosted.lists.insert(team, vec![json!({"login": "Lin"})]);
    }

    fn review(&self, who: &str, state: &str, head: char) {
        let review = json!({
            "user": {"login": who}, "state": state, "commit_id": head.to_string().repeat(40),
        });
        let mut hosted = self.hosted.lock().unwrap();
        hosted.lists.get_mut("/repos/acme/shop/pulls/7/reviews").unwrap().push(review);
    }

    async fn weigh(&self, demand: Demand) -> GateResult {
        let mut plan =
            crate::releases::plan(&self.repository().display().to_string(), &self.commit, None);
        plan.gates =
            vec![Gate { name: "g".to_owned(), demand, when: None, unless: None, decided: None }];
        let question = Question {
            versions: Versions { commit: self.commit.clone(), ..Versions::default() },
            plan: Arc::new(plan),
            evidence: Vec::new(),
        };
        let found = self.evidence.gather(&question).await;
        weigh_all(&question, &found, &[], Timestamp::UNIX_EPOCH).remove(0)
    }

    async fn reviews(&self, need: u32, owners: bool) -> GateResult {
        self.weigh(Demand::Reviews { need, owners, repository: Some("acme/shop".to_owned()) }).await
    }

    async fn ci(&self, checks: &[&str]) -> GateResult {
        self.weigh(Demand::Ci {
            checks: checks.iter().map(|name| (*name).to_owned()).collect(),
            branch: "main".to_owned(),
            repository: Some("acme/shop".to_owned()),
        })
        .await
    }

    fn check(&self, name: &str, head: &str, status: &str, conclusion: Option<&str>) {
        let run =
            json!({"name": name, "head_sha": head, "status": status, "conclusion": conclusion});
        let path = format!("/repos/acme/shop/commits/{}/check-runs", self.commit);
        self.hosted.lock().unwrap().lists.entry(path).or_default().push(run);
    }

    fn object(&self, path: &str, object: Value) {
        self.hosted.lock().unwrap().objects.insert(path.to_owned(), object);
    }
}

fn is(result: &GateResult, outcome: Outcome, word: &str) {
    assert_eq!(result.outcome, outcome, "{result:?}");
    assert!(result.sentence.contains(word), "{result:?}");
}

#[tokio::test]
async fn only_approvals_of_the_merged_head_count() {
    let shop = Shop::new().await;
    is(&shop.reviews(1, false).await, Outcome::NoData, "TG3048");
    let pulls = format!("/repos/acme/shop/commits/{}/pulls", shop.commit);
    shop.hosted.lock().unwrap().lists.insert(pulls, Vec::new());
    is(&shop.reviews(1, false).await, Outcome::Fail, "no pull request");
    shop.pull(&["README.md"]);
    is(&shop.reviews(1, false).await, Outcome::Fail, "0 of 1");
    // Its author, a comment, and an approval of an earlier head.
    shop.review("mira", "APPROVED", 'a');
    shop.review("kofi", "COMMENTED", 'a');
    shop.review("ada", "APPROVED", 'b');
    is(&shop.reviews(1, false).await, Outcome::Fail, "ada approved an earlier head");
    shop.review("ada", "APPROVED", 'a');
    // A comment afterwards changes nothing.
    shop.review("ada", "COMMENTED", 'a');
    is(&shop.reviews(1, false).await, Outcome::Pass, "#7: approved by ada");
    is(&shop.reviews(2, false).await, Outcome::Fail, "1 of 2");
    shop.review("lin", "CHANGES_REQUESTED", 'a');
    is(&shop.reviews(1, false).await, Outcome::Fail, "lin asked for changes");
    shop.review("lin", "DISMISSED", 'a');
    is(&shop.reviews(1, false).await, Outcome::Pass, "ada");
}

#[tokio::test]
async fn an_owner_by_the_base_commit_is_among_the_approvals() {
    let shop = Shop::new().await;
    shop.pull(&["CODEOWNERS", "payment/card.rs"]);
    shop.review("mallory", "APPROVED", 'a');
    is(&shop.reviews(1, true).await, Outcome::Fail, "2 of 2 owned paths");
    shop.review("ada", "APPROVED", 'a');
    is(&shop.reviews(1, true).await, Outcome::Fail, "payment/card.rs of @acme/payments");
    // Names of accounts have no case.
    shop.review("lin", "APPROVED", 'a');
    is(&shop.reviews(1, true).await, Outcome::Pass, "owners of 2 paths");
    // Nobody knows whose an address of mail is.
    shop.pull(&["docs/a.md"]);
    shop.review("ada", "APPROVED", 'a');
    is(&shop.reviews(1, true).await, Outcome::Fail, "docs@example.org");
}

#[tokio::test]
async fn long_lists_are_read_to_their_end() {
    let shop = Shop::new().await;
    let names: Vec<String> = (0..250).map(|n| format!("src/{n}.rs")).collect();
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("payment/last.rs");
    shop.pull(&names);
    shop.review("ada", "APPROVED", 'a');
    is(&shop.reviews(1, true).await, Outcome::Fail, "1 of 251 owned paths");
    let endless = vec![json!({"filename": "a"}); 3_001];
    let path = "/repos/acme/shop/pulls/7/files".to_owned();
    shop.hosted.lock().unwrap().lists.insert(path, endless);
    is(&shop.reviews(1, true).await, Outcome::NoData, "TG3048");
}

#[tokio::test]
async fn checks_count_on_exactly_this_commit() {
    let shop = Shop::new().await;
    is(&shop.ci(&["build"]).await, Outcome::NoData, "did not run");
    shop.check("build", &"c".repeat(40), "completed", Some("success"));
    is(&shop.ci(&["build"]).await, Outcome::NoData, "did not run");
    shop.check("build", &shop.commit, "in_progress", None);
    is(&shop.ci(&["build"]).await, Outcome::NoData, "not ended");
    let path = format!("/repos/acme/shop/commits/{}/check-runs", shop.commit);
    shop.hosted.lock().unwrap().lists.insert(path, Vec::new());
    shop.check("build", &shop.commit, "completed", Some("success"));
    is(&shop.ci(&["build"]).await, Outcome::Pass, "1 required");
    // Of two runs of one name the worse one counts, whichever comes first.
    shop.check("build", &shop.commit, "completed", Some("timed_out"));
    is(&shop.ci(&["build"]).await, Outcome::Fail, "build (timed_out)");
    let statuses = json!([{"context": "ci/old", "state": "success"}]);
    let path = format!("/repos/acme/shop/commits/{}/status", shop.commit);
    shop.object(&path, json!({"sha": shop.commit, "statuses": statuses}));
    is(&shop.ci(&["ci/old"]).await, Outcome::Pass, "1 required");
}

#[tokio::test]
async fn the_protection_of_the_branch_says_what_is_required() {
    let shop = Shop::new().await;
    is(&shop.ci(&[]).await, Outcome::NoData, "nothing says which");
    shop.object(
        "/repos/acme/shop/branches/main/protection/required_status_checks",
        json!({"strict": true, "contexts": ["build"], "checks": [{"context": "build"}, {"context": "e2e"}]}),
    );
    shop.check("build", &shop.commit, "completed", Some("success"));
    is(&shop.ci(&[]).await, Outcome::NoData, "e2e (did not run");
    shop.check("e2e", &shop.commit, "completed", Some("skipped"));
    is(&shop.ci(&[]).await, Outcome::Pass, "2 required");
}

#[tokio::test]
async fn without_an_answer_nothing_is_known() {
    let shop = Shop::new().await;
    shop.pull(&["README.md"]);
    shop.review("ada", "APPROVED", 'a');
    for status in [401, 403, 429, 500, 302] {
        shop.hosted.lock().unwrap().down = Some(status);
        is(&shop.reviews(1, false).await, Outcome::NoData, "TG3047");
    }
    shop.hosted.lock().unwrap().down = None;
    is(&shop.reviews(1, false).await, Outcome::Pass, "ada");
    assert!(shop.hosted.lock().unwrap().asked.iter().all(|line| line.starts_with("GET ")));
    let token = shop.directory.path().join("state/github_token");
    fs::write(&token, "wrong").unwrap();
    is(&shop.reviews(1, false).await, Outcome::NoData, "401");
    fs::write(&token, "\n").unwrap();
    is(&shop.reviews(1, false).await, Outcome::NoData, "no token");
    fs::remove_file(&token).unwrap();
    let result = shop.reviews(1, false).await;
    is(&result, Outcome::NoData, "no source is configured");
    assert!(result.help.unwrap().contains("github_token"));
    let nowhere = Demand::Reviews { need: 1, owners: false, repository: None };
    is(&shop.weigh(nowhere).await, Outcome::NoData, "where its code is hosted");
}
