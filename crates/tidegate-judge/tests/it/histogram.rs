//! Cells, counts and exact edges.
//! It must never compare against an interpolated quantile.

use tidegate_judge::histogram::{CellsDiffer, LIMITS_MAX};
use tidegate_judge::{Cells, Histogram};

#[test]
fn cells_run_from_five_milliseconds_to_ten_seconds() {
    let cells = Cells::new(&[]);
    assert_eq!(cells.len(), 132);
    assert_eq!(cells.index(0.0), 0);
    assert_eq!(cells.index(4.999), 0);
    assert_eq!(cells.index(5.0), 1);
    assert_eq!(cells.index(5.299), 1);
    assert_eq!(cells.index(5.301), 2);
    let last = cells.upper_ms(130);
    assert!((9_700.0..9_800.0).contains(&last), "{last}");
    assert_eq!(cells.index(last), 131);
    assert!(cells.upper_ms(131).is_infinite());
    assert_eq!(cells.index(f64::NAN), 131);
    assert_eq!(cells.index(f64::INFINITY), 131);
    assert_eq!(cells.index(-1.0), 0);
}

#[test]
fn limits_become_edges_and_nonsense_does_not() {
    let cells = Cells::new(&[500.0, 200.0, 200.0, f64::NAN, -3.0, 0.0, f64::INFINITY]);
    assert_eq!(cells.len(), 134);
    assert!(cells.has_edge(200.0) && cells.has_edge(500.0) && !cells.has_edge(300.0));
    assert_eq!(cells.index(199.9) + 1, cells.index(200.0));
    assert_eq!(cells.log_cell(cells.index(199.9)), cells.log_cell(cells.index(200.0)));
    assert_eq!(Cells::new(&[5.0]).len(), 132, "a limit that is an edge already adds none");
    let many: Vec<f64> = (0..40).map(|limit| 100.5 + f64::from(limit)).collect();
    assert_eq!(Cells::new(&many).len(), 132 + LIMITS_MAX);
    assert!(!Cells::new(&many).has_edge(140.5 - 1.0));
}

#[test]
fn shares_are_exact_on_edges_and_absent_elsewhere() {
    let cells = Cells::new(&[200.0]);
    let mut histogram = Histogram::new(&cells);
    for ms in [10.0, 199.9, 200.0, 200.1] {
        histogram.record(cells.index(ms));
    }
    assert_eq!(histogram.share_above(200.0, &cells), Some((2, 4)));
    assert_eq!(histogram.share_above(201.0, &cells), None);
    assert_eq!(histogram.share_above(200.0, &Cells::new(&[])), None);
    assert_eq!(Histogram::default().share_above(200.0, &cells), None);
}

#[test]
fn quantiles_are_upper_edges() {
    let cells = Cells::new(&[200.0]);
    let mut histogram = Histogram::new(&cells);
    assert_eq!(histogram.quantile_ms(0.95, &cells), None);
    for _ in 0..95 {
        histogram.record(cells.index(150.0));
    }
    for _ in 0..5 {
        histogram.record(cells.index(20_000.0));
    }
    let p95 = histogram.quantile_ms(0.95, &cells).expect("measured");
    assert!((150.0..=159.0).contains(&p95), "{p95}");
    assert!(histogram.quantile_ms(0.96, &cells).expect("measured").is_infinite());
    assert_eq!(histogram.quantile_ms(0.0, &cells), None);
    assert_eq!(histogram.quantile_ms(f64::NAN, &cells), None);
}

#[test]
fn merging_adds_and_refuses_foreign_shapes() {
    let cells = Cells::new(&[]);
    let mut sum = Histogram::default();
    let mut one = Histogram::new(&cells);
    one.record(3);
    one.record(9_999);
    assert_eq!(sum.merge(&one), Ok(()));
    assert_eq!(sum.merge(&one), Ok(()));
    assert_eq!(sum.merge(&Histogram::default()), Ok(()));
    assert_eq!(sum.total(), 4);
    assert_eq!(sum.counts()[131], 2);
    let foreign = Histogram::from_counts(vec![1, 2]);
    assert_eq!(sum.merge(&foreign), Err(CellsDiffer { ours: 132, theirs: 2 }));
    let mut full = Histogram::from_counts(vec![u32::MAX]);
    full.record(0);
    assert_eq!(full.counts(), [u32::MAX]);
}
