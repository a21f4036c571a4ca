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
            bottom + 30.0
        );
        debug_assert!(written.is_ok());
    }
}

/// How soon against how often wrong: below the line and to the left is better.
pub(crate) fn dots(title: &str, dots: &[Dot]) -> String {
    let rows = dots.len().div_ceil(2);
    let mut text = open(WIDTH, 420 + 20 * u32::try_from(rows).unwrap_or(0), title);
    axis(&mut text, LEFT, RIGHT, BOTTOM);
    for (wrong, label) in
        [(0.0, "0 %"), (0.01, "1 %"), (0.1, "10 %"), (0.5, "50 %"), (1.0, "100 %")]
    {
        let class = if label == "1 %" { "l" } else { "g" };
        let y = height(wrong);
        let written = writeln!(
            text,
            "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.0}\" y2=\"{y:.0}\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{label}</text>",
            LEFT - 10.0,
            y + 4.0
        );
        debug_assert!(written.is_ok());
    }
    for (at, dot) in dots.iter().enumerate() {
        let (x, y) = place(dot);
        let class = if dot.is_ours { "o" } else { "r" };
        let (column, row) = (at / rows, at % rows);
        let written = writeln!(
            text,
            "<circle class=\"{class}\" cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"{RADIUS}\"/>\
             <text x=\"{}\" y=\"{}\">{} {}</text>",
            20 + column * 370,
            410 + row * 20,
            at + 1,
            escaped(&dot.name)
        );
        debug_assert!(written.is_ok());
    }
    for (label, seat) in labels(dots) {
        let (x, y) = (f64::midpoint(seat.left, seat.right), seat.bottom - 2.0);
        let written =
            writeln!(text, "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"middle\">{label}</text>");
        debug_assert!(written.is_ok());
    }
    text + "</svg>\n"
}

/// The picture of the judges, in pixels.
const WIDTH: u32 = 760;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 104.0;
const BOTTOM: f64 = 350.0;
const RADIUS: f64 = 6.0;

/// Width of a sign and height of a line of a label.
const SIGN: f64 = 7.0;
const LINE: f64 = 13.0;

/// Lines above a point in which its label may be.
const TIERS: u32 = 5;

fn height(wrong: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * wrong.clamp(0.0, 1.0).sqrt()
}

fn place(dot: &Dot) -> (f64, f64) {
    (along(dot.seconds, LEFT, RIGHT), height(dot.wrong))
}

/// A part of the picture that is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    /// A line of text around `x` whose lower edge is `bottom`, moved into the picture.
    fn of_text(x: f64, bottom: f64, label: &str) -> Self {
        let half = SIGN / 2.0 * f64::from(u32::try_from(label.len()).unwrap_or(u32::MAX)) + 1.0;
        let x = x.clamp(half, f64::from(WIDTH) - 2.0 - half);
        Self { left: x - half, right: x + half, top: bottom - LINE, bottom }
    }

    fn of_dot((x, y): (f64, f64)) -> Self {
        let (left, right) = (x - RADIUS, x + RADIUS);
        Self { left, right, top: y - RADIUS, bottom: y + RADIUS }
    }

    fn touches(&self, other: &Self) -> bool {
        self.left < other.right
            && other.left < self.right
            && self.top < other.bottom
            && other.top < self.bottom
    }
}

/// The numbers of the points and where each stands: as near to its point as nothing is in the way.
/// Points in one place share a label.
fn labels(dots: &[Dot]) -> Vec<(String, Area)> {
    let mut groups: Vec<((f64, f64), Vec<usize>)> = Vec::new();
    for (at, dot) in dots.iter().enumerate() {
        let (x, y) = place(dot);
        let same = groups.iter_mut().find(|((known, level), _)| {
            (x - known).abs() < RADIUS / 2.0 && (y - level).abs() < RADIUS / 2.0
        });
        match same {
            Some((_, group)) => group.push(at),
            None => groups.push(((x, y), vec![at])),
        }
    }
    groups.sort_by(|(a, _), (b, _)| a.1.total_cmp(&b.1).then(a.0.total_cmp(&b.0)));
    let mut taken: Vec<Area> = groups.iter().map(|(point, _)| Area::of_dot(*point)).collect();
    let mut all = Vec::with_capacity(groups.len());
    for ((x, y), group) in groups {
        let numbers: Vec<String> = group.iter().map(|at| (at + 1).to_string()).collect();
        let label = numbers.join(" ");
        let above = |tier: u32| Area::of_text(x, y - RADIUS - 1.0 - LINE * f64::from(tier), &label);
        let half = above(0).right - f64::midpoint(above(0).left, above(0).right) + RADIUS + 2.0;
        let beside = |x: f64| Area::of_text(x, y + LINE / 2.0, &label);
        let below = Area::of_text(x, y + RADIUS + 1.0 + LINE, &label);
        let seats = (0..TIERS).map(above).chain([below, beside(x - half), beside(x + half)]);
        let seat = { seats }.find(|seat| !taken.iter().any(|other| seat.touches(other)));
        let seat = seat.unwrap_or_else(|| above(0));
        taken.push(seat);
        all.push((label, seat));
    }
    all
}

/// Time to the rollback of every fault: the dark bar ends at the median, the light one at p95.
pub(crate) fn bars(title: &str, bars: &[Bar]) -> String {
    let (left, right) = (230.0, 720.0);
    let bottom = 40.0 + 22.0 * f64::from(u32::try_from(bars.len()).unwrap_or(u32::MAX));
    let mut text = open(760, (bottom + 40.0) as u32, title);
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
        let far = Dot { name: "far".to_owned(), seconds: 3_600.0, wrong: 1.0, is_ours: false };
        assert!(dots("x", &[far]).contains(">1</text>"));
        let svg = bars("x", &[Bar { name: "F1".to_owned(), median: 1.0, p95: 9_999.0 }]);
        assert!(svg.contains(">F1<") && !svg.contains("NaN"));
    }

    /// As many judges as the page has, most of them as often wrong as can be.
    #[test]
    fn no_label_touches_another_or_a_point() {
        let crowded = [
            20.0, 1173.0, 120.0, 360.0, 661.0, 21.0, 111.0, 311.0, 60.0, 516.0, 98.0, 253.0, 60.0,
            180.0, 300.0, 34.0, 194.0, 909.0, 3600.0, 3600.0, 300.0, 900.0,
        ];
        let wrong = crowded.iter().map(|seconds| (*seconds, 1.0));
        let right = [3_600.0, 3_600.0, 2_442.0].iter().map(|seconds| (*seconds, 0.0));
        let between = [(18.0, 0.007), (3_600.0, 0.005), (3_600.0, 0.015), (600.0, 0.025)];
        let all = wrong.chain(right).chain(between);
        let dots: Vec<Dot> = all
            .map(|(seconds, wrong)| Dot { name: "x".to_owned(), seconds, wrong, is_ours: false })
            .collect();
        let labels = labels(&dots);
        for (at, (label, seat)) in labels.iter().enumerate() {
            for (other, beside) in &labels[..at] {
                assert!(!seat.touches(beside), "{label} on {other}");
            }
            let under = dots.iter().find(|dot| seat.touches(&Area::of_dot(place(dot))));
            assert!(under.is_none(), "{label} on a point at {:?}", under.map(place));
            assert!(seat.top > 26.0 && seat.left >= 0.0 && seat.right <= f64::from(WIDTH));
        }
        let numbers: usize = labels.iter().map(|(label, _)| label.split(' ').count()).sum();
        assert_eq!(numbers, dots.len(), "every point has its number");
    }
}
