//! What every journal has to do, whatever it keeps its events in. A store is done when
//! [`conformance`] passes on it. Must never know which store it runs on.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tidegate_core::event::{DeploymentKind, Ending, Event, Recorded};
use tidegate_core::ids::{
    Actor, DeploymentId, EnvironmentName, InvalidName, PartName, Scope, ServiceName,
};
use tidegate_core::plan::{
    Bake, Floor, HoldEnd, Judging, KeepPrevious, Limits, Otherwise, Plan, Release, Required,
    Traffic,
};
use tidegate_core::state::{Phase, PhaseResult};
use tidegate_core::weight::Weight;
use tokio::task::JoinSet;

use crate::ports::{Journal, JournalError, Snapshot, Verified};

/// A storage that the suite opens as processes do. Each is empty at first.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Opens it as another process would.
    ///
    /// # Errors
    /// [`JournalError::Held`], if a second process is refused so early.
    async fn open(&self) -> Result<Arc<dyn Journal>, JournalError>;

    /// Ends the process that opened it.
    async fn end(&self, journal: Arc<dyn Journal>);
}

/// Streams that many tasks write to at the same time.
const STREAMS: u32 = 8;
/// Tasks that write at the same time.
const TASKS: u32 = 64;
/// Appends of each of them.
const APPENDS: u64 = 4;

/// Runs everything, each on a fresh storage.
///
/// # Panics
/// When the store behaves otherwise.
pub async fn conformance<F, S>(make: F)
where
    F: Fn() -> S,
    S: Storage,
{
    appends_are_read_back(&make()).await;
    reading_has_limits(&make()).await;
    a_wrong_expectation_writes_nothing(&make()).await;
    an_older_epoch_writes_nothing(&make()).await;
    a_second_holder_is_refused(&make()).await;
    everything_survives_reopening(&make()).await;
    snapshots_are_replaced(&make()).await;
    deployments_are_listed_and_found(&make()).await;
    the_newest_entries_come_first(&make()).await;
    a_deployment_starts_once(&make()).await;
    verification_counts(&make()).await;
    what_cannot_be_kept_is_refused(&make()).await;
    many_tasks_leave_no_gap(&make()).await;
}

async fn appends_are_read_back(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let (shop, blog) = (scope("shop"), scope("blog"));
    assert_eq!(ok(journal.read(&shop, 0, 10).await), [], "an unknown stream is empty");
    assert_eq!(ok(journal.streams().await), []);
    let first = [note(1), note(2), note(3)];
    ok(journal.append(&shop, 0, epoch, &first).await);
    ok(journal.append(&blog, 0, epoch, &[note(1)]).await);
    ok(journal.append(&shop, 3, epoch, &[note(4)]).await);
    ok(journal.append(&shop, 4, epoch, &[]).await);
    assert_eq!(ok(journal.read(&shop, 0, 10).await), notes(1..=4));
    assert_eq!(ok(journal.read(&blog, 0, 10).await), notes(1..=1));
    assert_eq!(ok(journal.streams().await), [(blog, 1), (shop, 4)], "in the order of names");
}

async fn reading_has_limits(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let shop = scope("shop");
    ok(journal.append(&shop, 0, epoch, &notes(1..=20)).await);
    assert_eq!(ok(journal.read(&shop, 0, 5).await), notes(1..=5));
    assert_eq!(ok(journal.read(&shop, 17, 5).await), notes(18..=20));
    assert_eq!(ok(journal.read(&shop, 20, 5).await), []);
    assert_eq!(ok(journal.read(&shop, u64::MAX, 5).await), []);
    assert_eq!(ok(journal.read(&shop, 0, 0).await), []);
    assert_eq!(ok(journal.read(&shop, 0, u32::MAX).await).len(), 20);
}

async fn a_wrong_expectation_writes_nothing(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let shop = scope("shop");
    ok(journal.append(&shop, 0, epoch, &notes(1..=2)).await);
    for expected in [0, 1, 3, 1_000_000] {
        let refused = journal.append(&shop, expected, epoch, &[note(expected + 1)]).await;
        assert!(
            matches!(refused, Err(JournalError::Conflict { expected: e, actual: 2 }) if e == expected),
            "{refused:?}"
        );
    }
    for expected in [1, 5, u64::MAX] {
        let refused = journal.append(&shop, expected, epoch, &[]).await;
        assert!(matches!(refused, Err(JournalError::Conflict { .. })), "{refused:?}");
    }
    assert_eq!(ok(journal.read(&shop, 0, 10).await), notes(1..=2));
}

async fn an_older_epoch_writes_nothing(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let shop = scope("shop");
    let early = journal.append(&shop, 0, 0, &[note(1)]).await;
    assert!(matches!(early, Err(JournalError::Fenced { .. })), "before any lease: {early:?}");
    let old = acquire(&*journal).await;
    ok(journal.append(&shop, 0, old, &[note(1)]).await);
    let new = acquire(&*journal).await;
    assert!(new > old, "each epoch is higher: {old}, then {new}");
    for epoch in [old, new + 1] {
        let refused = journal.append(&shop, 1, epoch, &[note(2)]).await;
        assert!(
            matches!(refused, Err(JournalError::Fenced { epoch: e, current }) if e == epoch && current == new),
            "{refused:?}"
        );
    }
    ok(journal.append(&shop, 1, new, &[note(2)]).await);
    assert_eq!(ok(journal.read(&shop, 0, 10).await), notes(1..=2));
}

async fn a_second_holder_is_refused(storage: &dyn Storage) {
    let first = ok(storage.open().await);
    let epoch = acquire(&*first).await;
    let second = match storage.open().await {
        Ok(journal) => {
            let refused = journal.acquire("second", at(1)).await;
            storage.end(journal).await;
            refused
        }
        Err(error) => Err(error),
    };
    assert!(
        matches!(&second, Err(JournalError::Held { holder }) if !holder.is_empty()),
        "{second:?}"
    );
    // The first one has not noticed.
    ok(first.append(&scope("shop"), 0, epoch, &[note(1)]).await);
    storage.end(first).await;
    let third = ok(storage.open().await);
    let next = acquire(&*third).await;
    assert!(next > epoch, "{next} after {epoch}");
    storage.end(third).await;
}

async fn everything_survives_reopening(storage: &dyn Storage) {
    let shop = scope("shop");
    let first = ok(storage.open().await);
    let epoch = acquire(&*first).await;
    ok(first.append(&shop, 0, epoch, &started("shop", 1, "d-1")).await);
    let snapshot = Snapshot { seq: 1, schema: 1, bytes: b"state".to_vec() };
    ok(first.put_snapshot(&shop, &snapshot).await);
    let before = ok(first.verify().await);
    let row = ok(first.find(&deployment("d-1")).await);
    storage.end(first).await;

    let second = ok(storage.open().await);
    assert_eq!(ok(second.read(&shop, 0, 10).await), started("shop", 1, "d-1"));
    assert_eq!(ok(second.snapshot(&shop).await), Some(snapshot));
    assert_eq!(ok(second.verify().await), before);
    assert_eq!(ok(second.find(&deployment("d-1")).await), row);
    let next = acquire(&*second).await;
    let late = second.append(&shop, 1, epoch, &[note(2)]).await;
    assert!(matches!(late, Err(JournalError::Fenced { .. })), "{late:?}");
    ok(second.append(&shop, 1, next, &[note(2)]).await);
    storage.end(second).await;
}

async fn snapshots_are_replaced(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let (shop, blog) = (scope("shop"), scope("blog"));
    ok(journal.append(&shop, 0, epoch, &notes(1..=9)).await);
    assert_eq!(ok(journal.snapshot(&shop).await), None);
    for seq in [3, 9] {
        let snapshot = Snapshot { seq, schema: 7, bytes: vec![0, 255, 10, 13, seq as u8] };
        ok(journal.put_snapshot(&shop, &snapshot).await);
        assert_eq!(ok(journal.snapshot(&shop).await), Some(snapshot));
    }
    assert_eq!(ok(journal.snapshot(&blog).await), None);
    // A state that its stream never reached cannot be the stream's.
    ok(journal.put_snapshot(&shop, &Snapshot { seq: 10, schema: 7, bytes: vec![] }).await);
    assert_eq!(ok(journal.snapshot(&shop).await), None);
}

async fn deployments_are_listed_and_found(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let (shop, blog) = (scope("shop"), scope("blog"));
    ok(journal.append(&shop, 0, epoch, &started("shop", 1, "d-1")).await);
    ok(journal.append(&shop, 1, epoch, &[note(2)]).await);
    let mut both = ended(3, "d-1", Ending::RolledBack);
    both.extend(started("shop", 4, "d-3"));
    ok(journal.append(&blog, 0, epoch, &started("blog", 1, "d-2")).await);
    ok(journal.append(&shop, 2, epoch, &both).await);
    // It only ever waited: it has no row, and its end is none of the list's business.
    ok(journal.append(&blog, 1, epoch, &ended(2, "d-9", Ending::Superseded)).await);

    let ids = |rows: Vec<crate::ports::DeploymentRow>| -> Vec<String> {
        rows.into_iter().map(|row| row.deployment.to_string()).collect()
    };
    let none: [&str; 0] = [];
    let (first, second, third) = (deployment("d-1"), deployment("d-2"), deployment("d-3"));
    let unknown = deployment("d-9");
    for (of, before, limit, due) in [
        (None, None, 10, &["d-3", "d-2", "d-1"][..]),
        (None, None, 2, &["d-3", "d-2"]),
        (None, Some(&third), 10, &["d-2", "d-1"]),
        (None, Some(&third), 1, &["d-2"]),
        (None, Some(&first), 10, &none),
        (None, Some(&unknown), 10, &none),
        (Some(&shop), None, 10, &["d-3", "d-1"]),
        (Some(&shop), Some(&third), 10, &["d-1"]),
        (Some(&shop), Some(&second), 10, &["d-1"]),
        (Some(&scope("none")), None, 10, &none),
    ] {
        assert_eq!(ids(ok(journal.deployments(of, before, limit).await)), due, "{of:?} {before:?}");
    }

    let row = ok(journal.find(&deployment("d-1")).await);
    let Some(row) = row else { return assert!(row.is_some(), "d-1 is not found") };
    assert_eq!((row.scope, row.first_seq, row.last_seq), (shop, 1, Some(3)));
    assert_eq!((row.version.as_str(), row.ending), ("v1", Some(Ending::RolledBack)));
    assert_eq!((row.started_by, row.started_at), (person(), at(1)));
    assert_eq!((row.ended_at, row.why.as_deref()), (Some(at(3)), Some("it was time")));
    let open = ok(journal.find(&deployment("d-2")).await);
    assert!(open.is_some_and(|row| row.last_seq.is_none() && row.ending.is_none()));
    assert_eq!(ok(journal.find(&deployment("d-9")).await), None);
}

async fn the_newest_entries_come_first(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let (shop, blog) = (scope("shop"), scope("blog"));
    ok(journal.append(&shop, 0, epoch, &notes(1..=2)).await);
    ok(journal.append(&blog, 0, epoch, &notes(1..=1)).await);
    ok(journal.append(&shop, 2, epoch, &notes(3..=3)).await);
    let all = ok(journal.recent(None, None, 10).await);
    let seen: Vec<(Option<Scope>, u64)> =
        all.iter().map(|placed| (placed.scope.clone(), ok(placed.recorded.clone()).seq)).collect();
    let due = [(&shop, 3), (&blog, 1), (&shop, 2), (&shop, 1)];
    assert_eq!(seen, due.map(|(scope, seq)| (Some(scope.clone()), seq)));
    assert!(all.windows(2).all(|pair| pair[0].position > pair[1].position));
    // Page by page, of all and of one stream, nothing is missing and nothing comes twice.
    for (of, due) in [(None, vec![3, 1, 2, 1]), (Some(&shop), vec![3, 2, 1])] {
        let (mut before, mut seen) = (None, Vec::new());
        loop {
            let page = ok(journal.recent(of, before, 1).await);
            let Some(last) = page.last() else { break };
            before = Some(last.position);
            seen.push(ok(last.recorded.clone()).seq);
        }
        assert_eq!(seen, due);
    }
    assert!(ok(journal.recent(Some(&scope("none")), None, 10).await).is_empty());
}

async fn a_deployment_starts_once(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    ok(journal.append(&scope("shop"), 0, epoch, &started("shop", 1, "d-1")).await);
    let again = journal.append(&scope("blog"), 0, epoch, &started("blog", 1, "d-1")).await;
    assert!(matches!(again, Err(JournalError::Unavailable { .. })), "{again:?}");
    let mut both = started("blog", 1, "d-2");
    both.extend(started("blog", 2, "d-2"));
    let twice = journal.append(&scope("blog"), 0, epoch, &both).await;
    assert!(matches!(twice, Err(JournalError::Unavailable { .. })), "{twice:?}");
    assert_eq!(ok(journal.read(&scope("blog"), 0, 10).await), []);
    ok(journal.append(&scope("blog"), 0, epoch, &started("blog", 1, "d-2")).await);
}

async fn verification_counts(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let empty = ok(journal.verify().await);
    assert_eq!((empty.events, empty.streams, empty.root.len()), (0, 0, 64));
    ok(journal.append(&scope("shop"), 0, epoch, &notes(1..=3)).await);
    ok(journal.append(&scope("blog"), 0, epoch, &notes(1..=2)).await);
    let Verified { events, streams, root } = ok(journal.verify().await);
    assert_eq!((events, streams), (5, 2));
    assert_ne!(root, empty.root);
    assert!(root.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{root}");
}

async fn what_cannot_be_kept_is_refused(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let shop = scope("shop");
    let fault = |seq, what| recorded(seq, Event::Faulted { code: "TG9001".to_owned(), what });
    let big = fault(1, "x".repeat(2 * 1024 * 1024));
    let refused = journal.append(&shop, 0, epoch, std::slice::from_ref(&big)).await;
    assert!(matches!(refused, Err(JournalError::Unavailable { code: "TG6007", .. })));
    // Nor does it take its neighbours with it, or they it.
    let mut second = big;
    second.seq = 2;
    let refused = journal.append(&shop, 0, epoch, &[note(1), second]).await;
    assert!(matches!(refused, Err(JournalError::Unavailable { code: "TG6007", .. })));
    for numbers in [[2, 3], [1, 3], [1, 1]] {
        let misnumbered = numbers.map(note);
        let refused = journal.append(&shop, 0, epoch, &misnumbered).await;
        assert!(matches!(refused, Err(JournalError::Unavailable { code: "TG6008", .. })));
    }
    let mut unreadable = started("shop", 1, "d-1");
    if let Some(Recorded { event: Event::DeploymentStarted { plan, .. }, .. }) =
        unreadable.first_mut()
    {
        // JSON has no word for it: it would come back as nothing.
        Arc::make_mut(plan).traffic.confidence = Some(f64::NAN);
    }
    let refused = journal.append(&shop, 0, epoch, &unreadable).await;
    assert!(matches!(refused, Err(JournalError::Unavailable { code: "TG6008", .. })));
    assert_eq!(ok(journal.read(&shop, 0, 10).await), []);
    let odd = fault(1, "\0 \u{7f} \u{202e} 'quoted' \"quoted\" $1 -- ; \u{1F30A}".to_owned());
    ok(journal.append(&shop, 0, epoch, std::slice::from_ref(&odd)).await);
    assert_eq!(ok(journal.read(&shop, 0, 10).await), [odd]);
}

async fn many_tasks_leave_no_gap(storage: &dyn Storage) {
    let journal = ok(storage.open().await);
    let epoch = acquire(&*journal).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let journal = Arc::clone(&journal);
        let scope = scope(&format!("s{}", task % STREAMS));
        tasks.spawn(async move { append_all(&*journal, &scope, epoch).await });
    }
    while let Some(ended) = tasks.join_next().await {
        assert!(ended.is_ok(), "{ended:?}");
    }
    let per_stream = u64::from(TASKS / STREAMS) * APPENDS;
    let streams = ok(journal.streams().await);
    assert_eq!(streams.len(), STREAMS as usize);
    for (scope, head) in streams {
        assert_eq!(head, per_stream, "{scope}");
        assert_eq!(ok(journal.read(&scope, 0, u32::MAX).await), notes(1..=per_stream));
    }
    let verified = ok(journal.verify().await);
    assert_eq!(verified.events, per_stream * u64::from(STREAMS));
}

/// Appends its share, reading the stream's end again after each conflict.
async fn append_all(journal: &dyn Journal, scope: &Scope, epoch: u64) {
    let mut head = 0;
    let mut left = APPENDS;
    while left > 0 {
        match journal.append(scope, head, epoch, &[note(head + 1)]).await {
            Ok(()) => {
                left -= 1;
                head += 1;
            }
            Err(JournalError::Conflict { actual, .. }) => head = actual,
            Err(other) => ok(Err(other)),
        }
    }
}

/// The value, or the end of the suite.
#[expect(clippy::panic, reason = "a suite fails by panicking in its caller's test")]
fn ok<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store refused: {error:?}"),
    }
}

async fn acquire(journal: &dyn Journal) -> u64 {
    ok(journal.acquire("suite", at(0)).await)
}

fn name<T>(name: &str, make: fn(String) -> Result<T, InvalidName>) -> T {
    ok(make(name.to_owned()))
}

/// A service of this name in production.
///
/// # Panics
/// When it is no name.
#[must_use]
pub fn scope(service: &str) -> Scope {
    Scope {
        service: name(service, ServiceName::new),
        environment: name("production", EnvironmentName::new),
    }
}

fn deployment(id: &str) -> DeploymentId {
    name(id, DeploymentId::new)
}

fn person() -> Actor {
    Actor::Person("ada".to_owned())
}

/// So many seconds after the beginning.
fn at(seconds: u64) -> Timestamp {
    ok(Timestamp::from_second(1_795_000_000 + seconds as i64))
}

fn recorded(seq: u64, event: Event) -> Recorded {
    Recorded { seq, at: at(seq), actor: person(), key: Some(format!("key-{seq}")), event }
}

/// A small event with this sequence.
///
/// # Panics
/// When the sequence is no second of the calendar.
#[must_use]
pub fn note(seq: u64) -> Recorded {
    recorded(
        seq,
        Event::PhaseEntered {
            deployment: deployment("d-1"),
            phase: Phase::Traffic { step: 1 },
            before: PhaseResult::Passed,
        },
    )
}

fn notes(numbers: std::ops::RangeInclusive<u64>) -> Vec<Recorded> {
    numbers.map(note).collect()
}

/// The start of a deployment.
///
/// # Panics
/// When a name is none.
#[must_use]
pub fn started(service: &str, seq: u64, id: &str) -> Vec<Recorded> {
    let event = Event::DeploymentStarted {
        deployment: deployment(id),
        kind: DeploymentKind::Release { despite_quarantine: false },
        plan: Arc::new(plan(service)),
        candidates: BTreeMap::from([(
            name("web", PartName::new),
            name("green", tidegate_core::ids::SlotName::new),
        )]),
        targets: BTreeMap::new(),
    };
    vec![recorded(seq, event)]
}

/// The end of a deployment.
///
/// # Panics
/// When the id is none.
#[must_use]
pub fn ended(seq: u64, id: &str, ending: Ending) -> Vec<Recorded> {
    let why = "it was time".to_owned();
    vec![recorded(seq, Event::DeploymentEnded { deployment: deployment(id), ending, why })]
}

fn plan(service: &str) -> Plan {
    Plan {
        scope: scope(service),
        release: Release {
            version: "v1".to_owned(),
            repository: "https://example.org/shop.git".to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        },
        build: None,
        parts: Vec::new(),
        traffic: Traffic {
            steps: vec![Weight::WHOLE],
            dwell: SignedDuration::from_mins(5),
            // A number whose shortest text is read back wrongly by a careless parser.
            confidence: Some(0.951_234_567_890_123_4),
            at_least: 100,
            advance_if: Vec::new(),
            rollback_if: Vec::new(),
            otherwise: Otherwise { hold: SignedDuration::from_mins(30), then: HoldEnd::Rollback },
            floor: Floor::Literal,
            judging: Judging::default(),
        },
        bake: Bake { watch: SignedDuration::from_mins(15), keep_previous: KeepPrevious::Warm },
        required: Required::default(),
        limits: Limits::default(),
        gates: Vec::new(),
        approve: None,
        change: None,
        backup: None,
        custom: Vec::new(),
        window: None,
        checklist: Vec::new(),
        duties: Vec::new(),
        layers: Vec::new(),
        tell: Vec::new(),
        incident: None,
    }
}
