//! Files of strangers near real ones, made up: `cargo test` plays a second of each target,
//! `cargo xtask fuzz` as long as it is told. Each target holds what it reads against itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tidegate_core::plan::Release;
use tidegate_spec::{
    Context, How, Imported, Parsed, Purpose, Target, Tool, decode, drawing, export, fmt, policy,
    read_with, runbook, show, tool,
};

use crate::exports::EXAMPLES;
use crate::mutated::{Edit, mutated};

/// The files of a folder, in the order of their names.
fn folder(path: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension().is_some_and(|ext| ext == "yaml" || ext == "md" || ext == "mmd")
    });
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().filter_map(|path| fs::read(path).ok()).collect();
    assert!(!files.is_empty(), "{}", folder.display());
    files
}

fn examples() -> Vec<Vec<u8>> {
    let files: Vec<Vec<u8>> =
        EXAMPLES.iter().flat_map(|name| folder(&format!("../../examples/{name}"))).collect();
    assert!(files.len() >= EXAMPLES.len());
    files
}

fn context<'a>(
    files: &'a BTreeMap<String, Vec<u8>>,
    variables: &'a BTreeMap<String, String>,
) -> Context<'a> {
    Context {
        release: Release {
            version: "v1.0.0".to_owned(),
            repository: ".".to_owned(),
            commit: "0".repeat(40),
        },
        environment: None,
        files,
        variables,
        today: None,
        purpose: Purpose::Check,
    }
}

/// Plays changed files of a collection.
fn play(bases: &[Vec<u8>], look: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    bolero::check!().with_type::<(u8, Vec<Edit>)>().for_each(|(base, edits)| {
        look(&mutated(&bases[usize::from(*base) % bases.len()], edits));
    });
}

#[test]
fn file() {
    let mut bases = examples();
    bases.extend(folder("tests/bad"));
    bases.extend(folder("tests/exports"));
    play(&bases, |bytes| {
        let (files, variables) = (BTreeMap::new(), BTreeMap::new());
        let context = context(&files, &variables);
        let Ok(text) = decode(bytes, "tidegate.yaml") else { return };
        // What is valid stays the same in its usual form, and comes back from its picture.
        let formatted = fmt(text, "tidegate.yaml");
        let _shown = show(text, "tidegate.yaml", &context);
        let Ok(Parsed { plan, .. }) = read_with(text, "tidegate.yaml", &context) else { return };
        let formatted = formatted.expect("a valid file has a form");
        let again = read_with(&formatted, "tidegate.yaml", &context).expect("and is valid in it");
        assert_eq!(again.plan, plan, "{text}\n---\n{formatted}");
        let picture = export(Target::Mermaid, text, "tidegate.yaml", &context).unwrap().text;
        let draft = drawing(&picture, "p").draft;
        let drawn = read_with(&draft, "tidegate.yaml", &context).unwrap_or_else(|found| {
            panic!("{found}\n{text}\n---\n{picture}");
        });
        assert_eq!(drawn.plan, plan, "{text}\n---\n{picture}");
    });
}

#[test]
fn organisation_policy() {
    let base =
        b"tidegate: 1\ncheck:\n  scan: {sarif: \"r/*.sarif\", allow: {critical: 0}}\ntraffic:\n  \
        rollback_if: [errors > 5% for 1m]\n  each: {for: 10m}\nafter:\n  watch: {for: 30m}\n";
    play(&[base.to_vec()], |bytes| {
        if let Ok(text) = decode(bytes, "policy.yaml") {
            let _read = policy(text, "policy.yaml");
        }
    });
}

fn look(imported: &Imported) {
    for entry in &imported.entries {
        let said = entry.how == How::Exact || !entry.why.is_empty();
        assert!(said, "nothing is said of {}", entry.text);
        assert!(entry.bound.len() <= entry.numbers.len(), "{}", entry.text);
    }
    assert!(imported.boxes.bound <= imported.boxes.all);
}

#[test]
fn runbook_importer() {
    play(&folder("tests/runbooks"), |bytes| {
        look(&runbook(&String::from_utf8_lossy(bytes), "runbook.md"));
    });
}

#[test]
fn mermaid_importer() {
    let mut bases = folder("tests/exports");
    bases.push(b"flowchart LR\n A[one] --> B(two)\n B -->|no| C{three}\n".to_vec());
    bases.push(
        b"sequenceDiagram\n participant A as B\n A->>B: Deploy\n Note over A: rollback\n".to_vec(),
    );
    play(&bases, |bytes| look(&drawing(&String::from_utf8_lossy(bytes), "p.mmd")));
}

fn importer(kind: Tool) {
    play(&folder("tests/tools"), |bytes| {
        look(&tool(kind, &String::from_utf8_lossy(bytes), "file.yaml"));
    });
}

#[test]
fn argo_rollout_importer() {
    importer(Tool::ArgoRollout);
}

#[test]
fn flagger_importer() {
    importer(Tool::Flagger);
}

#[test]
fn kamal_importer() {
    importer(Tool::Kamal);
}

#[test]
fn alerts_importer() {
    importer(Tool::Alerts);
}

#[test]
fn openslo_importer() {
    importer(Tool::Openslo);
}

#[test]
fn github_workflow_importer() {
    importer(Tool::GithubWorkflow);
}
