//! The ways back that need no control plane: lease, brake, and a person at the socket.

use http::Method;
use tidegate_proxy::wire::{
    self, BrakeEvidence, BrakeJudge, CohortBy, LeaseOutcome, LeaseRenewal, OverrideKind, Refusal,
    RollbackRequest, Table,
};

use crate::parts::{
    App, Client, Control, Proxy, SERVICE, TICK, all_to, eventually, parts, seal, shift,
};

async fn renew(control: &Control, generation: u64) -> LeaseOutcome {
    let renewal = LeaseRenewal { service: SERVICE.into(), epoch: 1, generation };
    let body = serde_json::to_string(&[renewal]).unwrap();
    let outcomes: Vec<LeaseOutcome> =
        control.call(Method::POST, wire::PATH_LEASE, body).await.unwrap();
    outcomes.into_iter().next().unwrap()
}

async fn overridden(control: &Control) -> wire::Override {
    eventually("an override", || async { control.status().await.in_override }).await
}

struct Apps {
    live: App,
    candidate: App,
}

impl Apps {
    async fn start() -> Self {
        Self { live: App::start("live").await, candidate: App::start("candidate").await }
    }

    fn shift(&self, proxy: &Proxy, generation: u64, points: u16) -> wire::TableParts {
        shift(proxy.listen, generation, self.live.address, self.candidate.address, points)
    }
}

async fn all_answer(proxy: &Proxy, name: &str) {
    let mut client = Client::connect(proxy.listen).await;
    for _ in 0..50 {
        assert_eq!(client.get("/", &[]).await.body, name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_runs_out_goes_back_and_the_old_control_plane_is_refused() {
    let apps = Apps::start().await;
    let proxy = Proxy::start().await;
    let mut table = apps.shift(&proxy, 1, 9_900);
    table.lease_ms = Some(400);
    proxy.control.put(&seal(table)).await.unwrap();

    // Renewals hold it for longer than the lease.
    let mut renewals = tokio::time::interval(TICK);
    for _ in 0..20 {
        renewals.tick().await;
        let outcome = renew(&proxy.control, 1).await;
        assert_eq!((outcome.left_ms, outcome.refusal), (Some(400), None));
    }
    assert_eq!(renew(&proxy.control, 2).await.refusal.unwrap().code, "TG5011");
    assert!(proxy.control.status().await.in_override.is_none());

    let given = overridden(&proxy.control).await;
    assert_eq!(
        (given.kind, given.sequence, given.actor.as_str()),
        (OverrideKind::Lease, 1, "proxy")
    );
    let status = proxy.control.status().await;
    assert_eq!(Some(status.shares_in_force), all_to("live"));
    assert_eq!(status.shares_set.len(), 2);
    all_answer(&proxy, "live").await;

    // The old control plane comes back and goes on as if nothing had happened.
    assert_eq!(renew(&proxy.control, 1).await.refusal.unwrap().code, "TG5005");
    let refused = proxy.control.put(&seal(apps.shift(&proxy, 2, 10_000))).await.unwrap_err();
    assert_eq!(refused.code, "TG5005");
    assert_eq!(refused.in_override.unwrap().sequence, 1);
    all_answer(&proxy, "live").await;

    // One that knows better is heard.
    let mut table = apps.shift(&proxy, 2, 10_000);
    table.acknowledges_override = Some(1);
    let ack = proxy.control.put(&seal(table)).await.unwrap();
    assert!(ack.in_override.is_none());
    all_answer(&proxy, "candidate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_without_a_lease_is_served_for_ever() {
    let app = App::start("live").await;
    let proxy =
        Proxy::serving(|listen| seal(parts(listen, 1, &[("live", 10_000, app.address)]))).await;
    eventually("many ticks", || async {
        (proxy.control.ticks(0).await.ticks.len() > 20).then_some(())
    })
    .await;
    let status = proxy.control.status().await;
    assert!(status.in_override.is_none() && status.lease_left_ms.is_none());
    all_answer(&proxy, "live").await;
    let outcome = renew(&proxy.control, 1).await;
    assert_eq!((outcome.left_ms, outcome.refusal), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_fires_on_the_candidates_errors_only() {
    let apps = Apps::start().await;
    let proxy = Proxy::start().await;
    // Evidence alone: rules of some minutes are for tests on a clock of their own.
    let evidence = BrakeEvidence {
        objective: 0.001,
        rho: 1.5,
        latency_margin: 0.06,
        warm_up_ms: 3_600_000,
        horizon_ms: 3_600_000,
        changes: 1,
    };
    let judge = Some(BrakeJudge { attributed: true, evidence: Some(evidence) });
    let mut table = apps.shift(&proxy, 1, 5_000);
    table.judge = judge;
    table.cohort.by = CohortBy::Header("x-user".into());
    proxy.control.put(&seal(table)).await.unwrap();

    // Find one client of each side; the buckets of these users are the same in every run.
    let mut client = Client::connect(proxy.listen).await;
    let (mut on_live, mut on_candidate) = (None, None);
    for id in 0_u64.. {
        let user = id.to_string();
        let reply = client.get("/", &[("x-user", &user)]).await;
        *(if reply.body == "live" { &mut on_live } else { &mut on_candidate }) = Some(user);
        if on_live.is_some() && on_candidate.is_some() {
            break;
        }
    }
    let (on_live, on_candidate) = (on_live.unwrap(), on_candidate.unwrap());
    assert!(proxy.control.revision("candidate").await.requests_total <= 10);
    // An incident of both is nobody's fault, however long it lasts.
    for _ in 0..40 {
        client.get("/status/500", &[("x-user", &on_live)]).await;
        client.get("/status/503", &[("x-user", &on_candidate)]).await;
    }
    eventually("the ticks that saw them", || async {
        (proxy.control.sums("candidate").await.failures.status_5xx == 40).then_some(())
    })
    .await;
    assert!(proxy.control.status().await.in_override.is_none());

    // The candidate alone is, once a control plane would have had the time to say so.
    while proxy.control.status().await.in_override.is_none() {
        for _ in 0..5 {
            client.get("/", &[("x-user", &on_live)]).await;
            client.get("/status/503", &[("x-user", &on_candidate)]).await;
        }
    }
    let given = overridden(&proxy.control).await;
    assert_eq!(given.kind, OverrideKind::Brake);
    assert!(given.reason.contains("candidate"), "{}", given.reason);
    assert_eq!(client.get("/", &[("x-user", &on_candidate)]).await.body, "live");

    // The errors that were answered for do not fire a second time.
    let mut table = apps.shift(&proxy, 2, 5_000);
    (table.judge, table.acknowledges_override) = (judge, Some(given.sequence));
    proxy.control.put(&seal(table)).await.unwrap();
    let seen = proxy.control.ticks(0).await.newest.unwrap();
    eventually("two more ticks", || async {
        (proxy.control.ticks(seen).await.ticks.len() >= 2).then_some(())
    })
    .await;
    assert!(proxy.control.status().await.in_override.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_rolls_back_with_nothing_but_the_socket() {
    let apps = Apps::start().await;
    let proxy = Proxy::start().await;
    let early = proxy.control.rollback().await.unwrap_err();
    assert_eq!(early.code, "TG5009");
    proxy.control.put(&seal(apps.shift(&proxy, 1, 10_000))).await.unwrap();
    all_answer(&proxy, "candidate").await;

    let began = std::time::Instant::now();
    let ack = proxy.control.rollback().await.unwrap();
    assert!(proxy.control.status().await.persisted);
    all_answer(&proxy, "live").await;
    assert!(began.elapsed().as_secs() < 1, "local rollback takes a second at most");
    let given = ack.in_override.unwrap();
    assert_eq!((given.kind, given.actor.as_str()), (OverrideKind::Emergency, "ada"));

    // A second one is a newer override; the first acknowledgement is not enough for it.
    assert_eq!(proxy.control.rollback().await.unwrap().in_override.unwrap().sequence, 2);
    let mut table = apps.shift(&proxy, 2, 10_000);
    table.acknowledges_override = Some(1);
    assert_eq!(proxy.control.put(&seal(table.clone())).await.unwrap_err().code, "TG5005");
    table.acknowledges_override = Some(2);
    proxy.control.put(&seal(table)).await.unwrap();
    all_answer(&proxy, "candidate").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_without_a_way_back_or_a_reason_is_refused() {
    let app = App::start("live").await;
    let table = |listen| -> Table { seal(parts(listen, 1, &[("live", 10_000, app.address)])) };
    let proxy = Proxy::serving(table).await;
    assert_eq!(proxy.control.rollback().await.unwrap_err().code, "TG5010");
    let silent =
        RollbackRequest { service: SERVICE.into(), actor: "ada".into(), reason: " ".into() };
    let body = serde_json::to_string(&silent).unwrap();
    let refused: Refusal =
        proxy.control.call::<wire::Ack>(Method::POST, wire::PATH_ROLLBACK, body).await.unwrap_err();
    assert_eq!(refused.code, "TG5013");
}
