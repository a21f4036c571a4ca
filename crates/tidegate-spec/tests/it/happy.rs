//! Files that are accepted, and what they mean.

use jiff::SignedDuration;
use tidegate_core::plan::{
    Ask, Certificate, CohortBy, Comparison, Floor, HoldEnd, KeepPrevious, Metric, PartKind,
    Protocol, SmokeRun, Speaks,
};
use tidegate_core::weight::Weight;

use crate::{plan, read};

/// A file with every key of a service of one part.
pub(crate) const FULL: &str = r#"
tidegate: 1
service: shop
environment: production
release: {tag: "v*"}
build: {run: [npm, ci], timeout: 10m, env: {CI: 1}}
deploy:
  slots: {blue: {}, green: }
  run: [node, server.js]
  env: {NODE_ENV: production, VERSION: 1.10, ANSWER: no, MODE: 012}
  port: LISTEN_PORT
  instances: 3
  memory: 256 MiB
  grace: 15s
  log: 20 MiB
  kind: web
  probes:
    basic: {get: /health, expect: 200, header: {X-Ok: yes}, body: fine, within: 1s, interval: 5s, timeout: 3s, retries: 4, start_period: 30s}
    port: {tcp: true}
    check: {exec: [./check], owner: theirs}
    cert: {tls: shop.example, days_left: "> 14"}
  smoke: {suite: smoke.yaml, timeout: 90s}
  start_within: 4m
traffic:
  route: {listen: 127.0.0.1:8081, host: shop.example, path: /, preview: X-Preview, sticky: false,
          cohort: header X-User, mirror: 5%, access_log: 0.5%}
  steps: [5%, 25%, 50%, 100%]
  each: {for: 15m, confidence: 95%, at_least: 200 requests}
  advance_if: [errors < 0.1%, p95 < 200ms, cpu < 70%, memory < 80%]
  rollback_if: [errors > 1% for 5m, p95 > 500ms for 5m, cpu > 90% for 10m, memory > 95% for 5m, sick > 50% for 3m]
  otherwise: {hold: 20m, then: page}
  floor: literal
  lease: 45s
after:
  watch: {for: 25m, keep_previous: cold}
targets: {success: "> 99%", duration: "< 120m", rollback: "< 5m", downtime: none}
x-note: {anything: ["${goes}"]}
"#;

#[test]
fn every_key_reaches_the_plan() {
    let plan = plan(FULL);
    assert_eq!(plan.scope.to_string(), "shop/production");
    let build = plan.build.as_ref().expect("a build");
    assert_eq!(build.argv, ["npm", "ci"]);
    assert_eq!(build.env["CI"], "1");
    let part = &plan.parts[0];
    assert_eq!(part.name.as_str(), "web");
    assert_eq!(part.slots.clone().map(|slot| slot.to_string()), ["blue", "green"]);
    assert_eq!(part.run.argv, ["node", "server.js"]);
    // Values stay what was written: no version loses its zero, no answer becomes a boolean.
    assert_eq!(part.run.env["VERSION"], "1.10");
    assert_eq!(part.run.env["ANSWER"], "no");
    assert_eq!(part.run.env["MODE"], "012");
    assert_eq!(part.run.port_env, "LISTEN_PORT");
    assert_eq!((part.instances, part.run.memory_max), (3, Some(256 << 20)));
    assert_eq!(part.run.grace, SignedDuration::from_secs(15));
    assert_eq!(part.run.log_bytes_max, 20 << 20);
    let smoke = part.smoke.as_ref().expect("a smoke suite");
    assert_eq!(smoke.run, SmokeRun::Suite { file: "smoke.yaml".to_owned() });
    assert_eq!(smoke.timeout, SignedDuration::from_secs(90));
    let route = part.route().expect("a route");
    assert_eq!(route.listen, "127.0.0.1:8081");
    assert_eq!(route.host.as_deref(), Some("shop.example"));
    assert_eq!(route.preview_header.as_deref(), Some("X-Preview"));
    assert!(!route.sticky);
    assert_eq!(route.cohort, CohortBy::Header("x-user".to_owned()));
    assert_eq!(route.mirror.map(Weight::bp), Some(500));
    assert_eq!(route.access_log.map(Weight::bp), Some(50));
    assert_eq!(plan.limits.start, SignedDuration::from_mins(4));
    assert_eq!(plan.limits.traffic_lease, SignedDuration::from_secs(45));
    assert_eq!(plan.bake.watch, SignedDuration::from_mins(25));
    assert_eq!(plan.bake.keep_previous, KeepPrevious::Cold);
    assert_eq!(plan.traffic.floor, Floor::Literal);
    assert_eq!(plan.traffic.otherwise.then, HoldEnd::Page);
    assert_eq!(plan.traffic.at_least, 200);
    assert_eq!(plan.traffic.confidence, Some(0.95));
}

#[test]
fn probes_keep_their_order_and_their_words() {
    let plan = plan(FULL);
    let probes = &plan.parts[0].probes;
    let names: Vec<&str> = probes.iter().map(|probe| probe.name.as_str()).collect();
    assert_eq!(names, ["basic", "port", "check", "cert"]);
    let Ask::Http { path, status, headers, body, within } = &probes[0].ask else {
        panic!("not HTTP: {:?}", probes[0].ask)
    };
    assert_eq!((path.as_str(), status.as_slice()), ("/health", &[200][..]));
    assert_eq!(headers["x-ok"], "yes");
    assert_eq!(body.as_deref(), Some("fine"));
    assert_eq!(*within, Some(SignedDuration::from_secs(1)));
    assert_eq!(probes[0].retries, 4);
    assert!(probes[2].theirs && !probes[1].theirs);
    assert_eq!(probes[3].ask, Ask::Tls { server_name: "shop.example".to_owned(), days_left: 14 });
}

/// N1 to N8: the limits of the runbook, word for word, land in their three zones.
#[test]
fn the_limits_of_the_runbook_are_read_as_written() {
    let plan = plan(FULL);
    let rules = |rules: &[tidegate_core::plan::Rule]| -> Vec<(Metric, Comparison, f64, i64)> {
        rules
            .iter()
            .map(|rule| {
                (rule.metric.clone(), rule.comparison, rule.limit, rule.sustained.as_secs() / 60)
            })
            .collect()
    };
    assert_eq!(
        rules(&plan.traffic.advance_if),
        [
            (Metric::Errors, Comparison::Below, 0.1, 0),
            (Metric::P95, Comparison::Below, 200.0, 0),
            (Metric::Cpu, Comparison::Below, 70.0, 0),
            (Metric::Memory, Comparison::Below, 80.0, 0),
        ]
    );
    assert_eq!(
        rules(&plan.traffic.rollback_if),
        [
            (Metric::Errors, Comparison::Above, 1.0, 5),
            (Metric::P95, Comparison::Above, 500.0, 5),
            (Metric::Cpu, Comparison::Above, 90.0, 10),
            (Metric::Memory, Comparison::Above, 95.0, 5),
            (Metric::Sick, Comparison::Above, 50.0, 3),
        ]
    );
    assert_eq!(plan.traffic.otherwise.hold, SignedDuration::from_mins(20));
}

#[test]
fn the_shortest_file_has_every_default() {
    let parsed = read("tidegate: 1\nservice: shop\ndeploy: {run: [./server]}\n").expect("accepted");
    let plan = parsed.plan;
    assert_eq!(plan.scope.environment.as_str(), "production");
    assert_eq!(plan.build, None);
    let part = &plan.parts[0];
    assert_eq!(part.slots.clone().map(|slot| slot.to_string()), ["north", "south"]);
    assert_eq!((part.instances, part.run.port_env.as_str()), (2, "PORT"));
    assert_eq!(part.route().map(|route| route.listen.as_str()), Some("127.0.0.1:8080"));
    // A part that takes requests is always asked whether it listens.
    assert_eq!(part.probes.iter().map(|probe| &probe.ask).collect::<Vec<_>>(), [&Ask::Tcp]);
    let shares: Vec<u16> = plan.traffic.steps.iter().map(|step| step.bp()).collect();
    assert_eq!(shares, [500, 2_500, 5_000, 10_000]);
    assert_eq!(plan.traffic.dwell, SignedDuration::from_mins(15));
    assert!(!plan.traffic.advance_if.is_empty() && !plan.traffic.rollback_if.is_empty());
    assert_eq!(plan.bake.keep_previous, KeepPrevious::Warm);
}

#[test]
fn several_parts_keep_their_order() {
    let plan = plan(
        "tidegate: 1\nservice: shop\nparts:\n  web: {run: [./web], route: {path: /shop}}\n  api: \
         {run: [./api], route: {path: /api}, start_within: 9m}\n  mail: {kind: worker, run: \
         {shell: 'exec ./mail --port $PORT'}}\n",
    );
    let names: Vec<&str> = plan.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["web", "api", "mail"]);
    assert_eq!(plan.parts[2].kind, PartKind::Worker);
    assert_eq!(plan.parts[2].run.argv, ["/bin/sh", "-c", "exec ./mail --port $PORT"]);
    assert!(plan.parts[2].probes.is_empty());
    // The longest start governs, since the slots of a release start together.
    assert_eq!(plan.limits.start, SignedDuration::from_mins(9));
}

#[test]
fn empty_lists_of_rules_stay_empty_and_are_remarked_on() {
    let parsed = read(
        "tidegate: 1\nservice: shop\ndeploy: {run: [./server]}\ntraffic: {advance_if: [], \
         rollback_if: []}\n",
    )
    .expect("accepted");
    assert!(parsed.plan.traffic.advance_if.is_empty());
    assert!(parsed.plan.traffic.rollback_if.is_empty());
    let codes: Vec<&str> = parsed.notes.iter().map(|note| note.code.as_str()).collect();
    assert!(codes.contains(&"TG2033") && codes.contains(&"TG2034"), "{codes:?}");
}

#[test]
fn the_caller_names_the_environment() {
    let source = "tidegate: 1\nservice: shop\nenvironment: production\ndeploy: {run: [./server]}\n";
    let parsed = tidegate_spec::parse(source, "f", crate::release(), Some("staging")).expect("ok");
    assert_eq!(parsed.plan.scope.environment.as_str(), "staging");
    assert!(parsed.notes.iter().any(|note| note.code == "TG2031"), "{:?}", parsed.notes);
}

#[test]
fn json_is_yaml_and_a_byte_order_mark_is_nothing() {
    let json = r#"{"tidegate": 1, "service": "shop", "deploy": {"run": ["./server"]}}"#;
    assert_eq!(plan(json), plan(&format!("\u{feff}{json}")));
}

#[test]
fn an_alias_repeats_what_it_names() {
    let plan = plan(
        "tidegate: 1\nservice: shop\nx-env: &env {A: b}\nparts:\n  web: {run: [./web], env: *env}\n  \
         mail: {kind: worker, run: [./mail], env: *env}\n",
    );
    assert_eq!(plan.parts[0].run.env, plan.parts[1].run.env);
    assert_eq!(plan.parts[0].run.env["A"], "b");
}

#[test]
fn tls_a_load_balancer_and_a_protocol_reach_the_plan() {
    let source = |route: &str| {
        format!(
            "tidegate: 1\nservice: shop\ndeploy: {{run: [./server], protocol: h2c}}\n\
             traffic: {{route: {{listen: 0.0.0.0:443, host: Shop.Example, {route}}}}}\n"
        )
    };
    let files = plan(&source(
        "tls: {certificate: /etc/shop.pem, key: /etc/shop.key}, \
         behind: {from: [10.0.0.0/8, \"fd00::/8\"], speaks: proxy-protocol}",
    ));
    let part = &files.parts[0];
    assert_eq!(part.run.protocol, Protocol::H2c);
    let route = part.route().expect("a route");
    let tls = route.tls.as_ref().expect("tls");
    let (chain, key) = ("/etc/shop.pem".to_owned(), "/etc/shop.key".to_owned());
    assert_eq!((&tls.certificate, &tls.redirect_from), (&Certificate::Files { chain, key }, &None));
    let behind = route.behind.as_ref().expect("a load balancer");
    assert_eq!((behind.from.len(), behind.speaks), (2, Speaks::ProxyProtocol));

    let acme = plan(&source(
        "tls: {acme: {terms: agreed, contact: ops@shop.example}, redirect_from: 0.0.0.0:80}",
    ));
    let tls = acme.parts[0].route().and_then(|route| route.tls.clone()).expect("tls");
    assert_eq!(tls.redirect_from.as_deref(), Some("0.0.0.0:80"));
    let Certificate::Acme { directory, contact, trust } = tls.certificate else {
        panic!("not from ACME")
    };
    assert_eq!(directory, "https://acme-v02.api.letsencrypt.org/directory");
    assert_eq!((contact.as_deref(), trust), (Some("ops@shop.example"), None));

    // A plan that says nothing of it has the bytes that it had before there was any of it.
    let plain = plan("tidegate: 1\nservice: shop\ndeploy: {run: [./server]}\n");
    let json = serde_json::to_string(&plain).expect("JSON");
    assert!(!json.contains("tls") && !json.contains("behind") && !json.contains("protocol"));
}
