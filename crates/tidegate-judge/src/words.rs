//! Numbers as people read them: percentages, thousands, spans of time.
//! It must never decide anything: rounding here is for eyes only.

/// A limit as it was written: the shortest text that reads back as the same number.
pub(crate) fn plain(value: f64) -> String {
    format!("{value}")
}

/// A limit with its unit, if it has one.
pub(crate) fn amount(value: f64, unit: &str) -> String {
    if unit.is_empty() { plain(value) } else { format!("{} {unit}", plain(value)) }
}

/// A measured percentage with about two digits that matter: `4.9 %`, `0.06 %`, `0 %`.
pub(crate) fn percent(value: f64) -> String {
    let places = match value {
        value if value <= 0.0 || value >= 100.0 => 0,
        value if value >= 1.0 => 1,
        value if value >= 0.01 => 2,
        _ => 4,
    };
    format!("{value:.places$} %")
}

/// A share (0 to 1) from a policy in percent, as short as it was written: `95 %`, `0.1 %`.
pub(crate) fn share(value: f64) -> String {
    // Six places take away what the multiplication adds in the last bits.
    format!("{} %", libm::round(value * 1e8) / 1e6)
}

/// A whole number with thousands separated: `2,995`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A latency bound: `at most 310 ms`, or `over 9,700 ms` in the overflow cell.
pub(crate) fn at_most_ms(value: f64) -> String {
    if value.is_finite() { format!("at most {value:.0} ms") } else { "over 9.7 s".to_owned() }
}

/// A span of time: `5m`, `1m 30s`, `2h`, `450ms`.
pub(crate) fn span(ms: u64) -> String {
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let seconds = ms / 1_000;
    let named = [(seconds / 3_600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts: Vec<String> = named
        .iter()
        .filter(|(amount, _)| *amount > 0)
        .map(|(amount, unit)| format!("{amount}{unit}"))
        .collect();
    parts.join(" ")
}
