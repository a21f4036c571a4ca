//! The process written for other tools, and read back from them.
//! `TIDEGATE_BLESS=1 cargo test -p tidegate-spec` records the texts anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tidegate_core::plan::{Plan, Release};
use tidegate_spec::{
    Context, Exported, How, Parsed, Purpose, Target, Tool, drawing, export, read_with, runbook,
    tool,
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The names of the examples.
pub(crate) const EXAMPLES: [&str; 7] = [
    "canary-guide",
    "flow-of-stages",
    "manual-release",
    "node-server",
    "static-site",
    "static-web-app",
    "tagged-release",
];

/// Its name, its configuration, and the files that it uses.
type Example = (&'static str, String, BTreeMap<String, Vec<u8>>);

/// Every example.
fn examples() -> Vec<Example> {
    EXAMPLES
        .into_iter()
        .map(|name| {
            let folder = root().join("examples").join(name);
            let text = fs::read_to_string(folder.join("tidegate.yaml")).unwrap_or_default();
            let wanted = tidegate_spec::wanted(&text, &BTreeMap::new());
            let read = |path: String| Some((path.clone(), fs::read(folder.join(path)).ok()?));
            (name, text, wanted.into_iter().filter_map(read).collect())
        })
        .collect()
}

fn context(files: &BTreeMap<String, Vec<u8>>) -> Context<'_> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    Context {
        release: Release {
            version: "v1.0.0".to_owned(),
            repository: ".".to_owned(),
            commit: "0".repeat(40),
        },
        environment: None,
        files,
        variables: &NONE,
        today: None,
        purpose: Purpose::Check,
    }
}

fn plan(text: &str, files: &BTreeMap<String, Vec<u8>>) -> Plan {
    let Parsed { plan, .. } = read_with(text, "tidegate.yaml", &context(files))
        .unwrap_or_else(|found| panic!("{found}\n{text}"));
    plan
}

fn exported(target: Target, text: &str, files: &BTreeMap<String, Vec<u8>>) -> Exported {
    export(target, text, "tidegate.yaml", &context(files))
        .unwrap_or_else(|found| panic!("{found}\n{text}"))
}

#[test]
fn a_process_comes_back_whole_from_its_picture() {
    for (name, text, files) in examples() {
        let picture = exported(Target::Mermaid, &text, &files).text;
        let imported = drawing(&picture, "process.mmd");
        assert_eq!(plan(&imported.draft, &files), plan(&text, &files), "{name}\n{picture}");
        let again = exported(Target::Mermaid, &imported.draft, &files).text;
        assert_eq!(again, picture, "{name}");
        // In a page of a wiki it is the same picture.
        let page = format!("# Release\n\nHow we do it:\n\n```mermaid\n{picture}```\n");
        assert_eq!(
            runbook(&page, "wiki.md").draft,
            imported.draft.replace("process.mmd", "wiki.md")
        );
        for entry in imported.entries.iter().filter(|entry| entry.text.contains("[\"")) {
            assert_eq!(entry.how, How::Exact, "{name}: {}", entry.text);
        }
    }
}

#[test]
fn texts_that_look_like_a_picture_are_values_all_the_same() {
    let text = "tidegate: 1\nservice: shop\ndeploy:\n  run: [sh, -c, \"echo \\\"a -->|b| c\\\" # ; &quot; ]\\\"]\"]\n  \
                env: {GREETING: \"Grüße;\\n  end\\n\", EMPTY: \"\", NULL: \"null\"}\n  probes: {ok: {get: /}}\n\
                traffic: {route: {listen: \"127.0.0.1:8080\"}, steps: [5%, 100%]}\n";
    let none = BTreeMap::new();
    let picture = exported(Target::Mermaid, text, &none).text;
    let draft = drawing(&picture, "p").draft;
    assert_eq!(plan(&draft, &none), plan(text, &none), "{picture}");
}

#[test]
fn a_cut_picture_says_what_is_missing() {
    let (_, text, files) = examples().remove(0);
    let picture = exported(Target::Mermaid, &text, &files).text;
    for end in (0..picture.len()).step_by(97) {
        let imported = drawing(picture.get(..end).unwrap(), "p");
        assert!(
            imported.entries.iter().all(|entry| entry.how == How::Exact || !entry.why.is_empty())
        );
    }
}

#[test]
fn what_other_tools_get_is_recorded() {
    let bless = std::env::var_os("TIDEGATE_BLESS").is_some();
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports/tidegate.yaml"),
    );
    let (text, none) = (text.unwrap(), BTreeMap::new());
    for (target, file) in [
        (Target::Mermaid, "process.mmd"),
        (Target::GithubWorkflow, "workflow.yaml"),
        (Target::ArgoRollout, "rollout.yaml"),
    ] {
        let made = exported(target, &text, &none);
        for entry in &made.entries {
            let said = entry.how == How::Exact || !entry.why.is_empty();
            assert!(said, "{file}: nothing is said of {}", entry.path);
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports").join(file);
        if bless {
            fs::write(&path, &made.text).unwrap();
        }
        assert_eq!(made.text, fs::read_to_string(&path).unwrap_or_default(), "{file}");
    }
}

#[test]
fn steps_and_pauses_come_back_from_a_rollout_and_the_tag_from_a_workflow() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exports/tidegate.yaml");
    let (text, none) = (fs::read_to_string(path).unwrap(), BTreeMap::new());
    let before = plan(&text, &none);
    let rollout = exported(Target::ArgoRollout, &text, &none).text;
    let draft = tool(Tool::ArgoRollout, &rollout, "rollout.yaml").draft;
    let after = plan(&draft, &none);
    assert_eq!(after.traffic.steps, before.traffic.steps);
    assert_eq!(after.traffic.dwell, before.traffic.dwell);
    assert_eq!(after.parts[0].instances, before.parts[0].instances);
    let workflow = exported(Target::GithubWorkflow, &text, &none).text;
    let draft = tool(Tool::GithubWorkflow, &workflow, "workflow.yaml").draft;
    assert!(draft.contains("tag: v*") && draft.contains("need: 1"), "{draft}");
}

#[test]
fn a_file_with_an_error_is_no_process() {
    for text in ["", "tidegate: 1\n", "tidegate: 1\nservice: shop\nnonsense: 1\n", "a: ["] {
        for target in [Target::Mermaid, Target::GithubWorkflow, Target::ArgoRollout] {
            let none = BTreeMap::new();
            assert!(export(target, text, "tidegate.yaml", &context(&none)).is_err(), "{text}");
        }
    }
}
