//! Everything that is no report: cut off, of another format, hostile, or noise.

use proptest::prelude::*;
use tidegate_core::fact::{Fact, Format};
use tidegate_evidence::{Error, Licences, detect, read};

use crate::collection::{ALL, report};

fn try_read(format: Format, bytes: &[u8]) -> Result<Fact, Error> {
    read(format, bytes, &Licences::default())
}

/// Formats whose end is written down, so that no part of a report reads as a whole one.
fn has_an_end(format: Format, name: &str) -> bool {
    format != Format::Jmeter || name.ends_with(".xml")
}

#[test]
fn a_cut_report_is_no_evidence() {
    for (format, name) in ALL.into_iter().filter(|(format, name)| has_an_end(*format, name)) {
        let bytes = report(name);
        // What follows the plan of TAP are remarks.
        let plan = bytes.windows(5).position(|five| five == b"\n1..5");
        let whole = match plan.filter(|_| format == Format::Tap) {
            Some(plan) => plan,
            None => bytes.trim_ascii_end().len(),
        };
        // Every place of a small report, some thousand of a large one.
        for end in (0..whole).step_by((whole / 2_000).max(1)) {
            let result = try_read(format, &bytes[..end]);
            assert!(result.is_err(), "{name} cut at {end}: {result:?}");
        }
    }
}

#[test]
fn a_cut_line_of_jmeter_is_no_evidence() {
    let bytes = report("jmeter.modelled.csv");
    for end in 0..bytes.len() - 1 {
        let (cut, _lost) = bytes.split_at(end);
        let line_ends = cut.ends_with(b"\n") && !cut.ends_with(b"to\n");
        assert_eq!(try_read(Format::Jmeter, cut).is_ok(), line_ends, "cut at {end}");
    }
}

#[test]
fn a_report_of_one_format_is_none_of_another() {
    for (format, name) in ALL {
        for other in Format::ALL.into_iter().filter(|other| *other != format) {
            let result = try_read(other, &report(name));
            assert!(result.is_err(), "{name} as {}: {result:?}", other.word());
        }
    }
}

#[test]
fn nothing_and_emptiness_are_no_evidence() {
    let nothing: [&[u8]; 7] = [b"", b" \n", b"{}", b"null", b"\"\"", b"<x/>", b"\xef\xbb\xbf"];
    for format in Format::ALL {
        for bytes in nothing {
            assert!(try_read(format, bytes).is_err(), "{} {bytes:?}", format.word());
        }
    }
}

#[test]
fn depth_size_and_encoding_have_limits() {
    let deep = ["[", "{\"a\":", "<testsuites>", "{\"runs\":["].map(|open| open.repeat(200_000));
    for format in Format::ALL {
        for text in &deep {
            assert!(try_read(format, text.as_bytes()).is_err(), "{}", format.word());
        }
    }
    assert_eq!(try_read(Format::Junit, b"<testsuites>\xff</testsuites>"), Err(Error::NotText));
    assert_eq!(try_read(Format::Jest, b"{\"a\": \"\xff\"}"), Err(Error::NotText));
    assert_eq!(try_read(Format::Junit, "<testsuites>".repeat(99).as_bytes()), Err(Error::TooDeep));
    let large = std::io::Read::take(std::io::repeat(b'\n'), 1 << 30);
    assert_eq!(read(Format::Jest, large, &Licences::default()), Err(Error::TooLarge));
}

#[test]
fn a_key_that_is_written_twice_is_refused() {
    let twice = br#"{"version":"2.1.0","runs":[],"runs":[]}"#;
    assert!(matches!(try_read(Format::Sarif, twice), Err(Error::Broken(_))));
}

#[test]
fn a_scanner_that_failed_has_found_nothing_out() {
    let failed =
        br#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x","rules":[{"id":"a"}]}},
        "invocations":[{"executionSuccessful":false}],"results":[]}]}"#;
    assert!(try_read(Format::Sarif, failed).is_err());
    let none = br#"{"version":"2.1.0","runs":[]}"#;
    assert!(try_read(Format::Sarif, none).is_err());
}

#[test]
fn entities_are_not_expanded() {
    let bomb = br#"<?xml version="1.0"?><!DOCTYPE coverage [<!ENTITY a "aaaa">
        <!ENTITY b "&a;&a;&a;&a;">]><coverage lines-valid="0">&b;</coverage>"#;
    assert!(try_read(Format::Cobertura, bomb).is_err());
}

fn any_format() -> impl Strategy<Value = Format> {
    proptest::sample::select(Format::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_refused_and_never_panics(format in any_format(), bytes: Vec<u8>) {
        drop(try_read(format, &bytes));
        prop_assert!(detect("noise", &bytes).is_none_or(|found| found != Format::Document));
    }

    /// A real report with some bytes changed, left out or doubled: it may still be read, but it
    /// must neither panic nor hang.
    #[test]
    fn a_damaged_report_never_panics(
        index in 0..ALL.len(),
        at in any::<proptest::sample::Index>(),
        length in 0_usize..64,
        put: Vec<u8>,
        as_format in proptest::option::of(any_format()),
    ) {
        let (format, name) = ALL[index];
        let mut bytes = report(name);
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, put);
        drop(try_read(as_format.unwrap_or(format), &bytes));
    }
}
