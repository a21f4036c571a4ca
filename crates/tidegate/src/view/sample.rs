//! A deployment in mid-shift, for tests of what is made of it. Must never be part of the product.

use jiff::Timestamp;
use serde_json::json;

use super::Deployment;

/// Two readings with their evidence.
pub(crate) fn verdict() -> serde_json::Value {
    json!({
        "call": "hold", "reason": "-", "sentence": "-",
        "readings": [
            { "metric": "errors", "unit": "%", "live": 0.05, "candidate": 0.04, "zone": "advance",
              "sample": 18360, "needed": 2995, "advance": "< 0.1", "rollback": "> 1 for 5m",
              "advance_limit": 0.1, "rollback_limit": 1.0, "strength": 0.12, "due_in_ms": null },
            { "metric": "p95", "unit": "ms", "live": 176.0, "candidate": null, "zone": "no_data",
              "sample": 0, "needed": 0, "advance": "< 200", "rollback": null },
        ],
        "proof": { "alpha": 0.01, "against": 1.7, "strength": 0.12, "false_alarm_odds": "1 in 2",
                   "safe": 3.0, "times_as_often": 0.8, "times_low": 0.2, "times_high": 3.1 },
        "outlook": { "advance_in_ms": 40000, "rollback_in_ms": null, "rules_in_ms": null,
                     "rule": null, "failed": 7, "charged": 2.25, "budget": 200 }
    })
}

/// What the server says of a shop that holds at 25 %.
pub(crate) fn held() -> Deployment {
    let at = |minute: i64| Timestamp::from_second(1_700_000_000 + 60 * minute).unwrap();
    let slot = |name: &str, role: &str, version: &str| {
        json!({
            "name": name, "role": role, "version": version, "revision": format!("{version}-0"),
            "observed": null, "ready": 2, "wanted": 2, "endpoints": [], "problem": null,
            "readiness": "hot"
        })
    };
    let phase = |name: &str, result: &str, notes: &[&str]| {
        json!({
            "name": name, "result": result, "since": at(0),
            "until": if result == "running" { json!(null) } else { json!(at(1)) }, "notes": notes
        })
    };
    serde_json::from_value(json!({
        "id": "d-7k3x", "service": "shop", "environment": "production", "version": "v2",
        "from": "v1", "kind": "release", "state": "held", "sentence": "-", "phase": "traffic",
        "phase_since": at(1), "started_at": at(0), "started_by": "mira", "ended_at": null,
        "why": null, "exit_code": null, "repository": "-", "commit": "-", "artifact": null,
        "binding": null, "approvals": [],
        "steps": { "current": 2, "weights_bp": [500, 2500, 10000], "converged_at": at(2), "dwell_ms": 1 },
        "phases": [
            phase("gates", "not_required", &[]),
            phase("smoke", "passed", &["14 of 14\u{1b}[2J"]),
            phase("traffic", "running", &[]),
            { "name": "bake", "result": "pending", "since": null, "until": null, "notes": [] },
        ],
        "parts": [{
            "name": "web", "kind": "web", "url": "http://127.0.0.1:8080/",
            "slots": [slot("blue", "candidate", "v2"), slot("green", "live", "v1")],
            "split": {
                "generation": 7, "set": { "blue": 25.0, "green": 75.0 },
                "read": { "blue": 25.0, "green": 75.0 },
                "observed": { "blue": 24.8, "green": 75.2 }, "since": at(2), "fallback": null
            }
        }],
        "verdict": verdict(),
        "hold": null,
        "waiting_on": {
            "on": "p95 is 231 ms, must be < 200 ms to go on", "since": at(2), "who": "the judge",
            "until": at(32), "then": "it rolls back", "command": null
        },
        "going_back": null,
        "rollback": { "word": "hot", "sentence": "the previous revision runs: about a second" },
        "exposed": 23760, "seq": 9, "now": at(5)
    }))
    .unwrap()
}
