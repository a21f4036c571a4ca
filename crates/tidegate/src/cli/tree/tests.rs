//! The screen of a deployment in mid-shift, whole. Must never need a server.

use jiff::tz::TimeZone;

use super::{Keys, render};
use crate::terminal::{Color, Terminal};
use crate::view::sample::held;

fn terminal() -> Terminal {
    Terminal::new(Color::Never, None, false, TimeZone::UTC)
}

#[test]
fn a_screen_says_state_split_numbers_and_the_way_out() {
    let lines: Vec<String> = render(&held(), &terminal(), Keys::Shown)
        .iter()
        .map(|line| terminal().dressed(line).trim_end().to_owned())
        .collect();
    let (full, empty) = if terminal().unicode() { ('█', '░') } else { ('#', ' ') };
    let bar = |cells: usize| -> String {
        (0..38).map(|cell| if cell < cells { full } else { empty }).collect()
    };
    let screen = lines.join("\n");
    for expected in [
        "shop  v1 -> v2   production   d-7k3x   started 22:13:20 by mira   5m elapsed",
        "HOLDING at 25 %   waits for p95 is 231 ms, must be < 200 ms to go on",
        "  ends 22:45:20 (in 27m), then it rolls back",
        "gates        not required",
        "smoke        14 of 14[2J",
        "traffic      step 2 of 3",
        &format!("   |  live      green    [{}] set   75  read   75  seen 75.2 %", bar(28)),
        &format!("   |  candidate blue     [{}] set   25  read   25  seen 24.8 %", bar(9)),
        "   |  errors      0.05 %    0.04 %  <0.*    |        |      >1   18,360/2,995     12 %",
        "   |  evidence against it: 12 % of what rolls back, an equal version shows that in 1 in 2 \
         rollouts, 0.8 times the failures of live (0.2 to 3.1)",
        "   |  enough to advance in 40s, 2.2 of 200 failed requests spent",
        "exposed so far 23,760 requests",
        "rollback: hot, the previous revision runs: about a second",
        "[R]ollback",
    ] {
        assert!(screen.contains(expected), "{expected:?} is not in\n{screen}");
    }
    assert!(!screen.contains('\u{1b}'), "what came from outside cannot speak to the terminal");
    let live = lines.iter().position(|line| line.contains("live      green"));
    let candidate = lines.iter().position(|line| line.contains("candidate blue"));
    assert!(live < candidate, "live stands above the candidate, whatever the names");
    assert!(lines.iter().any(|line| line.contains("p95") && line.contains("no-data")));
}

#[test]
fn a_split_that_was_not_read_back_is_a_question() {
    let mut shown = held();
    let split = shown.parts[0].split.as_mut().unwrap();
    split.read = None;
    split.observed = None;
    let screen = render(&shown, &terminal(), Keys::Hidden).join("\n");
    assert!(screen.contains("read    ?  seen no requests counted"), "{screen}");
    assert!(!screen.contains("[R]ollback"), "a print-out takes no keys");
}
