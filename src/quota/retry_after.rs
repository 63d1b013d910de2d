use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The longest that one answer of the upstream can silence a gateway.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// How long an upstream's refusal asks for silence: `retry-after-ms`, else `retry-after` in seconds or as an
/// HTTP date, in the order in which clients look. Five minutes at most; none where there is no such header,
/// or it cannot be understood. Whatever is absurd is told in the log.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let asked = [("retry-after-ms", 0.001), (RETRY_AFTER.as_str(), 1.0)]
        .into_iter()
        .find_map(|(name, unit)| Some((headers.get(name)?, unit)))
        .map(|(value, unit)| value.to_str().ok().and_then(|text| parse(text.trim(), unit, now)));
    match asked? {
        Some(asked) if asked > LONGEST => {
            tracing::warn!("the upstream asks for a silence of {asked:?}; it gets {LONGEST:?}");
            Some(LONGEST)
        }
        None => {
            tracing::warn!("the upstream asks for a silence that is no time");
            None
        }
        asked => asked,
    }
}

/// A number of units, or a date; a date that has passed is no time at all.
fn parse(text: &str, unit: f64, now: SystemTime) -> Option<Duration> {
    if let Ok(number) = text.parse::<f64>() {
        let is_time = number.is_finite() && number >= 0.0;
        return is_time.then(|| Duration::try_from_secs_f64(number * unit).unwrap_or(Duration::MAX));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// Thursday, 1 January 2026, midnight.
    const NOW: Duration = Duration::from_secs(1_767_225_600);

    fn asked(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        retry_after(&headers, UNIX_EPOCH + NOW)
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_understood() {
        for (headers, expected) in [
            (vec![("retry-after", "30")], Some(30_000)),
            (vec![("retry-after", "0.5")], Some(500)),
            (
                vec![("retry-after", "30"), ("retry-after-ms", "1500")],
                Some(1_500),
            ),
            (
                vec![("retry-after", "Thu, 01 Jan 2026 00:00:20 GMT")],
                Some(20_000),
            ),
            (vec![("retry-after", "Wed, 31 Dec 2025 23:59:00 GMT")], Some(0)),
            (vec![("retry-after", "0")], Some(0)),
            (vec![], None),
        ] {
            assert_eq!(
                asked(&headers),
                expected.map(Duration::from_millis),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn what_is_absurd_is_capped_or_ignored() {
        for (value, expected) in [
            ("31536000", Some(LONGEST)),
            ("1e300", Some(LONGEST)),
            ("Fri, 01 Jan 2027 00:00:00 GMT", Some(LONGEST)),
            ("-5", None),
            ("soon", None),
            ("NaN", None),
            ("inf", None),
            ("", None),
            ("99999999999999999999999999", Some(LONGEST)),
        ] {
            assert_eq!(asked(&[("retry-after", value)]), expected, "{value}");
        }
    }
}
