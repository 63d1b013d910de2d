use std::net::IpAddr;
use std::time::{Duration, Instant};

use data_encoding::HEXLOWER;
use http::StatusCode;

use super::plans::ResolvedPlan;
use crate::contract::{ApiError, Operation};
use crate::environment::EnvironmentId;
use crate::telemetry::{Metrics, Outcome};
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

/// The name of a request and its times, for its answer, its metrics and its line in the access log.
pub(super) struct RequestLog {
    started: Instant,
    request_id: Option<String>,
    /// Whether the budget was asked for anything.
    pub(super) has_asked_budget: bool,
    /// How long the upstream took; none where it was not asked.
    upstream: Option<Duration>,
    /// How long others were waited for.
    waited: Duration,
    /// What is being waited for, and since when.
    waiting: Option<(WaitingFor, Instant)>,
}

/// What a request waits for.
#[derive(Clone, Copy)]
pub(super) enum WaitingFor {
    /// Its turn, or the reply to another's request.
    Others,
    /// The reply to its own request.
    Upstream,
}

impl RequestLog {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            request_id: None,
            has_asked_budget: false,
            upstream: None,
            waited: Duration::ZERO,
            waiting: None,
        }
    }

    /// Tells that something is waited for from now on, and nothing else any more.
    pub(super) fn begin_waiting(&mut self, what: WaitingFor) {
        self.end_waiting();
        self.waiting = Some((what, Instant::now()));
    }

    /// Tells that it is there. Where whoever waited has been given up meanwhile, [`RequestLog::finish`] says
    /// it.
    pub(super) fn end_waiting(&mut self) {
        match self.waiting.take() {
            Some((WaitingFor::Others, since)) => self.waited += since.elapsed(),
            Some((WaitingFor::Upstream, since)) => {
                self.upstream = Some(self.upstream.unwrap_or_default() + since.elapsed());
            }
            None => {}
        }
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
        self.end_waiting();
        let total = self.started.elapsed();
        let kind = error.map(ApiError::kind);
        metrics.record(&Outcome {
            operation: identity.operation,
            status,
            error: kind,
            total,
            upstream: self.upstream,
            waited: self.waited,
        });
        if let Some(error) = error {
            metrics.record_error(error);
        }
        // Of those there is a line a minute, and not one for each.
        let is_flood = matches!(error, Some(ApiError::TooManyUnknownKeys { .. }));
        if is_flood || !tracing::enabled!(target: "envgate::access", tracing::Level::INFO) {
            return;
        }
        self.request_id();
        let upstream = self.upstream.unwrap_or_default();
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
            waited_ms = milliseconds(self.waited),
            own_ms = milliseconds(total.saturating_sub(upstream + self.waited)),
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
        let mut log = RequestLog::start();
        let identity = Identity {
            operation: Some(Operation::Update),
            ..Identity::default()
        };
        for what in [WaitingFor::Others, WaitingFor::Upstream] {
            log.begin_waiting(what);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        log.finish(&identity, &metrics, StatusCode::OK, Some(&ApiError::ClientGone));
        let text = String::from_utf8(metrics.encode().unwrap()).unwrap();
        let own = "envgate_overhead_duration_seconds_sum{operation=\"update\"} ";
        let own = text.lines().find_map(|line| line.strip_prefix(own)).unwrap();
        assert!(own.parse::<f64>().unwrap() < 0.5, "{own}");
    }
}
