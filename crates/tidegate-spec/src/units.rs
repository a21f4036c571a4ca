//! Amounts as people write them: `1h 30m`, `0.1%`, `256 MiB`.
//! Must never accept an amount without its unit, nor round one that cannot be kept exactly.

use jiff::SignedDuration;

/// Why a text is not the amount wanted: what is wrong, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) message: String,
    pub(crate) help: String,
}

impl Refused {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// What a duration looks like, for editors; [`duration`] decides.
pub(crate) const DURATION_PATTERN: &str =
    "^([0-9]+(\\.[0-9]+)? ?(ms|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?) ?)+$";
/// What a percentage looks like, for editors; [`percent`] decides.
pub(crate) const PERCENT_PATTERN: &str = "^[0-9]+(\\.[0-9]+)? ?%$";
/// What an amount of memory looks like, for editors; [`bytes`] decides.
pub(crate) const BYTES_PATTERN: &str = "^[0-9]+(\\.[0-9]+)? ?(B|[KMGT]iB|kB|MB|GB)$";
/// Longest duration anywhere: a deployment that waits longer has been forgotten.
pub(crate) const DURATION_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How a duration is written.
const DURATION_HELP: &str = "write a number with its unit: `500ms`, `30s`, `15m`, `1h 30m`, `2d`";

/// A plain decimal number as digits before and behind the point, so that nothing is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decimal<'t> {
    whole: &'t str,
    fraction: &'t str,
}

impl<'t> Decimal<'t> {
    /// Most digits of a number here; more cannot be meant.
    const DIGITS_MAX: usize = 15;

    /// Reads the number at the beginning of a text and returns what follows it.
    pub(crate) fn lead(text: &'t str) -> Option<(Self, &'t str)> {
        let (whole, rest) = digits(text);
        let (fraction, rest) = match rest.strip_prefix('.') {
            Some(behind) => {
                let (fraction, rest) = digits(behind);
                if fraction.is_empty() {
                    return None;
                }
                (fraction, rest)
            }
            None => ("", rest),
        };
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        let too_long = whole.len() + fraction.len() > Self::DIGITS_MAX;
        if whole.is_empty() || leading_zero || too_long {
            return None;
        }
        Some((Self { whole, fraction }, rest))
    }

    /// The number times ten to the `places`, when that is whole.
    pub(crate) fn scaled(self, places: usize) -> Option<u64> {
        let fraction = self.fraction.trim_end_matches('0');
        if fraction.len() > places {
            return None;
        }
        format!("{}{fraction:0<places$}", self.whole).parse().ok()
    }

    /// The nearest float. At most [`Self::DIGITS_MAX`] digits, so it is always finite.
    pub(crate) fn float(self) -> Option<f64> {
        format!("{}.{}", self.whole, if self.fraction.is_empty() { "0" } else { self.fraction })
            .parse()
            .ok()
            .filter(|value: &f64| value.is_finite())
    }
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// A duration: numbers with units, the largest first: `90s`, `1h 30m`, `15 min`, `0.5s`.
pub(crate) fn duration(text: &str) -> Result<SignedDuration, Refused> {
    let value = long_duration(text)?;
    if value > DURATION_MAX {
        return Err(Refused::new(format!("`{text}` is longer than 30 days"), DURATION_HELP));
    }
    Ok(value)
}

/// A duration without the bound of a wait: copies are kept, and duties come again, after months.
pub(crate) fn long_duration(text: &str) -> Result<SignedDuration, Refused> {
    let help = DURATION_HELP;
    let mut rest = text.trim();
    if rest.starts_with('-') {
        return Err(Refused::new(format!("`{text}` is negative"), help));
    }
    let mut total_ms: u64 = 0;
    let mut smallest_ms = u64::MAX;
    while !rest.is_empty() {
        let Some((number, behind)) = Decimal::lead(rest) else {
            return Err(Refused::new(format!("`{text}` is not a duration"), help));
        };
        let behind = behind.trim_start();
        let end = behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let (unit_ms, places) = unit_of(text, unit)?;
        if unit_ms >= smallest_ms {
            return Err(Refused::new(
                format!("`{text}` does not go from large units to small"),
                help,
            ));
        }
        smallest_ms = unit_ms;
        total_ms = number
            .scaled(places)
            .and_then(|value| value.checked_mul(unit_ms / 10_u64.pow(u32::try_from(places).ok()?)))
            .and_then(|value| total_ms.checked_add(value))
            .ok_or_else(|| Refused::new(format!("`{text}` is finer than a millisecond"), help))?;
        rest = behind.trim_start();
    }
    if smallest_ms == u64::MAX {
        return Err(Refused::new("the duration is empty", help));
    }
    let millis = i64::try_from(total_ms).unwrap_or(i64::MAX);
    Ok(SignedDuration::from_millis(millis))
}

/// Milliseconds of a unit, and how many decimals a number of it may have.
fn unit_of(text: &str, unit: &str) -> Result<(u64, usize), Refused> {
    match unit {
        "ms" => Ok((1, 0)),
        "s" | "sec" | "secs" | "second" | "seconds" => Ok((1_000, 3)),
        "m" | "min" | "mins" | "minute" | "minutes" => Ok((60_000, 1)),
        "h" | "hr" | "hrs" | "hour" | "hours" => Ok((3_600_000, 2)),
        "d" | "day" | "days" => Ok((86_400_000, 2)),
        "" => Err(Refused::new(
            format!("`{text}` has no unit"),
            format!("write `{0}s` for seconds or `{0}m` for minutes", text.trim()),
        )),
        other => Err(Refused::new(
            format!("`{other}` is not a unit of time"),
            "units are ms, s, m (or min), h and d",
        )),
    }
}

/// The number of a percentage: `0.1%`, `25 %`.
pub(crate) fn percent(text: &str) -> Result<Decimal<'_>, Refused> {
    let help = "write a number with its sign: `5%` or `0.1 %`";
    let text = text.trim();
    if text.starts_with('-') {
        return Err(Refused::new(format!("`{text}` is negative"), help));
    }
    match Decimal::lead(text) {
        Some((number, behind)) if behind.trim_start() == "%" => Ok(number),
        Some((_, "")) => {
            Err(Refused::new(format!("`{text}` has no `%`"), format!("write `{text}%`")))
        }
        _ => Err(Refused::new(format!("`{text}` is not a percentage"), help)),
    }
}

/// Bytes: `256 MiB`, `10 MB`, `1.5 GiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, Refused> {
    let help = "write a number with its unit: `64 KiB`, `256 MiB`, `1.5 GiB` (or kB, MB, GB)";
    let refuse = |message: String| Refused::new(message, help);
    let text = text.trim();
    let (number, unit) = Decimal::lead(text)
        .ok_or_else(|| refuse(format!("`{text}` is not an amount of memory")))?;
    let unit: u64 = match unit.trim_start() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "" => return Err(refuse(format!("`{text}` has no unit"))),
        other => return Err(refuse(format!("`{other}` is not a unit of memory"))),
    };
    // Two decimals are enough for 1.25 GiB; the product is cut to whole bytes.
    number
        .scaled(2)
        .and_then(|hundredths| hundredths.checked_mul(unit))
        .map(|hundredths| hundredths / 100)
        .ok_or_else(|| refuse(format!("`{text}` is not an amount of memory")))
}

/// A duration in the words of the configuration: `15m`, `1h 30m`, `500ms`.
pub(crate) fn show(duration: SignedDuration) -> String {
    let mut rest = duration.as_millis().unsigned_abs();
    let mut words = Vec::new();
    for (unit, size) in
        [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)]
    {
        if rest >= size {
            words.push(format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    if words.is_empty() { "0s".to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i128> {
        duration(text).ok().map(|value| value.as_millis())
    }

    #[test]
    fn durations_need_units_and_keep_every_millisecond() {
        assert_eq!(millis("5m"), Some(300_000));
        assert_eq!(millis("15 min"), Some(900_000));
        assert_eq!(millis("1h 30m"), Some(5_400_000));
        assert_eq!(millis("1h30m"), Some(5_400_000));
        assert_eq!(millis("0.5s"), Some(500));
        assert_eq!(millis("1.5m"), Some(90_000));
        assert_eq!(millis("0s"), Some(0));
        for bad in [
            "",
            "5",
            "m",
            "5 parsecs",
            "-5m",
            "5m 1h",
            "5m 5m",
            "1e3s",
            "012s",
            "0.0001s",
            ".5s",
            "5.s",
            "1_000s",
            "99999999999999999999s",
            "31d",
            "5M",
            "٣s",
            "5s!",
        ] {
            assert_eq!(millis(bad), None, "{bad}");
        }
    }

    #[test]
    fn percentages_need_the_sign() {
        assert_eq!(percent("0.1%").ok().and_then(Decimal::float), Some(0.1));
        assert_eq!(percent("25 %").ok().and_then(|p| p.scaled(2)), Some(2_500));
        assert_eq!(percent("5.0000001 %").ok().and_then(|p| p.scaled(2)), None);
        for bad in ["5", "no", "012%", "1e400%", ".nan", ".inf", "-5%", "%", "5%%", "1_000%"] {
            assert!(percent(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn memory_needs_a_unit() {
        assert_eq!(bytes("256 MiB").ok(), Some(256 << 20));
        assert_eq!(bytes("1.5GiB").ok(), Some(3 << 29));
        assert_eq!(bytes("10 MB").ok(), Some(10_000_000));
        for bad in ["256", "256 mib", "lots", "-1 MiB", "1e9 B"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_are_shown_as_they_are_written() {
        assert_eq!(show(SignedDuration::from_secs(5_400)), "1h 30m");
        assert_eq!(show(SignedDuration::from_millis(1_500)), "1s 500ms");
        assert_eq!(show(SignedDuration::ZERO), "0s");
    }
}
