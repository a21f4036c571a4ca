//! The journal for auditors: search, the signed head, and what proves a deployment's entries.
//! Must never give a proof that it has not held against the root it signs.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::Deserialize;
use tidegate_audit::Entry;
use tidegate_audit::bundle::{FORM, Manifest, Proven};
use tidegate_audit::merkle::hex;
use tidegate_audit::proof;
use tidegate_core::event::{Event, Recorded};
use tidegate_core::gate::Evidence;
use tidegate_core::ids::{EnvironmentName, Scope, ServiceName};
use tidegate_engine::ports::{DeploymentRow, Wanted};
use utoipa::IntoParams;

use super::Api;
use super::body::Query;
use super::locate;
use super::reply::Reply;
use crate::problem::Problem;
use crate::view::audit::{Checkpoint, Entries, Entry as Shown, Named, Proof, Root};

/// Entries of one answer, unless asked for fewer.
const ENTRIES_MAX: u32 = 1_000;
/// Entries of one answer when no number is asked for.
const ENTRIES: u32 = 100;
/// Most entries of one deployment that are proven; it has some hundred.
const PROVEN_MAX: u64 = 100_000;

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// From this position on; an answer's `next`.
    from: Option<u64>,
    /// At most so many, 1 to 1000; 100 when absent.
    limit: Option<u32>,
    /// Of this service; with `environment`.
    service: Option<String>,
    /// Of this environment; with `service`.
    environment: Option<String>,
    /// Of this kind, `approval_given`.
    kind: Option<String>,
    /// Caused by this actor: `person:ada`, `robot:ci`, `tidegate`, `proxy:main`.
    actor: Option<String>,
    /// Not before this time.
    #[param(value_type = Option<String>)]
    since: Option<Timestamp>,
    /// Before this time.
    #[param(value_type = Option<String>)]
    until: Option<Timestamp>,
}

/// Entries of the journal, oldest first.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    params(Asked),
    responses(
        (status = 200, body = Entries),
        (status = 400, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn search(State(api): State<Api>, Query(asked): Query<Asked>) -> Reply<Entries> {
    let limit = asked.limit.unwrap_or(ENTRIES);
    if !(1..=ENTRIES_MAX).contains(&limit) {
        return Err(Problem::bad_request(format!("`limit` is 1 to {ENTRIES_MAX}")));
    }
    let wanted = wanted(asked)?;
    // One more than asked for says whether there are more, and where they begin.
    let mut found = api.trail().entries(&wanted, limit + 1).await?;
    let next = found.get(limit as usize).map(|(position, _)| *position);
    found.truncate(limit as usize);
    let entries = found.into_iter().map(|(position, entry)| shown(position, &entry)).collect();
    Ok(axum::Json(Entries { entries, next }))
}

fn wanted(asked: Asked) -> Result<Wanted, Problem> {
    let stream = match (&asked.service, &asked.environment) {
        (None, None) => None,
        (Some(service), Some(environment)) => {
            let named = ServiceName::new(service.clone())
                .and_then(|s| Ok((s, EnvironmentName::new(environment.clone())?)));
            let (service, environment) =
                named.map_err(|invalid| Problem::bad_request(invalid.to_string()))?;
            Some(Scope { service, environment })
        }
        _ => return Err(Problem::bad_request("`service` and `environment` go together")),
    };
    Ok(Wanted {
        from: asked.from.unwrap_or(0),
        stream,
        kind: asked.kind,
        actor: asked.actor,
        since: asked.since,
        until: asked.until,
    })
}

fn shown(position: u64, entry: &Entry) -> Shown {
    let payload: Option<serde_json::Value> = serde_json::from_str(&entry.payload).ok();
    Shown {
        position,
        stream: entry.stream.clone(),
        seq: entry.seq,
        at: Timestamp::from_microsecond(entry.at_us).unwrap_or_default(),
        actor: entry.actor.clone(),
        kind: entry.kind.clone(),
        event: payload
            .and_then(|mut payload| payload.get_mut("event").map(serde_json::Value::take))
            .unwrap_or_default(),
        leaf: hex(&entry.leaf()),
    }
}

/// The journal's head, signed.
#[utoipa::path(
    get,
    path = "/v1/audit/checkpoint",
    tag = "audit",
    responses(
        (status = 200, body = Checkpoint),
        (status = 500, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn checkpoint(State(api): State<Api>) -> Reply<Checkpoint> {
    let head = api.trail().head().await?;
    let seen = api.parts().anchors.borrow().clone();
    Ok(axum::Json(Checkpoint {
        note: api.parts().signer.sign(head.size, head.root),
        key: api.parts().signer.key().to_string(),
        anchored: seen.anchored(),
        sentence: seen.sentence(),
        places: seen.places,
    }))
}

/// Of how many entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Size {
    /// Entries, from the first.
    size: u64,
}

/// The root over the first entries, made of the leaves again.
#[utoipa::path(
    get,
    path = "/v1/audit/root",
    tag = "audit",
    params(Size),
    responses(
        (status = 200, body = Root),
        (status = 500, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn root(State(api): State<Api>, Query(asked): Query<Size>) -> Reply<Root> {
    let proofs = api.trail().prove(asked.size, &BTreeSet::new()).await?;
    let root = proofs.map(|proofs| hex(&proofs.head.root));
    Ok(axum::Json(Root { size: asked.size, root }))
}

/// What a bundle of a deployment is made of: its entries, proven against the signed head.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}/proof",
    tag = "audit",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, body = Proof),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn prove(State(api): State<Api>, Path(id): Path<String>) -> Reply<Proof> {
    let row = locate::begun(&api, &id).await?;
    let (entries, reports) = entries_of(&api, &row).await?;
    let positions: BTreeSet<u64> = entries.iter().map(|(position, _)| *position).collect();
    let size = api.trail().head().await?.size;
    let proofs = api.trail().prove(size, &positions).await?.ok_or_else(gone)?;
    let mut proven = Vec::with_capacity(entries.len());
    for (position, entry) in entries {
        let path = proofs.paths.get(&position).ok_or_else(gone)?;
        proof::check(&entry, position, path, size, &proofs.head.root).map_err(|_why| gone())?;
        proven.push(Proven::new(position, entry, path));
    }
    let manifest = Manifest {
        form: FORM.to_owned(),
        deployment: row.deployment.to_string(),
        stream: row.scope.to_string(),
        version: row.version,
        first_seq: row.first_seq,
        last_seq: row.last_seq,
    };
    let checkpoint = api.parts().signer.sign(size, proofs.head.root);
    Ok(axum::Json(Proof { manifest, checkpoint, entries: proven, reports }))
}

fn gone() -> Problem {
    Problem::new(500, "TG6010", "the journal does not prove what it holds")
        .safe("nothing was changed")
        .help("`tidegate audit verify` names the entry")
}

/// The deployment's entries, after those of the reports that its gates may have weighed.
async fn entries_of(
    api: &Api,
    row: &DeploymentRow,
) -> Result<(Vec<(u64, Entry)>, Vec<Named>), Problem> {
    let mut reports = Vec::new();
    let evidence = Wanted {
        stream: Some(row.scope.clone()),
        kind: Some("evidence_added".to_owned()),
        ..Wanted::default()
    };
    let mut entries = all(api, evidence, |entry| entry.seq < row.first_seq).await?;
    entries.retain(|(_, entry)| {
        evidence_of(entry).is_some_and(|evidence| evidence.version == row.version)
    });
    let own = Wanted { stream: Some(row.scope.clone()), ..Wanted::default() };
    let last = row.last_seq.unwrap_or(u64::MAX);
    let mut own = all(api, own, |entry| entry.seq <= last).await?;
    own.retain(|(_, entry)| entry.seq >= row.first_seq);
    entries.append(&mut own);
    for evidence in entries.iter().filter_map(|(_, entry)| evidence_of(entry)) {
        reports.push(Named { digest: evidence.digest.to_string(), name: evidence.name });
    }
    Ok((entries, reports))
}

/// Every wanted entry up to the first that is past the end.
async fn all(
    api: &Api,
    mut wanted: Wanted,
    before_the_end: impl Fn(&Entry) -> bool,
) -> Result<Vec<(u64, Entry)>, Problem> {
    let mut entries = Vec::new();
    loop {
        let page = api.trail().entries(&wanted, ENTRIES_MAX).await?;
        let full = page.len() == ENTRIES_MAX as usize;
        for (position, entry) in page {
            wanted.from = position + 1;
            if !before_the_end(&entry) || entries.len() as u64 >= PROVEN_MAX {
                return Ok(entries);
            }
            entries.push((position, entry));
        }
        if !full {
            return Ok(entries);
        }
    }
}

fn evidence_of(entry: &Entry) -> Option<Evidence> {
    if entry.kind != "evidence_added" {
        return None;
    }
    let recorded: Recorded = serde_json::from_str(&entry.payload).ok()?;
    match recorded.event {
        Event::EvidenceAdded { evidence } => Some(evidence),
        _ => None,
    }
}
