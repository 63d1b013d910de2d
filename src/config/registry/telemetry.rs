//! What is told of requests: traces, and metrics of tenants.

use super::SettingDoc;

pub(super) const SETTINGS: &[SettingDoc] = &[
    SettingDoc {
        path: "telemetry.traces_endpoint",
        form: "URL",
        default: None,
        doc: "where the collector takes spans by OTLP: with `http/protobuf` the whole URL, `/v1/traces` included; left \
              out, none are made",
    },
    SettingDoc {
        path: "telemetry.protocol",
        form: "`grpc` or `http/protobuf`",
        default: Some("http/protobuf"),
        doc: "how the collector is spoken to",
    },
    SettingDoc {
        path: "telemetry.headers",
        form: "secret",
        default: None,
        doc: "what the collector is sent with each batch, such as a key: `name=value`, several with commas between, as in \
              `OTEL_EXPORTER_OTLP_HEADERS`",
    },
    SettingDoc {
        path: "telemetry.timeout",
        form: "duration",
        default: Some("10s"),
        doc: "how long the collector may take for a batch",
    },
    SettingDoc {
        path: "telemetry.ca_file",
        form: "path of a PEM file",
        default: None,
        doc: "the certificate authorities that are trusted to name the collector, instead of the system's",
    },
    SettingDoc {
        path: "telemetry.sample_ratio",
        form: "0 to 1",
        default: Some("0.01"),
        doc: "the share of traces that is kept, chosen by the trace id; a caller's decision comes before it",
    },
    SettingDoc {
        path: "telemetry.client_sampled_per_second",
        form: "0 to 100000",
        default: Some("10"),
        doc: "how many requests in a second are kept because their callers keep them; beyond that `telemetry.sample_ratio` \
              decides",
    },
    SettingDoc {
        path: "telemetry.service_name",
        form: "text",
        default: Some("envgate"),
        doc: "`service.name` of the resource",
    },
    SettingDoc {
        path: "telemetry.resource",
        form: "text",
        default: None,
        doc: "further attributes of the resource: `name=value`, several with commas between, as in \
              `OTEL_RESOURCE_ATTRIBUTES`",
    },
    SettingDoc {
        path: "telemetry.max_queued_spans",
        form: "64 to 1000000",
        default: Some("2048"),
        doc: "how many spans may wait for the collector; those that find no room are lost, and counted",
    },
    SettingDoc {
        path: "telemetry.max_batch_spans",
        form: "1 to 10000",
        default: Some("512"),
        doc: "how many of them go to the collector at once",
    },
    SettingDoc {
        path: "telemetry.batch_delay",
        form: "duration",
        default: Some("1s"),
        doc: "how long spans wait for others to go with",
    },
    SettingDoc {
        path: "telemetry.tenants",
        form: "0 to 1000",
        default: Some("0"),
        doc: "for how many tenants, those that ask the most, `envgate_tenant_requests_total` counts by name; all others are `other`. 0 for \
              no such metric",
    },
];
