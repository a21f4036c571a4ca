//! The process runtime: what it starts, watches, adopts and ends, with real processes.
//! Must never leave one of them behind.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal};
use tidegate_core::state::{SlotObserved, Tenant};
use tidegate_drivers::runtime::{Config, ProcessRuntime};
use tidegate_engine::ports::{FailureKind, Place, Runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::setup::{example, place, tenant, until};

struct House {
    directory: tempfile::TempDir,
    runtime: ProcessRuntime,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Deep on purpose: a socket's path may have no more than 107 bytes.
        let state = directory.path().join("a-long-name-for-a-state-directory/".repeat(4));
        fs::create_dir_all(state.join("artifacts").join("a".repeat(64))).unwrap();
        let runtime = runtime(&state);
        Self { directory, runtime }
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("a-long-name-for-a-state-directory/".repeat(4))
    }

    fn slot(&self, place: &Place) -> PathBuf {
        let slots = self.state().join("slots/shop@production");
        slots.join(place.part.as_str()).join(place.slot.as_str())
    }

    fn record(&self, place: &Place) -> serde_json::Value {
        let bytes = fs::read(self.slot(place).join("state.json")).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn shim(&self, place: &Place) -> i32 {
        i32::try_from(self.record(place)["shim"]["pid"].as_i64().unwrap()).unwrap()
    }

    fn pids(&self, place: &Place) -> Vec<i32> {
        let record = self.record(place);
        let instances = record["instances"].as_array().unwrap();
        let pid = |instance: &serde_json::Value| instance["process"]["pid"].as_i64();
        instances.iter().filter_map(pid).map(|pid| i32::try_from(pid).unwrap()).collect()
    }

    async fn ready(&self, place: &Place, tenant: &Tenant) -> SlotObserved {
        self.seen(place, "it is ready", |seen| seen.runs(tenant) && seen.total == tenant.instances)
            .await
    }

    async fn seen(
        &self,
        place: &Place,
        what: &str,
        wanted: impl Fn(&SlotObserved) -> bool,
    ) -> SlotObserved {
        until(what, || async {
            let seen = self.runtime.observe(place).await.unwrap();
            if wanted(&seen) { Some(seen) } else { None }
        })
        .await
    }

    async fn empty(&self, place: &Place, epoch: u64) {
        self.runtime.ensure(place, None, epoch).await.unwrap();
        self.seen(place, "the slot is empty", |seen| *seen == SlotObserved::default()).await;
        assert_eq!(marked_processes(&self.slot(place)), Vec::<i32>::new());
    }
}

impl Drop for House {
    // A failed assertion must not leave processes behind.
    fn drop(&mut self) {
        for entry in
            fs::read_dir(self.state().join("slots/shop@production/web")).into_iter().flatten()
        {
            let slot = entry.unwrap().path();
            if let Some(shim) = fs::read(slot.join("state.json")).ok().and_then(|bytes| {
                let record: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
                record["shim"]["pid"].as_i64()
            }) && fs::read_to_string(format!("/proc/{shim}/cmdline"))
                .is_ok_and(|line| line.contains(&*slot.to_string_lossy()))
            {
                kill(i32::try_from(shim).unwrap());
            }
            for pid in marked_processes(&slot) {
                kill(pid);
            }
        }
    }
}

fn runtime(state: &Path) -> ProcessRuntime {
    ProcessRuntime::new(Config {
        state_dir: state.to_owned(),
        shim_command: vec![example("shim").into_os_string()],
    })
}

fn kill(pid: i32) {
    match rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => panic!("{pid}: {error}"),
    }
}

fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

// Every process of a slot carries its mark, wherever it forked to.
fn marked_processes(slot: &Path) -> Vec<i32> {
    let path = slot.canonicalize().unwrap();
    let digest = tidegate_core::digest::Digest::of(path.as_os_str().as_encoded_bytes());
    let short: String = digest.as_str().chars().take(16).collect();
    let mark = format!("TIDEGATE_INSTANCE={short}.");
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environ).contains(&mark) {
            found.push(pid);
        }
    }
    found
}

async fn get(endpoint: &str, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(endpoint).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn starts_observes_scales_and_stops() {
    let house = House::new();
    let north = place("north");
    assert_eq!(house.runtime.observe(&north).await.unwrap(), SlotObserved::default());
    let two = tenant("v1", &[], 2);
    house.runtime.ensure(&north, Some(&two), 1).await.unwrap();
    let seen = house.ready(&north, &two).await;
    assert_eq!(seen.revision.as_deref(), Some("v1-aaaaaaaa"));
    assert_eq!((seen.endpoints.len(), seen.problem), (2, None));
    assert_ne!(seen.endpoints[0], seen.endpoints[1]);
    let env = get(&seen.endpoints[0], "/env").await;
    let mut names: Vec<&str> = env.split(',').collect();
    names.sort_unstable();
    let allowed = ["COLOUR", "HOME", "LANG", "PATH", "PORT", "TIDEGATE_INSTANCE"];
    assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");

    // The same wish again changes nothing; a smaller number keeps the first instance.
    let before = house.pids(&north);
    house.runtime.ensure(&north, Some(&two), 1).await.unwrap();
    let one = Tenant { instances: 1, ..two };
    house.runtime.ensure(&north, Some(&one), 1).await.unwrap();
    house.ready(&north, &one).await;
    assert_eq!(house.pids(&north), before[..1]);

    // Another revision replaces it.
    let next = tenant("v2", &[], 1);
    house.runtime.ensure(&north, Some(&next), 1).await.unwrap();
    house.ready(&north, &next).await;
    assert_ne!(house.pids(&north), before[..1]);
    let logs = house.runtime.logs(&north, 10_000).await.unwrap();
    assert!(String::from_utf8_lossy(&logs).contains("listening on 127.0.0.1:"));
    let shim = house.shim(&north);
    house.empty(&north, 2).await;
    until("the shim ends", || async { (!lives(shim)).then_some(()) }).await;
    assert_eq!(house.runtime.observe(&north).await.unwrap(), SlotObserved::default());
}

#[tokio::test]
async fn an_older_epoch_is_refused_with_and_without_a_shim() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &[], 1);
    house.runtime.ensure(&north, Some(&v1), 7).await.unwrap();
    house.ready(&north, &v1).await;
    let refused = house.runtime.ensure(&north, None, 6).await.unwrap_err();
    assert_eq!((refused.kind, refused.code), (FailureKind::Conflict, "TG4003"));
    assert_eq!(house.runtime.observe(&north).await.unwrap().ready, 1);
    let shim = house.shim(&north);
    house.empty(&north, 8).await;
    until("the shim ends", || async { (!lives(shim)).then_some(()) }).await;
    for wish in [None, Some(&v1)] {
        let refused = house.runtime.ensure(&north, wish, 7).await.unwrap_err();
        assert_eq!(refused.code, "TG4003");
    }
    house.empty(&north, 8).await;
}

#[tokio::test]
async fn a_crash_is_followed_by_a_start_on_the_same_port() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &[], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    let before = house.ready(&north, &v1).await;
    let pid = house.pids(&north)[0];
    kill(pid);
    let after = house
        .seen(&north, "it was started again", |seen| seen.ready == 1 && seen.problem.is_some())
        .await;
    assert_ne!(house.pids(&north), [pid]);
    assert_eq!(after.endpoints, before.endpoints);
    let problem = after.problem.unwrap();
    assert!(problem.contains("was killed by signal 9 [TG4012]"), "{problem}");
    assert!(problem.contains("last words: listening on"), "{problem}");
    assert!(problem.ends_with("restarts: 1"), "{problem}");
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn pauses_between_starts_grow() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &["--crash-after-ms", "1", "--never-listen"], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    let began = std::time::Instant::now();
    let seen = house
        .seen(&north, "it was started four times", |seen| {
            seen.problem.as_deref().is_some_and(|problem| problem.ends_with("restarts: 4"))
        })
        .await;
    // Pauses of 0.1, 0.2 and 0.4 s lie between four ends.
    assert!(began.elapsed().as_millis() >= 700, "{:?}", began.elapsed());
    let problem = seen.problem.unwrap();
    assert!(problem.contains("was killed by signal 6"), "{problem}");
    assert!(problem.contains("last words: crashing on purpose"), "{problem}");
    assert_eq!((seen.ready, seen.total), (0, 1));
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn a_dead_shim_stops_nothing_and_the_next_adopts() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &[], 2);
    house.runtime.ensure(&north, Some(&v1), 3).await.unwrap();
    let before = house.ready(&north, &v1).await;
    let (pids, shim) = (house.pids(&north), house.shim(&north));
    kill(shim);
    until("the shim is dead", || async { (!lives(shim)).then_some(()) }).await;

    let seen = house.runtime.observe(&north).await.unwrap();
    assert_eq!((seen.ready, seen.total, &seen.endpoints), (2, 2, &before.endpoints));
    assert!(seen.problem.unwrap().contains("the shim is gone"));
    assert_eq!(get(&before.endpoints[1], "/pid").await, pids[1].to_string());

    let refused = house.runtime.ensure(&north, None, 2).await.unwrap_err();
    assert_eq!(refused.code, "TG4003");
    house.runtime.ensure(&north, Some(&v1), 3).await.unwrap();
    // A change of shims never reads like an outage.
    let first = house.runtime.observe(&north).await.unwrap();
    assert_eq!((first.ready, &first.problem), (2, &None));
    let adopted = house.ready(&north, &v1).await;
    assert_eq!((house.pids(&north), &adopted.endpoints), (pids.clone(), &before.endpoints));
    assert_ne!(house.shim(&north), shim);

    // An adopted instance is watched like any other.
    kill(pids[0]);
    until("the adopted one is replaced", || async {
        let now = house.pids(&north);
        (now.len() == 2 && now[0] != pids[0]).then_some(())
    })
    .await;
    assert_eq!(house.ready(&north, &v1).await.endpoints, before.endpoints);
    house.empty(&north, 3).await;
}

#[tokio::test]
async fn shims_that_died_are_started_again_without_a_new_wish() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &[], 1);
    house.runtime.ensure(&north, Some(&v1), 3).await.unwrap();
    house.ready(&north, &v1).await;
    assert!(house.runtime.tend().await.unwrap().is_empty());
    let (pids, shim) = (house.pids(&north), house.shim(&north));
    kill(shim);
    until("the shim is dead", || async { (!lives(shim)).then_some(()) }).await;
    assert_eq!(house.runtime.tend().await.unwrap().len(), 1);
    house
        .seen(&north, "it is watched again", |seen| seen.ready == 1 && seen.problem.is_none())
        .await;
    assert_eq!(house.pids(&north), pids);
    house.empty(&north, 3).await;
    assert!(house.runtime.tend().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_new_server_finds_everything_as_it_was() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &[], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.ready(&north, &v1).await;
    let pids = house.pids(&north);
    let next = runtime(&house.state());
    assert!(next.observe(&north).await.unwrap().runs(&v1));
    next.ensure(&north, Some(&v1), 2).await.unwrap();
    assert_eq!(house.pids(&north), pids);
    assert_eq!(house.runtime.ensure(&north, None, 1).await.unwrap_err().code, "TG4003");
    house.empty(&north, 2).await;
}

#[tokio::test]
async fn a_number_that_was_given_out_again_is_not_adopted() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &[], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.ready(&north, &v1).await;
    let (pid, shim) = (house.pids(&north)[0], house.shim(&north));
    kill(shim);
    until("the shim is dead", || async { (!lives(shim)).then_some(()) }).await;
    kill(pid);
    // The record is made to name this very test: alive, but started at another time.
    let mut record = house.record(&north);
    record["instances"][0]["process"]["pid"] = std::process::id().into();
    let path = house.slot(&north).join("state.json");
    fs::write(path, serde_json::to_vec(&record).unwrap()).unwrap();
    assert_eq!(house.runtime.observe(&north).await.unwrap().total, 0);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.ready(&north, &v1).await;
    assert!(!house.pids(&north).contains(&i32::try_from(std::process::id()).unwrap()));
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn a_damaged_record_is_never_an_empty_slot() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &[], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.ready(&north, &v1).await;
    let (record, shim) = (house.record(&north), house.shim(&north));
    kill(shim);
    until("the shim is dead", || async { (!lives(shim)).then_some(()) }).await;
    let path = house.slot(&north).join("state.json");
    fs::write(&path, "{\"boot\":").unwrap();
    assert_eq!(house.runtime.observe(&north).await.unwrap_err().code, "TG4004");
    let failed = house.runtime.ensure(&north, Some(&v1), 1).await.unwrap_err();
    assert!(failed.what.contains("damaged"), "{failed}");
    fs::write(&path, serde_json::to_vec(&record).unwrap()).unwrap();
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn sigterm_ignored_is_followed_by_sigkill_after_the_grace() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &["--ignore-term"], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.ready(&north, &v1).await;
    let pid = house.pids(&north)[0];
    house.runtime.ensure(&north, None, 1).await.unwrap();
    let began = std::time::Instant::now();
    until("it is dead", || async { (!lives(pid)).then_some(()) }).await;
    assert!(began.elapsed().as_millis() >= 1_500, "{:?}", began.elapsed());
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn children_that_forked_away_are_ended_too() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &["--fork-away"], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.ready(&north, &v1).await;
    let slot = house.slot(&north);
    until("both run", || async { (marked_processes(&slot).len() == 2).then_some(()) }).await;
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn an_application_that_forks_away_whole_is_told_to_stay() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &["--double-fork"], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    let seen = house
        .seen(&north, "it is found out", |seen| {
            seen.problem.as_deref().is_some_and(|problem| problem.contains("TG4015"))
        })
        .await;
    assert!(seen.problem.unwrap().contains("must stay in the foreground"));
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn a_flood_of_output_stays_bounded() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &["--print-mb", "200"], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.ready(&north, &v1).await;
    let slot = house.slot(&north);
    let size = |name: &str| fs::metadata(slot.join(name)).map_or(0, |meta| meta.len());
    let largest = std::cell::Cell::new(0);
    until("the flood is over", || async {
        let both = size("instance-0.log") + size("instance-0.log.1");
        largest.set(largest.get().max(both));
        let end = house.runtime.logs(&north, 2_000).await.unwrap();
        String::from_utf8_lossy(&end).contains("flood over").then_some(())
    })
    .await;
    assert!(largest.get() < 100 << 20, "{} bytes at one moment", largest.get());
    until("it is cut to its limit", || async {
        (size("instance-0.log") + size("instance-0.log.1") <= 1 << 20).then_some(())
    })
    .await;
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn the_wrong_port_is_named() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &["--wrong-port"], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    let seen = house
        .seen(&north, "it is found out", |seen| {
            seen.problem.as_deref().is_some_and(|problem| problem.contains("TG4011"))
        })
        .await;
    let logs = house.runtime.logs(&north, 1_000).await.unwrap();
    let logs = String::from_utf8_lossy(&logs).into_owned();
    let actual = logs.trim_end().rsplit_once(' ').unwrap().1.to_owned();
    let problem = seen.problem.unwrap();
    assert!(problem.contains(&format!("listens on {actual} instead of 127.0.0.1:")), "{problem}");
    assert!(problem.contains("from PORT"), "{problem}");
    assert_eq!((seen.ready, seen.endpoints.len()), (0, 0));
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn an_application_that_never_listens_is_never_ready() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &["--never-listen"], 1);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    let seen = house
        .seen(&north, "it is found out", |seen| {
            assert_eq!(seen.ready, 0);
            seen.problem.as_deref().is_some_and(|problem| problem.contains("TG4010"))
        })
        .await;
    assert!(seen.problem.unwrap().contains("never listened on 127.0.0.1:"));
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let house = House::new();
    let north = place("north");
    let mut v1 = tenant("v1", &[], 1);
    v1.part.run.argv = vec!["./no-such-program".to_owned()];
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    let seen = house.seen(&north, "it is found out", |seen| seen.problem.is_some()).await;
    let problem = seen.problem.unwrap();
    assert!(problem.contains("no-such-program") && problem.contains("TG4013"), "{problem}");
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn a_worker_is_ready_by_living() {
    let house = House::new();
    let north = place("north");
    let mut v1 = tenant("v1", &["--worker"], 2);
    v1.part.kind = tidegate_core::plan::PartKind::Worker;
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    let seen = house.ready(&north, &v1).await;
    assert!(seen.endpoints.is_empty());
    house.empty(&north, 1).await;
}

#[tokio::test]
async fn reads_how_busy_the_worst_instance_is() {
    let house = House::new();
    let north = place("north");
    let v1 = tenant("v1", &["--burn", "--leak-mb", "64"], 2);
    house.runtime.ensure(&north, Some(&v1), 1).await.unwrap();
    house.ready(&north, &v1).await;
    let usage = until("there is a reading", || async {
        let usage = house.runtime.usage(&north).await.unwrap();
        (usage.cpu_percent.is_some() && usage.memory_percent.is_some()).then_some(usage)
    })
    .await;
    // One of the two burns at least a part of one processor; 64 of 256 MiB are a quarter.
    assert!(usage.cpu_percent.unwrap() > 3.0, "{usage:?}");
    assert!((24.0..40.0).contains(&usage.memory_percent.unwrap()), "{usage:?}");
    house.empty(&north, 1).await;
}
