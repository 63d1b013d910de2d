use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderValue};

use super::*;
use crate::config::UpstreamUrl;
use crate::environment::EnvironmentId;
use crate::telemetry::timeline::Timeline;
use crate::telemetry::trace_context::{TRACEPARENT, TraceContext};

fn request() -> RequestSpans {
    let mut headers = HeaderMap::new();
    headers.insert(
        TRACEPARENT,
        HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    );
    let mut timeline = Timeline::start(Instant::now());
    let at = |milliseconds| timeline.started() + Duration::from_millis(milliseconds);
    let (wait, first, second, answer, end) = (at(1), at(3), at(5), at(9), at(10));
    timeline.enter(Step::Wait, wait);
    timeline.begin_attempt(Operation::Update, Some(SpanId::new()), first);
    timeline.settle_attempt(AttemptOutcome::Failed("not_started"));
    timeline.begin_attempt(Operation::Update, Some(SpanId::new()), second);
    timeline.settle_attempt(AttemptOutcome::Replied(StatusCode::SERVICE_UNAVAILABLE));
    timeline.enter(Step::Answer, answer);
    timeline.end(end);
    RequestSpans {
        trace: TraceContext::of_request(&headers).recorded(true),
        tracestate: "a=1".to_owned(),
        timeline,
        ended_at: SystemTime::now(),
        method: Method::POST,
        is_tls: true,
        version: Version::HTTP_2,
        target: Some(Target {
            operation: Operation::Update,
            environment: Some(EnvironmentId::parse("env_1").unwrap()),
        }),
        status: StatusCode::SERVICE_UNAVAILABLE,
        error: Some("upstream"),
        client: Some([10, 0, 0, 1].into()),
        tenant: Some("acme".to_owned()),
        request_id: "req_1".to_owned(),
        upstream: Arc::new(UpstreamUrl::parse("https://api.example.com/base").unwrap()),
    }
}

fn attributes(span: &Span) -> BTreeMap<&str, String> {
    let value = |attribute: &KeyValue| match attribute.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let attributes = span.attributes.iter();
    attributes
        .map(|attribute| (attribute.key.as_str(), value(attribute)))
        .collect()
}

#[test]
fn a_request_is_a_server_span_and_each_wait_and_attempt_a_child_of_it() {
    let request = request();
    let spans = spans(&request);
    assert_eq!(spans.len(), request.span_count());
    let names: Vec<_> = spans
        .iter()
        .map(|span| (span.name.as_str(), span.kind()))
        .collect();
    let template = "POST /v1/environments/{environment_id}";
    assert_eq!(
        names,
        [
            (template, SpanKind::Server),
            ("wait", SpanKind::Internal),
            (template, SpanKind::Client),
            (template, SpanKind::Client),
        ]
    );
    let (server, children) = spans.split_first().unwrap();
    assert_eq!(
        server.parent_span_id,
        [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]
    );
    assert_eq!(server.flags, SAMPLED | KNOWS_PARENT | REMOTE_PARENT);
    assert_eq!(
        server.end_time_unix_nano - server.start_time_unix_nano,
        10_000_000
    );
    for child in children {
        assert_eq!(
            (&child.trace_id, &child.parent_span_id),
            (&server.trace_id, &server.span_id)
        );
        assert!(child.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(child.end_time_unix_nano <= server.end_time_unix_nano);
        assert_eq!(child.trace_state, "a=1");
    }
    let events: Vec<_> = server.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(events, ["judge", "answer"]);

    let told = attributes(server);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("url.scheme", "https"),
        ("url.path", "/v1/environments/env_1"),
        ("http.route", "/v1/environments/{environment_id}"),
        ("http.response.status_code", "503"),
        ("error.type", "upstream"),
        ("client.address", "10.0.0.1"),
        ("network.protocol.version", "2"),
        ("envgate.tenant", "acme"),
        ("envgate.operation", "update"),
        ("envgate.request_id", "req_1"),
    ] {
        assert_eq!(told.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(server.status.as_ref().unwrap().code, i32::from(SpanStatus::Error));

    let (first, second) = (attributes(&spans[2]), attributes(&spans[3]));
    assert_eq!(first["error.type"], "not_started");
    assert!(!first.contains_key("http.request.resend_count"));
    assert_eq!(
        second["url.full"],
        "https://api.example.com/base/v1/environments/env_1"
    );
    assert_eq!(second["server.address"], "api.example.com");
    assert_eq!(second["http.request.resend_count"], "1");
    assert_eq!(
        (
            second["http.response.status_code"].as_str(),
            second["error.type"].as_str()
        ),
        ("503", "503")
    );
}

#[test]
fn of_what_is_none_of_the_api_nothing_is_told_that_a_client_wrote() {
    let request = RequestSpans {
        method: Method::from_bytes(b"SECRET").unwrap(),
        target: None,
        status: StatusCode::NOT_FOUND,
        error: Some("unknown_path"),
        ..request()
    };
    let [server, ..] = &spans(&request)[..] else {
        panic!("no span");
    };
    assert_eq!(server.name, "_OTHER");
    let told = attributes(server);
    assert!(
        !told.contains_key("url.path") && !told.contains_key("http.route"),
        "{told:?}"
    );
    assert_eq!(told["http.request.method"], "_OTHER");
    assert_eq!(
        server.status, None,
        "the client's fault is no error of the server's"
    );
    assert_eq!(told["error.type"], "unknown_path");
}

#[test]
fn a_resource_says_who_speaks() {
    let set = [
        ("service.name".to_owned(), "gate".to_owned()),
        ("service.version".to_owned(), "x".to_owned()),
    ];
    let names: Vec<_> = resource(&set)
        .attributes
        .into_iter()
        .map(|attribute| attribute.key)
        .collect();
    assert_eq!(names, ["service.name", "service.version", "service.instance.id"]);
}
