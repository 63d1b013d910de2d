//! Which format of metrics a scraper wants.

use super::openmetrics;

/// The format that metrics are shown in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// The Prometheus text format.
    Prometheus,
    /// OpenMetrics, which has exemplars too.
    OpenMetrics,
}

/// How much a scraper wants a format: how exactly its range names it, which decides about the weight that counts, and the
/// weight in thousandths.
type Wish = (Exactness, u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exactness {
    Anything,
    Type,
    Named,
}

impl Exposition {
    /// The one that fits a scraper best, by the values of its `Accept`. Whoever wants neither, or says nothing that can be
    /// understood, gets what everybody can read.
    ///
    /// ```
    /// use envgate::telemetry::Exposition;
    ///
    /// let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    /// assert_eq!(Exposition::accepted([prometheus]), Exposition::OpenMetrics);
    /// assert_eq!(Exposition::accepted(["*/*"]), Exposition::Prometheus);
    /// ```
    pub fn accepted<'v>(values: impl IntoIterator<Item = &'v str>) -> Self {
        let ranges: Vec<_> = values.into_iter().flat_map(|value| value.split(',')).collect();
        let best = |format: Self| ranges.iter().filter_map(|range| format.wish(range)).max();
        let (openmetrics, text) = (best(Self::OpenMetrics), best(Self::Prometheus));
        let Some((exactness, weight)) = openmetrics.filter(|(_, weight)| *weight > 0) else {
            return Self::Prometheus;
        };
        match text {
            Some((_, text_weight)) if weight < text_weight => Self::Prometheus,
            Some((text_exactness, text_weight)) if weight == text_weight && exactness <= text_exactness => {
                // Who names both alike can read the one that says more.
                if exactness == Exactness::Named {
                    Self::OpenMetrics
                } else {
                    Self::Prometheus
                }
            }
            _ => Self::OpenMetrics,
        }
    }

    /// Its content type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4",
            Self::OpenMetrics => openmetrics::CONTENT_TYPE,
        }
    }

    /// How much it is wanted by a media range, where that stands for it and can be understood.
    fn wish(self, range: &str) -> Option<Wish> {
        let (main, sub, version) = match self {
            Self::Prometheus => ("text", "plain", "0.0.4"),
            Self::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
        };
        let mut parts = range.split(';').map(str::trim);
        let (range_main, range_sub) = parts.next()?.split_once('/')?;
        let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let exactness = match (range_main, range_sub) {
            ("*", "*") => Exactness::Anything,
            (kind, "*") if is(kind, main) => Exactness::Type,
            (kind, name) if is(kind, main) && is(name, sub) => Exactness::Named,
            _ => return None,
        };
        let mut weight = 1000;
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match (
                name.trim().to_ascii_lowercase().as_str(),
                value.trim().trim_matches('"'),
            ) {
                ("q", value) => weight = parse_weight(value)?,
                ("version", value) if value != version => return None,
                _ => {}
            }
        }
        Some((exactness, weight))
    }
}

/// `0`, `1`, or up to three digits after a point, in thousandths.
fn parse_weight(text: &str) -> Option<u16> {
    let (whole, digits) = text.split_once('.').unwrap_or((text, ""));
    let are_digits = digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = match whole {
        "0" | "1" if are_digits => format!("{whole}{digits:0<3}").parse().ok()?,
        _ => return None,
    };
    (thousandths <= 1000).then_some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_openmetrics(accept: &str) -> bool {
        Exposition::accepted([accept]) == Exposition::OpenMetrics
    }

    #[test]
    fn whoever_wants_openmetrics_most_gets_it() {
        for accept in [
            "application/openmetrics-text",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "application/openmetrics-text;version=\"1.0.0\"",
            "APPLICATION/OpenMetrics-Text;Q=0.1",
            "text/plain;q=0.5, application/openmetrics-text;q=0.6",
            "text/plain, application/openmetrics-text",
            "application/openmetrics-text, */*",
            "application/*",
            // Prometheus 2.53 and 3.
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        ] {
            assert!(is_openmetrics(accept), "{accept}");
        }
        let repeated = ["text/plain;q=0.1", "application/openmetrics-text;q=0.2"];
        assert_eq!(Exposition::accepted(repeated), Exposition::OpenMetrics);
    }

    #[test]
    fn everybody_else_gets_what_all_can_read() {
        for accept in [
            "",
            "*/*",
            "text/plain",
            "text/*, application/*;q=0.9",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=0, application/*",
            "application/openmetrics-text;q=0.4, text/plain;q=0.5",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=-1",
            "application/openmetrics-text;q=0.1234",
            "application/openmetrics-text;q=é",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "image/png",
            ";;;,,,=/=;q=",
            "/",
        ] {
            assert!(!is_openmetrics(accept), "{accept}");
        }
    }
}
