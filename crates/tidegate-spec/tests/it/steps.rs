//! `steps`: what is accepted, what a matrix makes of it, and what is refused with its place.

use tidegate_core::plan::{CustomStep, Moment, Work};

use crate::{plan, read};

fn file(steps: &str) -> String {
    format!("tidegate: 1\nservice: shop\ndeploy: {{run: [./server]}}\nsteps:\n{steps}")
}

fn names(steps: &[CustomStep]) -> Vec<&str> {
    steps.iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn a_matrix_makes_a_step_of_each_combination_and_who_needs_it_needs_them_all() {
    let steps = plan(&file(
        "  warm: {at: after-deploy, matrix: {REGION: [eu, US], TIER: [a]}, run: [./warm]}\n\
         \x20 check: {at: before-traffic, needs: warm, http: {url: \"https://x.example/ready\"}, retries: 3}\n",
    ))
    .custom;
    assert_eq!(names(&steps), ["warm.eu.a", "warm.us.a", "check"]);
    let Work::Run { env, .. } = &steps[1].work else { panic!("a program") };
    assert_eq!((env["REGION"].as_str(), env["TIER"].as_str()), ("US", "a"));
    assert_eq!(
        steps[2].needs.iter().map(|n| n.as_str()).collect::<Vec<_>>(),
        ["warm.eu.a", "warm.us.a"]
    );
    assert!(!steps[0].idempotent, "a program is done once unless it says otherwise");
    assert!(steps[2].idempotent, "looking is harmless");
    assert_eq!(steps[2].at, Moment::BeforeTraffic);
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_code() {
    for (steps, code) in [
        ("  a: {run: [x]}\n", "TG1008"),
        ("  a: {at: noon, run: [x]}\n", "TG1023"),
        ("  a: {at: bake}\n", "TG1008"),
        ("  a: {at: bake, run: x}\n", "TG1019"),
        ("  a: {at: bake, run: [x], retries: 2}\n", "TG1024"),
        ("  a: {at: bake, run: [x], needs: b}\n", "TG1024"),
        ("  a: {at: plan, run: [x], needs: b}\n  b: {at: bake, run: [x]}\n", "TG1024"),
        ("  a: {at: bake, run: [x], needs: b}\n  b: {at: bake, run: [x], needs: a}\n", "TG1024"),
        ("  a: {at: bake, run: [x], env: {LD_PRELOAD: /x}}\n", "TG6602"),
        ("  a: {at: bake, run: [x], env: {TF_CLI_ARGS_plan: -x}}\n", "TG6602"),
        ("  a: {at: bake, run: [x], artifacts: [../x]}\n", "TG1025"),
        ("  a: {at: bake, run: [x], writes: here}\n", "TG1025"),
        ("  a: {at: bake, run: [x], outputs: {n: list}}\n", "TG1023"),
        ("  a: {at: bake, run: [x], secrets: {T: \"secret://vault/x\"}}\n", "TG1011"),
        ("  a: {at: bake, run: [x], secrets: {T: plain}}\n", "TG1035"),
        ("  a: {at: bake, run: [x], secrets: {LD_PRELOAD: \"secret://file/x\"}}\n", "TG1026"),
        ("  a: {at: bake, http: {url: \"https://u:p@x/\"}}\n", "TG1022"),
        ("  a: {at: bake, http: {url: /x}}\n", "TG1022"),
        ("  a: {at: bake, matrix: {PATH: [a]}, run: [x]}\n", "TG1026"),
        ("  a: {at: bake, matrix: {R: []}, run: [x]}\n", "TG1005"),
    ] {
        let found = read(&file(steps)).err().unwrap_or_default();
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains(&code), "{steps}: {codes:?}\n{found}");
    }
}

#[test]
fn a_backup_says_of_what_and_never_a_password() {
    let whole = |backup: &str| {
        format!("tidegate: 1\nservice: shop\ndeploy: {{run: [./server]}}\nbackup: {backup}\n")
    };
    let read_plan =
        plan(&whole("{by: postgres, of: \"postgres://shop@db/shop\", newer_than: 1h, keep: 90d}"));
    let backup = read_plan.backup.unwrap();
    assert!(read_plan.required.backup && backup.drill, "declared is demanded, and rehearsed");
    for (backup, code) in [
        ("{of: /x}", "TG1008"),
        ("{by: tape, of: /x}", "TG1023"),
        ("{by: sqlite}", "TG1008"),
        ("{by: sqlite, of: x.db}", "TG1025"),
        ("{by: postgres, of: /x}", "TG1022"),
        ("{by: postgres, of: \"postgres://shop:hunter2@db/shop\"}", "TG2035"),
        ("{by: postgres, of: \"postgres://shop@db/shop?password=hunter2\"}", "TG2035"),
        ("{by: exec, run: [x]}", "TG1024"),
        ("{by: sqlite, of: /x, encrypted: true}", "TG1007"),
        ("{by: sqlite, of: /x, encrypt: {to: age1x}}", "TG1024"),
        ("{by: sqlite, of: /x, encrypt: {to: ssh-rsa, key: /k}}", "TG1035"),
        ("{by: mysql, of: \"mysql://shop:hunter2@db/shop\"}", "TG2035"),
        ("{by: mysql, of: \"postgres://shop@db/shop\"}", "TG1022"),
        ("{by: sqlite, of: /x, to: {bucket: copies}}", "TG1008"),
        (
            "{by: sqlite, of: /x, to: {bucket: copies, endpoint: \"ftp://x\", region: r, credentials: \"secret://file/s3\"}}",
            "TG1022",
        ),
        ("{by: sqlite, of: /x, keep: 11 years}", "TG1013"),
        ("{by: sqlite, of: /x, keep: 4000d}", "TG1013"),
        ("{by: sqlite, of: /x, keep: 1s}", "TG1013"),
    ] {
        let found = read(&whole(backup)).err().unwrap_or_default();
        let codes: Vec<&str> = found.iter().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains(&code), "{backup}: {codes:?}\n{found}");
    }
}

#[test]
fn the_shares_of_traffic_are_not_steps_of_this_kind() {
    let source = "tidegate: 1\nservice: shop\ndeploy: {run: [./server]}\nsteps: [5%, 100%]\n";
    let found = read(source).err().unwrap_or_default();
    assert!(found.to_string().contains("traffic.steps"), "{found}");
}
