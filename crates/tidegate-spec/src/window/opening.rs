//! Reads one opening of a window: days and times of the week, or a cron line and how long.
//! Must never guess what an ambiguous text means.

use jiff::SignedDuration;
use jiff::civil::{Time, Weekday};
use tidegate_core::window::{LASTS_MAX, Opening, cron};

use crate::units;

/// What an opening looks like.
const SHAPE: &str = "write days and times, as in `mon-thu 09:00-16:00`, or a cron line and how \
                     long, as in `0 9 * * 1-4 for 7h`";

/// `mon-thu 09:00-16:00`, `sat,sun 22:00-02:00`, `0 9 * * 1-4 for 7h`.
///
/// # Errors
/// What to write instead.
pub(super) fn opening(text: &str) -> Result<Opening, String> {
    if let Some((line, lasts)) = text.rsplit_once(" for ") {
        let line = line.trim();
        cron(line)?;
        let lasts = units::duration(lasts.trim()).map_err(|refused| refused.help)?;
        if lasts <= SignedDuration::ZERO || lasts > LASTS_MAX {
            return Err("it is open for more than nothing and at most 7 days".to_owned());
        }
        return Ok(Opening::Cron { line: line.to_owned(), lasts });
    }
    let (days, times) = text.trim().rsplit_once(' ').ok_or(SHAPE)?;
    let (from, to) = times.split_once('-').ok_or(SHAPE)?;
    Ok(Opening::Weekly { days: weekdays(days)?, from: clock(from)?, to: clock(to)? })
}

fn clock(text: &str) -> Result<Time, String> {
    let wrong = || format!("`{text}` is no time of the day, as in `09:00`");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    if hour.len() != 2 || minute.len() != 2 {
        return Err(wrong());
    }
    let hour: i8 = hour.parse().map_err(|_no| wrong())?;
    let minute: i8 = minute.parse().map_err(|_no| wrong())?;
    // The end of a day is the beginning of the next.
    if (hour, minute) == (24, 0) {
        return Ok(Time::midnight());
    }
    Time::new(hour, minute, 0, 0).map_err(|_no| wrong())
}

fn weekdays(text: &str) -> Result<Vec<i8>, String> {
    let mut days = Vec::new();
    for piece in text.split(',') {
        let (first, last) =
            piece.trim().split_once('-').unwrap_or_else(|| (piece.trim(), piece.trim()));
        let (mut day, last) = (weekday(first)?, weekday(last)?);
        loop {
            days.push(day.to_monday_one_offset());
            if day == last {
                break;
            }
            day = day.next();
        }
    }
    days.sort_unstable();
    days.dedup();
    Ok(days)
}

fn weekday(text: &str) -> Result<Weekday, String> {
    match text.to_ascii_lowercase().as_str() {
        "mon" | "monday" => Ok(Weekday::Monday),
        "tue" | "tuesday" => Ok(Weekday::Tuesday),
        "wed" | "wednesday" => Ok(Weekday::Wednesday),
        "thu" | "thursday" => Ok(Weekday::Thursday),
        "fri" | "friday" => Ok(Weekday::Friday),
        "sat" | "saturday" => Ok(Weekday::Saturday),
        "sun" | "sunday" => Ok(Weekday::Sunday),
        _ => Err(format!("`{text}` is no day of the week, as in `mon` or `mon-fri`")),
    }
}
