//! Backups of a service: list, make, read back, rehearse, restore, hold.
//! Must never restore over something that is there, nor let go of what is held.

use axum::extract::{Path, State};
use jiff::Timestamp;
use tidegate_core::backup::{self, BackupRecord, DrillRecord, KeptBackup};
use tidegate_core::ids::Scope;
use tidegate_core::input::Command;
use tidegate_core::plan::Backup as Declared;
use tidegate_core::state::State as ServiceState;

use super::body::{Body, Query};
use super::principal::Principal;
use super::reply::Reply;
use super::services::{Where, change};
use super::{Api, locate};
use crate::problem::Problem;
use crate::view::backup::{Backup, Backups, Drill, Recovery, Restored};
use crate::view::request::{BackupHold, BackupOfService, BackupRestore};

/// The backups and drills of a service.
#[utoipa::path(
    get,
    path = "/v1/services/{service}/backups",
    tag = "services",
    params(("service" = String, Path, description = "The service"), Where),
    responses(
        (status = 200, body = Backups),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(api): State<Api>,
    Path(service): Path<String>,
    Query(asked): Query<Where>,
) -> Reply<Backups> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    Ok(axum::Json(shown(&scope, &state, api.now())))
}

fn shown(scope: &Scope, state: &ServiceState, now: Timestamp) -> Backups {
    Backups {
        service: scope.service.to_string(),
        environment: scope.environment.to_string(),
        recovery: recovery(scope, state, now),
        backups: state.backups.iter().rev().map(|kept| view(state, kept)).collect(),
        drills: state.drills.iter().rev().map(drill_view).collect(),
    }
}

/// Nothing is measured for a service that declares no copies.
fn recovery(scope: &Scope, state: &ServiceState, now: Timestamp) -> Recovery {
    let Ok(declared) = declared(scope, state) else { return Recovery::default() };
    let measured = backup::Recovery::measured(state, &declared.of, now);
    Recovery {
        loss_s: measured.loss.map(|loss| loss.as_secs()),
        rpo_s: declared.targets.rpo.map(|rpo| rpo.as_secs()),
        back_s: measured.back_within.map(|back| back.as_secs_f64()),
        rto_s: declared.targets.rto.map(|rto| rto.as_secs()),
    }
}

fn view(state: &ServiceState, kept: &KeptBackup) -> Backup {
    let backup = &kept.backup;
    let drill = state.drills.iter().rev().find(|drill| drill.backup == backup.id);
    Backup {
        id: backup.id.clone(),
        by: backup.of.word().to_owned(),
        of: backup.of.words(),
        place: backup.place.clone(),
        bucket: backup.bucket.as_ref().map(|bucket| bucket.name.clone()),
        encrypted_to: backup.encrypted_to.clone(),
        bytes: backup.bytes,
        digest: backup.digest.to_string(),
        parts: backup.content.as_ref().map(|content| content.parts),
        rows: backup.content.as_ref().map(|content| content.rows),
        made_at: backup.made_at,
        log_at: backup.log_at,
        took_ms: backup.took_ms,
        keep_until: backup.keep_until,
        held: kept.held.clone(),
        expired: kept.expired,
        drill: drill.map(drill_view),
    }
}

fn drill_view(drill: &DrillRecord) -> Drill {
    Drill {
        backup: drill.backup.clone(),
        at: drill.at,
        took_ms: drill.took_ms,
        outcome: drill.outcome.word().to_owned(),
        summary: drill.summary.clone(),
    }
}

/// What the newest plan says of backups.
fn declared(scope: &Scope, state: &ServiceState) -> Result<Declared, Problem> {
    let current = state.current.iter().map(|current| &current.plan);
    let plans = current.chain(state.history.iter().rev().map(|ended| &ended.plan));
    plans.filter_map(|plan| plan.backup.clone()).next().ok_or_else(|| {
        Problem::not_found("TG6625", format!("no plan of {scope} says what is to be copied"))
            .safe("nothing was copied")
            .help("declare `backup` in tidegate.yaml and deploy that")
    })
}

fn find(state: &ServiceState, id: &str) -> Result<BackupRecord, Problem> {
    let found = state.backups.iter().find(|kept| kept.backup.id == id && !kept.expired);
    found.map(|kept| kept.backup.clone()).ok_or_else(|| {
        Problem::not_found("TG6625", format!("there is no backup {}", crate::text::plain(id)))
            .help("`tidegate backup list` shows them")
    })
}

/// Make one now.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/backups",
    tag = "services",
    params(("service" = String, Path, description = "The service")),
    request_body = BackupOfService,
    responses(
        (status = 200, body = Backup),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    principal: Principal,
    Path(service): Path<String>,
    Body(asked): Body<BackupOfService>,
) -> Reply<Backup> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let declared = declared(&scope, &state)?;
    let made = api.ports().backups.make(&scope, &declared, api.now()).await?;
    let command = Command::AddBackup { backup: Box::new(made.clone()) };
    let state = change(&api, &principal, &scope, asked.key, command).await?;
    tracing::info!(%scope, backup = %made.id, by = %principal.name, "backup made");
    let kept = KeptBackup { backup: made, held: None, expired: false };
    Ok(axum::Json(view(&state, &kept)))
}

/// Read one back and compare it with its digest.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/backups/{id}/verify",
    tag = "services",
    params(
        ("service" = String, Path, description = "The service"),
        ("id" = String, Path, description = "The backup"),
    ),
    request_body = BackupOfService,
    responses(
        (status = 200, body = Backup),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn verify(
    State(api): State<Api>,
    Path((service, id)): Path<(String, String)>,
    Body(asked): Body<BackupOfService>,
) -> Reply<Backup> {
    let (_, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let record = find(&state, &id)?;
    api.ports().backups.verify(&record).await?;
    let kept = state.backups.iter().find(|kept| kept.backup.id == id);
    let kept = kept.cloned().unwrap_or(KeptBackup { backup: record, held: None, expired: false });
    Ok(axum::Json(view(&state, &kept)))
}

/// Restore one into scratch, compare, and take it away.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/backups/{id}/drill",
    tag = "services",
    params(
        ("service" = String, Path, description = "The service"),
        ("id" = String, Path, description = "The backup, or `newest`"),
    ),
    request_body = BackupOfService,
    responses(
        (status = 200, body = Drill),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn drill(
    State(api): State<Api>,
    principal: Principal,
    Path((service, id)): Path<(String, String)>,
    Body(asked): Body<BackupOfService>,
) -> Reply<Drill> {
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let declared = declared(&scope, &state)?;
    let newest = state.backups.iter().rev().find(|kept| !kept.expired);
    let id = match (id.as_str(), newest) {
        ("newest", Some(kept)) => kept.backup.id.clone(),
        _ => id,
    };
    let record = find(&state, &id)?;
    let drill = api.ports().backups.drill(&declared, &record, api.now()).await;
    let command = Command::AddDrill { drill: drill.clone() };
    change(&api, &principal, &scope, asked.key, command).await?;
    Ok(axum::Json(drill_view(&drill)))
}

/// Restore one into a place that is empty.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/backups/{id}/restore",
    tag = "services",
    params(
        ("service" = String, Path, description = "The service"),
        ("id" = String, Path, description = "The backup"),
    ),
    request_body = BackupRestore,
    responses(
        (status = 200, body = Restored),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn restore(
    State(api): State<Api>,
    principal: Principal,
    Path((service, id)): Path<(String, String)>,
    Body(asked): Body<BackupRestore>,
) -> Reply<Restored> {
    principal.proven_lately(api.now())?;
    let (scope, state) = locate::service(&api, &service, asked.environment.as_deref())?;
    let declared = declared(&scope, &state)?;
    let record = find(&state, &id)?;
    let said = api.ports().backups.restore(&declared, &record, &asked.into).await?;
    tracing::info!(%scope, backup = %id, into = %asked.into, by = %principal.name, "backup restored");
    Ok(axum::Json(Restored { backup: id, into: asked.into, sentence: said }))
}

/// Keep one beyond its time, or let it go.
#[utoipa::path(
    post,
    path = "/v1/services/{service}/backups/{id}/hold",
    tag = "services",
    params(
        ("service" = String, Path, description = "The service"),
        ("id" = String, Path, description = "The backup"),
    ),
    request_body = BackupHold,
    responses(
        (status = 200, body = Backups),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn hold(
    State(api): State<Api>,
    principal: Principal,
    Path((service, id)): Path<(String, String)>,
    Body(asked): Body<BackupHold>,
) -> Reply<Backups> {
    let (scope, _) = locate::service(&api, &service, asked.environment.as_deref())?;
    let command = Command::HoldBackup { id, held: asked.held, reason: asked.reason };
    let state = change(&api, &principal, &scope, asked.key, command).await?;
    Ok(axum::Json(shown(&scope, &state, api.now())))
}
