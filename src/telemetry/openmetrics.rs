//! The OpenMetrics text format, version 1.0.0, which has what the Prometheus text format has not: exemplars.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::exemplars::{Exemplar, TracedHistogram};

/// The content type of what [`encode`] writes.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Units that a name ends with where its metric has one of them.
const UNITS: [&str; 2] = ["seconds", "bytes"];
const TOTAL: &str = "_total";

/// Writes metrics. `traced` finds what knows the exemplars of a histogram, by its name and labels.
pub(super) fn encode<'e>(
    families: &[MetricFamily],
    traced: impl Fn(&str, &[LabelPair]) -> Option<&'e TracedHistogram>,
) -> String {
    let mut text = String::new();
    for family in families {
        let kind = family.get_field_type();
        // What a counter is called here is what all its samples have before their suffix.
        let (name, kind_name) = match kind {
            MetricType::COUNTER => (
                family.name().strip_suffix(TOTAL).unwrap_or(family.name()),
                "counter",
            ),
            MetricType::GAUGE => (family.name(), "gauge"),
            MetricType::HISTOGRAM => (family.name(), "histogram"),
            // There are none of those here.
            _ => continue,
        };
        write_head(&mut text, name, kind_name, family.help());
        for metric in family.get_metric() {
            let labels = metric.get_label();
            match kind {
                MetricType::COUNTER => {
                    write_sample(&mut text, name, TOTAL, labels, metric.get_counter().get_value());
                }
                MetricType::GAUGE => {
                    write_sample(&mut text, name, "", labels, metric.get_gauge().get_value())
                }
                _ => write_histogram(&mut text, name, metric, traced(name, labels)),
            }
        }
    }
    text.push_str("# EOF\n");
    text
}

fn write_head(text: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a String does not fail, here and below.
    let _ = writeln!(text, "# TYPE {name} {kind}");
    if let Some(unit) = name.rsplit('_').next().filter(|unit| UNITS.contains(unit)) {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    let _ = write!(text, "# HELP {name} ");
    write_escaped(text, help);
    text.push('\n');
}

fn write_sample(text: &mut String, name: &str, suffix: &str, labels: &[LabelPair], value: f64) {
    let _ = write!(text, "{name}{suffix}");
    write_labels(text, labels, None);
    text.push(' ');
    write_value(text, value);
    text.push('\n');
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric, traced: Option<&TracedHistogram>) {
    let labels = metric.get_label();
    let histogram = metric.get_histogram();
    let count = histogram.get_sample_count();
    let bounded = histogram.get_bucket().iter();
    let bounded = bounded.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    let buckets = bounded
        .filter(|(bound, _)| bound.is_finite())
        .chain([(f64::INFINITY, count)]);
    for (index, (bound, cumulative)) in buckets.enumerate() {
        let _ = write!(text, "{name}_bucket");
        write_labels(text, labels, Some(bound));
        let _ = write!(text, " {cumulative}");
        if let Some(exemplar) = traced.and_then(|traced| traced.exemplar(index)) {
            write_exemplar(text, &exemplar);
        }
        text.push('\n');
    }
    let _ = write!(text, "{name}_count");
    write_labels(text, labels, None);
    let _ = writeln!(text, " {count}");
    write_sample(text, name, "_sum", labels, histogram.get_sample_sum());
}

fn write_exemplar(text: &mut String, exemplar: &Exemplar) {
    let trace_id = exemplar.trace_id.to_hex();
    let _ = write!(text, " # {{trace_id=\"{}\"}} ", trace_id.as_str());
    write_value(text, exemplar.value);
    let (seconds, milliseconds) = (exemplar.at.div_euclid(1000), exemplar.at.rem_euclid(1000));
    let _ = write!(text, " {seconds}.{milliseconds:03}");
}

fn write_labels(text: &mut String, labels: &[LabelPair], bound: Option<f64>) {
    if labels.is_empty() && bound.is_none() {
        return;
    }
    let mut separator = '{';
    for label in labels {
        let _ = write!(text, "{separator}{}=\"", label.name());
        write_escaped(text, label.value());
        text.push('"');
        separator = ',';
    }
    if let Some(bound) = bound {
        let _ = write!(text, "{separator}le=\"{}\"", canonical(bound));
    }
    text.push('}');
}

/// So that no value ends its quotes or its line.
fn write_escaped(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

fn write_value(text: &mut String, value: f64) {
    let _ = match value {
        f64::INFINITY => text.write_str("+Inf"),
        f64::NEG_INFINITY => text.write_str("-Inf"),
        finite => write!(text, "{finite}"),
    };
}

/// A bound of a bucket, of which there must be one way to write it, for it is a label: `0.25`, `1.0`, `5e-05`, `+Inf`.
fn canonical(bound: f64) -> String {
    if bound == f64::INFINITY {
        return "+Inf".to_owned();
    }
    if (1e-4..1e6).contains(&bound) || bound == 0.0 {
        return match format!("{bound}") {
            whole if !whole.contains('.') => whole + ".0",
            other => other,
        };
    }
    let scientific = format!("{bound:e}");
    match scientific.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent
                .strip_prefix('-')
                .map_or(('+', exponent), |exponent| ('-', exponent));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => scientific,
    }
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector;
    use prometheus::{CounterVec, Gauge, Histogram, HistogramOpts, Opts};

    use super::*;
    use crate::telemetry::trace_context::TraceId;
    use std::time::Duration;

    #[test]
    fn a_counter_is_called_without_its_suffix_and_its_samples_with_it() {
        let counters = CounterVec::new(Opts::new("asked_total", "How \"often\"\\\nasked"), &["who"]).unwrap();
        counters.with_label_values(&["a\"} 7\n# EOF\n\\"]).inc_by(2.5);
        let text = encode(&counters.collect(), |_, _| None);
        assert_eq!(
            text,
            "# TYPE asked counter\n# HELP asked How \\\"often\\\"\\\\\\nasked\n\
             asked_total{who=\"a\\\"} 7\\n# EOF\\n\\\\\"} 2.5\n# EOF\n"
        );
    }

    #[test]
    fn a_unit_is_told_where_the_name_has_it() {
        let gauge = Gauge::new("size_bytes", "Size.").unwrap();
        gauge.set(f64::INFINITY);
        let text = encode(&gauge.collect(), |_, _| None);
        assert_eq!(
            text,
            "# TYPE size_bytes gauge\n# UNIT size_bytes bytes\n# HELP size_bytes Size.\nsize_bytes +Inf\n# EOF\n"
        );
    }

    #[test]
    fn a_histogram_has_canonical_bounds_and_the_exemplar_of_each_bucket() {
        const BOUNDS: [f64; 3] = [0.000_05, 0.25, 1.0];
        let options = HistogramOpts::new("took_seconds", "Time.").buckets(BOUNDS.to_vec());
        let histogram = Histogram::with_opts(options).unwrap();
        let traced = TracedHistogram::new(histogram.clone(), &BOUNDS);
        traced.observe(Duration::from_millis(500), TraceId([0xab; 16]), 1_700_000_000_042);
        traced.observe(Duration::from_secs(7), TraceId([0xcd; 16]), 1_700_000_001_000);
        let text = encode(&histogram.collect(), |name, labels| {
            (name == "took_seconds" && labels.is_empty()).then_some(&traced)
        });
        let ab = "ab".repeat(16);
        let cd = "cd".repeat(16);
        assert_eq!(
            text,
            format!(
                "# TYPE took_seconds histogram\n# UNIT took_seconds seconds\n# HELP took_seconds Time.\n\
                 took_seconds_bucket{{le=\"5e-05\"}} 0\ntook_seconds_bucket{{le=\"0.25\"}} 0\n\
                 took_seconds_bucket{{le=\"1.0\"}} 1 # {{trace_id=\"{ab}\"}} 0.5 1700000000.042\n\
                 took_seconds_bucket{{le=\"+Inf\"}} 2 # {{trace_id=\"{cd}\"}} 7 1700000001.000\n\
                 took_seconds_count 2\ntook_seconds_sum 7.5\n# EOF\n"
            )
        );
    }

    #[test]
    fn bounds_are_written_as_everybody_writes_them() {
        for (bound, written) in [
            (0.0, "0.0"),
            (0.0001, "0.0001"),
            (60.0, "60.0"),
            (1.5e7, "1.5e+07"),
            (2e-10, "2e-10"),
        ] {
            assert_eq!(canonical(bound), written);
        }
    }
}
