//! What a deployment would do: everything is read, nothing is begun.
//! Must never write to the journal, build, or ask an instance.

mod calls;
mod delta;
mod exposure;

use std::sync::Arc;

use axum::extract::State;
use jiff::Timestamp;
use tidegate_core::approval::gate::{brought_live, live_commit};
use tidegate_core::digest::Digest;
use tidegate_core::effect;
use tidegate_core::gate::{self, GateResult, Versions};
use tidegate_core::layer::Added;
use tidegate_core::plan::{KeepPrevious, Plan};
use tidegate_core::risk;
use tidegate_core::state::State as ServiceState;
use tidegate_core::window::door;
use tidegate_engine::foresee::{self, Foreseen as Course};
use tidegate_spec::{Diagnostic, Parsed, Purpose};

use super::body::Body;
use super::reply::Reply;
use super::{Api, changes, deployments, gates, services};
use crate::problem::Problem;
use crate::text::several;
use crate::view::calendar::Door;
use crate::view::plan::{
    Foreseeable, Foreseen, LayerAdded, Measured, Rate, Risk, RiskReason, Stakes, Step, WayBack,
};
use crate::view::request;
use delta::Compared;
pub(crate) use delta::declared;
pub(super) use delta::upgrades;

/// What a deployment of a tag would do.
#[utoipa::path(
    post,
    path = "/v1/plans",
    tag = "deployments",
    request_body = request::Foresee,
    responses(
        (status = 200, body = Foreseen),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 422, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    Body(asked): Body<request::Foresee>,
) -> Reply<Foreseen> {
    let given = asked.requests_per_second;
    let deploy = request::Deploy {
        repository: asked.repository,
        version: asked.version,
        config: asked.config,
        environment: asked.environment,
        supersede: false,
        despite_quarantine: false,
        key: None,
        variables: asked.variables,
        tighten: asked.tighten,
    };
    deployments::check_repository(&deploy.repository)?;
    let mut parsed = deployments::read_plan(&api, &deploy, Purpose::Check).await?;
    changes::decide(&api, &mut parsed.plan).await?;
    let declared = tidegate_spec::canonical(&parsed.plan)
        .map_err(|error| Problem::new(500, "TG7023", error.to_string()))?;
    let state = api.engine().state(&parsed.plan.scope);
    let state = state.unwrap_or_else(|| Arc::new(ServiceState::default()));
    let compared = match live_commit(&state).map(str::to_owned) {
        Some(base) => {
            let release = &parsed.plan.release;
            let declared = delta::configuration(&api, &deploy, release, &base).await;
            Some(delta::compare(&api, release, &state, &base, declared).await?)
        }
        None => None,
    };
    let rate = exposure::rate(&api, &parsed.plan, given, parsed.load).await;
    let declared = Digest::of(&declared).as_str().to_owned();
    Ok(axum::Json(told(&api, &state, parsed, declared, compared, rate).await))
}

/// All of it put together.
async fn told(
    api: &Api,
    state: &ServiceState,
    parsed: Parsed,
    declared: String,
    compared: Option<Compared>,
    rate: Option<Rate>,
) -> Foreseen {
    let Parsed { plan, notes, unserved, .. } = parsed;
    let plan = Arc::new(plan);
    let now = api.now();
    let question = effect::question(state, &plan);
    let found = tidegate_engine::look_up(api.ports(), &question).await;
    let results = gate::weigh_all(&question, &found, &state.waivers, now);
    let risk = risk_of(state, &plan, &question.versions, compared.as_ref(), now);
    let course = foresee::foresee(state, &plan, now);
    let open = notes.iter().any(|found| matches!(found.code.as_str(), "TG1038" | "TG2023"));
    let (feasibility, diagnostics) = notes.into_iter().partition(Diagnostic::is_feasibility);
    let live = services::live_version(state);
    let steps = course.as_ref().map(|course| steps(course, rate.as_ref())).unwrap_or_default();
    Foreseen {
        service: plan.scope.service.to_string(),
        environment: plan.scope.environment.to_string(),
        version: plan.release.version.clone(),
        commit: plan.release.commit.clone(),
        declared,
        binding: binding(api, state, &plan),
        in_flight: state.current.as_ref().map(|current| current.id.to_string()),
        deployable: unserved.is_empty() && !open,
        refused: course.as_ref().err().map(ToString::to_string),
        unserved: unserved.into_iter().map(|unserved| unserved.path).collect(),
        door: Door::of(door(state, &plan, now)),
        gates_sentence: gates_sentence(&results),
        gates: results.iter().map(gates::shown).collect(),
        layers: plan.layers.iter().map(shown_layer).collect(),
        risk,
        change: compared.map(|compared| compared.with_infrastructure(&found)),
        phases: phases(&plan),
        rate,
        steps,
        ends_at: course.as_ref().map_or(now, |course| course.ends_at),
        calls: course.as_ref().map(|course| calls::shown(&course.calls)).unwrap_or_default(),
        rollback: WayBack {
            to: live.clone(),
            calls: course.as_ref().map(|course| calls::shown(&course.back)).unwrap_or_default(),
            measured: measured(state),
        },
        live,
        feasibility,
        diagnostics,
    }
}

/// D, when the same commit was built here before: its artifact is known then.
fn binding(api: &Api, state: &ServiceState, plan: &Plan) -> Option<String> {
    let same = |ended: &&tidegate_core::state::Ended| {
        ended.plan.release.commit == plan.release.commit && ended.plan.build == plan.build
    };
    let built =
        state.history.iter().rev().filter(same).find_map(|ended| ended.artifact.as_ref())?;
    Some(api.ports().bind.bind(plan, built).binding.to_string())
}

fn gates_sentence(results: &[GateResult]) -> String {
    if results.is_empty() {
        return "not required: the file declares no gates".to_owned();
    }
    let (outcome, sentence) = gate::combine(results);
    format!("{}: {sentence}", outcome.word())
}

pub(super) fn shown_layer(added: &Added) -> LayerAdded {
    LayerAdded {
        layer: added.layer.word().to_owned(),
        from: added.from.clone(),
        adds: added.lines(),
    }
}

/// What is at stake with the deployment in flight, read anew for who judges it. What cannot be read
/// is named: it may have changed.
pub(super) async fn stakes(api: &Api, state: &ServiceState) -> Option<Stakes> {
    let current = state.current.as_ref()?;
    let (plan, now) = (&current.plan, api.now());
    let question = effect::question(state, plan);
    let found = tidegate_engine::look_up(api.ports(), &question).await;
    let compared = match brought_live(state) {
        None => None,
        Some(live) => {
            let base = &live.plan.release.commit;
            let mut differing = declared(&live.plan, plan);
            // That it is another release is no news.
            differing.retain(|differing| !differing.place.starts_with("release."));
            let compared = delta::compare(api, &plan.release, state, base, Ok(differing)).await;
            Some(compared.unwrap_or_else(|problem| Compared::unread(base, problem)))
        }
    };
    let rate = exposure::rate(api, plan, None, None).await;
    let ahead = ServiceState { current: None, ..state.clone() };
    let course = foresee::foresee(&ahead, plan, now);
    Some(Stakes {
        risk: risk_of(state, plan, &question.versions, compared.as_ref(), now),
        change: compared.map(|compared| compared.with_infrastructure(&found)),
        steps: course.map(|course| steps(&course, rate.as_ref())).unwrap_or_default(),
        rate,
        measured: measured(state),
    })
}

fn risk_of(
    state: &ServiceState,
    plan: &Plan,
    versions: &Versions,
    compared: Option<&Compared>,
    now: Timestamp,
) -> Risk {
    let risk = risk::assess(&risk::Known {
        plan,
        state,
        versions,
        now,
        paths: compared.and_then(|compared| compared.paths.as_deref()),
        upgrades: compared.map(|compared| compared.upgrades.as_slice()).unwrap_or_default(),
    });
    let reasons = risk.reasons.into_iter();
    let reasons = reasons
        .map(|reason| RiskReason { level: reason.level.word().to_owned(), what: reason.what });
    Risk { level: risk.level.word().to_owned(), reasons: reasons.collect() }
}

/// How long the newest rollback here took.
fn measured(state: &ServiceState) -> Option<Measured> {
    state.history.iter().rev().find_map(|ended| {
        let began = ended.went_back_at?;
        Some(Measured {
            deployment: ended.deployment.to_string(),
            at: began,
            seconds: ended.ended_at.duration_since(began).as_secs_f64(),
        })
    })
}

/// The steps with their times, from when it may begin, and the requests that meet the candidate.
fn steps(course: &Course, rate: Option<&Rate>) -> Vec<Step> {
    let steps = course.shares.iter().map(|share| {
        let part = f64::from(share.weight.bp()) / f64::from(tidegate_core::weight::WHOLE_BP);
        let lasts = share.to.duration_since(share.from).as_secs_f64();
        let exposed = rate.map(|rate| rate.per_second * part * lasts);
        Step {
            percent: part * 100.0,
            from: share.from,
            to: share.to,
            // A count of requests is far below the largest that is exact.
            exposed: exposed.map(|exposed| format!("{exposed:.0}").parse().unwrap_or(u64::MAX)),
        }
    });
    steps.collect()
}

/// What happens in each phase.
pub(crate) fn phases(plan: &Plan) -> Vec<Foreseeable> {
    let required = |wanted: bool, what: &str| {
        if wanted { what.to_owned() } else { "not required".to_owned() }
    };
    let parts: Vec<String> = plan
        .parts
        .iter()
        .map(|part| {
            let [first, second] = &part.slots;
            let instances = several(part.instances, "instance");
            format!("{}: {instances} in {first} or {second}", part.name)
        })
        .collect();
    let probes: usize = plan.parts.iter().map(|part| part.probes.len()).sum();
    let suites = plan.parts.iter().filter(|part| part.smoke.is_some()).count();
    let previous = match plan.bake.keep_previous {
        KeepPrevious::Warm => "the previous revision keeps running",
        KeepPrevious::Cold => "the previous revision is stopped",
    };
    let build = plan.build.as_ref().map_or_else(
        || "the files of the tag as they are".to_owned(),
        |build| format!("build: {}", build.argv.join(" ")),
    );
    let rows = [
        ("ready", build),
        ("gates", required(plan.required.gates, "evidence is asked for")),
        ("approvals", required(plan.required.approvals, "people are asked")),
        ("backup", required(plan.required.backup, "a copy is made")),
        ("deploy", parts.join("; ")),
        ("health", format!("{} to each instance of the candidate", several(probes, "probe"))),
        (
            "smoke",
            if suites == 0 {
                "not required".to_owned()
            } else {
                format!("{} on the candidate", several(suites, "suite"))
            },
        ),
        ("traffic", several(plan.traffic.steps.len(), "step")),
        ("bake", format!("rollback stays armed for {} s", plan.bake.watch.as_secs())),
        ("finish", previous.to_owned()),
    ];
    rows.into_iter().map(|(phase, does)| Foreseeable { phase: phase.to_owned(), does }).collect()
}
