//! Pictures of the result as SVG, drawn by hand: no library, no script, readable on dark and light.
//! Must never show a point without its name.

use std::fmt::Write as _;

/// A point: name, how soon (s), how often wrong (share), and whether it is ours.
pub(crate) struct Dot {
    pub(crate) name: String,
    pub(crate) seconds: f64,
    pub(crate) wrong: f64,
    pub(crate) is_ours: bool,
}

/// A bar: name, median and p95 in seconds.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) median: f64,
    pub(crate) p95: f64,
}

const STYLE: &str = "<style>text{font:12px sans-serif;fill:#555}.t{font-size:14px;font-weight:bold}\
    .g{stroke:#9995;stroke-width:1}.o{fill:#1668c7}.r{fill:#c76a16}.l{stroke:#c0392b;\
    stroke-dasharray:4 3}.m{fill:#1668c7}.p{fill:#1668c766}</style>";

fn open(width: u32, height: u32, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\
         <title>{title}</title>{STYLE}<text class=\"t\" x=\"12\" y=\"20\">{title}</text>\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Position of seconds on a logarithmic axis from 1 s to an hour.
fn along(seconds: f64, from: f64, to: f64) -> f64 {
    from + (to - from) * (seconds.clamp(1.0, 3_600.0).ln() / 3_600.0_f64.ln())
}

const MARKS: [(f64, &str); 6] = [
    (1.0, "1 s"),
    (10.0, "10 s"),
    (60.0, "1 min"),
    (300.0, "5 min"),
    (900.0, "15 min"),
    (3_600.0, "1 h"),
];

fn axis(text: &mut String, from: f64, to: f64, bottom: f64) {
    for (seconds, label) in MARKS {
        let x = along(seconds, from, to);
        // Writing to a String cannot fail; nor can what follows.
        let written = writeln!(
            text,
            "<line class=\"g\" x1=\"{x:.0}\" x2=\"{x:.0}\" y1=\"32\" y2=\"{bottom:.0}\"/>\
             <text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>",
            bottom + 16.0
        );
        debug_assert!(written.is_ok());
    }
}

/// How soon against how often wrong: below the line and to the left is better.
pub(crate) fn dots(title: &str, dots: &[Dot]) -> String {
    let (left, right, top, bottom) = (70.0, 700.0, 44.0, 320.0);
    let rows = dots.len().div_ceil(2);
    let mut text = open(760, 380 + 20 * u32::try_from(rows).unwrap_or(0), title);
    axis(&mut text, left, right, bottom);
    let height = |wrong: f64| bottom - (bottom - top) * wrong.clamp(0.0, 1.0).sqrt();
    for (wrong, label) in
        [(0.0, "0 %"), (0.01, "1 %"), (0.1, "10 %"), (0.5, "50 %"), (1.0, "100 %")]
    {
        let class = if label == "1 %" { "l" } else { "g" };
        let y = height(wrong);
        let written = writeln!(
            text,
            "<line class=\"{class}\" x1=\"{left}\" x2=\"{right}\" y1=\"{y:.0}\" y2=\"{y:.0}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{label}</text>",
            left - 6.0,
            y + 4.0
        );
        debug_assert!(written.is_ok());
    }
    for (at, dot) in dots.iter().enumerate() {
        let (x, y) = (along(dot.seconds, left, right), height(dot.wrong));
        let class = if dot.is_ours { "o" } else { "r" };
        let (column, row) = (at / rows, at % rows);
        let written = writeln!(
            text,
            "<circle class=\"{class}\" cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"6\"/>\
             <text x=\"{}\" y=\"{}\">{} {}</text>",
            20 + column * 370,
            370 + row * 20,
            at + 1,
            escaped(&dot.name)
        );
        debug_assert!(written.is_ok());
    }
    let points = dots.iter().map(|dot| (along(dot.seconds, left, right), height(dot.wrong)));
    for (x, y, label) in labels(&points.collect::<Vec<_>>()) {
        // Half of the label's width, at about seven pixels a sign, must not leave the picture.
        let half = 3.5 * f64::from(u32::try_from(label.len()).unwrap_or(u32::MAX));
        let x = x.min(755.0 - half);
        let written = writeln!(
            text,
            "<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{label}</text>",
            y - 9.0
        );
        debug_assert!(written.is_ok());
    }
    text + "</svg>\n"
}

/// One label for all points that are too near each other for their own: where, and what.
fn labels(points: &[(f64, f64)]) -> Vec<(f64, f64, String)> {
    /// A number and a gap, and a line of text, in pixels.
    const NEAR: (f64, f64) = (32.0, 9.0);
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| {
        let ((xa, ya), (xb, yb)) = (points[*a], points[*b]);
        (ya / NEAR.1).round().total_cmp(&(yb / NEAR.1).round()).then(xa.total_cmp(&xb))
    });
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in order {
        let (x, y) = points[at];
        let last = groups.last_mut().filter(|group| {
            let (known, level) = points[group[group.len() - 1]];
            (x - known).abs() < NEAR.0 && (y - level).abs() < NEAR.1
        });
        match last {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    let label = |mut group: Vec<usize>| {
        let (first, last) = (points[group[0]], points[group[group.len() - 1]]);
        group.sort_unstable();
        let numbers: Vec<String> = group.iter().map(|at| (at + 1).to_string()).collect();
        (f64::midpoint(first.0, last.0), first.1, numbers.join(" "))
    };
    groups.into_iter().map(label).collect()
}

/// Time to the rollback of every fault: the dark bar ends at the median, the light one at p95.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let (left, right) = (230.0, 720.0);
    let bottom = 40.0 + 22.0 * f64::from(u32::try_from(bars.len()).unwrap_or(u32::MAX));
    let mut text = open(760, (bottom + 30.0) as u32, title);
    axis(&mut text, left, right, bottom);
    for (at, bar) in bars.iter().enumerate() {
        let y = 40.0 + 22.0 * f64::from(u32::try_from(at).unwrap_or(u32::MAX));
        let (median, p95) = (along(bar.median, left, right), along(bar.p95, left, right));
        let written = writeln!(
            text,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>\
             <rect class=\"p\" x=\"{left}\" y=\"{y:.0}\" width=\"{:.0}\" height=\"14\"/>\
             <rect class=\"m\" x=\"{left}\" y=\"{y:.0}\" width=\"{:.0}\" height=\"14\"/>",
            left - 6.0,
            y + 12.0,
            escaped(&bar.name),
            p95 - left,
            median - left
        );
        debug_assert!(written.is_ok());
    }
    text + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_has_its_name() {
        let dot =
            |name: &str| Dot { name: name.to_owned(), seconds: 20.0, wrong: 0.0, is_ours: true };
        let svg = dots("Soon & right", &[dot("a < b"), dot("c")]);
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"));
        assert!(svg.contains(">1 2</text>"), "two in one place share a label: {svg}");
        let svg = bars("x", &[Bar { name: "F1".to_owned(), median: 1.0, p95: 9_999.0 }]);
        assert!(svg.contains(">F1<") && !svg.contains("NaN"));
    }
}
