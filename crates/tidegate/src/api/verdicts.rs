//! Verdicts of a deployment, and each made again from its recording.
//! It must never call two verdicts the same that differ in one bit.

use axum::Json;
use axum::extract::{Path, State};
use tidegate_core::event::{Event, Recorded};
use tidegate_core::ids::PartName;
use tidegate_core::plan::Traffic;
use tidegate_core::verdict::{Inputs, Verdict};
use tidegate_engine::hearing::{self, Hearing};
use tidegate_engine::ports::{DeploymentRow, RecordingName};
use tidegate_engine::recording::{self, Entry, Recording};

use super::depict::verdict_view;
use super::{Api, course, locate};
use crate::problem::Problem;
use crate::view::judged::{Heard, Judged, Replayed, Verdicts};

/// The verdicts of a deployment: one for each change of advice.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}/verdicts",
    tag = "deployments",
    params(("id" = String, Path, description = "The deployment")),
    responses(
        (status = 200, body = Verdicts),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Verdicts>, Problem> {
    let row = locate::begun(&api, &id).await?;
    let (traffic, said) = said(&api, &row).await?;
    let verdicts =
        said.iter().enumerate().map(|(index, one)| judged(&row, index, one, &traffic)).collect();
    Ok(Json(Verdicts { verdicts }))
}

/// One verdict, made again from what its judge had heard.
#[utoipa::path(
    get,
    path = "/v1/deployments/{id}/verdicts/{number}",
    tag = "deployments",
    params(
        ("id" = String, Path, description = "The deployment"),
        ("number" = usize, Path, description = "Which of its verdicts, from 1"),
    ),
    responses(
        (status = 200, body = Replayed),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn show(
    State(api): State<Api>,
    Path((id, number)): Path<(String, usize)>,
) -> Result<Json<Replayed>, Problem> {
    let row = locate::begun(&api, &id).await?;
    let (traffic, said) = said(&api, &row).await?;
    let index = number.checked_sub(1).filter(|index| *index < said.len());
    let Some((index, one)) = index.and_then(|index| Some((index, said.get(index)?))) else {
        let what = format!("{id} has {} verdicts and none numbered {number}", said.len());
        return Err(Problem::not_found("TG7030", what).help("`tidegate verdict list`"));
    };
    let journaled = judged(&row, index, one, &traffic);
    let hearings = hearings(&api, &row, &one.verdict.inputs).await?;
    let (result, sentence, again) = compare(&one.verdict, hearings.as_deref());
    let hearings = hearings.unwrap_or_default();
    Ok(Json(Replayed {
        journaled,
        result: result.to_owned(),
        sentence,
        inputs: again.as_ref().map(|again| heard(&again.inputs)).unwrap_or_default(),
        replay: again.map(|again| verdict_view(&again, &traffic)),
        judge: hearings.first().map(|hearing| hearing.header().judge.clone()),
    }))
}

/// A journaled verdict with its place.
struct Said {
    recorded: Recorded,
    verdict: Verdict,
}

async fn said(api: &Api, row: &DeploymentRow) -> Result<(Traffic, Vec<Said>), Problem> {
    let events = course::events(api, row, row.first_seq.saturating_sub(1)).await?;
    let mut traffic = None;
    let mut said = Vec::new();
    for recorded in events {
        match &recorded.event {
            Event::DeploymentStarted { plan, .. } => traffic = Some(plan.traffic.clone()),
            Event::VerdictChanged { verdict, .. } => {
                let verdict = verdict.clone();
                said.push(Said { recorded, verdict });
            }
            _ => {}
        }
    }
    let missing = || Problem::not_found("TG7030", format!("{} has no plan", row.deployment));
    Ok((traffic.ok_or_else(missing)?, said))
}

fn judged(row: &DeploymentRow, index: usize, said: &Said, traffic: &Traffic) -> Judged {
    Judged {
        id: format!("{}/{}", row.deployment, index + 1),
        seq: said.recorded.seq,
        at: said.recorded.at,
        verdict: verdict_view(&said.verdict, traffic),
        inputs: heard(&said.verdict.inputs),
    }
}

fn heard(inputs: &[Inputs]) -> Vec<Heard> {
    let one = |inputs: &Inputs| Heard {
        part: inputs.part.to_string(),
        entries: inputs.entries,
        digest: inputs.digest.to_string(),
    };
    inputs.iter().map(one).collect()
}

/// Hears every part's recording up to the verdict; `None` when one is gone or was cut short.
async fn hearings(
    api: &Api,
    row: &DeploymentRow,
    inputs: &[Inputs],
) -> Result<Option<Vec<Hearing>>, Problem> {
    let mut hearings = Vec::with_capacity(inputs.len());
    for input in inputs {
        let Some(recording) = recorded(api, row, &input.part).await? else { return Ok(None) };
        let entries = u64::try_from(recording.entries.len()).unwrap_or(u64::MAX);
        if entries < input.entries {
            return Ok(None);
        }
        let most = input.entries;
        let work = move || Hearing::restored(&recording, Some(most));
        let hearing = tokio::task::spawn_blocking(work).await;
        let failed = |error: tokio::task::JoinError| Problem::new(500, "TG6402", error.to_string());
        hearings.push(hearing.map_err(failed)?);
    }
    Ok((!hearings.is_empty()).then_some(hearings))
}

/// Requests that the candidate served, as far as they are on record.
///
/// # Errors
/// TG6402 when a recording cannot be read.
pub(super) async fn exposed(
    api: &Api,
    row: &DeploymentRow,
    course: &course::Course,
) -> Result<Option<u64>, Problem> {
    let Some(current) = &course.state.current else { return Ok(None) };
    let mut exposed = None;
    for part in &current.plan.parts {
        let Some(recording) = recorded(api, row, &part.name).await? else { continue };
        let served = recording.entries.iter().filter_map(|(entry, _)| match entry {
            Entry::Tick(tick) => Some(tick.candidate.as_ref()?.requests),
            Entry::Step { .. } => None,
        });
        *exposed.get_or_insert(0) += served.sum::<u64>();
    }
    Ok(exposed)
}

/// The recording of a part; `None` when there is none (any more).
///
/// # Errors
/// TG6402 when it cannot be read.
pub(crate) async fn recorded(
    api: &Api,
    row: &DeploymentRow,
    part: &PartName,
) -> Result<Option<Recording>, Problem> {
    let name = RecordingName {
        scope: row.scope.clone(),
        deployment: row.deployment.clone(),
        part: part.clone(),
    };
    let unreadable =
        |what: String| Problem::new(500, "TG6402", format!("the recording {name}: {what}"));
    let stored = api.ports().recordings.read(&name).await;
    let Some(bytes) = stored.map_err(|failure| unreadable(failure.to_string()))? else {
        return Ok(None);
    };
    recording::read(&bytes).map(Some).map_err(|error| unreadable(error.to_string()))
}

/// What the replay says of the journal, in a word and in a sentence.
fn compare(
    journaled: &Verdict,
    hearings: Option<&[Hearing]>,
) -> (&'static str, String, Option<Verdict>) {
    let Some(hearings) = hearings else {
        let sentence = "what the judge heard is not on record (any more)".to_owned();
        return ("no_recording", sentence, None);
    };
    let Some(again) = hearing::combine(hearings.iter().map(|hearing| (hearing, true))) else {
        return ("other_inputs", "the recording leads to no verdict".to_owned(), None);
    };
    let ours = env!("CARGO_PKG_VERSION");
    let entries: u64 = again.inputs.iter().map(|inputs| inputs.entries).sum();
    let (result, sentence) = if again.inputs != journaled.inputs {
        ("other_inputs", "the recording is not what the judge heard: it was changed".to_owned())
    } else if again == *journaled {
        let sentence = format!("made again from {entries} entries: the same in every bit");
        ("same", sentence)
    } else if hearings.iter().any(|hearing| hearing.header().judge != ours) {
        let sentence = format!("the judge was another version than {ours}, and says otherwise");
        ("other_judge", sentence)
    } else {
        ("other_verdict", "the same recording leads to another verdict".to_owned())
    };
    (result, sentence, Some(again))
}
