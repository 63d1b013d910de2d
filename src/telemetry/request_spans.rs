use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::{Method, StatusCode, Version};

use super::timeline::{Step, Timeline};
use super::trace_context::TraceContext;
use crate::config::UpstreamUrl;
use crate::contract::{Operation, Target};

/// A request that becomes spans: what is known of it when it has ended. There is no credential, no query and no body in
/// it, and of its path only what was understood.
#[derive(Clone, Debug)]
pub struct RequestSpans {
    /// Which trace it belongs to.
    pub trace: TraceContext,
    /// What those before it say of the trace, as it goes on.
    pub tracestate: String,
    /// What it spent its time with.
    pub timeline: Timeline,
    /// When it ended.
    pub ended_at: SystemTime,
    /// The method.
    pub method: Method,
    /// Whether the client came by TLS.
    pub is_tls: bool,
    /// What was spoken.
    pub version: Version,
    /// What was asked for, where that was understood.
    pub target: Option<Target>,
    /// What the client got.
    pub status: StatusCode,
    /// The kind of error that it failed with.
    pub error: Option<&'static str>,
    /// Who asked.
    pub client: Option<IpAddr>,
    /// The tenant's name.
    pub tenant: Option<String>,
    /// The name of the request.
    pub request_id: String,
    /// Where the upstream is.
    pub upstream: Arc<UpstreamUrl>,
}

impl RequestSpans {
    /// How many spans it becomes: itself, each wait, and each attempt at the upstream.
    #[must_use]
    pub fn span_count(&self) -> usize {
        1 + self
            .timeline
            .intervals()
            .filter(|step| is_span(step.step))
            .count()
    }

    /// What was asked for.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        self.target.as_ref().map(|target| target.operation)
    }
}

/// Whether a step is a span of its own: the gateway is not what takes the time.
pub(super) const fn is_span(step: Step) -> bool {
    matches!(step, Step::Wait | Step::Upstream)
}
