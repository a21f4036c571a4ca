//! GitHub's REST API, read only: the pull request by which a commit came, its reviews and files,
//! members of a team, checks of a commit, and the checks that a branch demands.
//!
//! Needs: `<state_dir>/github_token` with the right to read pull requests, checks, members and
//! administration of the repository. It writes nothing there, so there is nothing to undo by hand.
//! Fields are those of <https://docs.github.com/en/rest>, version 2022-11-28.
//!
//! It must never count a review of another head, nor take a list for whole that was cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidegate_core::fact::{CheckRun, Ci, Reviews};
use tidegate_engine::ports::Failure;

use crate::probe::http;

/// Where the API is, unless something else is configured.
pub const API: &str = "https://api.github.com";
/// Entries of one page: the most that the API gives.
const PAGE: usize = 100;
/// Most pages of one list: GitHub itself lists 3,000 files of a pull request and no more.
const PAGES_MAX: usize = 30;
/// Largest answer, bytes: a page of files carries their patches.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// An answer later than this is none.
const WITHIN: std::time::Duration = std::time::Duration::from_secs(20);
/// Longest token, bytes.
const TOKEN_BYTES_MAX: usize = 1_024;

/// How GitHub is asked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The API: [`API`], or that of a GitHub Enterprise Server.
    pub api: String,
    /// The file with the token.
    pub token: PathBuf,
}

/// The driver. Touches nothing until it is asked.
#[derive(Debug)]
pub(crate) struct GitHub {
    config: Config,
    http: Result<Client, String>,
}

#[derive(Debug, Deserialize)]
struct Pull {
    number: u64,
    merged_at: Option<String>,
    merge_commit_sha: Option<String>,
    head: Tip,
    base: Tip,
    user: User,
}

#[derive(Debug, Deserialize)]
struct Tip {
    sha: String,
}

#[derive(Debug, Deserialize)]
struct User {
    login: String,
}

#[derive(Debug, Deserialize)]
struct Review {
    /// Absent once the account is gone.
    user: Option<User>,
    state: String,
    commit_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Touched {
    filename: String,
    previous_filename: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Runs {
    check_runs: Vec<Run>,
}

#[derive(Debug, Deserialize)]
struct Run {
    name: String,
    head_sha: String,
    status: String,
    conclusion: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Combined {
    sha: String,
    statuses: Vec<Status>,
}

#[derive(Debug, Deserialize)]
struct Status {
    context: String,
    state: String,
}

#[derive(Debug, Deserialize)]
struct Required {
    #[serde(default)]
    contexts: Vec<String>,
    #[serde(default)]
    checks: Vec<RequiredCheck>,
}

#[derive(Debug, Deserialize)]
struct RequiredCheck {
    context: String,
}

/// The pull request by which a commit came, as far as owners are asked about.
#[derive(Debug)]
pub(crate) struct Merged {
    /// The commit of the branch that it was made for: its owners file counts.
    pub(crate) base: String,
    /// Paths that it touches, under their old and their new name.
    pub(crate) paths: Vec<String>,
}

impl GitHub {
    pub(crate) fn new(config: Config) -> Self {
        let http = Client::builder()
            // A redirect would lead the token to somebody else.
            .redirect(Policy::none())
            .no_proxy()
            .user_agent("tidegate")
            .build()
            .map_err(|error| error.to_string());
        Self { config, http }
    }

    /// How the pull request was reviewed by which a commit came to its branch, with what owners are
    /// asked about.
    pub(crate) async fn reviews(
        &self,
        slug: &str,
        commit: &str,
    ) -> Result<(Reviews, Option<Merged>), Failure> {
        let pulls: Vec<Pull> = self.all(&format!("/repos/{slug}/commits/{commit}/pulls")).await?;
        let merged = pulls.into_iter().find(|pull| {
            let came = pull.merge_commit_sha.as_deref() == Some(commit);
            pull.merged_at.is_some() && (came || pull.head.sha == commit)
        });
        let Some(pull) = merged else { return Ok((Reviews::default(), None)) };
        let number = pull.number;
        let listed: Vec<Review> =
            self.all(&format!("/repos/{slug}/pulls/{number}/reviews")).await?;
        let mut reviews = newest(&listed, &pull);
        reviews.pull = Some(number);
        let files: Vec<Touched> = self.all(&format!("/repos/{slug}/pulls/{number}/files")).await?;
        let names = files.into_iter();
        let paths = names.flat_map(|file| [Some(file.filename), file.previous_filename]).flatten();
        let merged = Merged { base: pull.base.sha, paths: paths.collect() };
        Ok((reviews, Some(merged)))
    }

    /// Whether an owner, as an owners file writes it, is one of these people. An address of mail
    /// is nobody: GitHub does not say whose it is.
    pub(crate) async fn is_one_of(
        &self,
        owner: &str,
        people: &[String],
        teams: &mut BTreeMap<String, BTreeSet<String>>,
    ) -> Result<bool, Failure> {
        let Some(name) = owner.strip_prefix('@') else { return Ok(false) };
        let Some((organisation, team)) = name.split_once('/') else {
            return Ok(people.iter().any(|person| person.eq_ignore_ascii_case(name)));
        };
        if !teams.contains_key(name) {
            let members: Vec<User> =
                self.all(&format!("/orgs/{organisation}/teams/{team}/members")).await?;
            let members = members.into_iter().map(|user| user.login.to_lowercase()).collect();
            teams.insert(name.to_owned(), members);
        }
        let members = teams.get(name);
        Ok(people.iter().any(|p| members.is_some_and(|m| m.contains(&p.to_lowercase()))))
    }

    /// The checks of a commit. Without names the protected branch says which are required.
    pub(crate) async fn ci(
        &self,
        slug: &str,
        commit: &str,
        named: &[String],
        branch: &str,
    ) -> Result<Ci, Failure> {
        let mut required = named.to_vec();
        if required.is_empty() {
            let path = format!("/repos/{slug}/branches/{branch}/protection/required_status_checks");
            let found: Option<Required> = self.one(&path).await?;
            let found = found.into_iter();
            required = found
                .flat_map(|it| {
                    it.contexts.into_iter().chain(it.checks.into_iter().map(|check| check.context))
                })
                .collect();
            required.sort();
            required.dedup();
        }
        let mut checks = BTreeMap::new();
        let path = format!("/repos/{slug}/commits/{commit}/status?per_page={PAGE}");
        let combined: Option<Combined> = self.one(&path).await?;
        if let Some(combined) = combined.filter(|combined| combined.sha == commit) {
            for status in combined.statuses {
                let stands = match status.state.as_str() {
                    "success" => CheckRun::Passed,
                    "pending" => CheckRun::Running,
                    _ => CheckRun::Failed(status.state),
                };
                checks.insert(status.context, stands);
            }
        }
        for run in self.runs(slug, commit).await? {
            let stands = match (run.status.as_str(), run.conclusion.as_deref()) {
                // As branch protection counts them.
                ("completed", Some("success" | "neutral" | "skipped")) => CheckRun::Passed,
                ("completed", word) => CheckRun::Failed(word.unwrap_or("no result").to_owned()),
                _ => CheckRun::Running,
            };
            // Of two runs of one name the worse one counts.
            let kept = checks.entry(run.name).or_insert_with(|| stands.clone());
            if *kept == CheckRun::Passed {
                *kept = stands;
            }
        }
        Ok(Ci { required, checks })
    }

    /// The newest run of each check of a commit.
    async fn runs(&self, slug: &str, commit: &str) -> Result<Vec<Run>, Failure> {
        let mut found = Vec::new();
        for page in 1..=PAGES_MAX {
            let path = format!(
                "/repos/{slug}/commits/{commit}/check-runs?filter=latest&per_page={PAGE}&page={page}"
            );
            let Some(Runs { check_runs }) = self.one(&path).await? else { return Ok(found) };
            let last = check_runs.len() < PAGE;
            found.extend(check_runs.into_iter().filter(|run| run.head_sha == commit));
            if last {
                return Ok(found);
            }
        }
        Err(too_many(commit))
    }

    /// A whole list.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let mut found = Vec::new();
        for page in 1..=PAGES_MAX {
            let asked = format!("{path}?per_page={PAGE}&page={page}");
            let Some(entries): Option<Vec<T>> = self.one(&asked).await? else {
                return Err(unbelievable(&format!("{path} is not there")));
            };
            let last = entries.len() < PAGE;
            found.extend(entries);
            if last {
                return Ok(found);
            }
        }
        Err(too_many(path))
    }

    /// One answer; `None` when there is no such thing.
    async fn one<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Failure> {
        let http = self.http.as_ref().map_err(|error| Failure::permanent("TG3047", error))?;
        let address = format!("{}{path}", self.config.api.trim_end_matches('/'));
        let silent = |error: &reqwest::Error| {
            Failure::retryable("TG3047", format!("GET {address}: {}", http::cause(error)))
        };
        let asked = http
            .get(&address)
            .timeout(WITHIN)
            .bearer_auth(self.token().await?)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        let response = asked.send().await.map_err(|error| silent(&error))?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let body = http::read(response, ANSWER_BYTES_MAX + 1).await.map_err(|e| silent(&e))?;
        if !status.is_success() {
            let what = format!("GET {address}: GitHub answers {status}");
            return Err(Failure::retryable("TG3047", what));
        }
        if body.len() > ANSWER_BYTES_MAX {
            return Err(too_many(path));
        }
        let read = serde_json::from_slice(&body);
        read.map(Some).map_err(|error| unbelievable(&format!("GET {address}: {error}")))
    }

    /// Whether somebody put a token there.
    pub(crate) fn has_token(&self) -> bool {
        self.config.token.exists()
    }

    /// The token, read anew each time: who changes it starts nothing anew.
    async fn token(&self) -> Result<String, Failure> {
        let path = &self.config.token;
        let refused =
            |what: String| Failure::permanent("TG3047", format!("{}: {what}", path.display()));
        let text = tokio::fs::read_to_string(path).await.map_err(|e| refused(e.to_string()))?;
        let token = text.trim();
        let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !plain {
            return Err(refused("it holds no token".to_owned()));
        }
        Ok(token.to_owned())
    }
}

fn too_many(what: &str) -> Failure {
    Failure::permanent("TG3048", format!("{what}: there is more of it than is read"))
}

fn unbelievable(what: &str) -> Failure {
    Failure::permanent("TG3048", what)
}

/// What the newest review of each person says. A comment changes nothing that was said before.
fn newest(listed: &[Review], pull: &Pull) -> Reviews {
    let mut said: BTreeMap<&str, &Review> = BTreeMap::new();
    for review in listed.iter().filter(|review| review.state != "COMMENTED") {
        let Some(user) = &review.user else { continue };
        if user.login != pull.user.login && review.state != "PENDING" {
            said.insert(&user.login, review);
        }
    }
    let mut reviews = Reviews::default();
    for (login, review) in said {
        let of_head = review.commit_id.as_deref() == Some(pull.head.sha.as_str());
        let list = match review.state.as_str() {
            "APPROVED" if of_head => &mut reviews.approved,
            "APPROVED" => &mut reviews.stale,
            "CHANGES_REQUESTED" => &mut reviews.refused,
            _ => continue,
        };
        list.push(login.to_owned());
    }
    reviews
}

/// The name of a repository on its host: `owner/name` of an address that git understands.
pub(crate) fn slug(repository: &str) -> Option<String> {
    let path = match repository.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        None => repository.split_once('@')?.1.split_once(':')?.1,
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let mut parts = path.split('/');
    let (owner, name) = (parts.next()?, parts.next()?);
    is_slug(path).then(|| format!("{owner}/{name}")).filter(|_| parts.next().is_none())
}

/// Whether a text is `owner/name`, with nothing in it that leads elsewhere in an address.
pub(crate) fn is_slug(text: &str) -> bool {
    let plain = |part: &str| {
        let bytes = part.bytes();
        !part.is_empty()
            && !part.starts_with('.')
            && bytes.into_iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    text.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name))
}

#[cfg(test)]
mod tests {
    use super::{is_slug, slug};

    #[test]
    fn the_name_of_a_repository_is_read_from_its_address() {
        for (address, wanted) in [
            ("https://github.com/acme/shop.git", Some("acme/shop")),
            ("https://token@github.com/acme/shop", Some("acme/shop")),
            ("ssh://git@github.com/acme/shop.git", Some("acme/shop")),
            ("git@github.com:acme/shop.git", Some("acme/shop")),
            ("/srv/shop", None),
            ("https://github.com/acme", None),
            ("https://github.com/acme/shop/../../x", None),
        ] {
            assert_eq!(slug(address).as_deref(), wanted, "{address}");
        }
        assert!(is_slug("a-b/c.d_e") && !is_slug("a/..") && !is_slug("a/b?c") && !is_slug("a/b/c"));
    }
}
