//! The moments and durations of a key's life as a person writes them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// A moment: a time from `now` such as `30d`, a date, which is its first moment in UTC, or a date and time of RFC 3339.
///
/// # Errors
/// What was expected, in words.
///
/// ```
/// use envgate::tenancy::moment;
/// use jiff::Timestamp;
///
/// assert_eq!(moment("12h", Timestamp::UNIX_EPOCH).unwrap().to_string(), "1970-01-01T12:00:00Z");
/// ```
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(duration) = duration(text) {
        return now
            .checked_add(duration)
            .map_err(|_| "that is further away than a calendar goes".to_owned());
    }
    // The parser of dates would also take a date with a time, and drop the time.
    let is_date = text.len() == "2026-12-31".len();
    let date = || is_date.then(|| text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok())?;
    text.parse()
        .ok()
        .or_else(|| Some(date()?.timestamp()))
        .ok_or_else(|| "expected a time from now such as 30d or 12h, a date such as 2026-12-31, or a date and time such as 2026-12-31T18:00:00Z".to_owned())
}

/// A whole number and its unit: `s`, `m`, `h` or `d`, a day being 24 hours.
///
/// # Errors
/// What was expected, in words.
pub fn duration(text: &str) -> Result<SignedDuration, String> {
    let expected = || "expected a whole number and s, m, h or d, such as 90m, 24h or 30d".to_owned();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: i64 = digits.parse().map_err(|_| expected())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(expected()),
    };
    number
        .checked_mul(seconds)
        .map(SignedDuration::from_secs)
        .ok_or_else(expected)
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
            assert_eq!(moment(text, NOW), Ok(expected), "{text}");
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
            let refusal = moment(text, NOW).unwrap_err();
            assert!(refusal.contains("2026-12-31"), "{text:?}: {refusal}");
        }
        assert!(moment("9999999d", NOW).is_err());
        assert!(duration("99999999999999999999d").is_err());
        assert!(duration("999999999999999d").is_err());
    }
}
