//! What a deployment would do: everything is read, nothing is begun.
//! Must never write to the journal, build, or ask an instance.

use axum::extract::State;
use jiff::Timestamp;
use tidegate_core::digest::Digest;
use tidegate_core::plan::{KeepPrevious, Plan};
use tidegate_core::weight::WHOLE_BP;
use tidegate_spec::{Parsed, Purpose};

use super::body::Body;
use super::reply::Reply;
use super::{Api, deployments, services};
use crate::problem::Problem;
use crate::view::plan::{Foreseeable, Foreseen, Step};
use crate::view::request;

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
    let rate = asked.requests_per_second.filter(|rate| rate.is_finite() && *rate >= 0.0);
    let deploy = request::Deploy {
        repository: asked.repository,
        version: asked.version,
        config: asked.config,
        environment: asked.environment,
        supersede: false,
        despite_quarantine: false,
        key: None,
        variables: asked.variables,
    };
    deployments::check_repository(&deploy.repository)?;
    let Parsed { plan, notes, unserved } =
        deployments::read_plan(&api, &deploy, Purpose::Check).await?;
    let state = api.engine().state(&plan.scope);
    let declared = tidegate_spec::canonical(&plan)
        .map_err(|error| Problem::new(500, "TG7023", error.to_string()))?;
    let (steps, ends_at) = steps(&plan, rate, api.now());
    let open = notes.iter().any(|found| matches!(found.code.as_str(), "TG1038" | "TG2023"));
    Ok(axum::Json(Foreseen {
        service: plan.scope.service.to_string(),
        environment: plan.scope.environment.to_string(),
        version: plan.release.version.clone(),
        commit: plan.release.commit.clone(),
        declared: Digest::of(&declared).as_str().to_owned(),
        live: state.as_ref().and_then(|state| services::live_version(state)),
        in_flight: state
            .as_ref()
            .and_then(|state| state.current.as_ref())
            .map(|current| current.id.to_string()),
        deployable: unserved.is_empty() && !open,
        unserved: unserved.into_iter().map(|unserved| unserved.path).collect(),
        phases: phases(&plan),
        steps,
        ends_at,
        diagnostics: notes,
    }))
}

/// The steps with their times, from now on, and the end of the watch.
pub(crate) fn steps(plan: &Plan, rate: Option<f64>, now: Timestamp) -> (Vec<Step>, Timestamp) {
    let mut from = now;
    let mut steps = Vec::with_capacity(plan.traffic.steps.len());
    for weight in &plan.traffic.steps {
        let share = f64::from(weight.bp()) / f64::from(WHOLE_BP);
        // At 100 % the watch takes the place of the dwell.
        let lasts = if weight.bp() == WHOLE_BP { plan.bake.watch } else { plan.traffic.dwell };
        let to = from.checked_add(lasts).unwrap_or(from);
        let exposed = rate.map(|rate| rate * share * lasts.as_secs_f64());
        steps.push(Step {
            percent: share * 100.0,
            from,
            to,
            // A count of requests is far below the largest that is exact.
            exposed: exposed.map(|exposed| format!("{exposed:.0}").parse().unwrap_or(u64::MAX)),
        });
        from = to;
    }
    (steps, from)
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
            format!("{}: {} instances in {first} or {second}", part.name, part.instances)
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
        ("health", format!("{probes} probes to each instance of the candidate")),
        (
            "smoke",
            if suites == 0 {
                "not required".to_owned()
            } else {
                format!("{suites} suites on the candidate")
            },
        ),
        ("traffic", format!("{} steps", plan.traffic.steps.len())),
        ("bake", format!("rollback stays armed for {} s", plan.bake.watch.as_secs())),
        ("finish", previous.to_owned()),
    ];
    rows.into_iter().map(|(phase, does)| Foreseeable { phase: phase.to_owned(), does }).collect()
}
