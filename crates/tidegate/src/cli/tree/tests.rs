//! The screen of a deployment in mid-shift, whole. Must never need a server.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Keys, render};
use crate::terminal::{Color, Terminal};
use crate::view::Deployment;

fn terminal() -> Terminal {
    Terminal::new(Color::Never, None, false, TimeZone::UTC)
}

/// Two readings with their evidence.
fn verdict() -> serde_json::Value {
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
fn held() -> Deployment {
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

#[test]
fn a_screen_says_state_split_numbers_and_the_way_out() {
    let lines: Vec<String> = render(&held(), &terminal(), Keys::Shown)
        .iter()
        .map(|line| terminal().dressed(line).trim_end().to_owned())
        .collect();
    let (full, empty) = if terminal().unicode() { ('█', '░') } else { ('#', ' ') };
    let bar = |cells: usize| -> String {
        (0..38).map(|cell| if cell < cells { full } else { empty }).collect()
    };
    let screen = lines.join("\n");
    for expected in [
        "shop  v1 -> v2   production   d-7k3x   started 22:13:20 by mira   5m elapsed",
        "HOLDING at 25 %   waits for p95 is 231 ms, must be < 200 ms to go on",
        "  ends 22:45:20 (in 27m), then it rolls back",
        "gates        not required",
        "smoke        14 of 14[2J",
        "traffic      step 2 of 3",
        &format!("   |  live      green    [{}] set   75  read   75  seen 75.2 %", bar(28)),
        &format!("   |  candidate blue     [{}] set   25  read   25  seen 24.8 %", bar(9)),
        "   |  errors      0.05 %    0.04 %  <0.*    |        |      >1   18,360/2,995     12 %",
        "   |  evidence against it: 12 % of what rolls back, an equal version shows that in 1 in 2 \
         rollouts, 0.8 times the failures of live (0.2 to 3.1)",
        "   |  enough to advance in 40s, 2.2 of 200 failed requests spent",
        "exposed so far 23,760 requests",
        "rollback: hot, the previous revision runs: about a second",
        "[R]ollback",
    ] {
        assert!(screen.contains(expected), "{expected:?} is not in\n{screen}");
    }
    assert!(!screen.contains('\u{1b}'), "what came from outside cannot speak to the terminal");
    let live = lines.iter().position(|line| line.contains("live      green"));
    let candidate = lines.iter().position(|line| line.contains("candidate blue"));
    assert!(live < candidate, "live stands above the candidate, whatever the names");
    assert!(lines.iter().any(|line| line.contains("p95") && line.contains("no-data")));
}

#[test]
fn a_split_that_was_not_read_back_is_a_question() {
    let mut shown = held();
    let split = shown.parts[0].split.as_mut().unwrap();
    split.read = None;
    split.observed = None;
    let screen = render(&shown, &terminal(), Keys::Hidden).join("\n");
    assert!(screen.contains("read    ?  seen no requests counted"), "{screen}");
    assert!(!screen.contains("[R]ollback"), "a print-out takes no keys");
}
