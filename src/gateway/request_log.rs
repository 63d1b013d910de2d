use std::net::IpAddr;
use std::time::Instant;

use data_encoding::HEXLOWER;
use http::StatusCode;

use super::Gateway;
use super::configuration::Configuration;
use super::plans::ResolvedPlan;
use super::shared_reads::ReadSource;
use crate::contract::{ApiError, Operation};
use crate::environment::EnvironmentId;
use crate::telemetry::{
    AccessLine, AttemptOutcome, Metrics, Outcome, Sampler, SlowLine, SpanId, Step, Timeline, TraceContext,
    Tracer,
};
use crate::tenancy::Caller;
use crate::text::{Ratio, unique_bits};

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
    /// Where the reply to a read came from.
    pub(super) read_source: Option<ReadSource>,
}

impl RequestLog {
    pub(super) fn start(trace: TraceContext) -> Self {
        Self {
            timeline: Timeline::start(Instant::now()),
            trace,
            request_id: None,
            has_asked_budget: false,
            read_source: None,
        }
    }

    /// The trace that the request belongs to.
    pub(super) const fn trace(&self) -> &TraceContext {
        &self.trace
    }

    /// Says that it is a tenant's, who may want its trace kept.
    pub(super) fn keep_for_tenant(&mut self, tracer: &Tracer, sampler: &Sampler) {
        self.trace = tracer.keep_for_tenant(sampler, self.trace);
    }

    /// The steps of the request so far.
    pub(super) const fn timeline(&self) -> &Timeline {
        &self.timeline
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

    /// Counts the request and writes its lines, as the settings want them that it went by.
    pub(super) fn finish(
        &mut self,
        gateway: &Gateway,
        configuration: &Configuration,
        identity: &Identity<'_>,
        status: StatusCode,
        error: Option<&ApiError>,
    ) {
        let now = Instant::now();
        self.timeline.end(now);
        self.count(identity, &gateway.metrics, status, error);
        // Of those there is a line a minute, and not one for each.
        if matches!(error, Some(ApiError::TooManyUnknownKeys { .. })) {
            return;
        }
        let settings = &configuration.log;
        if let Some(access_log) = gateway.access_log.get() {
            let ratio = settings.success_ratio;
            let is_sampled = !ratio.is_all() && error.is_none() && status.is_success();
            if access_log.is_enabled() && (!is_sampled || ratio.takes(self.trace.trace_id().to_bits())) {
                access_log.write(&self.access_line(identity, status, error, is_sampled.then_some(ratio)));
            }
        }
        if settings
            .slow_request
            .is_some_and(|slow| self.timeline.total() >= slow)
        {
            self.request_id();
            let trace_id = self.trace.trace_id().to_hex();
            let slow = SlowLine {
                request_id: self.request_id.as_deref().unwrap_or_default(),
                trace_id: trace_id.as_str(),
                tenant: identity.caller.as_ref().map(|caller| caller.tenant.name.as_str()),
                operation: identity.operation.map(Operation::name),
                status: status.as_u16(),
                error: error.map(ApiError::kind),
            };
            gateway.slow_log.write(&slow, &self.timeline, now);
        }
    }

    fn count(
        &mut self,
        identity: &Identity<'_>,
        metrics: &Metrics,
        status: StatusCode,
        error: Option<&ApiError>,
    ) {
        let outcome = Outcome {
            caller: identity.caller.as_ref(),
            operation: identity.operation,
            status,
            error: error.map(ApiError::kind),
            timeline: &self.timeline,
            trace_id: self.trace.trace_id(),
        };
        if metrics.record(&outcome) {
            let request_id = self.request_id.get_or_insert_with(new_request_id);
            metrics.traffic.keep(&outcome, request_id);
        }
        if let Some(error) = error {
            metrics.record_error(error);
        }
    }

    fn access_line<'l>(
        &'l mut self,
        identity: &'l Identity<'_>,
        status: StatusCode,
        error: Option<&ApiError>,
        sample_ratio: Option<Ratio>,
    ) -> AccessLine<'l> {
        self.request_id();
        let timeline = &self.timeline;
        AccessLine {
            request_id: self.request_id.as_deref().unwrap_or_default(),
            trace_id: self.trace.trace_id().to_bits(),
            client: identity.client,
            tenant: identity.caller.as_ref().map(|caller| caller.tenant.name.as_str()),
            key: identity.caller.as_ref().map(|caller| caller.key.as_str()),
            operation: identity.operation.map(Operation::name),
            status: status.as_u16(),
            error: error.map(ApiError::kind),
            total: timeline.total(),
            upstream: timeline.time_in(Step::Upstream),
            waited: timeline.time_in(Step::Wait),
            client_time: timeline.time_in(Step::Body) + timeline.time_in(Step::Write),
            own: timeline.own_time(),
            sample_ratio,
        }
    }
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
    use std::time::Duration;

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
        log.timeline.end(Instant::now());
        log.count(&identity, &metrics, StatusCode::OK, Some(&ApiError::ClientGone));
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        let own = "envgate_overhead_duration_seconds_sum{operation=\"update\"} ";
        let own = text.lines().find_map(|line| line.strip_prefix(own)).unwrap();
        assert!(own.parse::<f64>().unwrap() < 0.5, "{own}");
    }
}
