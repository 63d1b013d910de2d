use std::time::Duration;

/// A whole number and its unit: `ms`, `s`, `m`, `h` or `d`, a day being 24 hours; none for anything else, and
/// for what is too long to count.
///
/// ```
/// use std::time::Duration;
/// use envgate::text::parse_duration;
///
/// assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
/// assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
/// assert_eq!(parse_duration("30d"), Some(Duration::from_secs(30 * 24 * 60 * 60)));
/// assert_eq!(parse_duration("1.5h"), None);
/// ```
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = digits.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// As [`parse_duration`], for where a person is told what was expected.
///
/// # Errors
/// What was expected, in words.
///
/// ```
/// let expected = envgate::text::expect_duration("soon").unwrap_err();
/// assert!(expected.contains("such as 90m"), "{expected}");
/// ```
pub fn expect_duration(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "expected a whole number and ms, s, m, h or d, such as 90m, 24h or 30d".to_owned())
}

/// A duration as a sentence has it.
///
/// ```
/// use std::time::Duration;
/// use envgate::text::format_seconds;
///
/// assert_eq!(format_seconds(Duration::from_secs(1)), "1 second");
/// assert_eq!(format_seconds(Duration::from_secs(90)), "90 seconds");
/// assert_eq!(format_seconds(Duration::from_millis(250)), "0.25 seconds");
/// ```
#[must_use]
pub fn format_seconds(duration: Duration) -> String {
    let unit = if duration == Duration::from_secs(1) {
        "second"
    } else {
        "seconds"
    };
    format!("{} {unit}", duration.as_secs_f64())
}

/// A time to wait in whole seconds, rounded up and never none: who comes too early comes in vain.
///
/// ```
/// use std::time::Duration;
/// use envgate::text::whole_seconds;
///
/// assert_eq!(whole_seconds(Duration::from_millis(1001)), 2);
/// assert_eq!(whole_seconds(Duration::ZERO), 1);
/// ```
#[must_use]
pub fn whole_seconds(duration: Duration) -> u64 {
    duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0))
        .max(1)
}

/// Milliseconds with three digits after the point, as logs and clients are told them.
///
/// ```
/// use std::time::Duration;
/// use envgate::text::milliseconds;
///
/// assert_eq!(milliseconds(Duration::from_nanos(1_234_567)), 1.235);
/// ```
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_duration_or_cannot_be_counted_is_none() {
        for text in [
            "",
            "d",
            "30",
            "30 d",
            "-1d",
            "1.5h",
            "1w",
            "99999999999999999999d",
            "999999999999999999d",
        ] {
            assert_eq!(parse_duration(text), None, "{text:?}");
        }
    }
}
