//! What the tests share: where the example programs are, and how to wait for a thing itself.
//! Must never wait for a time instead of a condition.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;
use tidegate_core::ids::{EnvironmentName, PartName, Revision, Scope, ServiceName, SlotName};
use tidegate_core::plan::{CohortBy, Part, PartKind, Protocol, Route, Run};
use tidegate_core::state::Tenant;
use tidegate_engine::ports::Place;

/// Generous: two cores may be busy with everything else.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A program of `examples/`, built beside this test by `cargo test`.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
    path
}

/// Asks until the answer is there.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            looks.tick().await;
            if let Some(found) = ask().await {
                return found;
            }
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_elapsed) => panic!("gave up waiting until {what}"),
    }
}

pub(crate) fn scope() -> Scope {
    Scope {
        service: ServiceName::new("shop").unwrap(),
        environment: EnvironmentName::new("production").unwrap(),
    }
}

pub(crate) fn place(slot: &str) -> Place {
    Place {
        scope: scope(),
        part: PartName::new("web").unwrap(),
        slot: SlotName::new(slot).unwrap(),
    }
}

pub(crate) fn part(argv: Vec<String>, instances: u32) -> Part {
    Part {
        name: PartName::new("web").unwrap(),
        kind: PartKind::Web(Route {
            listen: "127.0.0.1:8080".to_owned(),
            host: None,
            path: "/".to_owned(),
            preview_header: None,
            sticky: true,
            cohort: CohortBy::Cookie,
            mirror: None,
            access_log: None,
            tls: None,
            behind: None,
        }),
        slots: [SlotName::new("north").unwrap(), SlotName::new("south").unwrap()],
        run: Run {
            argv,
            env: BTreeMap::from([("COLOUR".to_owned(), "none".to_owned())]),
            port_env: "PORT".to_owned(),
            protocol: Protocol::Http1,
            grace: SignedDuration::from_secs(2),
            memory_max: Some(256 << 20),
            log_bytes_max: 1 << 20,
        },
        instances,
        probes: Vec::new(),
        smoke: None,
    }
}

/// A tenant that runs the small application with these flags.
pub(crate) fn tenant(version: &str, flags: &[&str], instances: u32) -> Tenant {
    let mut argv = vec![example("tinyapp").display().to_string()];
    argv.extend(flags.iter().map(|flag| (*flag).to_owned()));
    Tenant {
        revision: Revision { version: version.to_owned(), artifact: "a".repeat(64) },
        part: part(argv, instances),
        instances,
    }
}
