//! The parts of live pages as HTML, held against what stands in `tests/html`. Must never need a
//! server.
//!
//! `TIDEGATE_BLESS=1 cargo test -p tidegate --bin tidegate snapshots` writes them anew.

use std::path::PathBuf;

use super::deployment::{board_of, charts_of, why_of};
use super::series::{Chart, Series};
use super::show;
use crate::view::sample;

fn agrees(name: &str, html: &str) {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/html");
    let file = PathBuf::from(place).join(name);
    // Blank lines come from control blocks and say nothing.
    let lines: Vec<&str> = html.lines().filter(|line| !line.trim().is_empty()).collect();
    let text = format!("{}\n", lines.join("\n"));
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::create_dir_all(place).unwrap();
        std::fs::write(&file, &text).unwrap();
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(known == text, "tests/html/{name} differs: TIDEGATE_BLESS=1 writes it anew\n{text}");
}

#[test]
fn the_parts_of_a_live_page_are_as_recorded() {
    let mut held = sample::held();
    held.sentence = "<script>alert(1)</script> & \u{202e}more".to_owned();
    let held = show::plain(held);
    let (board, why) = (board_of(&held), why_of(&held));
    for html in [&board, &why] {
        assert!(!html.contains("<script") && !html.contains('\u{202e}'), "{html}");
    }
    agrees("board.html", &board);
    agrees("why.html", &why);
}

#[test]
fn charts_without_a_script_are_as_recorded() {
    let chart = Chart {
        name: "errors".to_owned(),
        unit: "%".to_owned(),
        live: vec![Some(0.1), Some(0.2), None, Some(0.1)],
        candidate: vec![None, Some(1.5), Some(2.5), Some(0.5)],
        advance: Some(1.0),
        rollback: Some(2.0),
    };
    let series = Series {
        part: "web".to_owned(),
        width_s: 1,
        at: vec![1_000, 1_001, 1_002, 1_003],
        steps: vec![(1_000.0, 5.0), (1_002.0, 50.0)],
        charts: vec![chart],
    };
    agrees("charts.html", &charts_of(&[series]));
    agrees("charts-none.html", &charts_of(&[]));
}
