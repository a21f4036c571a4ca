//! Custom steps as real processes: at most once, in a copy of their own, with no more than they
//! were given. Every hostile row that the design names for steps has its test here.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::SignedDuration;
use tidegate_core::digest::Digest;
use tidegate_core::effect::StepJob;
use tidegate_core::ids::{DeploymentId, PartName, StepName};
use tidegate_core::input::StepReport;
use tidegate_core::plan::{CustomStep, Moment, OutputKind, Release, When, Work};
use tidegate_core::state::Given;
use tidegate_core::verdict::Outcome;
use tidegate_drivers::work::{Config, LocalSteps};
use tidegate_engine::ports::Steps;

use crate::setup::{example, scope, until};

struct House {
    state: tempfile::TempDir,
    steps: LocalSteps,
}

impl House {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        fs::create_dir_all(state.path().join("artifacts").join(artifact().as_str())).unwrap();
        let steps = steps(state.path());
        Self { state, steps }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    /// A program of the release.
    fn script(&self, name: &str, content: &str) {
        let path = self.path("artifacts").join(artifact().as_str()).join(name);
        fs::write(&path, format!("#!/bin/sh\n{content}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn secret(&self, name: &str, content: &str, mode: u32) {
        fs::create_dir_all(self.path("secrets")).unwrap();
        let path = self.path("secrets").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn log(&self) -> String {
        let path = self.path("logs/d-7/step-it.log");
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    async fn run(&self, step: CustomStep) -> StepReport {
        self.steps.attempt(&deployment(), 1, &job(step)).await
    }

    /// Runs a shell line as a step.
    async fn sh(&self, line: &str) -> StepReport {
        self.run(step(&["/bin/sh", "-c", line])).await
    }
}

fn steps(state_dir: &Path) -> LocalSteps {
    let launcher = vec![example("launch").into_os_string()];
    LocalSteps::new(Config { state_dir: state_dir.to_owned(), launcher })
}

fn artifact() -> Digest {
    Digest::of(b"the release")
}

fn deployment() -> DeploymentId {
    DeploymentId::new("d-7").unwrap()
}

fn step(argv: &[&str]) -> CustomStep {
    CustomStep {
        name: StepName::new("it").unwrap(),
        at: Moment::BeforeTraffic,
        needs: Vec::new(),
        when: When::Always,
        alone: false,
        work: Work::Run {
            argv: argv.iter().map(|word| (*word).to_owned()).collect(),
            env: BTreeMap::new(),
        },
        timeout: SignedDuration::from_mins(1),
        retries: 0,
        idempotent: false,
        verify: None,
        outputs: BTreeMap::new(),
        artifacts: Vec::new(),
        writes: Vec::new(),
        secrets: BTreeMap::new(),
    }
}

fn with_env(step: CustomStep, name: &str, value: &str) -> CustomStep {
    let Work::Run { argv, mut env } = step.work else { panic!("a program") };
    env.insert(name.to_owned(), value.to_owned());
    CustomStep { work: Work::Run { argv, env }, ..step }
}

fn job(step: CustomStep) -> StepJob {
    StepJob {
        step,
        scope: scope(),
        release: Release {
            version: "v2.0.0".to_owned(),
            repository: "/srv/shop.git".to_owned(),
            commit: "0".repeat(40),
        },
        live: Some("v1.0.0".to_owned()),
        artifact: Some(artifact()),
        targets: BTreeMap::from([(PartName::new("web").unwrap(), "127.0.0.1:9050".to_owned())]),
        given: BTreeMap::new(),
    }
}

#[tokio::test]
async fn arguments_are_passed_as_they_are_and_nothing_reads_them() {
    let house = House::new();
    house.script("show", "for word; do printf '<%s>' \"$word\"; done");
    let hostile = [
        ";id",
        "$(id)",
        "`id`",
        "two\nlines",
        "-o ProxyCommand=id",
        "--extra-vars=@/etc/passwd",
        "a b",
        "",
        "*",
    ];
    let argv: Vec<&str> = std::iter::once("./show").chain(hostile).collect();
    let report = house.run(step(&argv)).await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}");
    let shown: String = hostile.iter().map(|word| format!("<{word}>")).collect();
    assert_eq!(house.log(), shown);
}

#[tokio::test]
async fn a_variable_that_decides_what_runs_is_refused_before_anything_runs() {
    for name in [
        "LD_PRELOAD",
        "BASH_ENV",
        "GIT_SSH_COMMAND",
        "TF_CLI_ARGS",
        "TF_CLI_ARGS_plan",
        "ANSIBLE_CONFIG",
        "PYTHONPATH",
        "PATH",
        "TIDEGATE_VERSION",
    ] {
        let house = House::new();
        let report = house.run(with_env(step(&["touch", "ran"]), name, "/tmp/evil")).await;
        assert_eq!(report.outcome, Outcome::NoData, "{name}: {report:?}");
        assert!(report.summary.contains("TG6602"), "{name}: {report:?}");
        assert!(!report.lost, "it never began, so nothing is unknown");
    }
}

#[tokio::test]
async fn the_environment_is_what_was_declared_and_what_tidegate_says() {
    let house = House::new();
    let report = house.run(with_env(step(&["env"]), "REGION", "eu")).await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}");
    let log = house.log();
    for line in [
        "REGION=eu",
        "TIDEGATE_VERSION=v2.0.0",
        "TIDEGATE_LIVE_VERSION=v1.0.0",
        "TIDEGATE_TARGET=http://127.0.0.1:9050",
        "TIDEGATE_TARGET_WEB=http://127.0.0.1:9050",
        "TIDEGATE_MOMENT=before-traffic",
    ] {
        assert!(log.lines().any(|found| found == line), "{line}: {log}");
    }
    // `cargo test` has many variables; none of them is handed on.
    assert!(!log.contains("CARGO"), "{log}");
}

#[tokio::test]
async fn secrets_come_as_memory_files_and_never_show() {
    let house = House::new();
    house.secret("database", "correct-horse-battery\n", 0o600);
    let secrets = BTreeMap::from([("DB_FILE".to_owned(), "secret://file/database".to_owned())]);
    let line = "cat $DB_FILE; cat $DB_FILE; tr -d '\\n' <$DB_FILE | rev; \
                base64 $DB_FILE; printf correct-ho; printf 'rse-battery\\n'; \
                tr '\\0' '\\n' </proc/self/environ; ps -ef 2>/dev/null; \
                tr '\\0' ' ' </proc/self/cmdline; tr '\\0' ' ' </proc/$PPID/environ; \
                test \"$(cat $DB_FILE)\" = correct-horse-battery";
    let asked = CustomStep { secrets: secrets.clone(), ..step(&["/bin/sh", "-c", line]) };
    let report = house.run(asked).await;
    // The line itself names it, so what it prints of itself is covered, and its arguments are its own.
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}\n{}", house.log());
    let log = house.log();
    assert!(!log.contains("correct-horse-battery"), "{log}");
    assert!(!log.contains("yrettab"), "{log}");
    assert!(!log.contains(&data_encoding_of("correct-horse-battery\n")), "{log}");
    assert!(log.matches("[secret]").count() >= 5, "{log}");
    assert!(log.contains("DB_FILE=/proc/self/fd/"), "{log}");
    // Others could read this one, so it is no secret.
    house.secret("database", "correct-horse-battery", 0o644);
    let again = CustomStep { secrets, name: StepName::new("other").unwrap(), ..step(&["true"]) };
    let report = house.run(again).await;
    assert!(report.summary.contains("TG6606"), "{report:?}");
    assert!(!report.summary.contains("correct"), "{report:?}");
}

fn data_encoding_of(text: &str) -> String {
    data_encoding::BASE64.encode(text.as_bytes())
}

#[tokio::test]
async fn a_step_gives_its_rights_away_before_it_begins() {
    let house = House::new();
    let report = house
        .sh("grep NoNewPrivs /proc/self/status; ulimit -c; ulimit -Hc; ls -l /proc/self/fd/0")
        .await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}");
    let log = house.log();
    assert!(log.contains("NoNewPrivs:\t1"), "{log}");
    assert!(log.contains("\n0\n0\n"), "core dumps are off: {log}");
    assert!(log.contains("/dev/null"), "{log}");
}

#[tokio::test]
async fn nothing_is_written_outside_of_the_working_copy_but_where_it_is_allowed() {
    let house = House::new();
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("evil");
    let line = format!(
        "echo x > {0}; test ! -e {0} && echo y > own && echo z > $HOME/z",
        target.display()
    );
    let report = house.sh(&line).await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?} {}", house.log());
    assert!(!target.exists());
    let allowed = CustomStep {
        name: StepName::new("allowed").unwrap(),
        writes: vec![outside.path().display().to_string()],
        ..step(&["/bin/sh", "-c", &format!("echo x > {}", target.display())])
    };
    let report = house.run(allowed).await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}");
    assert!(target.exists());
    // The release itself is as it was, and the working copy is gone.
    let release = house.path("artifacts").join(artifact().as_str());
    assert_eq!(fs::read_dir(release).unwrap().count(), 0);
    assert_eq!(fs::read_dir(house.path("work")).unwrap().count(), 0);
}

#[tokio::test]
async fn nobody_outlives_a_step() {
    let house = House::new();
    let line = "setsid sh -c 'echo $$ > $TMPDIR/pid; exec sleep 600' & \
                while ! test -s $TMPDIR/pid; do :; done; cat $TMPDIR/pid";
    let report = house.sh(line).await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}");
    let pid = house.log().trim().to_owned();
    until("the child that left the group is gone", || async {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_fork_bomb_ends_with_its_step() {
    let house = House::new();
    let bomb = CustomStep {
        timeout: SignedDuration::from_secs(2),
        ..step(&["/bin/sh", "-c", "bomb() { bomb | bomb & sleep 0.2; }; bomb; sleep 600"])
    };
    let report = house.run(bomb).await;
    assert_eq!(report.outcome, Outcome::NoData, "{report:?}");
    assert!(report.lost, "{report:?}");
    until("nothing of it is left", || async {
        let mut found = false;
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
            found |= environ.windows(14).any(|piece| piece == b"step-d-7-it-1-")
                && String::from_utf8_lossy(&environ)
                    .contains(&house.state.path().display().to_string());
        }
        (!found).then_some(())
    })
    .await;
}

#[tokio::test]
async fn output_is_text_whatever_it_looks_like_and_has_an_end() {
    let house = House::new();
    let line = "echo '::set-env name=PATH::/evil'; echo 'tidegate:approve'; printf '\\033[2J\\377'; \
                head -c 30000000 /dev/zero | tr '\\0' x";
    let report = house.sh(line).await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}");
    assert!(report.given.is_empty(), "{report:?}");
    assert!(report.summary.len() < 2_000 && !report.summary.contains('\u{1b}'));
    let kept = fs::read(house.path("logs/d-7/step-it.log")).unwrap();
    assert!(kept.starts_with(b"::set-env name=PATH::/evil\ntidegate:approve\n"));
    assert!(kept.len() < 11_000_000, "{}", kept.len());
    assert!(kept.ends_with(b"more bytes were not kept]\n"));
}

#[tokio::test]
async fn outputs_have_their_type_and_artifacts_their_digest() {
    let house = House::new();
    let outputs = BTreeMap::from([
        ("url".to_owned(), OutputKind::Text),
        ("count".to_owned(), OutputKind::Number),
        ("ready".to_owned(), OutputKind::Flag),
    ]);
    let good = r#"{"url":"https://x","count":3,"ready":true}"#;
    let line =
        format!("printf '{good}' > $TIDEGATE_OUTPUTS; mkdir out; printf plan > out/plan.bin");
    let giving = CustomStep {
        outputs: outputs.clone(),
        artifacts: vec!["out/plan.bin".to_owned()],
        ..step(&["/bin/sh", "-c", &line])
    };
    let report = house.run(giving).await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}");
    assert_eq!(report.given.outputs["count"], "3");
    assert_eq!(report.given.artifacts["out/plan.bin"], Digest::of(b"plan"));
    // Handed on, it is the same file; swapped behind the back of everybody, it is refused.
    let given = BTreeMap::from([(StepName::new("plan").unwrap(), report.given)]);
    let line = "test \"$(cat $TIDEGATE_GIVEN/plan/out/plan.bin)\" = plan && \
                grep -q '\"count\":\"3\"' $TIDEGATE_GIVEN/outputs.json";
    let named = |name: &str| CustomStep {
        name: StepName::new(name).unwrap(),
        ..step(&["/bin/sh", "-c", line])
    };
    let apply = StepJob { given: given.clone(), ..job(named("apply")) };
    let report = house.steps.attempt(&deployment(), 1, &apply).await;
    assert_eq!(report.outcome, Outcome::Pass, "{report:?}");
    let kept = house.path("steps/kept").join(Digest::of(b"plan").as_str());
    fs::write(kept, "swapped").unwrap();
    let apply = StepJob { given, ..job(named("again")) };
    let report = house.steps.attempt(&deployment(), 1, &apply).await;
    assert!(report.summary.contains("TG6608"), "{report:?}");
    assert_eq!(report.outcome, Outcome::NoData);

    for (text, why) in [
        ("", "EOF while parsing"),
        ("[]", "no JSON object"),
        (r#"{"url":"x","count":"3","ready":true}"#, "`count` is not a number"),
        (r#"{"url":"x","count":3}"#, "`ready` is missing"),
        (r#"{"url":"x","count":3,"ready":true,"more":1}"#, "`more` is not declared"),
    ] {
        let house = House::new();
        let line = format!("printf '{text}' > $TIDEGATE_OUTPUTS");
        let step = CustomStep { outputs: outputs.clone(), ..step(&["/bin/sh", "-c", &line]) };
        let report = house.run(step).await;
        assert_eq!(report.outcome, Outcome::Fail, "{text}: {report:?}");
        assert!(report.summary.contains(why), "{text}: {report:?}");
    }
    let house = House::new();
    let link = CustomStep {
        artifacts: vec!["link".to_owned()],
        ..step(&["ln", "-s", "/etc/passwd", "link"])
    };
    let report = house.run(link).await;
    assert!(report.summary.contains("TG6609"), "{report:?}");
}

/// The server dies while a step runs: what it says afterwards depends on what is known.
#[tokio::test]
async fn an_attempt_is_carried_out_at_most_once() {
    let house = House::new();
    let tally = house.path("tally");
    let count = || fs::read_to_string(&tally).unwrap_or_default().lines().count();
    let line = format!("echo once >> {}", tally.display());
    let counted = CustomStep {
        writes: vec![house.state.path().display().to_string()],
        ..step(&["/bin/sh", "-c", &line])
    };
    let first = house.run(counted.clone()).await;
    assert_eq!(first.outcome, Outcome::Pass, "{first:?}");
    // Its report was lost on the way: asked again, it is told again and not done again.
    let later = steps(house.state.path());
    let again = later.attempt(&deployment(), 1, &job(counted.clone())).await;
    assert_eq!((again, count()), (first, 1));

    // It began, and the server died.
    let hanging = CustomStep { name: StepName::new("hangs").unwrap(), ..counted.clone() };
    let hangs = CustomStep {
        work: Work::Run {
            argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), format!("{line}; sleep 600")],
            env: BTreeMap::new(),
        },
        ..hanging
    };
    let killed = tokio::time::timeout(Duration::from_secs(600), async {
        let hung = job(hangs.clone());
        let deployment = deployment();
        let running = house.steps.attempt(&deployment, 1, &hung);
        tokio::pin!(running);
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                report = &mut running => panic!("it ended: {report:?}"),
                _ = looks.tick() => {}
            }
            if count() == 2 {
                return;
            }
        }
    });
    killed.await.unwrap();
    let lost = later.attempt(&deployment(), 1, &job(hangs.clone())).await;
    assert!(lost.lost && lost.outcome == Outcome::NoData, "{lost:?}");
    assert_eq!(count(), 2, "it was not done again");
}

#[tokio::test]
async fn a_lost_attempt_is_read_back_or_stays_lost() {
    let house = House::new();
    fs::create_dir_all(house.path("steps/d-7")).unwrap();
    let tally = house.path("tally");
    let counted = CustomStep {
        writes: vec![house.state.path().display().to_string()],
        ..step(&["/bin/sh", "-c", &format!("echo once >> {}", tally.display())])
    };
    let count = || fs::read_to_string(&tally).unwrap_or_default().lines().count();
    let record = house.path("steps/d-7/it-1.json");
    let began = || fs::write(&record, r#"{"began":{"mark":"nobody"}}"#).unwrap();
    // Its own command knows: yes, no, and neither.
    for (exit, outcome, lost, retryable) in [
        ("exit 0", Outcome::Pass, false, false),
        ("exit 1", Outcome::Fail, false, true),
        ("exit 7", Outcome::NoData, true, false),
    ] {
        began();
        let verify = vec!["/bin/sh".to_owned(), "-c".to_owned(), exit.to_owned()];
        let knowing = CustomStep { verify: Some(verify), ..counted.clone() };
        let report = house.run(knowing).await;
        let found = (report.outcome, report.lost, report.retryable);
        assert_eq!(found, (outcome, lost, retryable), "{exit}: {report:?}");
    }
    assert_eq!(count(), 0, "it was not done again");
    // What may be done twice is.
    began();
    let twice = CustomStep { idempotent: true, ..counted.clone() };
    let report = house.run(twice).await;
    assert_eq!((report.outcome, count()), (Outcome::Pass, 1), "{report:?}");
    // A record that nobody can read is not a sign that nothing began.
    fs::write(&record, "{").unwrap();
    let report = house.run(counted).await;
    assert!(report.lost, "{report:?}");
}

#[tokio::test]
async fn a_step_that_fails_or_cannot_begin_says_which() {
    let house = House::new();
    let failed = house.sh("echo broken; exit 3").await;
    assert_eq!(failed.outcome, Outcome::Fail);
    assert!(failed.summary.contains("exited with code 3: broken"), "{failed:?}");
    let missing = CustomStep { name: StepName::new("m").unwrap(), ..step(&["./not-there"]) };
    let report = house.run(missing).await;
    assert_eq!(report.outcome, Outcome::Fail, "{report:?}");
    assert!(report.summary.contains("No such file"), "{report:?}");
    let none = StepJob {
        artifact: Some(Digest::of(b"another")),
        ..job(CustomStep { name: StepName::new("n").unwrap(), ..step(&["true"]) })
    };
    let report = house.steps.attempt(&deployment(), 1, &none).await;
    assert!(report.summary.contains("TG6603") && !report.lost, "{report:?}");
}

#[tokio::test]
async fn a_request_is_one_request() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let answers: [&[u8]; 4] = [
            b"HTTP/1.1 202 Accepted\r\ncontent-length: 6\r\nconnection: close\r\n\r\npurged",
            b"HTTP/1.1 500 Oh\r\ncontent-length: 5\r\nconnection: close\r\n\r\nnot ok",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno",
            b"",
        ];
        let mut heads = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let count = stream.read(&mut head).await.unwrap();
            heads.push(String::from_utf8_lossy(&head[..count]).into_owned());
            stream.write_all(answer).await.unwrap();
        }
        heads
    });
    let house = House::new();
    let request = |name: &str| CustomStep {
        name: StepName::new(name).unwrap(),
        work: Work::Http {
            method: "POST".to_owned(),
            url: format!("http://{address}/purge"),
            headers: BTreeMap::from([("x-zone".to_owned(), "shop".to_owned())]),
            body: Some("{}".to_owned()),
            status: Vec::new(),
            contains: Some("purged".to_owned()),
        },
        ..step(&[])
    };
    let good = house.run(request("a")).await;
    assert_eq!(good.outcome, Outcome::Pass, "{good:?}");
    let bad = house.run(request("b")).await;
    assert!(bad.outcome == Outcome::Fail && bad.summary.contains("500"), "{bad:?}");
    let other = house.run(request("c")).await;
    assert!(
        other.outcome == Outcome::Fail && other.summary.contains("`purged` is not in"),
        "{other:?}"
    );
    // It was sent, and nobody knows what became of it.
    let silent = house.run(request("d")).await;
    assert!(silent.lost, "{silent:?}");
    let heads = server.await.unwrap();
    assert!(heads[0].starts_with("POST /purge HTTP/1.1\r\n") && heads[0].contains("x-zone: shop"));
    // Nobody listens any more: it was not sent.
    let unsent = house.run(request("e")).await;
    assert!(!unsent.lost && unsent.retryable, "{unsent:?}");
    assert!(Given::default().is_empty());
}
