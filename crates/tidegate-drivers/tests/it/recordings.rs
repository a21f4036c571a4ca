//! Recordings on a real disk: kept, found again, and bounded in age and size.

use std::time::Duration;

use tidegate_core::ids::DeploymentId;
use tidegate_drivers::recordings::{Config, RecordingFiles};
use tidegate_engine::ports::{RecordingName, Recordings as _};

use crate::setup::place;

fn name(deployment: &str) -> RecordingName {
    let place = place("north");
    RecordingName {
        scope: place.scope,
        deployment: DeploymentId::new(deployment).unwrap(),
        part: place.part,
    }
}

fn files(dir: &std::path::Path, kept_for: Duration, bytes_max: u64) -> RecordingFiles {
    RecordingFiles::new(Config { state_dir: dir.to_owned(), kept_for, bytes_max })
}

#[tokio::test]
async fn what_was_written_is_read_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path(), Duration::MAX, u64::MAX);
    assert_eq!(files.list().await.unwrap(), []);
    assert_eq!(files.read(&name("d-1")).await.unwrap(), None);
    assert!(files.append(&name("d-1"), b"x").await.is_err(), "nothing begins without a header");
    files.create(&name("d-1"), b"head").await.unwrap();
    files.append(&name("d-1"), b"+1").await.unwrap();
    files.append(&name("d-1"), b"+2").await.unwrap();
    assert_eq!(files.read(&name("d-1")).await.unwrap().as_deref(), Some(&b"head+1+2"[..]));
    files.create(&name("d-1"), b"anew").await.unwrap();
    assert_eq!(files.read(&name("d-1")).await.unwrap().as_deref(), Some(&b"anew"[..]));
    files.create(&name("d-2.x"), b"").await.unwrap();
    std::fs::write(dir.path().join("recordings/shop/production/stranger.txt"), b"-").unwrap();
    assert_eq!(files.list().await.unwrap(), [name("d-1"), name("d-2.x")]);
}

#[tokio::test]
async fn the_oldest_goes_first_when_there_is_too_much() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path(), Duration::MAX, 250);
    for id in ["d-1", "d-2", "d-3"] {
        files.create(&name(id), &[0; 100]).await.unwrap();
        let path = dir.path().join(format!("recordings/shop/production/{id}@web.ticks"));
        let age = Duration::from_secs(1_000 - u64::from(id.as_bytes()[2]));
        let file = std::fs::File::options().append(true).open(path).unwrap();
        file.set_modified(std::time::SystemTime::now() - age).unwrap();
    }
    files.create(&name("d-4"), &[0; 100]).await.unwrap();
    assert_eq!(files.list().await.unwrap(), [name("d-2"), name("d-3"), name("d-4")]);
}

#[tokio::test]
async fn what_is_too_old_goes() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path(), Duration::from_secs(3_600), u64::MAX);
    files.create(&name("d-1"), b"old").await.unwrap();
    let path = dir.path().join("recordings/shop/production/d-1@web.ticks");
    let file = std::fs::File::options().append(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() - Duration::from_secs(4_000)).unwrap();
    files.create(&name("d-2"), b"new").await.unwrap();
    assert_eq!(files.list().await.unwrap(), [name("d-2")]);
}
