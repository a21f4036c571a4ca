//! The file that `init` writes is accepted as it is, whatever was found.

use std::collections::BTreeMap;

use tidegate_core::plan::{Floor, Plan};
use tidegate_spec::{Detected, Facts, Severity, Start, detect, template};

use crate::read;

fn facts(directory: &str, files: &[(&str, &str)]) -> Facts {
    let files: BTreeMap<String, String> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    Facts { directory: directory.to_owned(), files }
}

/// What is found, and the plan of the file written for it.
fn written(facts: &Facts) -> (Detected, Plan) {
    let detected = detect(facts);
    let text = template(&detected);
    let parsed = read(&text).unwrap_or_else(|findings| panic!("{text}\n{findings}"));
    let loud: Vec<_> = parsed.notes.iter().filter(|n| n.severity != Severity::Note).collect();
    assert!(loud.is_empty(), "{loud:?}\n{text}");
    (detected, parsed.plan)
}

#[test]
fn a_node_application_is_understood() {
    let package = r#"{"name": "@acme/Shop Front", "scripts": {"start": "node server.js"},
        "dependencies": {"express": "5"}}"#;
    let (detected, plan) =
        written(&facts("repo", &[("package.json", package), ("package-lock.json", "{}")]));
    assert_eq!(plan.scope.service.as_str(), "shop-front");
    assert_eq!(plan.build.expect("a build").argv, ["npm", "ci"]);
    assert_eq!(plan.parts[0].run.argv, ["node", "server.js"]);
    assert_eq!(plan.traffic.floor, Floor::Attributed);
    assert_eq!(detected.questions.len(), 2, "{:?}", detected.questions);
}

#[test]
fn a_build_script_runs_after_the_installation() {
    let package = r#"{"scripts": {"start": "NODE_ENV=production node .", "build": "tsc"},
        "devDependencies": {"typescript": "5"}}"#;
    let (_, plan) = written(&facts("web", &[("package.json", package)]));
    assert_eq!(
        plan.build.expect("a build").argv,
        ["/bin/sh", "-c", "npm install && npm run build"]
    );
    assert_eq!(plan.parts[0].run.argv, ["/bin/sh", "-c", "NODE_ENV=production node ."]);
}

#[test]
fn a_procfile_wins_and_its_port_is_filled_in_by_a_shell() {
    let (_, plan) = written(&facts(
        "api",
        &[("Procfile", "worker: ./w\nweb: gunicorn app:app -b \"127.0.0.1:${PORT}\"\n")],
    ));
    assert_eq!(
        plan.parts[0].run.argv,
        ["/bin/sh", "-c", "gunicorn app:app -b \"127.0.0.1:$PORT\""]
    );
}

#[test]
fn a_static_site_is_served_and_asked_for_its_root() {
    let (detected, plan) = written(&facts("site", &[("index.html", "<h1>Hello</h1>")]));
    assert!(detected.root_answers && detected.questions.is_empty());
    assert_eq!(plan.parts[0].probes[0].name, "basic");
}

#[test]
fn the_command_of_an_image_is_taken_with_a_question() {
    let dockerfile = "FROM node\nCMD [\"node\", \"-r\", \"./a: b\", \"null\"]\n";
    let (detected, plan) = written(&facts("img", &[("Dockerfile", dockerfile)]));
    assert_eq!(plan.parts[0].run.argv, ["node", "-r", "./a: b", "null"]);
    assert!(detected.questions.iter().any(|question| question.contains("container")));
}

#[test]
fn what_is_not_understood_is_asked() {
    for (directory, files) in [
        ("../../..", &[][..]),
        ("", &[("package.json", "{not json")][..]),
        ("\u{202e}x", &[("Procfile", "web: run ${HOME:-x}")][..]),
        ("CON", &[("Dockerfile", "CMD node server.js")][..]),
        ("-", &[("smoke.yaml", "steps: []")][..]),
    ] {
        let (detected, _) = written(&facts(directory, files));
        assert_eq!(detected.start, Start::Unknown, "{directory}");
        assert!(!detected.questions.is_empty());
    }
}
