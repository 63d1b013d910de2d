//! Requests as the spans of OTLP, by OpenTelemetry's conventions for HTTP.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{Method, StatusCode, Version};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use crate::contract::{Operation, Target};
use crate::telemetry::request_spans::{RequestSpans, is_span};
use crate::telemetry::timeline::{Attempt, AttemptOutcome, Interval, Step};
use crate::telemetry::trace_context::SpanId;
use crate::text::unique_bits;

const SAMPLED: u32 = 0x01;
/// It is known whether the parent is in another process.
const KNOWS_PARENT: u32 = 0x100;
const REMOTE_PARENT: u32 = 0x200;
/// Whose names the attributes are.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.30.0";

/// The name of this process.
static INSTANCE: LazyLock<String> = LazyLock::new(|| format!("{:032x}", unique_bits().unwrap_or_default()));

/// The attributes of a resource.
pub(super) fn resource(attributes: &[(String, String)]) -> Resource {
    let own = [
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        // One for each process, so that replicas can be told apart.
        ("service.instance.id", INSTANCE.clone()),
    ];
    let own = own
        .into_iter()
        .filter(|(name, _)| !attributes.iter().any(|(set, _)| set == name));
    let attributes = attributes.iter().map(|(name, value)| text(name, value.clone()));
    Resource {
        attributes: attributes
            .chain(own.map(|(name, value)| text(name, value)))
            .collect(),
        ..Resource::default()
    }
}

/// What is sent to the collector.
pub(super) fn message(resource: &Resource, requests: &[RequestSpans]) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource.clone()),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: requests.iter().flat_map(spans).collect(),
                schema_url: SCHEMA_URL.to_owned(),
            }],
            schema_url: SCHEMA_URL.to_owned(),
        }],
    }
}

fn spans(request: &RequestSpans) -> Vec<Span> {
    let began_at = request
        .ended_at
        .checked_sub(request.timeline.total())
        .unwrap_or(UNIX_EPOCH);
    let moment = |after: Duration| nanoseconds(began_at + after);
    let mut all = vec![server_span(request, moment)];
    let children = request.timeline.intervals().filter(|step| is_span(step.step));
    all.extend(children.map(|step| {
        let span = match step.attempt {
            Some(attempt) => client_span(request, attempt),
            None => waiting_span(step),
        };
        Span {
            trace_id: request.trace.trace_id().0.to_vec(),
            parent_span_id: request.trace.span_id().0.to_vec(),
            trace_state: request.tracestate.clone(),
            flags: SAMPLED | KNOWS_PARENT,
            start_time_unix_nano: moment(step.start),
            end_time_unix_nano: moment(step.end),
            ..span
        }
    }));
    all
}

/// The request as the client sees it.
fn server_span(request: &RequestSpans, moment: impl Fn(Duration) -> u64) -> Span {
    let method = method(&request.method);
    let status = request.status;
    let route = request.operation().map(Operation::path_template);
    let mut attributes = vec![
        text("http.request.method", method),
        text("url.scheme", if request.is_tls { "https" } else { "http" }),
        number("http.response.status_code", status.as_u16()),
        text("network.protocol.name", "http"),
        text("envgate.request_id", request.request_id.clone()),
    ];
    let version = match request.version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    };
    let error = request
        .error
        .map(str::to_owned)
        .or_else(|| status.is_server_error().then(|| status.as_str().to_owned()));
    let optional = [
        ("http.route", route.map(str::to_owned)),
        // As it was understood: what stands in a path that is none of the API may be anything.
        ("url.path", request.target.as_ref().map(Target::path)),
        ("network.protocol.version", version.map(str::to_owned)),
        ("client.address", request.client.map(|client| client.to_string())),
        ("error.type", error),
        ("envgate.tenant", request.tenant.clone()),
        (
            "envgate.operation",
            request.operation().map(|operation| operation.name().to_owned()),
        ),
    ];
    attributes.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some(text(name, value?))),
    );
    let events = request.timeline.intervals().filter(|step| !is_span(step.step));
    let events = events.map(|step| Event {
        time_unix_nano: moment(step.start),
        name: step.step.name().to_owned(),
        ..Event::default()
    });
    let remote = request.trace.parent().map_or(0, |_| REMOTE_PARENT);
    Span {
        trace_id: request.trace.trace_id().0.to_vec(),
        span_id: request.trace.span_id().0.to_vec(),
        parent_span_id: request
            .trace
            .parent()
            .map(|parent| parent.0.to_vec())
            .unwrap_or_default(),
        trace_state: request.tracestate.clone(),
        flags: SAMPLED | KNOWS_PARENT | remote,
        name: route.map_or(method.to_owned(), |route| format!("{method} {route}")),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: moment(Duration::ZERO),
        end_time_unix_nano: moment(request.timeline.total()),
        attributes,
        events: events.collect(),
        status: status.is_server_error().then(failed),
        ..Span::default()
    }
}

/// An attempt at the upstream.
fn client_span(request: &RequestSpans, attempt: &Attempt) -> Span {
    let (upstream, operation) = (&request.upstream, attempt.operation);
    let (method, template) = (operation.method(), operation.path_template());
    let target = Target {
        operation,
        environment: request
            .target
            .as_ref()
            .and_then(|target| target.environment.clone()),
    };
    let scheme = if upstream.is_tls { "https" } else { "http" };
    let url = format!(
        "{scheme}://{}{}{}",
        upstream.authority(),
        upstream.path_prefix,
        target.path()
    );
    let mut attributes = vec![
        text("http.request.method", method.as_str()),
        text("server.address", upstream.host.clone()),
        number("server.port", upstream.port),
        text("url.full", url),
        text("url.template", template),
        text("network.protocol.name", "http"),
        text("network.protocol.version", "1.1"),
        text("envgate.operation", operation.name()),
    ];
    if attempt.resends > 0 {
        attributes.push(number("http.request.resend_count", attempt.resends.into()));
    }
    let error = match attempt.outcome {
        AttemptOutcome::Replied(status) => {
            attributes.push(number("http.response.status_code", status.as_u16()));
            is_error(status).then(|| status.as_str().to_owned())
        }
        AttemptOutcome::Failed(kind) => Some(kind.to_owned()),
        AttemptOutcome::GivenUp => Some("given_up".to_owned()),
    };
    let status = error.is_some().then(failed);
    attributes.extend(error.map(|error| text("error.type", error)));
    Span {
        span_id: attempt.span_id.unwrap_or_default().0.to_vec(),
        name: format!("{} {template}", method.as_str()),
        kind: SpanKind::Client.into(),
        attributes,
        status,
        ..Span::default()
    }
}

fn waiting_span(step: Interval<'_>) -> Span {
    // One that the first steps alone are told of has no attempt beside it.
    let kind = if step.step == Step::Upstream {
        SpanKind::Client
    } else {
        SpanKind::Internal
    };
    Span {
        span_id: SpanId::new().0.to_vec(),
        name: step.step.name().to_owned(),
        kind: kind.into(),
        ..Span::default()
    }
}

/// Of a client's request every status is an error that says so.
fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

fn failed() -> Status {
    Status {
        // What went wrong stands in `error.type`: a message would be for tenants.
        message: String::new(),
        code: SpanStatus::Error.into(),
    }
}

/// A method that everybody knows, or what stands for the others.
fn method(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::DELETE,
        Method::PUT,
        Method::PATCH,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    const NAMES: [&str; 9] = [
        "GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT",
    ];
    let known = KNOWN.iter().zip(NAMES).find(|(known, _)| *known == method);
    known.map_or("_OTHER", |(_, name)| name)
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: u16) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn nanoseconds(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
