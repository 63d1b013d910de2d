//! What a request that is recorded leaves for whoever exports its spans.

use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;
use http::request::Parts;

use super::Gateway;
use super::audit::RequestGuard;
use super::configuration::Configuration;
use crate::contract::{ApiError, Target};
use crate::telemetry::RequestSpans;

/// Leaves a request that has ended, where it is recorded. `head` is its own.
pub(super) fn leave_spans(
    gateway: &Gateway,
    configuration: &Configuration,
    head: &Parts,
    guard: &mut RequestGuard<'_>,
    status: StatusCode,
    error: Option<&ApiError>,
) {
    let (log, identity) = (&mut guard.log, &guard.identity);
    let trace = *log.trace();
    if !trace.is_recorded() {
        return;
    }
    gateway.tracer.leave(RequestSpans {
        tracestate: trace.tracestate(&head.headers).collect::<Vec<_>>().join(","),
        trace,
        timeline: log.timeline().clone(),
        ended_at: SystemTime::now(),
        method: head.method.clone(),
        is_tls: configuration.listen.tls.is_some(),
        version: head.version,
        target: identity.operation.map(|operation| Target {
            operation,
            environment: identity.environment.clone(),
        }),
        status,
        error: error.map(ApiError::kind),
        client: identity.client,
        tenant: identity.caller.as_ref().map(|caller| caller.tenant.name.clone()),
        request_id: log.request_id().to_owned(),
        upstream: Arc::clone(&configuration.upstream_url),
    });
}
