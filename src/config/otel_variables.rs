//! The variables that other software with OpenTelemetry heeds. What the settings say goes before them.

use std::collections::BTreeMap;

use super::errors::SourceLocation;
use super::telemetry::{CollectorUrl, ca_file, parse_attributes, parse_headers, protocol};
use super::tree::{Entries, Raw, WrittenValue};
use super::values;

/// A setting, and the variables that stand for it, the one that goes first before the others.
struct Equivalent {
    path: &'static str,
    variables: &'static [&'static str],
    /// The value as the setting takes it, in the form in which that is written; none where it is wrong.
    convert: fn(variable: &str, value: &str) -> Option<String>,
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
/// What a collector's URL ends in where it is one for all signals.
const TRACES: &str = "v1/traces";
const TRACES_ENDPOINT: &str = "telemetry.traces_endpoint";

const EQUIVALENTS: [Equivalent; 10] = [
    Equivalent {
        path: TRACES_ENDPOINT,
        variables: &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ENDPOINT],
        convert: endpoint,
    },
    Equivalent {
        path: "telemetry.protocol",
        variables: &[
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ],
        convert: |_, value| protocol(&text(value)).ok().map(|_| value.to_owned()),
    },
    Equivalent {
        path: "telemetry.headers",
        variables: &["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
        convert: |_, value| parse_headers(value).ok().map(|_| value.to_owned()),
    },
    Equivalent {
        path: "telemetry.timeout",
        variables: &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
        convert: milliseconds,
    },
    Equivalent {
        path: "telemetry.ca_file",
        variables: &[
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ],
        convert: |_, value| ca_file(&text(value)).ok().map(|_| value.to_owned()),
    },
    Equivalent {
        path: "telemetry.service_name",
        variables: &["OTEL_SERVICE_NAME"],
        convert: |_, value| Some(value.to_owned()),
    },
    Equivalent {
        path: "telemetry.resource",
        variables: &["OTEL_RESOURCE_ATTRIBUTES"],
        convert: |_, value| parse_attributes(value).ok().map(|_| value.to_owned()),
    },
    Equivalent {
        path: "telemetry.max_queued_spans",
        variables: &["OTEL_BSP_MAX_QUEUE_SIZE"],
        convert: |_, value| integer(value, 64..=1_000_000),
    },
    Equivalent {
        path: "telemetry.max_batch_spans",
        variables: &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
        convert: |_, value| integer(value, 1..=10_000),
    },
    Equivalent {
        path: "telemetry.batch_delay",
        variables: &["OTEL_BSP_SCHEDULE_DELAY"],
        convert: milliseconds,
    },
];

/// Signals that are not exported, and what is no setting of an exporter: who sets these does not mean this program.
const OTHERS: [&str; 7] = [
    "OTEL_METRIC",
    "OTEL_LOG",
    "OTEL_BLRP_",
    "OTEL_EXPORTER_OTLP_METRICS_",
    "OTEL_EXPORTER_OTLP_LOGS_",
    "OTEL_EXPORTER_PROMETHEUS_",
    "OTEL_INSTRUMENTATION_",
];

/// Lays the variables under what is set. Gives back what the operator should know of them, each in a sentence that
/// names one and never shows its value.
pub(super) fn lay(environment: &BTreeMap<String, String>, entries: &mut Entries) -> Vec<String> {
    let mut advice = Vec::new();
    // As the specification has it, a variable that is empty is not set.
    let value = |name: &str| {
        environment
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    };
    let is_disabled = value(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let exporter = value(EXPORTER).unwrap_or("otlp");
    if !matches!(exporter, "otlp" | "none") {
        advice.push(format!(
            "{EXPORTER} is ignored: traces go by otlp, or nowhere with none"
        ));
    }
    for equivalent in &EQUIVALENTS {
        let is_off = is_disabled || exporter == "none";
        if entries.settings.contains_key(equivalent.path) || is_off && equivalent.path == TRACES_ENDPOINT {
            continue;
        }
        let set = equivalent
            .variables
            .iter()
            .find_map(|name| Some((*name, value(name)?)));
        let Some((name, value)) = set else {
            continue;
        };
        match (equivalent.convert)(name, value) {
            Some(text) => set_to(entries, equivalent.path, name, text),
            None => advice.push(format!(
                "{name} is ignored: it is not what {} takes",
                equivalent.path
            )),
        }
    }
    lay_sampler(value(SAMPLER), value(SAMPLER_ARGUMENT), entries, &mut advice);
    if entries.settings.contains_key(TRACES_ENDPOINT) {
        let unknown = environment.keys().filter(|name| is_unknown(name));
        advice.extend(unknown.map(|name| format!("{name} is ignored: nothing here goes by it")));
    }
    advice
}

fn lay_sampler(
    sampler: Option<&str>,
    argument: Option<&str>,
    entries: &mut Entries,
    advice: &mut Vec<String>,
) {
    const PATH: &str = "telemetry.sample_ratio";
    if entries.settings.contains_key(PATH) {
        return;
    }
    let (name, ratio) = match sampler {
        None if argument.is_none() => return,
        None => (SAMPLER_ARGUMENT, None),
        Some("parentbased_always_on") => (SAMPLER, Some("1")),
        Some("parentbased_always_off") => (SAMPLER, Some("0")),
        Some("parentbased_traceidratio") => {
            let argument = argument.unwrap_or("1");
            (
                SAMPLER_ARGUMENT,
                Some(argument).filter(|ratio| values::ratio(&text(ratio)).is_ok()),
            )
        }
        Some(_) => (SAMPLER, None),
    };
    match ratio {
        Some(ratio) => set_to(entries, PATH, name, ratio.to_owned()),
        None => advice.push(format!(
            "{name} is ignored: samplers are parentbased_always_on, parentbased_always_off and parentbased_traceidratio \
             with a share from 0 to 1 in {SAMPLER_ARGUMENT}"
        )),
    }
}

fn set_to(entries: &mut Entries, path: &str, variable: &str, text: String) {
    let written = WrittenValue {
        location: SourceLocation::Variable(variable.to_owned()),
        raw: Raw::Text(text),
    };
    entries.settings.insert(path.to_owned(), written);
}

fn text(value: &str) -> Raw {
    Raw::Text(value.to_owned())
}

/// A URL for all signals is one that this signal's path is added to.
fn endpoint(variable: &str, value: &str) -> Option<String> {
    let url = match variable {
        ENDPOINT => format!("{}/{TRACES}", value.trim_end_matches('/')),
        _ => value.to_owned(),
    };
    CollectorUrl::parse(&url).map(|_| url)
}

fn milliseconds(_variable: &str, value: &str) -> Option<String> {
    let duration = format!("{}ms", value.parse::<u32>().ok()?);
    values::duration(&text(&duration)).ok().map(|_| duration)
}

fn integer(value: &str, range: std::ops::RangeInclusive<u32>) -> Option<String> {
    values::integer(&text(value), range)
        .ok()
        .map(|_| value.to_owned())
}

fn is_unknown(name: &str) -> bool {
    let is_known = [SAMPLER, SAMPLER_ARGUMENT, DISABLED, EXPORTER].contains(&name)
        || EQUIVALENTS.iter().any(|known| known.variables.contains(&name));
    name.starts_with("OTEL_") && !is_known && !OTHERS.iter().any(|other| name.starts_with(other))
}
