use std::time::{Duration, Instant};

use http::StatusCode;
use ring::rand::{SecureRandom, SystemRandom};

use super::audit::Trail;
use super::shared_reads::ReadSource;
use crate::contract::{ApiError, Dialect, Operation};
use crate::telemetry::{Metrics, Outcome};
use crate::tenancy::Caller;

/// What is known of a request so far, for its metrics, its line in the access log and the audit.
pub(super) struct Record {
    started: Instant,
    request_id: Option<String>,
    pub(super) operation: Option<Operation>,
    pub(super) caller: Option<Caller>,
    /// The dialect of the caller's plan, as soon as it is known.
    pub(super) dialect: Option<&'static Dialect>,
    /// Where the reply to a retrieve or a list came from.
    pub(super) read_source: Option<ReadSource>,
    upstream: Option<Duration>,
    /// Since when the upstream is being asked, if it is.
    asked: Option<Instant>,
    pub(super) trail: Trail,
    /// How long its turn was waited for.
    pub(super) waited: Duration,
}

impl Record {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            request_id: None,
            operation: None,
            caller: None,
            dialect: None,
            upstream: None,
            read_source: None,
            asked: None,
            waited: Duration::ZERO,
            trail: Trail::default(),
        }
    }

    /// Tells that the upstream is asked now.
    pub(super) fn begin_asking(&mut self) {
        self.asked = Some(Instant::now());
    }

    /// Tells that the upstream was waited for, if by way of another's request.
    pub(super) fn waited_for_upstream(&mut self, duration: Duration) {
        self.upstream = Some(self.upstream.unwrap_or_default() + duration);
    }

    /// Tells that the upstream has answered, or is not waited for any more.
    pub(super) fn end_asking(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.waited_for_upstream(asked.elapsed());
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
    pub(super) fn finish(&mut self, metrics: &Metrics, status: StatusCode, error: Option<&ApiError>) {
        self.end_asking();
        let total = self.started.elapsed();
        let kind = error.map(ApiError::kind);
        metrics.record(&Outcome {
            operation: self.operation,
            status,
            error: kind,
            total,
            upstream: self.upstream,
            waited: self.waited,
        });
        if let Some(error) = error {
            metrics.record_error(error);
        }
        if !tracing::enabled!(target: "envgate::access", tracing::Level::INFO) {
            return;
        }
        self.request_id();
        let upstream = self.upstream.unwrap_or_default();
        tracing::info!(
            target: "envgate::access",
            request_id = self.request_id.as_deref(),
            tenant = self.caller.as_ref().map(|caller| caller.tenant.name.as_str()),
            key = self.caller.as_ref().map(|caller| caller.key.as_str()),
            operation = self.operation.map(Operation::name),
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

/// `req_` and 128 random bits.
fn new_request_id() -> String {
    let mut bits = [0; 16];
    match SystemRandom::new().fill(&mut bits) {
        Ok(()) => format!("req_{:032x}", u128::from_ne_bytes(bits)),
        Err(_) => "req_unnamed".to_owned(),
    }
}
