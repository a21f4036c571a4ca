//! A whole deployment on a virtual clock, its recordings, and what is made of them afterwards.
//! Every number here comes from a seed: a busy machine cannot change one.

#![expect(clippy::panic, reason = "a run that cannot begin says why")]

use tidegate_core::event::Ending;
use tidegate_core::plan::{Evidence, Floor, HoldEnd, Judging, Plan};
use tidegate_engine::backtest::sham::{Trials, shams};
use tidegate_engine::backtest::{Truth, compare};
use tidegate_engine::hearing::{self, Hearing};
use tidegate_engine::recording::{self, Recording};
use tidegate_engine::simulate::{Course, Scenario, Setting, Users, simulate};
use tidegate_engine::testkit::sample;

/// One web part, steps of two minutes, a rule that needs a minute of more than 10 % errors.
fn plan(evidence: bool) -> Plan {
    let mut plan = sample::plan("v2");
    plan.parts.truncate(1);
    let traffic = &mut plan.traffic;
    traffic.dwell = jiff::SignedDuration::from_mins(2);
    traffic.floor = Floor::Attributed;
    // Longer than the incident: what is between the limits then ends by itself.
    traffic.otherwise.hold = jiff::SignedDuration::from_mins(30);
    let evidence = evidence.then(|| Evidence { objective: 0.02, ..Evidence::default() });
    traffic.judging = Judging { evidence, ..Judging::default() };
    for rule in &mut traffic.rollback_if {
        rule.limit = 10.0;
        rule.sustained = jiff::SignedDuration::from_mins(1);
    }
    plan
}

fn run(plan: &Plan, scenario: &str) -> Course {
    let scenario = Scenario::named(scenario).unwrap_or_else(|| panic!("no scenario {scenario}"));
    let users = Users { rate: 200, ..Users::default() };
    simulate(plan, &Setting { scenario, users, seed: 7 }).unwrap_or_else(|e| panic!("{e}"))
}

fn ending(course: &Course) -> Option<Ending> {
    course.ending.as_ref().map(|(ending, ..)| *ending)
}

/// Seconds from the fault to the decision to go back.
fn found_after(course: &Course) -> Option<i64> {
    Some(course.decided_at?.duration_since(course.fault_at?).as_secs())
}

#[test]
fn a_good_release_goes_live_and_a_bad_one_comes_back() {
    let good = run(&plan(true), "good");
    assert_eq!(ending(&good), Some(Ending::Succeeded), "{:?}", good.ending);
    assert_eq!(good.fault_at, None);
    let bad = run(&plan(true), "errors");
    assert_eq!(ending(&bad), Some(Ending::RolledBack), "{:?}", bad.ending);
    let seconds = found_after(&bad).unwrap_or(i64::MAX);
    assert!(seconds < 120, "evidence finds 5 % errors in the first step: {seconds} s");
    assert!(bad.failed < 100, "{} users paid for it", bad.failed);
    assert_eq!(bad, run(&plan(true), "errors"), "the same seed is the same run");
}

#[test]
fn the_evidence_is_sooner_than_the_rule_and_the_rule_stays() {
    let rules_alone = run(&plan(false), "outage");
    let evidence = run(&plan(true), "outage");
    assert_eq!(ending(&rules_alone), Some(Ending::RolledBack), "{:?}", rules_alone.ending);
    let (slow, quick) = (found_after(&rules_alone), found_after(&evidence));
    assert!(slow >= Some(60), "a rule for a minute takes a minute: {slow:?}");
    assert!(quick <= Some(10), "{quick:?}");
}

#[test]
fn what_hits_both_sides_does_not_send_the_release_back() {
    let incident = run(&plan(true), "incident");
    assert_eq!(incident.decided_at, None, "{:?}", incident.ending);
}

#[test]
fn an_incident_of_both_is_sat_out_and_not_held_against_the_release_afterwards() {
    let mut impatient = plan(true);
    impatient.traffic.otherwise.hold = jiff::SignedDuration::from_mins(5);
    impatient.traffic.otherwise.then = HoldEnd::Rollback;
    let course = run(&impatient, "incident");
    assert_eq!(ending(&course), Some(Ending::Succeeded), "{:?}", course.ending);
    assert!(found_within(&course.points, "so the new version is not the cause"));
    let bad = run(&impatient, "errors");
    assert_eq!(ending(&bad), Some(Ending::RolledBack), "{:?}", bad.ending);
    assert!(!found_within(&bad.points, "so the new version is not the cause"));
}

#[test]
fn what_is_not_heard_of_is_no_pass() {
    let blind = run(&plan(true), "blind");
    assert_eq!(ending(&blind), Some(Ending::RolledBack), "{:?}", blind.ending);
    let held = blind.points.last().map(|point| point.verdict.sentence.clone());
    assert!(held.is_some_and(|sentence| sentence.contains("nothing was heard")));
}

#[test]
fn a_budget_of_failed_requests_ends_a_rollout() {
    let mut cheap = plan(false);
    cheap.traffic.judging.budget = Some(5);
    let course = run(&cheap, "errors");
    assert_eq!(ending(&course), Some(Ending::RolledBack), "{:?}", course.ending);
    let why = course.ending.map(|(_, why, _)| why).unwrap_or_default();
    assert!(found_within(&course.points, "budget") || why.contains("requests"), "{why}");
}

fn found_within(points: &[tidegate_engine::simulate::Point], word: &str) -> bool {
    points.iter().any(|point| point.verdict.sentence.contains(word))
}

fn bytes(recording: &Recording) -> Vec<u8> {
    let mut bytes = recording::framed(&recording.header_bytes);
    for (_, frame) in &recording.entries {
        bytes.extend(recording::framed(frame));
    }
    bytes
}

#[test]
fn a_recording_makes_the_same_verdict_bit_for_bit() {
    let course = run(&plan(true), "errors");
    let recording = &course.recordings[0];
    let bytes = bytes(recording);
    let read = recording::read(&bytes).unwrap();
    assert_eq!(read.entries, recording.entries);
    for point in course.points.iter().step_by(17) {
        let inputs = &point.verdict.inputs[0];
        let again = Hearing::restored(&read, Some(inputs.entries));
        let again = hearing::combine([(&again, true)]);
        assert_eq!(again.as_ref(), Some(&point.verdict), "after {} entries", inputs.entries);
        let stored = serde_json::to_string(&point.verdict).unwrap();
        let stored = serde_json::from_str(&stored).unwrap();
        assert_eq!(again, Some(stored), "and so it is after a journal");
    }
    // A restart in the middle hears the first half and goes on with the second.
    let half = read.entries.len() / 2;
    let mut resumed = Hearing::restored(&read, Some(half as u64));
    for (entry, frame) in read.entries.iter().skip(half) {
        resumed.take(entry, frame);
    }
    let whole = Hearing::restored(&read, None);
    assert_eq!(hearing::combine([(&resumed, true)]), hearing::combine([(&whole, true)]));
}

#[test]
fn a_recording_that_was_cut_or_changed_is_noticed() {
    let course = run(&plan(true), "errors");
    let recording = &course.recordings[0];
    let bytes = bytes(recording);
    let cut = recording::read(&bytes[..bytes.len() - 3]).unwrap();
    assert_eq!(cut.entries.len() + 1, recording.entries.len(), "the torn frame is dropped");
    assert!(cut.whole_bytes < bytes.len() - 3);
    assert!(recording::read(b"").is_err());
    assert!(recording::read(&[0xff; 64]).is_err());
    let mut changed = recording.clone();
    let (entry, frame) = &mut changed.entries[500];
    if let recording::Entry::Tick(counted) = entry {
        counted.number += 1;
    }
    *frame = recording::encode_entry(entry).unwrap();
    let (before, after) = (Hearing::restored(recording, None), Hearing::restored(&changed, None));
    assert_ne!(before.inputs().digest, after.inputs().digest);
}

#[test]
fn a_backtest_tells_who_would_have_been_caught() {
    let (old, new) = (plan(false), plan(true));
    // Under its rules alone this release went live with 5 % errors.
    let mut lax = old.clone();
    lax.traffic.advance_if.clear();
    let missed = run(&lax, "errors").recordings.remove(0);
    let good = run(&old, "good").recordings.remove(0);
    let cases = [(missed, Truth::Bad), (good, Truth::Good)];
    let report = compare(&cases, &new.traffic).unwrap();
    assert_eq!((report.caught.count, report.caught.of), (1, 1), "{report:#?}");
    assert_eq!((report.false_alarms.count, report.false_alarms.of), (0, 1), "{report:#?}");
    assert_eq!(report.cases[0].before.rollback_after_s, None, "its own policy let it pass");
    assert!(report.cases[0].after.rollback_after_s < Some(120.0));
    assert!(report.cases[0].after.failed < report.cases[0].before.failed);
    assert_eq!(report.failed_more.pairs, 1);
    assert!(report.sentence.contains("do not tell"), "one pair proves nothing");
}

#[test]
fn shams_come_through_and_grafted_faults_are_caught() {
    let plan = plan(true);
    let good = run(&plan, "good").recordings.remove(0);
    let trials = Trials { shams: 12, faults: 4, seed: 3 };
    let found = shams(&[good], &plan.traffic, trials).unwrap().unwrap();
    assert_eq!((found.false_rollbacks.count, found.false_rollbacks.of), (0, 12));
    let half = found.detection.iter().find(|found| found.fault == "errors 50 %").unwrap();
    assert_eq!(half.caught.count, 4, "{half:?}");
    assert!(half.median_s <= Some(10.0), "{half:?}");
    let small = found.detection.iter().find(|found| found.fault == "errors 0.2 %").unwrap();
    assert_eq!(small.caught.count, 0, "below the objective nothing is sent back: {small:?}");
}

/// The live side of every tick, dealt to four instances of which the last fails one in so many.
fn in_instances(recording: &mut Recording, bad: Option<u64>) {
    for (entry, frame) in &mut recording.entries {
        if let recording::Entry::Tick(counted) = entry
            && let Some(live) = &mut counted.live
        {
            let (requests, mut streams) = (live.requests / 4, Vec::new());
            for instance in 0..4 {
                let fails = bad.filter(|_| instance == 3).map_or(0, |one_in| requests / one_in);
                let latency = live.latency.iter().map(|(cell, count)| (*cell, count / 4));
                let latency = latency.collect();
                streams.push(recording::Stream { requests, failures: fails, latency });
            }
            live.failures = streams.iter().map(|stream| stream.failures).sum();
            live.streams = streams;
        }
        *frame = recording::encode_entry(entry).unwrap();
    }
}

#[test]
fn one_bad_instance_shows_in_shams_of_instances_and_only_there() {
    let plan = plan(true);
    let good = run(&plan, "good").recordings.remove(0);
    let trials = Trials { shams: 8, faults: 0, seed: 3 };
    let found = |recording: &Recording| {
        shams(std::slice::from_ref(recording), &plan.traffic, trials).unwrap().unwrap()
    };
    assert_eq!(found(&good).false_rollbacks_of_instances, None, "it has none");
    let mut alike = good.clone();
    in_instances(&mut alike, None);
    let alike = found(&alike);
    assert_eq!(alike.false_rollbacks.count, 0, "{alike:?}");
    assert_eq!(
        alike.false_rollbacks_of_instances.map(|share| (share.count, share.of)),
        Some((0, 8))
    );
    let mut mixed = good;
    in_instances(&mut mixed, Some(5));
    let mixed = found(&mixed);
    assert_eq!(mixed.false_rollbacks.count, 0, "coins have no bad instance: {mixed:?}");
    let blamed = mixed.false_rollbacks_of_instances.unwrap().count;
    assert!((1..8).contains(&blamed), "as often as it is drawn: {mixed:?}");
}

#[test]
fn what_the_first_encoding_has_is_read_and_streams_come_back_as_they_were() {
    let course = run(&plan(true), "errors");
    let mut recording = course.recordings[0].clone();
    recording.header.schema = 1;
    recording.header_bytes = recording::encode_header(&recording.header).unwrap();
    let read = recording::read(&bytes(&recording)).unwrap();
    assert_eq!(read.entries, recording.entries);
    recording.header.schema = 3;
    recording.header_bytes = recording::encode_header(&recording.header).unwrap();
    assert!(recording::read(&bytes(&recording)).is_err(), "of a later build");
    let mut split = course.recordings[0].clone();
    in_instances(&mut split, Some(4));
    assert_eq!(recording::read(&bytes(&split)).unwrap().entries, split.entries);
}
