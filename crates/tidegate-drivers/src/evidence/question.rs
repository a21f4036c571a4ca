//! What there is to one gate: reports by their names, or a question to the repository.
//! Must never weigh, and never leave a gate that is its own without an answer.

use globset::GlobMatcher;
use tidegate_core::effect::Question;
use tidegate_core::fact::{Changelog, Document, Fact, Files, Format, Provenance};
use tidegate_core::gate::{Demand, Evidence, Found, Gate, Kept, Missing, Report};
use tidegate_engine::ports::{Failure, Releases};
use tidegate_evidence::{Licences, changelog};
use tokio::io::AsyncReadExt as _;

use super::{LocalEvidence, sigstore};

/// Most reports of one gate that are read.
const REPORTS_MAX: usize = 200;
/// Largest file of which only the presence counts, bytes.
const PRESENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

impl LocalEvidence {
    /// The answer to a gate; `None` when it is not answered here.
    pub(super) async fn answer(&self, question: &Question, gate: &Gate) -> Option<Found> {
        let mut evidence = Vec::new();
        let conditional = gate.when.is_some() || gate.unless.is_some();
        let (not_needed, facts) = match (&gate.decided, gate.demand.report()) {
            (Some(decided), _) if !decided.needed => {
                (Some(decided.sentence.clone()), Ok(Vec::new()))
            }
            (None, _) if conditional => {
                let missing = Missing {
                    what: "its condition was not decided when the plan was made".to_owned(),
                    help: "deploy it again".to_owned(),
                };
                (None, Err(missing))
            }
            (_, Some(report)) => match matching(report, &question.evidence) {
                Ok(kept) => {
                    evidence = kept.iter().map(|k| k.evidence.digest.clone()).collect();
                    (None, self.reports(question, &gate.demand, report, &kept).await)
                }
                Err(missing) => (None, Err(missing)),
            },
            (_, None) => (None, self.of_repository(question, &gate.demand).await?),
        };
        Some(Found { gate: gate.name.clone(), not_needed, facts, evidence })
    }

    async fn reports(
        &self,
        question: &Question,
        demand: &Demand,
        report: &Report,
        kept: &[&Kept],
    ) -> Result<Vec<Fact>, Missing> {
        if kept.is_empty() {
            let names = report.files.join(", ");
            let version = &question.versions.version;
            let first = report.files.first().map(String::as_str).unwrap_or_default();
            return Err(Missing {
                what: format!(
                    "no {} report named {names} was added for {version}",
                    report.format.word()
                ),
                help: format!("`tidegate evidence add {first} --version {version}`"),
            });
        }
        if kept.len() > REPORTS_MAX {
            return Err(Missing {
                what: format!("{} reports match, at most {REPORTS_MAX} are read", kept.len()),
                help: "make the gate of fewer reports".to_owned(),
            });
        }
        let licences = match demand {
            Demand::Licences { allow, deny, .. } => {
                Licences { allow: allow.clone(), deny: deny.clone() }
            }
            _ => Licences::default(),
        };
        let critical = match demand {
            Demand::Coverage { critical, .. } => critical.clone(),
            _ => Vec::new(),
        };
        let mut facts = Vec::with_capacity(kept.len());
        for one in kept {
            facts.push(self.fact(one, &licences, &critical).await?);
        }
        Ok(facts)
    }

    async fn fact(
        &self,
        kept: &Kept,
        licences: &Licences,
        critical: &[String],
    ) -> Result<Fact, Missing> {
        let evidence = &kept.evidence;
        let name = &evidence.name;
        let unread = |failure: &Failure| Missing {
            what: format!("{name}: {} [{}]", failure.what, failure.code),
            help: format!("`tidegate evidence add {name} --version {}`", evidence.version),
        };
        match evidence.format {
            Format::Document => {
                self.store.verify(&evidence.digest).await.map_err(|failure| unread(&failure))?;
                let (at, by) = (kept.at, kept.by.to_string());
                Ok(Fact::Document(Document { name: name.clone(), at, by }))
            }
            Format::Provenance => self.provenance(evidence).await.map(Fact::Provenance),
            format => {
                let (licences, critical) = (licences.clone(), critical.to_vec());
                let fact = self.store.fact(&evidence.digest, format, licences, critical).await;
                fact.map_err(|failure| unread(&failure))
            }
        }
    }

    /// A bundle of Sigstore, held against the roots that are pinned on this server.
    async fn provenance(&self, evidence: &Evidence) -> Result<Provenance, Missing> {
        let name = &evidence.name;
        let roots = match tokio::fs::read(&self.roots).await {
            Ok(roots) => roots,
            Err(error) => {
                return Err(Missing {
                    what: format!(
                        "{name}: this server has no root of trust to verify it with: {error}"
                    ),
                    help: format!(
                        "put a `trusted_root.json` of Sigstore to {}",
                        self.roots.display()
                    ),
                });
            }
        };
        let verified = self.bundle(evidence).await.and_then(|bundle| {
            sigstore::verify(&bundle, &roots)
                .map_err(|what| Failure::permanent("TG3049", format!("it is not trusted: {what}")))
        });
        verified.map_err(|failure| Missing {
            what: format!("{name}: {} [{}]", failure.what, failure.code),
            help: "`tidegate explain TG3049` says what a bundle needs".to_owned(),
        })
    }

    async fn bundle(&self, evidence: &Evidence) -> Result<Vec<u8>, Failure> {
        let unread = |what: String| Failure::permanent("TG3049", what);
        self.store.verify(&evidence.digest).await?;
        let limit = u64::try_from(sigstore::BUNDLE_BYTES_MAX).unwrap_or(u64::MAX);
        if evidence.bytes > limit {
            return Err(unread(format!("it is larger than {limit} bytes")));
        }
        let mut bytes = Vec::new();
        let stored = self.store.open(&evidence.digest).await?;
        let read = stored.take(limit).read_to_end(&mut bytes).await;
        read.map(|_count| bytes).map_err(|error| unread(error.to_string()))
    }

    /// What the repository says; `None` for what is not asked of it.
    async fn of_repository(
        &self,
        question: &Question,
        demand: &Demand,
    ) -> Option<Result<Vec<Fact>, Missing>> {
        let release = &question.plan.release;
        let live = question.versions.live_commit.as_deref();
        let fact = match demand {
            // Answered by the question itself, or by nobody.
            Demand::Version { .. } | Demand::Unbound { .. } => return Some(Ok(Vec::new())),
            Demand::Tag { .. } => self.releases.tag(release, &self.signers).await.map(Fact::Tag),
            Demand::Commits { .. } => {
                self.releases.commits(release, live, &self.signers).await.map(Fact::Commits)
            }
            Demand::Branch { into, from } => {
                self.releases.branches(release, into, from).await.map(Fact::Branches)
            }
            Demand::Changelog { file } => self.changelog(question, file).await.map(Fact::Changelog),
            Demand::Files { paths } => self.files(question, paths).await.map(Fact::Files),
            Demand::Reviews { .. } | Demand::Ci { .. } => {
                return Some(self.of_host(question, demand).await.map(|fact| vec![fact]));
            }
            _ => return None,
        };
        Some(fact.map(|fact| vec![fact]).map_err(|failure| Missing {
            what: format!("{} [{}]", failure.what, failure.code),
            help: "mend what git says, then `tidegate gate run`".to_owned(),
        }))
    }

    async fn changelog(&self, question: &Question, file: &str) -> Result<Changelog, Failure> {
        let release = &question.plan.release;
        let bytes = self
            .releases
            .file(&release.repository, &release.commit, file, changelog::BYTES_MAX)
            .await?;
        let Some(bytes) = bytes else { return Ok(Changelog::default()) };
        let text = String::from_utf8(bytes).map_err(|_odd| {
            Failure::permanent("TG3041", format!("{file}: it is not UTF-8 text"))
        })?;
        changelog::read(&text, &release.version)
            .map_err(|what| Failure::permanent("TG3041", format!("{file}: {what}")))
    }

    async fn files(&self, question: &Question, paths: &[String]) -> Result<Files, Failure> {
        let release = &question.plan.release;
        let mut files = Files::default();
        for path in paths {
            let bytes = self
                .releases
                .file(&release.repository, &release.commit, path, PRESENT_BYTES_MAX)
                .await?;
            let filled = bytes.is_some_and(|bytes| !bytes.trim_ascii().is_empty());
            if filled { &mut files.present } else { &mut files.missing }.push(path.clone());
        }
        Ok(files)
    }
}

/// The newest report of each name that a gate reads. A newer report of the same name stands for
/// the older one, whatever its format: a red run after a green one counts.
fn matching<'k>(report: &Report, kept: &'k [Kept]) -> Result<Vec<&'k Kept>, Missing> {
    let matchers: Vec<GlobMatcher> = report
        .files
        .iter()
        .map(|pattern| tidegate_evidence::pattern(pattern))
        .collect::<Result<_, String>>()
        .map_err(|what| Missing { what, help: "`tidegate check`".to_owned() })?;
    let mut newest: Vec<&Kept> = Vec::new();
    for one in kept.iter().rev() {
        let name = &one.evidence.name;
        let fits = matchers.iter().any(|matcher| matcher.is_match(name));
        if fits && newest.iter().all(|known| known.evidence.name != *name) {
            newest.push(one);
        }
    }
    newest.retain(|kept| kept.evidence.format == report.format);
    newest.reverse();
    Ok(newest)
}
