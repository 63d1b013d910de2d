use std::net::IpAddr;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use http::StatusCode;

use super::plans::ResolvedPlan;
use crate::contract::{ApiError, Operation};
use crate::environment::EnvironmentId;
use crate::telemetry::{AttemptOutcome, Metrics, Outcome, SpanId, Step, Timeline, TraceContext};
use crate::tenancy::Caller;
use crate::text::unique_bits;

/// Who asks for what, as far as judging has come: a request that fails is answered, counted and audited by
/// this.
#[derive(Default)]
pub(super) struct Identity<'g> {
    /// The address of whoever asks; none where nobody does.
    pub(super) client: Option<IpAddr>,
    pub(super) operation: Option<Operation>,
    pub(super) environment: Option<EnvironmentId>,
    pub(super) caller: Option<Caller>,
    pub(super) plan: Option<&'g ResolvedPlan>,
    /// Whether it is a delete with `force=true`.
    pub(super) is_forced: bool,
}

impl Identity<'_> {
    /// All that is known at first: where the request comes from.
    pub(super) fn of_client(client: IpAddr) -> Self {
        Self {
            client: Some(client),
            ..Self::default()
        }
    }
}

/// The name of a request, its trace and its times, for its answer, its metrics, its spans and its line in the access
/// log.
pub(super) struct RequestLog {
    timeline: Timeline,
    trace: TraceContext,
    request_id: Option<String>,
    /// Whether the budget was asked for anything.
    pub(super) has_asked_budget: bool,
}

impl RequestLog {
    pub(super) fn start(trace: TraceContext) -> Self {
        Self {
            timeline: Timeline::start(Instant::now()),
            trace,
            request_id: None,
            has_asked_budget: false,
        }
    }

    /// The trace that the request belongs to.
    pub(super) const fn trace(&self) -> &TraceContext {
        &self.trace
    }

    /// Begins a step, unless it has begun, and ends the one before.
    pub(super) fn enter(&mut self, step: Step) {
        if self.timeline.current() != Some(step) {
            self.timeline.enter(step, Instant::now());
        }
    }

    /// Goes on with work of the gateway's own, which is `step` where something was waited for until now.
    pub(super) fn resume(&mut self, step: Step) {
        if !self.timeline.current().is_some_and(Step::is_own) {
            self.timeline.enter(step, Instant::now());
        }
    }

    /// What is done with a reply that is here is no answer: something else is asked for after it, or refused.
    pub(super) const fn judge_reply(&mut self) {
        self.timeline.rename_current(Step::Judge);
    }

    /// Begins an attempt at the upstream. Gives back the name of its span, where the request becomes one.
    pub(super) fn begin_attempt(&mut self, operation: Operation) -> Option<SpanId> {
        let span_id = self.trace.is_recorded().then(SpanId::new);
        self.timeline.begin_attempt(operation, span_id, Instant::now());
        span_id
    }

    /// Says what came of it.
    pub(super) fn settle_attempt(&mut self, outcome: AttemptOutcome) {
        self.timeline.settle_attempt(outcome);
    }

    /// Takes over the upstream's name for the request.
    pub(super) fn name_as_upstream(&mut self, request_id: &str) {
        self.request_id = Some(request_id.to_owned());
    }

    /// The name of the request: the upstream's where it gave one, else one of our own.
    pub(super) fn request_id(&mut self) -> &str {
        self.request_id.get_or_insert_with(new_request_id)
    }

    /// Counts the request and writes its line. There is no credential, no query string and no body in it.
    pub(super) fn finish(
        &mut self,
        identity: &Identity<'_>,
        metrics: &Metrics,
        status: StatusCode,
        error: Option<&ApiError>,
    ) {
        self.timeline.end(Instant::now());
        let timeline = &self.timeline;
        let (total, waited) = (timeline.total(), timeline.time_in(Step::Wait));
        let upstream = timeline.time_in(Step::Upstream);
        let kind = error.map(ApiError::kind);
        let outcome = Outcome {
            caller: identity.caller.as_ref(),
            operation: identity.operation,
            status,
            error: kind,
            timeline,
            trace_id: self.trace.trace_id(),
        };
        if metrics.record(&outcome) {
            let request_id = self.request_id.get_or_insert_with(new_request_id);
            metrics.traffic.keep(&outcome, request_id);
        }
        if let Some(error) = error {
            metrics.record_error(error);
        }
        // Of those there is a line a minute, and not one for each.
        let is_flood = matches!(error, Some(ApiError::TooManyUnknownKeys { .. }));
        if is_flood || !tracing::enabled!(target: "envgate::access", tracing::Level::INFO) {
            return;
        }
        self.request_id();
        tracing::info!(
            target: "envgate::access",
            request_id = self.request_id.as_deref(),
            client = identity.client.map(tracing::field::display),
            tenant = identity.caller.as_ref().map(|caller| caller.tenant.name.as_str()),
            key = identity.caller.as_ref().map(|caller| caller.key.as_str()),
            operation = identity.operation.map(Operation::name),
            status = status.as_u16(),
            error = kind,
            duration_ms = milliseconds(total),
            upstream_ms = milliseconds(upstream),
            waited_ms = milliseconds(waited),
            own_ms = milliseconds(total.saturating_sub(upstream + waited)),
            "request"
        );
    }
}

/// Milliseconds with three digits after the point.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

const REQUEST_ID_BYTES: usize = "req_".len() + 32;

/// `req_` and 128 random bits.
fn new_request_id() -> String {
    let Ok(bits) = unique_bits() else {
        return "req_unnamed".to_owned();
    };
    let mut id = String::with_capacity(REQUEST_ID_BYTES);
    id.push_str("req_");
    HEXLOWER.encode_append(&bits.to_be_bytes(), &mut id);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_that_is_given_up_is_not_the_gateways_own_time() {
        let metrics = Metrics::new().unwrap();
        let mut log = RequestLog::start(TraceContext::root());
        let identity = Identity {
            operation: Some(Operation::Update),
            ..Identity::default()
        };
        log.enter(Step::Wait);
        tokio::time::sleep(Duration::from_millis(500)).await;
        log.begin_attempt(Operation::Update);
        tokio::time::sleep(Duration::from_millis(500)).await;
        log.finish(&identity, &metrics, StatusCode::OK, Some(&ApiError::ClientGone));
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        let own = "envgate_overhead_duration_seconds_sum{operation=\"update\"} ";
        let own = text.lines().find_map(|line| line.strip_prefix(own)).unwrap();
        assert!(own.parse::<f64>().unwrap() < 0.5, "{own}");
    }
}
