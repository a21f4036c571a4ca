//! Bundles made by hand, and the small program that checks them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on is to fail where it is")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use tidegate_audit::Entry;
use tidegate_audit::bundle::{FORM, Manifest, Proven, Unreadable, Writer, check};
use tidegate_audit::entry::digest_of;
use tidegate_audit::note::{Key, Signer};
use tidegate_audit::proof::Prover;

const REPORT: &[u8] = b"<testsuites/>";

/// Entries of two streams in one log; the deployment is 2 to 4 of `shop`.
fn log() -> Vec<Entry> {
    let entry = |stream: &str, seq: u64, kind: &str, event: serde_json::Value| Entry {
        stream: stream.to_owned(),
        seq,
        epoch: 1,
        at_us: 1_000_000 * i64::try_from(seq).unwrap(),
        kind: kind.to_owned(),
        schema: 1,
        actor: "person:ada".to_owned(),
        payload: serde_json::json!({"seq": seq, "event": event}).to_string(),
    };
    let plan = serde_json::json!({"release": {"version": "v1.0.0"}});
    let named = serde_json::json!({"deployment": "d-1", "plan": plan});
    let report = serde_json::json!({"evidence": {"digest": digest_of(REPORT), "name": "a.xml"}});
    vec![
        entry("shop/production", 1, "evidence_added", report),
        entry("blog/production", 1, "note", serde_json::Value::Null),
        entry("shop/production", 2, "deployment_started", named.clone()),
        entry("shop/production", 3, "approval_given", named.clone()),
        entry("blog/production", 2, "note", serde_json::Value::Null),
        entry("shop/production", 4, "deployment_ended", named),
    ]
}

struct Made {
    signer: Signer,
    manifest: Manifest,
    note: String,
    proven: Vec<Proven>,
}

fn made() -> Made {
    let log = log();
    let size = log.len() as u64;
    let wanted: BTreeSet<u64> =
        (0..).zip(&log).filter(|(_, e)| e.stream.starts_with("shop")).map(|(p, _)| p).collect();
    let mut prover = Prover::new(size, &wanted);
    log.iter().for_each(|entry| prover.push(entry.leaf()));
    let (root, paths) = prover.finish().unwrap();
    let signer = Signer::new(&Signer::generate().unwrap()).unwrap();
    let proven = |position: &u64| {
        let at = usize::try_from(*position).unwrap();
        Proven::new(*position, log[at].clone(), &paths[position])
    };
    Made {
        note: signer.sign(size, root),
        proven: wanted.iter().map(proven).collect(),
        signer,
        manifest: Manifest {
            form: FORM.to_owned(),
            deployment: "d-1".to_owned(),
            stream: "shop/production".to_owned(),
            version: "v1.0.0".to_owned(),
            first_seq: 2,
            last_seq: Some(4),
        },
    }
}

impl Made {
    fn bytes(&self, reports: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), &self.manifest, &self.note, &self.proven).unwrap();
        for (digest, bytes) in reports {
            writer.report(digest, bytes.len() as u64, *bytes).unwrap();
        }
        writer.finish().unwrap()
    }

    fn problems(&self, reports: &[(&str, &[u8])]) -> Vec<String> {
        check(&*self.bytes(reports), self.signer.key()).unwrap().problems
    }
}

#[test]
fn a_whole_bundle_is_good_and_says_what_happened() {
    let made = made();
    let digest = digest_of(REPORT);
    let checked = check(&*made.bytes(&[(&digest, REPORT)]), made.signer.key()).unwrap();
    assert_eq!(checked.problems, [""; 0]);
    assert_eq!((checked.entries, checked.reports, checked.size), (4, 1, 6));
    let kinds: Vec<&str> = checked.course.iter().map(|line| line.kind.as_str()).collect();
    assert_eq!(kinds, ["deployment_started", "approval_given", "deployment_ended"]);
}

#[test]
fn what_is_left_out_changed_or_added_is_named() {
    let digest = digest_of(REPORT);
    let whole: &[(&str, &[u8])] = &[(&digest, REPORT)];
    let found = |change: &dyn Fn(&mut Made), reports: &[(&str, &[u8])], word: &str| {
        let mut made = made();
        change(&mut made);
        let problems = made.problems(reports);
        assert!(problems.iter().any(|problem| problem.contains(word)), "{word}: {problems:?}");
    };
    found(&|_| {}, &[], "is left out");
    found(&|_| {}, &[(&digest, b"<testsuites />")], "was changed");
    let stranger = digest_of(b"x");
    found(&|_| {}, &[(&digest, REPORT), (&stranger, b"x")], "named by no entry");
    found(&|made| drop(made.proven.remove(2)), whole, "entry 3 is left out");
    found(&|made| drop(made.proven.pop()), whole, "end before entry 4");
    found(&|made| made.proven.swap(1, 2), whole, "out of order");
    found(&|made| made.proven[2].entry.actor = "person:eve".to_owned(), whole, "not in the log");
    found(&|made| made.proven[2].position = 4, whole, "not in the log");
    found(&|made| made.proven[2].proof[0] = "00".repeat(32), whole, "not in the log");
    found(&|made| made.proven[2].proof[0] = "no".to_owned(), whole, "no list of hashes");
    found(&|made| made.manifest.deployment = "d-2".to_owned(), whole, "is not the `deployment_");
    found(&|made| made.manifest.version = "v1.0.1".to_owned(), whole, "does not bring v1.0.1");
    found(&|made| made.manifest.first_seq = 3, whole, "is not the `deployment_started`");
    found(&|made| made.manifest.stream = "blog/production".to_owned(), whole, "not of this stream");
}

#[test]
fn what_is_no_bundle_is_not_checked() {
    let made = made();
    let bytes = made.bytes(&[]);
    let stranger = Signer::new(&Signer::generate().unwrap()).unwrap();
    let refused = |bytes: &[u8], key: &Key| check(bytes, key).unwrap_err();
    assert!(matches!(refused(&bytes, stranger.key()), Unreadable::Checkpoint(_)));
    for broken in [&[][..], b"not a tar file", &bytes[..700], &bytes[512..]] {
        let error = refused(broken, made.signer.key());
        assert!(matches!(error, Unreadable::Read(_) | Unreadable::Part(_)), "{error}");
    }
}

#[test]
fn the_small_program_needs_the_bundle_and_the_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let made = made();
    let digest = digest_of(REPORT);
    let run = |file: &Path, key: &str| {
        let program = env!("CARGO_BIN_EXE_tidegate-audit");
        let output = Command::new(program).env_clear().arg(file).args(["--key", key]).output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (good, bad) = (dir.path().join("good.tar"), dir.path().join("bad.tar"));
    std::fs::write(&good, made.bytes(&[(&digest, REPORT)])).unwrap();
    std::fs::write(&bad, made.bytes(&[])).unwrap();
    let key = dir.path().join("key");
    std::fs::write(&key, made.signer.key().to_string()).unwrap();
    let (code, said) = run(&good, key.to_str().unwrap());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("d-1 of shop/production, v1.0.0") && said.ends_with("verified\n"));
    let (code, said) = run(&bad, &made.signer.key().to_string());
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is left out") && said.ends_with("not verified\n"), "{said}");
    assert_eq!(run(&good, "no key").0, Some(2));
    assert_eq!(run(&dir.path().join("missing"), key.to_str().unwrap()).0, Some(2));
}
