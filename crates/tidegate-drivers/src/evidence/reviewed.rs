//! What the host of the code says to a gate: reviews with owners, and checks.
//! Must never take the owners file from the commit that is judged.

use std::collections::BTreeMap;

use tidegate_core::effect::Question;
use tidegate_core::fact::{Fact, Owners as Owned};
use tidegate_core::gate::{Demand, Missing};
use tidegate_engine::ports::{Failure, Releases as _};

use super::LocalEvidence;
use crate::scm::github::{Merged, slug};
use crate::scm::owners::{self, Owners};

impl LocalEvidence {
    /// The answer of the host.
    pub(super) async fn of_host(
        &self,
        question: &Question,
        demand: &Demand,
    ) -> Result<Fact, Missing> {
        let release = &question.plan.release;
        let named = match demand {
            Demand::Reviews { repository, .. } | Demand::Ci { repository, .. } => {
                repository.clone()
            }
            _ => None,
        };
        let Some(slug) = named.or_else(|| slug(&release.repository)) else {
            return Err(Missing {
                what: format!("{} does not say where its code is hosted", release.repository),
                help: "name it in the gate: `repository: owner/name`".to_owned(),
            });
        };
        if !self.github.has_token() {
            return Err(Missing {
                what: "no source is configured that could tell: there is no token of GitHub"
                    .to_owned(),
                help: "put one into `github_token` in the state directory of the server".to_owned(),
            });
        }
        let asked = match demand {
            Demand::Reviews { owners, .. } => self.reviews(question, &slug, *owners).await,
            Demand::Ci { checks, branch, .. } => {
                self.github.ci(&slug, &release.commit, checks, branch).await.map(Fact::Ci)
            }
            _ => Err(Failure::permanent("TG3048", "the host is asked about nothing else")),
        };
        asked.map_err(|failure| Missing {
            what: format!("{} [{}]", failure.what, failure.code),
            help: "mend what GitHub says, then `tidegate gate run`".to_owned(),
        })
    }

    async fn reviews(
        &self,
        question: &Question,
        slug: &str,
        owners: bool,
    ) -> Result<Fact, Failure> {
        let commit = &question.plan.release.commit;
        let (mut reviews, merged) = self.github.reviews(slug, commit).await?;
        if let Some(merged) = merged.filter(|_| owners) {
            reviews.owners = Some(self.owners(question, &merged, &reviews.approved).await?);
        }
        Ok(Fact::Reviews(reviews))
    }

    /// The touched paths that no owner among these people approved.
    async fn owners(
        &self,
        question: &Question,
        merged: &Merged,
        people: &[String],
    ) -> Result<Owned, Failure> {
        let repository = &question.plan.release.repository;
        let mut text = String::new();
        for place in owners::PLACES {
            let file =
                self.releases.file(repository, &merged.base, place, owners::BYTES_MAX).await?;
            if let Some(bytes) = file {
                text = String::from_utf8_lossy(&bytes).into_owned();
                break;
            }
        }
        let file = Owners::read(&text).map_err(|what| {
            Failure::permanent("TG3050", format!("the owners file cannot be read: {what}"))
        })?;
        let (mut found, mut teams) = (Owned::default(), BTreeMap::new());
        for path in &merged.paths {
            let of = file.of(path);
            if of.is_empty() {
                continue;
            }
            found.owned += 1;
            let mut approved = false;
            for owner in of {
                approved |= self.github.is_one_of(owner, people, &mut teams).await?;
            }
            if !approved {
                found.open.push((path.clone(), of.to_vec()));
            }
        }
        Ok(found)
    }
}
