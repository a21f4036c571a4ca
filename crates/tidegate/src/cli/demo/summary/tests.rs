//! What the closing line says of made-up records, term by term.

use super::*;

const SECOND: u64 = 1_000_000;

fn good_version() -> Version {
    Version::parse("v2").unwrap()
}

fn record(intended_us: u64, outcome: Outcome) -> Record {
    Record { intended_us, ended_us: intended_us + 2_000, outcome }
}

fn shop(version: Version, status: u16) -> Outcome {
    Outcome::Shop { version, status, whole: true, fault_age_ms: None }
}

fn course(result: &str, from: u64, to: u64) -> Course {
    Course {
        result: result.to_owned(),
        from_us: from * SECOND,
        to_us: to * SECOND,
        exposed_from_us: Some((from + 1) * SECOND),
        sent_back: None,
    }
}

fn of(fail: Fail, records: &[Record]) -> Summary {
    sum_up(&Evidence {
        records,
        good: &course("succeeded", 0, 10),
        bad: &course("rolled_back", 20, 30),
        fail,
        journal_verified: true,
    })
}

fn good_run() -> Vec<Record> {
    (0..400).map(|n| record(n * SECOND / 10, shop(good_version(), 200))).collect()
}

#[test]
fn errors_are_counted_from_the_first_bad_to_the_last_of_the_release() {
    let mut records = good_run();
    records.push(record(22 * SECOND, shop(Version::BAD, 200)));
    records.push(record(23 * SECOND, shop(Version::BAD, 500)));
    records.push(record(25 * SECOND, shop(Version::BAD, 200)));
    let summary = of(Fail::Errors, &records);
    assert_eq!(summary.good, Good { result: "succeeded".to_owned(), requests: 101, failed: 0 });
    assert_eq!(summary.bad.time_to_safe_ms, Some(2_000));
    assert_eq!((summary.bad.exposed_requests, summary.bad.failed_requests), (3, 1));
    assert_eq!(summary.dropped_by_proxy, 0);
    assert!(summary.holds());
}

#[test]
fn who_sent_it_back_and_when_is_told() {
    let mut records = good_run();
    records.push(record(22 * SECOND, shop(Version::BAD, 200)));
    records.push(record(23 * SECOND, shop(Version::BAD, 500)));
    let why = "the new version failed 14 of 280 requests".to_owned();
    let sent_back = SentBack { reason: "verdict".to_owned(), at_us: 26 * SECOND, why };
    let bad = Course { sent_back: Some(sent_back), ..course("rolled_back", 20, 30) };
    let good = course("succeeded", 0, 10);
    let (fail, journal_verified) = (Fail::Errors, true);
    let evidence = Evidence { records: &records, good: &good, bad: &bad, fail, journal_verified };
    let told = sum_up(&evidence).bad;
    assert_eq!(told.sent_back_by.as_deref(), Some("judge"));
    assert_eq!(told.decided_after_ms, Some(4_000));
    assert!(told.why.is_some_and(|why| why.contains("14 of 280")));
}

#[test]
fn the_line_has_the_promised_shape() {
    let mut records = good_run();
    records.push(record(23 * SECOND, shop(Version::BAD, 500)));
    let closing = Closing { summary: of(Fail::Errors, &records) };
    assert_eq!(
        serde_json::to_string(&closing).unwrap(),
        "{\"summary\":{\"good\":{\"result\":\"succeeded\",\"requests\":101,\"failed\":0},\
         \"bad\":{\"result\":\"rolled_back\",\"time_to_safe_ms\":0,\"exposed_requests\":1,\
         \"failed_requests\":1},\"dropped_by_proxy\":0,\"journal_verified\":true}}"
    );
}

#[test]
fn silence_is_the_proxys_whatever_the_release_does() {
    let mut records = good_run();
    records.push(record(23 * SECOND, shop(Version::BAD, 500)));
    records.push(record(24 * SECOND, Outcome::Silence));
    for fail in [Fail::Errors, Fail::Crash] {
        let summary = of(fail, &records);
        assert_eq!(summary.dropped_by_proxy, 1);
        assert!(!summary.holds());
    }
}

#[test]
fn a_bad_gateway_is_charged_only_to_a_release_that_dies_while_it_has_users() {
    let mut records = good_run();
    records.push(record(23 * SECOND, Outcome::Proxy { status: 502 }));
    let crash = of(Fail::Crash, &records);
    assert_eq!((crash.dropped_by_proxy, crash.bad.failed_requests), (0, 1));
    assert_eq!(of(Fail::Errors, &records).dropped_by_proxy, 1);

    // Before it had requests, after it was gone, and a status that only the proxy decides.
    for outside in [
        record(20 * SECOND, Outcome::Proxy { status: 502 }),
        record(31 * SECOND, Outcome::Proxy { status: 502 }),
        record(23 * SECOND, Outcome::Proxy { status: 503 }),
    ] {
        let mut records = good_run();
        records.push(outside);
        assert_eq!(of(Fail::Crash, &records).dropped_by_proxy, 1, "{outside:?}");
    }
}

#[test]
fn half_an_answer_is_dropped_unless_the_bad_release_gave_it() {
    let half = |version| Outcome::Shop { version, status: 200, whole: false, fault_age_ms: None };
    let mut records = good_run();
    records.push(record(23 * SECOND, half(Version::BAD)));
    assert_eq!(of(Fail::Crash, &records).dropped_by_proxy, 0);
    assert_eq!(of(Fail::Crash, &records).bad.failed_requests, 1);
    records.push(record(5 * SECOND, half(good_version())));
    let summary = of(Fail::Crash, &records);
    assert_eq!((summary.dropped_by_proxy, summary.good.failed), (1, 1));
}

#[test]
fn latency_counts_slow_answers_and_memory_the_begin_of_the_fault() {
    let mut records = good_run();
    let slow = Record {
        intended_us: 22 * SECOND,
        ended_us: 24 * SECOND,
        outcome: shop(Version::BAD, 200),
    };
    records.push(slow);
    records.push(Record { intended_us: 25 * SECOND, ended_us: 27 * SECOND, ..slow });
    let summary = of(Fail::Latency, &records);
    assert_eq!(summary.bad.time_to_safe_ms, Some(3_000));
    assert_eq!(summary.bad.failed_requests, 0);

    let aged =
        Outcome::Shop { version: Version::BAD, status: 200, whole: true, fault_age_ms: Some(700) };
    records.push(Record { intended_us: 26 * SECOND, ended_us: 27 * SECOND, outcome: aged });
    let summary = of(Fail::Memory, &records);
    assert_eq!(summary.bad.time_to_safe_ms, Some(700));
}

#[test]
fn nothing_bad_seen_and_anything_else_missing_does_not_hold() {
    let summary = of(Fail::Errors, &good_run());
    assert_eq!(summary.bad.time_to_safe_ms, None);
    assert!(!summary.holds());

    let mut records = good_run();
    records.push(record(23 * SECOND, shop(Version::BAD, 500)));
    let whole = of(Fail::Errors, &records);
    assert!(whole.holds());
    assert!(!Summary { journal_verified: false, ..whole.clone() }.holds());
    let bad = Bad { result: "succeeded".to_owned(), ..whole.bad.clone() };
    assert!(!Summary { bad, ..whole.clone() }.holds());
    let good = Good { failed: 1, ..whole.good.clone() };
    assert!(!Summary { good, ..whole }.holds());
}
