use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::parse_duration;

/// A time as the store and every answer of ours have it: RFC 3339 in UTC with microseconds, always as long,
/// so that texts are in the order of their times.
///
/// ```
/// use envgate::text::format_timestamp;
/// use jiff::Timestamp;
///
/// assert_eq!(format_timestamp(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
/// ```
#[must_use]
pub fn format_timestamp(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// How far a clock is ahead of ours that was read between two of our moments: nothing, where it may be at either.
///
/// ```
/// use envgate::text::clock_ahead;
/// use jiff::{SignedDuration, Timestamp};
///
/// let at = |second| Timestamp::from_second(second).unwrap();
/// assert_eq!(clock_ahead(at(15), at(10), at(20)), SignedDuration::ZERO);
/// assert_eq!(clock_ahead(at(25), at(10), at(20)), SignedDuration::from_secs(5));
/// assert_eq!(clock_ahead(at(7), at(10), at(20)), SignedDuration::from_secs(-3));
/// ```
#[must_use]
pub fn clock_ahead(clock: Timestamp, before: Timestamp, after: Timestamp) -> SignedDuration {
    if clock > after {
        clock.duration_since(after)
    } else if clock < before {
        clock.duration_since(before)
    } else {
        SignedDuration::ZERO
    }
}

/// A moment as a person writes it: a time from `now` such as `30d`, a date, which is its first moment in UTC,
/// or a date and time of RFC 3339.
///
/// # Errors
/// What was expected, in words.
///
/// ```
/// use envgate::text::parse_moment;
/// use jiff::Timestamp;
///
/// assert_eq!(parse_moment("12h", Timestamp::UNIX_EPOCH).unwrap().to_string(), "1970-01-01T12:00:00Z");
/// ```
pub fn parse_moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Some(duration) = parse_duration(text) {
        return SignedDuration::try_from(duration)
            .and_then(|duration| now.checked_add(duration))
            .map_err(|_| "that is further away than a calendar goes".to_owned());
    }
    // The parser of dates would also take a date with a time, and drop the time.
    let is_date = text.len() == "2026-12-31".len();
    let date = || is_date.then(|| text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok())?;
    text.parse().ok().or_else(|| Some(date()?.timestamp())).ok_or_else(|| {
        "expected a time from now such as 30d or 12h, a date such as 2026-12-31, or a date and time such as \
         2026-12-31T18:00:00Z"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_780_048_800, 0);

    #[test]
    fn a_moment_is_a_duration_from_now_a_date_or_a_date_and_time() {
        for (text, expected) in [
            ("30d", "2026-06-28T10:00:00Z"),
            ("12h", "2026-05-29T22:00:00Z"),
            ("90m", "2026-05-29T11:30:00Z"),
            ("5s", "2026-05-29T10:00:05Z"),
            ("2026-12-31", "2026-12-31T00:00:00Z"),
            ("2026-12-31T18:00:00+02:00", "2026-12-31T16:00:00Z"),
        ] {
            let expected: Timestamp = expected.parse().unwrap();
            assert_eq!(parse_moment(text, NOW), Ok(expected), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_examples() {
        for text in [
            "",
            "d",
            "30",
            "30 d",
            "-1d",
            "1.5h",
            "tomorrow",
            "2026-13-01",
            "2026-12-31T18:00:00",
        ] {
            let expected = parse_moment(text, NOW).unwrap_err();
            assert!(expected.contains("2026-12-31"), "{text:?}: {expected}");
        }
        assert!(parse_moment("9999999d", NOW).is_err());
    }
}
