//! The bytes that approvals are bound to: stable, and changed by every change that matters.

use proptest::prelude::*;
use tidegate_core::digest::{Component, Digest, bind};
use tidegate_core::plan::{Plan, Release};
use tidegate_spec::{canonical, components, parse};

use crate::happy::FULL;
use crate::{plan, release};

fn d(plan: &Plan) -> Digest {
    let pieces = components(plan, &Digest::of(b"artifact"));
    bind(&pieces.unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn the_same_declaration_has_the_same_bytes() {
    let first = canonical(&plan(FULL)).expect("bytes");
    // Comments, order of keys and spelling of amounts are not part of the declaration.
    let respelled = FULL
        .replace("timeout: 10m", "timeout: 600s")
        .replace("grace: 15s", "grace: 15000ms # patience")
        .replace("p95 < 200ms", "p95 < 0.2s")
        .replace("tidegate: 1\nservice: shop\n", "service: 'shop'\ntidegate: 1\n");
    assert_ne!(respelled, FULL);
    let second = canonical(&plan(&respelled)).expect("bytes");
    assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
    let read_back: Plan = serde_json::from_slice(&first).expect("a plan");
    assert_eq!(read_back, plan(FULL));
}

#[test]
fn keys_are_sorted_at_every_level() {
    fn check(value: &serde_json::Value) {
        if let Some(map) = value.as_object() {
            assert!(map.keys().is_sorted(), "{:?}", map.keys().collect::<Vec<_>>());
        }
        let below: Vec<_> = match value {
            serde_json::Value::Array(items) => items.iter().collect(),
            serde_json::Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        };
        below.into_iter().for_each(check);
    }
    let bytes = canonical(&plan(FULL)).expect("bytes");
    check(&serde_json::from_slice(&bytes).expect("JSON"));
}

#[test]
fn each_change_touches_its_own_component() {
    let before = plan(FULL);
    let artifact = Digest::of(b"artifact");
    let base = components(&before, &artifact).expect("components");
    let changed = |source: &str| -> Vec<Component> {
        let after = components(&plan(source), &artifact).expect("components");
        base.keys().filter(|key| base.get(key) != after.get(key)).copied().collect()
    };
    for (from, to, component) in [
        ("NODE_ENV: production", "NODE_ENV: test", Component::Config),
        ("env: {CI: 1}", "env: {CI: 2}", Component::Config),
        ("{blue: {}, green: }", "{blue: {}, black: }", Component::Targets),
        ("environment: production", "environment: staging", Component::Environment),
        ("errors > 1%", "errors > 2%", Component::Policy),
        ("keep_previous: cold", "keep_previous: warm", Component::Policy),
        ("lease: 45s", "lease: 46s", Component::Policy),
        ("instances: 3", "instances: 4", Component::PlanSteps),
        ("[5%, 25%, 50%, 100%]", "[5%, 25%, 100%]", Component::PlanSteps),
        ("suite: smoke.yaml", "suite: other.yaml", Component::PlanSteps),
    ] {
        assert_eq!(changed(&FULL.replace(from, to)), [component], "{from} -> {to}");
    }
    let other = components(&before, &Digest::of(b"another")).expect("components");
    assert_ne!(other[&Component::Artifacts], base[&Component::Artifacts]);
}

#[test]
fn the_commit_binds_and_the_place_of_the_clone_does_not() {
    let with = |release: Release| parse(FULL, "f", release, None).expect("accepted").plan;
    let here = with(release());
    let elsewhere = with(Release { repository: "/elsewhere".to_owned(), ..release() });
    assert_eq!(d(&here), d(&elsewhere));
    let moved = with(Release { commit: "f".repeat(40), ..release() });
    assert_ne!(d(&here), d(&moved));
}

/// Files that differ in what people change most.
fn file() -> impl Strategy<Value = String> {
    let steps = prop::collection::btree_set(1_u16..10_000, 0..6).prop_map(|set| {
        let shares = set.into_iter().map(|bp| format!("{}.{:02}%", bp / 100, bp % 100));
        shares.chain(["100%".to_owned()]).collect::<Vec<_>>().join(", ")
    });
    let env = prop::collection::btree_map("[A-Z][A-Z_]{0,8}X", "[ -~]{0,12}", 0..4);
    (steps, env, 1_u32..=64, 1_u32..3_000, 1_u32..1_000, "[a-z][a-z0-9-]{0,12}").prop_map(
        |(steps, env, instances, seconds, limit, service)| {
            let env: Vec<String> = env
                .iter()
                .map(|(key, value)| format!("{key}: {}", serde_json::Value::from(value.as_str())))
                .collect();
            format!(
                "tidegate: 1\nservice: {service}\ndeploy:\n  run: [./server]\n  instances: \
                 {instances}\n  env: {{{}}}\ntraffic:\n  steps: [{steps}]\n  each: {{for: \
                 {seconds}s}}\n  advance_if: [p95 < {limit}ms]\n",
                env.join(", ")
            )
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_plan_reads_back_from_its_bytes(source in file()) {
        prop_assume!(!source.contains("${"));
        let plan = plan(&source);
        let bytes = canonical(&plan).expect("bytes");
        let back: Plan = serde_json::from_slice(&bytes).expect("a plan");
        prop_assert_eq!(&back, &plan);
        prop_assert_eq!(canonical(&back).expect("bytes"), bytes);
        prop_assert_eq!(d(&back), d(&plan));
    }

    #[test]
    fn two_plans_share_a_digest_only_when_they_are_the_same(left in file(), right in file()) {
        prop_assume!(!left.contains("${") && !right.contains("${"));
        let (left, right) = (plan(&left), plan(&right));
        prop_assert_eq!(d(&left) == d(&right), left == right);
    }

    #[test]
    fn no_text_makes_the_reader_fall(source in "[ -~\n\t\u{80}-\u{24f}]{0,200}") {
        let findings = crate::read(&source).err();
        prop_assert!(findings.is_none_or(|findings| findings.has_errors()));
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_reader_fall(at in 0_usize..FULL.len(), with in "[ -~\n]{0,3}") {
        let mut source = FULL.to_owned();
        source.replace_range(at..=at, &with);
        if let Err(findings) = crate::read(&source) {
            prop_assert!(findings.has_errors());
            prop_assert!(!findings.to_string().is_empty());
        }
    }
}
