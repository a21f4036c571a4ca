//! The HTTP API over its unix socket: resources, problems, streams, decisions.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::harness::World;

#[test]
fn it_describes_itself() {
    let world = World::with_server();
    let description = world.get("/v1/openapi.json");
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = description["paths"].as_object().unwrap();
    for path in [
        "/v1/deployments",
        "/v1/deployments/{id}",
        "/v1/deployments/{id}/events",
        "/v1/deployments/{id}/hold",
        "/v1/services/{service}/rollback",
        "/v1/services/{service}/traffic",
        "/v1/journal/verify",
        "/v1/server/stop",
    ] {
        assert!(paths.contains_key(path), "{path} is missing");
    }
    assert!(description["components"]["schemas"]["Problem"].is_object());
}

#[test]
fn problems_have_a_code_a_media_type_and_say_what_is_safe() {
    let world = World::with_server();
    let large = format!("{{\"source\":\"{}\"}}", "x".repeat(700 * 1024));
    for (method, path, body, status, code) in [
        ("GET", "/v1/nowhere", "", 404, "TG7002"),
        ("DELETE", "/v1/deployments", "", 405, "TG7003"),
        ("GET", "/v1/deployments/d-none", "", 404, "TG7002"),
        ("GET", "/v1/deployments/%1b[31m", "", 404, "TG7002"),
        ("GET", "/v1/deployments?limit=many", "", 400, "TG7003"),
        ("GET", "/v1/deployments?sort=up", "", 400, "TG7003"),
        ("POST", "/v1/deployments", "{", 400, "TG7003"),
        ("POST", "/v1/deployments", "{\"tag\":\"v1\"}", 400, "TG7003"),
        ("POST", "/v1/check", large.as_str(), 413, "TG7004"),
        ("GET", "/v1/services/shop/slots", "", 404, "TG7010"),
        ("POST", "/v1/services/shop/rollback", "{}", 404, "TG7010"),
        ("GET", "/v1/errors/TG0000", "", 404, "TG7015"),
    ] {
        let answer = world.call(method, path, Some(body)).expect("the server answers");
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(answer.body["code"], code, "{method} {path}");
        assert_eq!(answer.body["status"], status, "{method} {path}");
        assert_eq!(answer.body["type"], format!("/v1/errors/{code}"));
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(!detail.is_empty() && !detail.contains('\u{1b}'), "{detail:?}");
    }
}

#[test]
fn a_release_goes_live_and_every_resource_tells_of_it() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    let id = app.deploy("v1");
    assert!(id.starts_with("d-") && id.len() >= 6, "{id}");
    assert_eq!(world.wait_for_end(&id), "live_unverified");
    assert_eq!(app.visit("/"), Some((200, "v1".to_owned())));

    let shown = world.get(&format!("/v1/deployments/{id}"));
    assert_eq!(shown["version"], "v1");
    assert_eq!(shown["from"], Value::Null);
    assert_eq!(shown["exit_code"], 19);
    assert_eq!(shown["service"], "shop");
    assert_eq!(shown["environment"], "production");
    assert_eq!(shown["commit"].as_str().unwrap().len(), 40);
    assert_eq!(shown["artifact"].as_str().unwrap().len(), 64);
    let results: Vec<(&str, &str)> = shown["phases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|phase| (phase["name"].as_str().unwrap(), phase["result"].as_str().unwrap()))
        .collect();
    assert!(results.contains(&("gates", "not_required")), "{results:?}");
    assert!(results.contains(&("health", "passed")), "{results:?}");
    assert!(results.contains(&("traffic", "skipped")), "{results:?}");

    let list = world.get("/v1/deployments?service=shop");
    assert_eq!(list["deployments"][0]["id"], id.as_str());
    assert_eq!(world.get("/v1/deployments?service=other")["deployments"], json!([]));
    let services = world.get("/v1/services");
    assert_eq!(services["services"][0]["live"], "v1");
    assert_eq!(services["services"][0]["current"], Value::Null);

    let slots = world.get("/v1/services/shop/slots");
    let slots = slots["parts"][0]["slots"].as_array().unwrap();
    let live = slots.iter().find(|slot| slot["role"] == "live").unwrap();
    assert_eq!((&live["version"], &live["ready"]), (&json!("v1"), &json!(1)));
    assert_eq!(live["readiness"], "hot");
    let traffic = world.get("/v1/services/shop/traffic");
    let part = &traffic["parts"][0];
    let live_slot = live["name"].as_str().unwrap();
    assert_eq!(part["split"]["set"][live_slot], 100.0);
    assert_eq!(part["split"]["read"][live_slot], 100.0);
    assert_eq!(part["in_force"], part["split"]["generation"]);
    assert!(part["history"].as_array().unwrap().len() >= 2);

    let answers = world.ask(200, "POST", "/v1/services/shop/probes", &json!({}));
    assert_eq!(answers["outcome"], "pass", "{answers}");
    let suites = world.ask(404, "POST", "/v1/services/shop/suites", &json!({}));
    assert_eq!(suites["code"], "TG7019");
    let targets = world.get("/v1/services/shop/targets");
    assert_eq!(targets["targets"][0]["readiness"], "live");
    let verified = world.get("/v1/journal/verify");
    assert_eq!(verified["verified"], true);
    assert!(verified["events"].as_u64().unwrap() > 10);
}

#[test]
fn events_are_a_list_or_a_stream_that_resumes_without_a_gap() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    let id = app.deploy("v1");
    // Live from the first event to the end.
    let live: Vec<Value> = world.events(&id, 0).collect();
    let sequence: Vec<u64> = live.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
    assert_eq!(live.first().unwrap()["kind"], "deployment_started");
    assert_eq!(live.last().unwrap()["kind"], "deployment_ended");
    let gapless = sequence.windows(2).all(|pair| pair[1] == pair[0] + 1);
    assert!(gapless, "{sequence:?}");
    // The same as a list, word by word.
    let list = world.get(&format!("/v1/deployments/{id}/events"));
    assert_eq!(list["events"], Value::Array(live.clone()));
    // Resumed in the middle: the rest, with the same words.
    let middle = sequence[sequence.len() / 2];
    let rest: Vec<Value> = world.events(&id, middle).collect();
    assert_eq!(rest.first().unwrap()["seq"], middle + 1);
    assert_eq!(rest.as_slice(), &live[sequence.len() / 2 + 1..]);
}

#[test]
fn what_cannot_be_deployed_is_refused_with_traffic_as_it_was() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    app.write("tidegate.yaml", "tidegate: 1\nservice: shop\ndeploi: {}\n");
    app.release("v2", "");
    app.git(&["rm", "-q", "tidegate.yaml"]);
    app.git(&["commit", "-q", "-m", "none"]);
    app.git(&["tag", "v3"]);

    let deploy = |version: &str| json!({ "repository": app.path(), "version": version });
    let missing = world.ask(422, "POST", "/v1/deployments", &deploy("v9"));
    assert!(missing["code"].as_str().unwrap().starts_with("TG3"), "{missing}");
    assert!(missing["detail"].as_str().unwrap().contains("v9"), "{missing}");
    let branch = world.ask(422, "POST", "/v1/deployments", &deploy("main"));
    assert!(branch["code"].as_str().unwrap().starts_with("TG3"), "{branch}");
    let invalid = world.ask(422, "POST", "/v1/deployments", &deploy("v2"));
    assert_eq!(invalid["code"], "TG7017");
    assert!(invalid["safe"].as_str().unwrap().contains("traffic is as it was"));
    let found = invalid["diagnostics"].as_array().unwrap();
    assert!(found.iter().any(|d| d["message"].as_str().unwrap().contains("deploi")), "{found:?}");
    let none = world.ask(404, "POST", "/v1/deployments", &deploy("v3"));
    assert_eq!(none["code"], "TG7005");
    assert_eq!(world.get("/v1/deployments")["deployments"], json!([]));
    assert_eq!(app.visit("/"), None);
}

#[test]
fn the_same_key_starts_one_deployment() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    let body = json!({ "repository": app.path(), "version": "v1", "key": "run-42" });
    let first = world.ask(200, "POST", "/v1/deployments", &body);
    let again = world.ask(200, "POST", "/v1/deployments", &body);
    assert_eq!(first["repeated"], false);
    assert_eq!(again["repeated"], true);
    assert_eq!(first["id"], again["id"]);
    world.wait_for_end(first["id"].as_str().unwrap());
    let later = world.ask(200, "POST", "/v1/deployments", &body);
    assert_eq!(later["id"], first["id"]);
    assert_eq!(world.get("/v1/deployments")["deployments"].as_array().unwrap().len(), 1);
}

#[test]
fn people_hold_resume_and_advance_exactly_what_they_saw() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "");
    world.wait_for_end(&app.deploy("v1"));
    app.release("v2", "");
    let load = app.load();
    let id = app.deploy("v2");
    let of = |verb: &str| format!("/v1/deployments/{id}/{verb}");
    let busy = json!({ "repository": app.path(), "version": "v1" });
    let occupied = world.ask(409, "POST", "/v1/deployments", &busy);
    assert_eq!(occupied["code"], "TG8002");
    assert!(occupied["help"].as_str().unwrap().contains("--supersede"));
    world.wait_for(&id, |event| event["kind"] == "step_converged");

    let hold = json!({ "reason": "lunch", "lasts_ms": 60_000 });
    world.ask(200, "POST", &of("hold"), &hold);
    let shown = world.get(&format!("/v1/deployments/{id}"));
    assert_eq!((&shown["state"], &shown["hold"]["why"]), (&json!("held"), &json!("lunch")));
    assert_eq!(shown["waiting_on"]["command"], "tidegate resume");
    assert!(shown["waiting_on"]["until"].is_string());
    let wrong = world.ask(409, "POST", &of("advance"), &json!({ "step": 2 }));
    assert_eq!(wrong["code"], "TG8003");
    world.ask(200, "POST", &of("resume"), &json!({}));
    let not_held = world.ask(409, "POST", &of("resume"), &json!({}));
    assert_eq!(not_held["code"], "TG8007");
    assert_eq!(world.wait_for_end(&id), "succeeded");
    assert_eq!(load.lost.load(Ordering::Relaxed), 0);
    assert!(load.good.load(Ordering::Relaxed) > 100);
    let over = world.ask(404, "POST", &of("hold"), &json!({}));
    assert_eq!(over["code"], "TG8001");
    let by: Vec<Value> = world
        .events(&id, 0)
        .filter(|event| event["kind"] == "hold_began" && event["actor"] != "tidegate")
        .collect();
    assert_eq!(by.len(), 1, "a person's hold names the person: {by:?}");
}

#[test]
fn a_build_speaks_in_the_log_of_its_deployment() {
    let world = World::with_server();
    let app = world.app();
    let config = app
        .config("")
        .replace("deploy:\n", "build: {shell: \"echo building release; echo done\"}\ndeploy:\n");
    app.write("tidegate.yaml", &config);
    app.release("v1", "");
    let id = app.deploy("v1");
    world.wait_for_end(&id);
    let log = world.get(&format!("/v1/deployments/{id}/logs"));
    assert!(log.as_str().unwrap().contains("building release"), "{log}");
    let slot = world.get(&format!("/v1/deployments/{id}/logs?part=web&tail=100"));
    assert!(slot.is_string(), "{slot}");
    let unknown = world.ask(404, "GET", &format!("/v1/deployments/{id}/logs?part=x"), &Value::Null);
    assert_eq!(unknown["code"], "TG7013");
}

#[test]
fn a_plan_says_what_would_happen_and_begins_nothing() {
    let world = World::with_server();
    let app = world.app();
    app.release("v1", "good");
    let asked = json!({"repository": app.path(), "version": "v1", "requests_per_second": 100.0});
    let plan = world.ask(200, "POST", "/v1/plans", &asked);
    assert_eq!((&plan["version"], &plan["live"]), (&json!("v1"), &Value::Null));
    assert_eq!(plan["deployable"], true);
    assert!(plan["declared"].as_str().is_some_and(|digest| digest.len() >= 64), "{plan}");
    let steps = plan["steps"].as_array().expect("steps");
    assert_eq!(steps.last().expect("a step")["percent"], 100.0);
    assert!(steps.iter().all(|step| step["exposed"].is_u64()), "{plan}");
    assert!(world.get("/v1/deployments")["deployments"].as_array().expect("a list").is_empty());
    let missing = json!({"repository": app.path(), "version": "v9"});
    assert_eq!(
        world.call("POST", "/v1/plans", Some(&missing.to_string())).expect("an answer").status,
        422
    );
}
