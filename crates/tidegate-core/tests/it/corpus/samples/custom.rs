//! Samples of custom steps and of the backup before them.

use tidegate_core::backup::{BackupRecord, Content, DrillRecord};
use tidegate_core::ids::StepName;
use tidegate_core::plan::{
    Backup, BackupOf, Bucket, Class, CustomStep, Database, Encryption, Migration, Moment,
    OutputKind, Place, Targets, When, Work,
};
use tidegate_core::state::Given;

use super::*;

pub(super) fn events() -> Vec<Event> {
    let (deployment, task) = (deployment(), TaskId::Custom(migrate()));
    vec![
        Event::TaskBegan {
            deployment: deployment.clone(),
            task: task.clone(),
            targets: BTreeMap::from([(web(), "127.0.0.1:9050".to_owned())]),
        },
        Event::TaskLost {
            deployment: deployment.clone(),
            task: task.clone(),
            attempt: 1,
            why: "the server went away while it ran".to_owned(),
        },
        Event::TaskSettled {
            deployment: deployment.clone(),
            task,
            done: true,
            reason: "the table is there".to_owned(),
        },
        Event::StepGave {
            deployment: deployment.clone(),
            step: migrate(),
            given: Given {
                outputs: BTreeMap::from([("version".to_owned(), "42".to_owned())]),
                artifacts: BTreeMap::from([("plan.bin".to_owned(), Digest::of(b"plan"))]),
            },
        },
        Event::BackupMade { backup: made() },
        Event::BackupDrilled {
            drill: DrillRecord {
                backup: made().id,
                at: time(90),
                took_ms: 4_200,
                outcome: Outcome::Pass,
                summary: "restored and compared".to_owned(),
            },
        },
        Event::BackupHeld { id: made().id, held: true, reason: "the audit of March".to_owned() },
        Event::BackupExpired { id: made().id },
        Event::BackupDropped { id: made().id },
        Event::DutyDone { duty: "restore".to_owned(), evidence: "the drill of May".to_owned() },
        Event::StepSkipped {
            deployment,
            step: StepName::new("seed").unwrap(),
            why: "only for the first deployment".to_owned(),
        },
    ]
}

fn made() -> BackupRecord {
    BackupRecord {
        id: "b-20260105-090000-1f3a".to_owned(),
        of: backup().of,
        place: "tidegate/shop@production/b-20260105-090000-1f3a".to_owned(),
        bucket: Some(bucket()),
        encrypted_to: Some("age1example".to_owned()),
        bytes: 48_211,
        digest: Digest::of(b"copy"),
        content: Some(Content { parts: 2, rows: 1_002, digest: Digest::of(b"rows") }),
        made_at: time(60),
        log_at: Some(time(59)),
        took_ms: 2_100,
        keep_until: time(86_400),
    }
}

fn bucket() -> Bucket {
    Bucket {
        name: "copies".to_owned(),
        prefix: "tidegate".to_owned(),
        endpoint: "https://s3.eu-central-1.amazonaws.com".to_owned(),
        region: "eu-central-1".to_owned(),
        credentials: "secret://file/s3".to_owned(),
    }
}

fn migrate() -> StepName {
    StepName::new("migrate").unwrap()
}

pub(super) fn backup() -> Backup {
    Backup {
        of: BackupOf::Postgres { url: "postgres://shop@db.internal/shop".to_owned() },
        to: Place::Bucket(bucket()),
        newer_than: SignedDuration::from_hours(1),
        drill: true,
        drill_at: Some("postgres://drill@scratch.internal/postgres".to_owned()),
        encrypt: Some(Encryption {
            to: "age1example".to_owned(),
            key: Some("/etc/tidegate/backup.key".to_owned()),
        }),
        keep: SignedDuration::from_hours(30 * 24),
        timeout: SignedDuration::from_hours(2),
        targets: Targets {
            rpo: Some(SignedDuration::from_hours(4)),
            rto: Some(SignedDuration::from_hours(1)),
        },
    }
}

pub(super) fn steps() -> Vec<CustomStep> {
    let postgres = || Database::Postgres("postgres://shop@db.internal/shop".to_owned());
    let works = [
        (
            "migrate",
            Work::Migration(Box::new(Migration {
                database: postgres(),
                files: vec!["migrations/0042.sql".to_owned()],
                class: Class::Expand,
                verify: Some("select count(*) > 0 from orders".to_owned()),
            })),
        ),
        (
            "run",
            Work::Run {
                argv: vec!["./warm".to_owned(), "--all".to_owned()],
                env: BTreeMap::from([("REGION".to_owned(), "eu".to_owned())]),
            },
        ),
        (
            "http",
            Work::Http {
                method: "POST".to_owned(),
                url: "https://edge.example.org/purge".to_owned(),
                headers: BTreeMap::from([("accept".to_owned(), "application/json".to_owned())]),
                body: Some("{}".to_owned()),
                status: vec![202],
                contains: Some("ok".to_owned()),
            },
        ),
        (
            "sql",
            Work::Sql {
                database: Database::Sqlite("/srv/shop.db".to_owned()),
                statements: "select 1".to_owned(),
                expect: Some("1".to_owned()),
            },
        ),
    ];
    let steps = works.into_iter().enumerate().map(|(at, (name, work))| CustomStep {
        name: StepName::new(name).unwrap(),
        at: Moment::ALL[at + 1],
        needs: if at > 0 { vec![migrate()] } else { Vec::new() },
        when: When::Update,
        alone: true,
        work,
        timeout: SignedDuration::from_mins(10),
        retries: 2,
        idempotent: false,
        verify: Some(vec!["./done".to_owned()]),
        outputs: BTreeMap::from([("version".to_owned(), OutputKind::Number)]),
        artifacts: vec!["plan.bin".to_owned()],
        writes: vec!["/srv/shop.db".to_owned()],
        secrets: BTreeMap::from([("DATABASE_URL".to_owned(), "secret://file/database".to_owned())]),
    });
    steps.collect()
}
