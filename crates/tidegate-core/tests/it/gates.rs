//! Gates, evidence and waivers as scripts say them, and vectors of what facts weigh.
//! Must never weigh: that is the core's.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use tidegate_core::digest::Digest;
use tidegate_core::event::Ending;
use tidegate_core::fact::{
    Branches, Changelog, Commits, Components, Course, Coverage, Document, Fact, Finding, Findings,
    Format, Infrastructure, Provenance, Ratio, Severity, Signed, Soak, Tag, Tests, Timings,
};
use tidegate_core::gate::{
    Bound, Bump, Demand, Evidence, Found, Gate, Missing, Report, Versions, Waiver, weigh,
};
use tidegate_core::ids::DeploymentId;
use tidegate_core::input::{Command, Observation};
use tidegate_core::plan::Comparison;
use tidegate_core::verdict::Outcome;

fn report(format: Format) -> Report {
    Report { format, files: vec!["reports/*".to_owned()] }
}

/// A gate that wants at least one test, all of them passed.
pub(crate) fn tests(name: &str) -> Gate {
    let demand = Demand::Tests {
        report: report(Format::Junit),
        pass: 100.0,
        at_least: 1,
        quarantine: Vec::new(),
    };
    Gate { name: name.to_owned(), demand, when: None, unless: None, decided: None }
}

fn commit(version: &str) -> String {
    Digest::of(version.as_bytes()).as_str().chars().take(40).collect()
}

/// `found unit 10/0 lint not-needed scan missing`: passed and failed tests of each gate.
pub(crate) fn found(deployment: DeploymentId, said: &[String]) -> Result<Observation, String> {
    let pairs = said.chunks(2).map(|pair| match pair {
        [gate, what] => {
            let (facts, not_needed) = match what.as_str() {
                "missing" => {
                    let missing = Missing {
                        what: "no report of it was added".to_owned(),
                        help: "tidegate evidence add".to_owned(),
                    };
                    (Err(missing), None)
                }
                "not-needed" => (Ok(Vec::new()), Some("risk is low".to_owned())),
                counts => {
                    let (passed, failed) = counts.split_once('/').ok_or("say passed/failed")?;
                    let passed = passed.parse().map_err(|_odd| "passed is a number")?;
                    let mut tests = Tests { passed, ..Tests::default() };
                    for n in 0..failed.parse().map_err(|_odd| "failed is a number")? {
                        tests.fail(format!("test {n}"));
                    }
                    (Ok(vec![Fact::Tests(tests)]), None)
                }
            };
            Ok(Found { gate: gate.clone(), not_needed, facts, evidence: Vec::new() })
        }
        _ => Err("say a gate and what was found".to_owned()),
    });
    let found = pairs.collect::<Result<_, String>>()?;
    Ok(Observation::Gates { deployment, attempt: 1, found })
}

pub(crate) fn evidence(name: &str, version: &str) -> Command {
    let evidence = Evidence {
        digest: Digest::of(name.as_bytes()),
        format: Format::Junit,
        name: name.to_owned(),
        version: version.to_owned(),
        commit: commit(version),
        bytes: 12,
        summary: "10 passed, 0 failed, 0 skipped".to_owned(),
    };
    Command::AddEvidence { evidence }
}

pub(crate) fn waive(gate: String, version: &str, reason: String, until: Timestamp) -> Command {
    Command::Waive { gate, version: version.to_owned(), commit: commit(version), reason, until }
}

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn versions(live: &str, version: &str) -> Versions {
    Versions {
        live: Some(live.to_owned()),
        live_commit: Some(commit(live)),
        version: version.to_owned(),
        commit: commit(version),
    }
}

/// What one fact weighs against a demand: the outcome, and the sentence.
fn weighed(demand: Demand, facts: Vec<Fact>) -> (Outcome, String) {
    weighed_as(demand, facts, &versions("v1.4.0", "v1.5.0"))
}

fn weighed_as(demand: Demand, facts: Vec<Fact>, versions: &Versions) -> (Outcome, String) {
    let gate = Gate { name: "g".to_owned(), demand, when: None, unless: None, decided: None };
    let facts = Ok(facts);
    let found = Found { gate: "g".to_owned(), not_needed: None, facts, evidence: Vec::new() };
    let result = weigh(&gate, Some(&found), versions, &[], now());
    assert!(
        result.outcome.allows_progress() || result.help.is_some(),
        "says what is wrong and not what to do: {result:?}"
    );
    (result.outcome, result.sentence)
}

fn demand_tests(pass: f64, at_least: u64, quarantine: &[&str]) -> Demand {
    Demand::Tests {
        report: report(Format::Junit),
        pass,
        at_least,
        quarantine: quarantine.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn ran(passed: u64, failing: &[&str]) -> Vec<Fact> {
    let mut tests = Tests { passed, ..Tests::default() };
    for name in failing {
        tests.fail((*name).to_owned());
    }
    vec![Fact::Tests(tests)]
}

#[test]
fn a_hundred_percent_is_all_of_them_and_quarantine_is_shown() {
    assert_eq!(weighed(demand_tests(100.0, 1, &[]), ran(200, &[])).0, Outcome::Pass);
    let (outcome, said) = weighed(demand_tests(100.0, 1, &[]), ran(9_999, &["cart > pays"]));
    assert_eq!(outcome, Outcome::Fail);
    assert!(said.contains("99.99 %") && said.contains("cart > pays"), "{said}");
    let (outcome, said) =
        weighed(demand_tests(100.0, 1, &["cart > pays"]), ran(9, &["cart > pays"]));
    assert_eq!(outcome, Outcome::Pass);
    assert!(said.contains("1 in quarantine failed (cart > pays)"), "{said}");
}

#[test]
fn too_few_tests_are_no_data() {
    let rows: [(u64, &[&str], u64); 3] = [(0, &[], 1), (199, &[], 200), (0, &["q"], 1)];
    for (passed, failing, at_least) in rows {
        let outcome = weighed(demand_tests(100.0, at_least, &["q"]), ran(passed, failing)).0;
        assert_eq!(outcome, Outcome::NoData, "{passed} {failing:?}");
    }
    // More failures than names: no failure can be excused.
    let tests = Tests { passed: 10, failed: 2, failing: vec!["q".to_owned()], ..Tests::default() };
    let outcome = weighed(demand_tests(100.0, 1, &["q"]), vec![Fact::Tests(tests)]).0;
    assert_eq!(outcome, Outcome::Fail);
}

#[test]
fn reports_of_one_gate_add_up_and_of_two_kinds_say_nothing() {
    let two = [ran(100, &[]), ran(100, &[])].concat();
    assert_eq!(weighed(demand_tests(100.0, 200, &[]), two).0, Outcome::Pass);
    let mixed = [ran(1, &[]), vec![Fact::Coverage(Coverage::default())]].concat();
    assert_eq!(weighed(demand_tests(100.0, 1, &[]), mixed).0, Outcome::NoData);
    assert_eq!(weighed(demand_tests(100.0, 1, &[]), Vec::new()).0, Outcome::NoData);
}

#[test]
fn a_bound_is_strict_and_a_critical_path_is_whole() {
    let demand = |critical: &[&str]| Demand::Coverage {
        report: report(Format::Lcov),
        line: Some(Bound { comparison: Comparison::Above, limit: 80.0 }),
        branch: None,
        critical: critical.iter().map(|path| (*path).to_owned()).collect(),
    };
    let covered = |part, whole, critical: Option<(u64, u64)>| {
        let critical = critical.map(|(part, whole)| ("pay/**".to_owned(), Ratio { part, whole }));
        vec![Fact::Coverage(Coverage {
            lines: Ratio { part, whole },
            critical: critical.into_iter().collect(),
            ..Coverage::default()
        })]
    };
    assert_eq!(weighed(demand(&[]), covered(800, 1_000, None)).0, Outcome::Fail);
    assert_eq!(weighed(demand(&[]), covered(801, 1_000, None)).0, Outcome::Pass);
    assert_eq!(weighed(demand(&[]), covered(0, 0, None)).0, Outcome::NoData);
    let rows = [
        (Some((99, 100)), Outcome::Fail),
        (Some((100, 100)), Outcome::Pass),
        (None, Outcome::NoData),
    ];
    for (critical, outcome) in rows {
        assert_eq!(weighed(demand(&["pay/**"]), covered(950, 1_000, critical)).0, outcome);
    }
}

fn scan(severities: &[Severity], scanned: Option<u64>, of: &str) -> Vec<Fact> {
    let found = severities.iter().enumerate().map(|(n, severity)| Finding {
        id: format!("CVE-{n}"),
        severity: *severity,
        place: "libssl3 3.0.14".to_owned(),
        fix: Some("3.0.15".to_owned()),
    });
    vec![Fact::Findings(Findings {
        tool: "Trivy".to_owned(),
        scanned,
        knowledge_of: of.parse().ok(),
        found: found.collect(),
        suppressed: 0,
    })]
}

fn demand_scan(fresh: Option<SignedDuration>, except: &[&str]) -> Demand {
    Demand::Findings {
        report: report(Format::Trivy),
        allow: BTreeMap::from([(Severity::Critical, 0), (Severity::High, 1)]),
        scanned: 0,
        fresh,
        except: except.iter().map(|id| (*id).to_owned()).collect(),
    }
}

#[test]
fn a_scan_passes_only_when_it_looked_and_its_knowledge_is_fresh() {
    let week = Some(SignedDuration::from_hours(7 * 24));
    let fresh = "2026-11-20T00:00:00Z";
    use Severity::{Critical, High, Low};
    type Row<'r> = (&'r [Severity], Option<u64>, &'r str, &'r [&'r str], Outcome);
    let rows: [Row<'_>; 10] = [
        (&[], Some(10), fresh, &[], Outcome::Pass),
        (&[High, Low], Some(10), fresh, &[], Outcome::Pass),
        (&[High, High], Some(10), fresh, &[], Outcome::Fail),
        (&[Critical], Some(10), fresh, &[], Outcome::Fail),
        (&[Critical], Some(10), fresh, &["CVE-0"], Outcome::Pass),
        // What was found counts even where the scanner says nothing else.
        (&[Critical], None, "", &[], Outcome::Fail),
        (&[], Some(0), fresh, &[], Outcome::NoData),
        (&[], None, fresh, &[], Outcome::NoData),
        (&[], Some(10), "2026-11-18T11:59:59Z", &[], Outcome::NoData),
        (&[], Some(10), "", &[], Outcome::NoData),
    ];
    for (severities, scanned, of, except, outcome) in rows {
        let facts = scan(severities, scanned, of);
        let (found, said) = weighed(demand_scan(week, except), facts);
        assert_eq!(found, outcome, "{severities:?} {scanned:?} {of}: {said}");
    }
}

#[test]
fn versions_go_up_by_no_more_than_is_allowed() {
    for (live, version, most, outcome) in [
        ("v1.4.0", "v1.4.1", Bump::Patch, Outcome::Pass),
        ("v1.9.9", "v1.10.0", Bump::Minor, Outcome::Pass),
        ("v1.4.0", "v1.5.0", Bump::Patch, Outcome::Fail),
        ("v1.4.0", "v2.0.0", Bump::Minor, Outcome::Fail),
        ("v1.4.0", "v2.0.0", Bump::Major, Outcome::Pass),
        ("v1.4.0", "v1.4.0", Bump::Major, Outcome::Fail),
        ("v1.10.0", "v1.9.9", Bump::Major, Outcome::Fail),
        ("v1.4.0", "v1.4.0+build.7", Bump::Major, Outcome::Fail),
        ("v1.5.0-rc.1", "v1.5.0", Bump::Patch, Outcome::Pass),
        ("v1.5.0", "v1.5.0-rc.2", Bump::Major, Outcome::Fail),
        ("1.4.0", "v1.4.1", Bump::Patch, Outcome::Pass),
        ("v1.4.0", "v1.5", Bump::Major, Outcome::Fail),
        ("v1.4.0", "v01.5.0", Bump::Major, Outcome::Fail),
        ("v1.4.0", "latest", Bump::Major, Outcome::Fail),
        ("last-good", "v1.5.0", Bump::Major, Outcome::NoData),
    ] {
        let demand = Demand::Version { bump: most };
        let (found, said) = weighed_as(demand, Vec::new(), &versions(live, version));
        assert_eq!(found, outcome, "{live} to {version}: {said}");
    }
    let first = Versions { version: "v0.1.0".to_owned(), ..Versions::default() };
    let demand = Demand::Version { bump: Bump::Patch };
    assert_eq!(weighed_as(demand, Vec::new(), &first).0, Outcome::Pass);
}

#[test]
fn a_tag_and_its_commits_are_signed_by_pinned_keys() {
    let tag = |annotated, signer| vec![Fact::Tag(Tag { annotated, signer })];
    for (fact, signed, outcome) in [
        (tag(true, Signed::By("ada".to_owned())), true, Outcome::Pass),
        (tag(true, Signed::No), true, Outcome::Fail),
        (tag(true, Signed::Bad("another key".to_owned())), true, Outcome::Fail),
        (tag(true, Signed::Unverified("no keys".to_owned())), true, Outcome::NoData),
        (tag(true, Signed::No), false, Outcome::Pass),
        (tag(false, Signed::No), false, Outcome::Fail),
    ] {
        assert_eq!(weighed(Demand::Tag { signed }, fact).0, outcome);
    }
    let commits = |commits: Commits| {
        let demand = Demand::Commits { signed: true, conventional: true };
        let since = Some(commit("v1.4.0"));
        weighed(demand, vec![Fact::Commits(Commits { since, ..commits })])
    };
    let good = Commits { count: 3, descends: true, ..Commits::default() };
    assert_eq!(commits(good.clone()).0, Outcome::Pass);
    let unsigned = vec!["0a1b2c3 of kofi: not signed".to_owned()];
    let (outcome, said) = commits(Commits { unsigned, ..good.clone() });
    assert_eq!(outcome, Outcome::Fail);
    assert!(said.contains("0a1b2c3 of kofi"), "{said}");
    assert_eq!(commits(Commits { descends: false, ..good.clone() }).0, Outcome::Fail);
    // v1.5.0 is a minor bump: a feature fits it, a breaking change does not.
    assert_eq!(commits(Commits { feature: true, ..good.clone() }).0, Outcome::Pass);
    assert_eq!(commits(Commits { breaking: true, ..good }).0, Outcome::Fail);
}

#[test]
fn the_way_through_the_branches_is_proven() {
    let demand = |from: &[&str]| Demand::Branch {
        into: "main".to_owned(),
        from: from.iter().map(|name| (*name).to_owned()).collect(),
    };
    let way = |on: Option<&str>, merged: Option<&str>| {
        vec![Fact::Branches(Branches {
            on: on.map(str::to_owned),
            merged_from: merged.map(str::to_owned),
            problem: None,
        })]
    };
    assert_eq!(weighed(demand(&[]), way(Some("main"), None)).0, Outcome::Pass);
    assert_eq!(weighed(demand(&[]), way(None, None)).0, Outcome::Fail);
    let merged = way(Some("main"), Some("release/1.5"));
    assert_eq!(weighed(demand(&["release/*"]), merged).0, Outcome::Pass);
    assert_eq!(weighed(demand(&["release/*"]), way(Some("main"), None)).0, Outcome::Fail);
}

#[test]
fn the_changelog_speaks_of_the_version() {
    let good =
        Changelog { found: true, date: Some("2026-11-25".to_owned()), yanked: false, entries: 2 };
    let demand = || Demand::Changelog { file: "CHANGELOG.md".to_owned() };
    assert_eq!(weighed(demand(), vec![Fact::Changelog(good.clone())]).0, Outcome::Pass);
    for bad in [
        Changelog::default(),
        Changelog { yanked: true, ..good.clone() },
        Changelog { entries: 0, ..good.clone() },
        Changelog { date: None, ..good.clone() },
        Changelog { date: Some("2026-13-45".to_owned()), ..good },
    ] {
        let outcome = weighed(demand(), vec![Fact::Changelog(bad.clone())]).0;
        assert_eq!(outcome, Outcome::Fail, "{bad:?}");
    }
}

#[test]
fn times_need_the_percentile_and_enough_requests() {
    let demand = || Demand::Timings {
        report: report(Format::K6),
        limits: BTreeMap::from([(
            "p95".to_owned(),
            Bound { comparison: Comparison::Below, limit: 200.0 },
        )]),
        errors: Some(Bound { comparison: Comparison::Below, limit: 1.0 }),
        at_least: 100,
    };
    let timings = |requests, failed, name: &str, value| {
        let ms = BTreeMap::from([(name.to_owned(), value)]);
        vec![Fact::Timings(Timings { requests, failed, ms })]
    };
    for (facts, outcome) in [
        (timings(1_000, Some(9), "p95", 199.9), Outcome::Pass),
        (timings(1_000, Some(9), "p95", 200.0), Outcome::Fail),
        (timings(1_000, Some(10), "p95", 10.0), Outcome::Fail),
        (timings(1_000, Some(0), "avg", 10.0), Outcome::NoData),
        (timings(1_000, None, "p95", 10.0), Outcome::NoData),
        (timings(1_000, Some(0), "p95", f64::NAN), Outcome::NoData),
        (timings(99, Some(0), "p95", 10.0), Outcome::NoData),
    ] {
        assert_eq!(weighed(demand(), facts.clone()).0, outcome, "{facts:?}");
    }
}

#[test]
fn licences_infrastructure_provenance_and_documents_are_weighed() {
    let licences = Demand::Licences {
        report: report(Format::Cyclonedx),
        allow: Vec::new(),
        deny: vec!["GPL-3.0".to_owned()],
        unknown: 0,
    };
    let components = |count, refused: &[&str], unknown: &[&str]| {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let (refused, unknown) = (texts(refused), texts(unknown));
        vec![Fact::Components(Components { count, listed: BTreeMap::new(), refused, unknown })]
    };
    for (facts, outcome) in [
        (components(3, &[], &[]), Outcome::Pass),
        (components(0, &[], &[]), Outcome::NoData),
        (components(3, &["x (GPL-3.0)"], &[]), Outcome::Fail),
        (components(3, &[], &["y"]), Outcome::NoData),
    ] {
        assert_eq!(weighed(licences.clone(), facts).0, outcome);
    }
    let plan = Demand::Infrastructure {
        report: report(Format::Terraform),
        delete: 0,
        replace: 0,
        drift: false,
    };
    let clean = Infrastructure { create: 2, ..Infrastructure::default() };
    let destroys = Infrastructure { replace: vec!["aws_db.main".to_owned()], ..clean.clone() };
    assert_eq!(weighed(plan.clone(), vec![Fact::Infrastructure(clean)]).0, Outcome::Pass);
    let (outcome, said) = weighed(plan, vec![Fact::Infrastructure(destroys)]);
    assert!(outcome == Outcome::Fail && said.contains("aws_db.main"), "{said}");
    let demand = Demand::Provenance {
        report: report(Format::Provenance),
        builder: Some("https://ci.example/builder".to_owned()),
        source: Some("https://git.example/shop".to_owned()),
        signer: None,
    };
    let good = Provenance {
        builder: "https://ci.example/builder".to_owned(),
        source: Some("https://git.example/shop".to_owned()),
        commit: Some(commit("v1.5.0")),
        subjects: vec!["00".to_owned()],
        signer: "ci".to_owned(),
    };
    assert_eq!(weighed(demand.clone(), vec![Fact::Provenance(good.clone())]).0, Outcome::Pass);
    for bad in [
        Provenance { builder: "a laptop".to_owned(), ..good.clone() },
        Provenance { source: Some("https://git.example/fork".to_owned()), ..good.clone() },
        Provenance { commit: Some(commit("v1.4.0")), ..good.clone() },
        Provenance { commit: None, ..good },
    ] {
        assert_eq!(weighed(demand.clone(), vec![Fact::Provenance(bad)]).0, Outcome::Fail);
    }
    let audit = |hours| {
        let at = now().checked_sub(SignedDuration::from_hours(hours)).unwrap();
        let document = Document { name: "audit.pdf".to_owned(), at, by: "mira".to_owned() };
        let within = Some(SignedDuration::from_hours(365 * 24));
        let demand = Demand::Document { report: report(Format::Document), within };
        weighed(demand, vec![Fact::Document(document)])
    };
    assert_eq!(audit(364 * 24).0, Outcome::Pass);
    let (outcome, said) = audit(366 * 24);
    assert!(outcome == Outcome::Fail && said.contains("mira"), "{said}");
}

#[test]
fn a_soak_is_whole_and_begins_anew_after_any_red() {
    let course = |version: &str, hours_ago: i64, ending: Option<Ending>| Course {
        version: version.to_owned(),
        ended_at: ending.map(|_| now().checked_sub(SignedDuration::from_hours(hours_ago)).unwrap()),
        ending,
    };
    use Ending::{RolledBack, Stopped, Succeeded};
    let good = |hours| course("v1.5.0", hours, Some(Succeeded));
    for (courses, outcome) in [
        (vec![good(48)], Outcome::Pass),
        (vec![good(47)], Outcome::Fail),
        (vec![course("v1.6.0", 1, Some(Stopped)), good(48)], Outcome::Pass),
        (vec![course("v1.6.0", 0, None), good(48)], Outcome::Pass),
        (vec![course("v1.6.0", 18, Some(RolledBack)), good(48)], Outcome::NoData),
        (vec![course("v1.6.0", 18, Some(Succeeded)), good(48)], Outcome::NoData),
        (vec![good(30), course("v1.5.0", 40, Some(RolledBack)), good(48)], Outcome::Fail),
        (vec![course("v1.5.0", 0, None)], Outcome::NoData),
        (Vec::new(), Outcome::NoData),
    ] {
        let lasts = SignedDuration::from_hours(48);
        let demand = Demand::Soak { environment: "staging".to_owned(), lasts };
        let soak = Soak::of("v1.5.0", &courses);
        let (found, said) = weighed(demand, vec![Fact::Soak(soak)]);
        assert_eq!(found, outcome, "{courses:?}: {said}");
    }
}

#[test]
fn a_gate_that_nobody_can_answer_is_no_data() {
    let demand = Demand::Unbound { what: "an approved change ticket".to_owned() };
    let (outcome, said) = weighed(demand, Vec::new());
    assert_eq!(outcome, Outcome::NoData);
    assert!(said.contains("change ticket"), "{said}");
    let result = weigh(&tests("g"), None, &Versions::default(), &[], now());
    assert_eq!(result.outcome, Outcome::NoData);
}

#[test]
fn a_waiver_counts_for_its_version_until_it_ends() {
    let waiver = |version: &str, until: &str| Waiver {
        gate: "g".to_owned(),
        version: version.to_owned(),
        commit: commit(version),
        reason: "a false alarm".to_owned(),
        until: until.parse().unwrap(),
        by: "mira".to_owned(),
    };
    let weighed = |waiver: Waiver, passed| {
        let facts = Ok(ran(passed, &[]));
        let found = Found { gate: "g".to_owned(), not_needed: None, facts, evidence: Vec::new() };
        weigh(&tests("g"), Some(&found), &versions("v1.4.0", "v1.5.0"), &[waiver], now())
    };
    let result = weighed(waiver("v1.5.0", "2026-11-25T12:00:01Z"), 0);
    assert_eq!(result.outcome, Outcome::Waived);
    assert!(result.sentence.contains("waived by mira"), "{}", result.sentence);
    assert_eq!(weighed(waiver("v1.5.0", "2026-11-25T12:00:00Z"), 0).outcome, Outcome::NoData);
    assert_eq!(weighed(waiver("v1.4.0", "2026-11-26T12:00:00Z"), 0).outcome, Outcome::NoData);
    assert_eq!(weighed(waiver("v1.5.0", "2026-11-26T12:00:00Z"), 5).outcome, Outcome::Pass);
}
