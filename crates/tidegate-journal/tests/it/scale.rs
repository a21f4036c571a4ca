//! Ten thousand past deployments.

use tidegate_core::event::Ending;
use tidegate_core::ids::DeploymentId;
use tidegate_engine::ports::Journal as _;
use tidegate_engine::testkit::journal_suite::{ended, started};

use crate::fixture::{blog, dir, open, shop};

const DEPLOYMENTS: u64 = 10_000;
/// Deployments of one append.
const CHUNK: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_deployments_are_listed_and_found() {
    let dir = dir();
    let (journal, epoch) = open(dir.path()).await;
    for first in (0..DEPLOYMENTS).step_by(CHUNK as usize) {
        let mut events = Vec::new();
        for number in first..first + CHUNK {
            let (seq, id) = (number * 2 + 1, format!("d-{}", number + 1));
            events.extend(started("shop", seq, &id));
            events.extend(ended(seq + 1, &id, Ending::Succeeded));
        }
        journal.append(&shop(), first * 2, epoch, &events).await.unwrap();
    }
    let newest = journal.deployments(None, None, 3).await.unwrap();
    let ids: Vec<&str> = newest.iter().map(|row| row.deployment.as_str()).collect();
    assert_eq!(ids, ["d-10000", "d-9999", "d-9998"]);
    let all = journal.deployments(Some(&shop()), None, u32::MAX).await.unwrap();
    assert_eq!(all.len() as u64, DEPLOYMENTS);
    assert!(all.iter().all(|row| row.ending == Some(Ending::Succeeded)));
    assert_eq!(journal.deployments(Some(&blog()), None, 9).await.unwrap(), []);
    let found = journal.find(&DeploymentId::new("d-5000").unwrap()).await.unwrap().unwrap();
    assert_eq!((found.first_seq, found.last_seq), (9_999, Some(10_000)));
    let verified = journal.verify().await.unwrap();
    assert_eq!((verified.events, verified.streams), (DEPLOYMENTS * 2, 1));
    journal.close().await.unwrap();

    let (journal, _) = open(dir.path()).await;
    assert_eq!(journal.streams().await.unwrap(), [(shop(), DEPLOYMENTS * 2)]);
    assert_eq!(journal.read(&shop(), DEPLOYMENTS * 2 - 1, 9).await.unwrap().len(), 1);
}
