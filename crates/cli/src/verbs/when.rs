//! Times and durations, as people write and read them.

use std::{
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jiff::{Timestamp, tz::TimeZone};

/// `90`, `90s`, `10m`, `1h30m`, `2d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span(pub(super) u64);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time: write 90s, 10m, 1h30m or 2d");
        let mut seconds: u64 = 0;
        let mut rest = text;
        if rest.is_empty() {
            return Err(wrong());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
            rest = &rest[digits..];
            let unit = match rest.chars().next() {
                None | Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3600,
                Some('d') => 86_400,
                Some(_) => return Err(wrong()),
            };
            rest = rest.get(1..).unwrap_or_default();
            let more = number.checked_mul(unit).ok_or_else(wrong)?;
            seconds = seconds.checked_add(more).filter(|s| *s <= MOST_S).ok_or_else(wrong)?;
        }
        Ok(Self(seconds))
    }
}

/// So many seconds in the two largest units that they fill: `42 s`, `2 min 5 s`, `3 h`.
pub(super) fn lasting(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")];
    let first = parts.iter().position(|(number, _)| *number > 0).unwrap_or(3);
    let parts = parts[first..].iter().take(2).filter(|(number, _)| *number > 0);
    let text: Vec<_> = parts.map(|(number, unit)| format!("{number} {unit}")).collect();
    if text.is_empty() { "0 s".to_owned() } else { text.join(" ") }
}

/// Seconds of Unix time, now.
pub(super) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

/// A moment in the host's time zone: `2026-11-21 12:01:02`.
pub(super) fn moment(ms: u64) -> String {
    moment_in(ms, &TimeZone::system())
}

fn moment_in(ms: u64, zone: &TimeZone) -> String {
    let moment = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let shown = moment.map(|moment| moment.to_zoned(zone.clone()).strftime("%F %T").to_string());
    shown.unwrap_or_else(|| "at no time".to_owned())
}

/// A hundred years.
const MOST_S: u64 = 100 * 366 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, expected) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("1h30m", Some(5400)),
            ("2d", Some(172_800)),
            ("0", Some(0)),
            ("", None),
            ("m", None),
            ("10x", None),
            ("-5", None),
            ("1.5h", None),
            ("10 m", None),
            ("99999999999999999999", None),
            ("999999d", None),
        ] {
            assert_eq!(text.parse::<Span>().ok().map(|span| span.0), expected, "{text:?}");
        }
    }

    #[test]
    fn times_are_written() {
        for (seconds, expected) in [
            (0, "0 s"),
            (42, "42 s"),
            (60, "1 min"),
            (125, "2 min 5 s"),
            (3600, "1 h"),
            (3605, "1 h"),
            (3 * 3600 + 60, "3 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(lasting(seconds), expected, "{seconds}");
        }
        assert_eq!(moment_in(1_790_000_000_123, &TimeZone::UTC), "2026-09-21 14:13:20");
        assert_eq!(moment_in(u64::MAX, &TimeZone::UTC), "at no time");
    }
}
