//! Reports near real ones, made up: `cargo test` plays a second of each format, `cargo xtask fuzz`
//! as long as it is told. Each is read twice, whole and in pieces, and both must say the same.

use std::io::Read;

use tidegate_core::fact::Format;
use tidegate_evidence::{Licences, detect, read, summary};

use crate::collection::{ALL, report};
use crate::mutated::{Edit, mutated};

/// Bytes that come a few at a time.
struct Slow<'b>(&'b [u8], usize);

impl Read for Slow<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.len().min(into.len()).min(self.1);
        let (now, later) = self.0.split_at(count);
        into[..count].copy_from_slice(now);
        self.0 = later;
        Ok(count)
    }
}

fn fuzz(format: Format) {
    // Those of pa11y are read by tests of their own.
    let pa11y = [(Format::Pa11y, "pa11y.modelled.json"), (Format::Pa11y, "pa11y-ci.modelled.json")];
    let known = ALL.into_iter().chain(pa11y).filter(|(known, _)| *known == format);
    let bases: Vec<Vec<u8>> = known.map(|(_, name)| report(name)).collect();
    assert!(!bases.is_empty(), "no report of {}", format.word());
    bolero::check!().with_type::<(u8, u8, Vec<Edit>)>().for_each(|(base, piece, edits)| {
        let bytes = mutated(&bases[usize::from(*base) % bases.len()], edits);
        let whole = read(format, &bytes[..], &Licences::default());
        let slow = Slow(&bytes, usize::from(*piece) + 1);
        let pieced = read(format, slow, &Licences::default());
        assert_eq!(whole.is_ok(), pieced.is_ok(), "{whole:?} {pieced:?}");
        if let (Ok(whole), Ok(pieced)) = (whole, pieced) {
            assert_eq!(whole, pieced);
            assert!(!summary(&whole).is_empty());
        }
        let _guessed = detect("report", &bytes);
    });
}

macro_rules! targets {
    ($($name:ident: $format:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            fuzz(Format::$format);
        })*

        #[test]
        fn every_format_is_a_target() {
            let targets = [$(Format::$format),*];
            // Neither has facts of its own, and both are refused unread.
            let unread = [Format::Provenance, Format::Document];
            for format in Format::ALL {
                let known = targets.contains(&format) || unread.contains(&format);
                assert!(known, "{} is no target", format.word());
            }
        }
    };
}

targets! {
    axe: Axe,
    cargo_audit: CargoAudit,
    cobertura: Cobertura,
    cyclonedx: Cyclonedx,
    jacoco: Jacoco,
    jest: Jest,
    jmeter: Jmeter,
    junit: Junit,
    k6: K6,
    lcov: Lcov,
    mocha: Mocha,
    npm_audit: NpmAudit,
    pa11y: Pa11y,
    pytest: Pytest,
    sarif: Sarif,
    spdx: Spdx,
    tap: Tap,
    terraform: Terraform,
    trivy: Trivy,
}

#[test]
fn changelog() {
    let bases: [&[u8]; 2] = [
        include_bytes!("../../../../CHANGELOG.md"),
        b"# Changelog\n\n## [1.2.0] - 2026-01-02\n\n### Added\n\n- it\n\n## [1.1.0] - 2025-01-01\n",
    ];
    bolero::check!().with_type::<(u8, Vec<Edit>)>().for_each(|(base, edits)| {
        let bytes = mutated(bases[usize::from(*base) % bases.len()], edits);
        let text = String::from_utf8_lossy(&bytes);
        let _found = tidegate_evidence::changelog::read(&text, "1.2.0");
        for line in text.lines().take(64) {
            let _announced = tidegate_evidence::conventional::read(line);
        }
    });
}

#[test]
fn lockfiles() {
    let bases: [(&str, &[u8]); 2] = [
        ("Cargo.lock", b"version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n"),
        (
            "package-lock.json",
            b"{\"lockfileVersion\":3,\"packages\":{\"node_modules/a\":{\"version\":\"1.0.0\"}}}",
        ),
    ];
    bolero::check!().with_type::<(u8, Vec<Edit>)>().for_each(|(base, edits)| {
        let (name, bytes) = bases[usize::from(*base) % bases.len()];
        let _packages = tidegate_evidence::lockfile::read(name, &mutated(bytes, edits));
    });
}
