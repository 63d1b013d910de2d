use super::*;
use crate::config::{Settings, Source, load};

fn settings(text: &str, environment: &[(&str, &str)]) -> Settings {
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(&Source::new("envgate.toml", text, environment)).unwrap()
}

fn export(text: &str, environment: &[(&str, &str)]) -> SpanExport {
    settings(text, environment).telemetry.export.unwrap()
}

#[test]
fn nothing_is_exported_unless_somebody_says_where_to() {
    assert_eq!(settings("", &[]).telemetry.export, None);
    assert_eq!(settings("", &[("OTEL_SERVICE_NAME", "a")]).telemetry.export, None);
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    assert!(settings("", &[endpoint]).telemetry.export.is_some());
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        assert_eq!(settings("", &[endpoint, off]).telemetry.export, None, "{off:?}");
    }
}

#[test]
fn variables_are_heeded_as_other_software_heeds_them() {
    let export = export(
        "",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example/otlp/"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "Authorization=Bearer%20s3cret, x-team=a",
            ),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=other,deployment.environment.name=a%2Cb",
            ),
            ("OTEL_SERVICE_NAME", "gate"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ],
    );
    assert_eq!(export.collector.path, "/otlp/v1/traces", "a URL for all signals");
    assert_eq!(export.collector.authority, "collector.example:443");
    assert_eq!(export.protocol, OtlpProtocol::Http);
    assert_eq!(export.headers.len(), 2);
    assert_eq!(export.headers[0].1, "Bearer s3cret");
    assert!(!format!("{export:?}").contains("s3cret"));
    assert_eq!(export.timeout, Duration::from_millis(2500));
    let resource = [("service.name", "gate"), ("deployment.environment.name", "a,b")];
    let resource: Vec<_> = resource
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(export.resource, resource);
    assert_eq!(
        (export.max_queued_spans, export.batch_delay.as_millis()),
        (100, 50)
    );
}

#[test]
fn the_variable_for_traces_goes_first_and_is_the_whole_url() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4318/take"),
    ];
    let collector = export("", &variables).collector;
    assert_eq!(
        (collector.host.as_str(), collector.path.as_str()),
        ("traces", "/take")
    );
}

#[test]
fn what_is_set_goes_before_the_variables() {
    let text = "[telemetry]\ntraces_endpoint = \"http://a:4317\"\nprotocol = \"grpc\"\nsample_ratio = 0.5";
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://b:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
    ];
    let read = settings(text, &variables);
    assert_eq!(read.telemetry.sample_ratio, Ratio::parse("0.5").unwrap());
    let export = read.telemetry.export.unwrap();
    assert_eq!(
        (export.collector.host.as_str(), export.protocol),
        ("a", OtlpProtocol::Grpc)
    );
    assert_eq!(
        export.resource,
        [("service.name".to_owned(), "envgate".to_owned())]
    );
}

#[test]
fn samplers_are_understood_that_heed_the_caller() {
    let ratio = |variables: &[(&str, &str)]| settings("", variables).telemetry.sample_ratio.to_string();
    assert_eq!(ratio(&[]), "0.01");
    assert_eq!(ratio(&[("OTEL_TRACES_SAMPLER", "parentbased_always_on")]), "1.0");
    assert_eq!(ratio(&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]), "0.0");
    let shared = [
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    assert_eq!(ratio(&shared), "0.25");
}

#[test]
fn what_is_wrong_or_unknown_is_ignored_and_told_by_name_never_by_value() {
    let wrong = [
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "https://user:s3cret@collector",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "s3cret"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/s3cret"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "s3cret"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/s3cret"),
        ("OTEL_TRACES_SAMPLER", "s3cret"),
        ("OTEL_TRACES_EXPORTER", "s3cret"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "s3cret"),
    ];
    let text = "telemetry.traces_endpoint = \"http://a:1\"";
    for (name, value) in wrong.iter().skip(1) {
        let advice = settings(text, &[(name, value)]).advice();
        assert_eq!(advice.len(), 1, "{name}: {advice:?}");
        assert!(
            advice[0].starts_with(name) && !advice[0].contains("s3cret"),
            "{advice:?}"
        );
    }
    let read = settings("", &wrong[..1]);
    assert_eq!(read.telemetry.export, None);
    assert_eq!(read.advice().len(), 1);
    let others = [
        ("OTEL_METRICS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://b"),
    ];
    assert_eq!(settings(text, &others).advice(), Vec::<String>::new());
}

#[test]
fn faults_in_the_file_are_told_with_their_place() {
    for (line, expected) in [
        (
            "traces_endpoint = \"collector:4317\"",
            "expected an http:// or https:// URL",
        ),
        (
            "traces_endpoint = \"https://a:b@c\"",
            "expected an http:// or https:// URL",
        ),
        ("protocol = \"grcp\"", "did you mean \"grpc\""),
        ("headers = \"a=b\"", "never written here in plain"),
        ("sample_ratio = 1.5", "from 0 to 1"),
        ("resource = \"a\"", "expected name=value"),
    ] {
        let text = format!("[telemetry]\n{line}\n");
        let errors = load(&Source::new("envgate.toml", text, []))
            .unwrap_err()
            .to_string();
        assert!(
            errors.starts_with("envgate.toml:2:") && errors.contains(expected),
            "{errors}"
        );
    }
}
