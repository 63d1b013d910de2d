use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use prometheus::{
    Encoder, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::UpstreamMetrics;
use super::budget_metrics::{BudgetMetrics, BudgetSharing, BudgetsMetrics};
use super::certificate_metrics::CertificateMetrics;
use super::client_metrics::ClientMetrics;
use super::connection_metrics::{ConnectionMetrics, ConnectionsMetrics};
use super::registrar::Registrar;
use super::store_metrics::StoreMetrics;
use crate::contract::{ApiError, AuthenticationFailure, Operation};

/// All metrics of the gateway. Handles are resolved once, so that a request looks up no label.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    /// One cell for each operation, status class and error kind, filled when first needed.
    request_cells: Vec<OnceLock<IntCounter>>,
    durations: Vec<Durations>,
    authentication_failures: IntCounterVec,
    violations: IntCounterVec,
    warnings: IntCounterVec,
    reads: IntCounterVec,
    reloads: IntCounterVec,
    budgets: BudgetsMetrics,
    connections: ConnectionsMetrics,
    http2_misuse: IntCounterVec,
    /// The certificates that are shown or trusted.
    pub certificates: CertificateMetrics,
    /// What becomes of clients' connections.
    pub clients: ClientMetrics,
    /// How large the store is, and how far back its audit goes.
    pub store: StoreMetrics,
    /// Requests that are being answered now.
    pub in_flight: IntGauge,
    /// How the upstream is doing.
    pub upstream: UpstreamMetrics,
    /// Requests that the upstream turned away because of the operator's credential: a reason to page
    /// somebody.
    pub upstream_credential_refused: IntCounter,
    /// Replies that broke the policy of a plan although the request had not: somebody wrote past the gateway.
    pub policy_breaches: IntCounter,
    /// Query parameters that no document names, and that were dropped.
    pub query_names_dropped: IntCounter,
    /// Panics that were caught at the border of an exchange.
    pub panics: IntCounter,
    /// Lines of the log that standard error did not take.
    pub log_lines_lost: IntCounter,
    /// Whether the store answered when it was last asked, and took the last write: 1 or 0.
    pub store_up: IntGauge,
    /// Times that the store did not answer.
    pub store_failures: IntCounter,
    /// Requests that the audit has no record of, because there was no room, or the store was away at the end.
    pub audit_dropped: IntCounter,
    /// Records that the store refused for good.
    pub audit_put_aside: IntCounter,
    /// Records that wait for the store.
    pub audit_pending: IntGauge,
    /// Lines that the file of the audit did not take.
    pub audit_file_lost: IntCounter,
    /// Times that records of the audit could not be written.
    pub audit_failures: IntCounter,
    /// Requests to the admin address without a token that is taken.
    pub admin_unauthorized: IntCounter,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The operation; none where the path is none of the API.
    pub operation: Option<Operation>,
    /// The status that the client got.
    pub status: StatusCode,
    /// [`ApiError::kind`] of what it failed with.
    pub error: Option<&'static str>,
    /// From the header's arrival to the last byte of the answer.
    pub total: Duration,
    /// What of it the upstream took; none where the upstream was not asked.
    pub upstream: Option<Duration>,
    /// What of it its turn was waited for.
    pub waited: Duration,
}

#[derive(Debug)]
struct Durations {
    total: Histogram,
    upstream: Histogram,
    own: Histogram,
}

const RELOAD_OUTCOMES: [&str; 3] = ["applied", "unchanged", "refused"];
const OPERATIONS: usize = Operation::ALL.len() + 1;
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// No error, and each kind of error.
const ERRORS: usize = ApiError::KINDS.len() + 1;
const NONE: &str = "none";

/// From a tenth of a millisecond, where the gateway's own time lies, to the upstream's last second.
const BUCKETS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
    15.0, 60.0,
];

impl Metrics {
    /// Makes and registers all metrics.
    ///
    /// # Errors
    /// Where two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let add = Registrar(&registry);
        let requests = add.counters(
            "envgate_requests_total",
            "Requests by operation, status class and kind of error.",
            &["operation", "status", "error"],
        )?;
        let total = add.histograms(
            "envgate_request_duration_seconds",
            "From a request's header to the last byte of its answer.",
            &BUCKETS,
            &["operation"],
        )?;
        let upstream = add.histograms(
            "envgate_upstream_duration_seconds",
            "What of a request the upstream took.",
            &BUCKETS,
            &["operation"],
        )?;
        let own = add.histograms(
            "envgate_overhead_duration_seconds",
            "What of a request the gateway itself took.",
            &BUCKETS,
            &["operation"],
        )?;
        let durations = (0..OPERATIONS)
            .map(|index| {
                let label = [operation_label(index)];
                Durations {
                    total: total.with_label_values(&label),
                    upstream: upstream.with_label_values(&label),
                    own: own.with_label_values(&label),
                }
            })
            .collect();
        let authentication_failures = add.counters(
            "envgate_authentication_failures_total",
            "Requests without a caller, by reason.",
            &["reason"],
        )?;
        for label in AuthenticationFailure::LABELS {
            authentication_failures.with_label_values(&[label]);
        }
        let reloads = add.counters(
            "envgate_reloads_total",
            "Times that the settings were read again, by what came of it: applied, unchanged or refused.",
            &["outcome"],
        )?;
        for outcome in RELOAD_OUTCOMES {
            reloads.with_label_values(&[outcome]);
        }
        let metrics = Self {
            request_cells: std::iter::repeat_with(OnceLock::new)
                .take(OPERATIONS * STATUS_CLASSES.len() * ERRORS)
                .collect(),
            requests,
            durations,
            authentication_failures,
            violations: add.counters(
                "envgate_violations_total",
                "Violations of schemas and policies that refused a request, by keyword.",
                &["keyword"],
            )?,
            warnings: add.counters(
                "envgate_warnings_total",
                "Schema violations that were let through with a warning, by keyword.",
                &["keyword"],
            )?,
            reads: add.counters(
                "envgate_reads_total",
                "Replies to retrieves and list pages by where they came from: hit, coalesced or miss.",
                &["result"],
            )?,
            reloads,
            budgets: BudgetsMetrics::new(&add)?,
            connections: ConnectionsMetrics::new(&add)?,
            http2_misuse: add.counters(
                "envgate_http2_connections_given_up_total",
                "Connections of HTTP/2 that ended because of what their clients did, by what it was.",
                &["reason"],
            )?,
            certificates: CertificateMetrics::new(&add)?,
            clients: ClientMetrics::new(&add)?,
            store: StoreMetrics::new(&add)?,
            in_flight: add.gauge("envgate_requests_in_flight", "Requests that are being answered.")?,
            upstream: UpstreamMetrics::new(&add)?,
            upstream_credential_refused: add.counter(
                "envgate_upstream_credential_refused_total",
                "Requests that the upstream refused because of the operator's credential.",
            )?,
            policy_breaches: add.counter(
                "envgate_policy_breaches_total",
                "Replies that broke the policy of a plan although the request had not.",
            )?,
            query_names_dropped: add.counter(
                "envgate_query_names_dropped_total",
                "Query parameters that no document names.",
            )?,
            panics: add.counter(
                "envgate_panics_total",
                "Panics caught at the border of an exchange.",
            )?,
            log_lines_lost: add.counter(
                "envgate_log_lines_dropped_total",
                "Lines of the log that are lost, because standard error did not take them.",
            )?,
            store_up: add.gauge(
                "envgate_store_up",
                "Whether the store answered when last asked, and took the last write.",
            )?,
            store_failures: add.counter(
                "envgate_store_failures_total",
                "Times that the store did not answer.",
            )?,
            audit_dropped: add.counter(
                "envgate_audit_records_dropped_total",
                "Requests that the audit has no record of, for lack of room or of a store at the end.",
            )?,
            audit_put_aside: add.counter(
                "envgate_audit_put_aside_total",
                "Records of the audit that the store refused for good.",
            )?,
            audit_pending: add.gauge(
                "envgate_audit_pending",
                "Records of the audit that wait for the store.",
            )?,
            audit_file_lost: add.counter(
                "envgate_audit_file_lost_total",
                "Lines of the audit that its file did not take.",
            )?,
            admin_unauthorized: add.counter(
                "envgate_admin_unauthorized_total",
                "Requests to the admin address without a token that is taken.",
            )?,
            audit_failures: add.counter(
                "envgate_audit_write_failures_total",
                "Times that records of the audit could not be written.",
            )?,
            registry: registry.clone(),
        };
        let build = IntGaugeVec::new(
            Opts::new("envgate_build_info", "The build that runs; always 1."),
            &["version"],
        )?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        add.register(build)?;
        Ok(metrics)
    }

    /// Counts one request and its times.
    pub fn record(&self, outcome: &Outcome) {
        let operation = operation_index(outcome.operation);
        if let Some(counter) = self.request_counter(operation, outcome.status, outcome.error) {
            counter.inc();
        }
        if let Some(durations) = self.durations.get(operation) {
            let upstream = outcome.upstream.unwrap_or_default();
            durations.total.observe(outcome.total.as_secs_f64());
            durations.own.observe(
                outcome
                    .total
                    .saturating_sub(upstream + outcome.waited)
                    .as_secs_f64(),
            );
            if outcome.upstream.is_some() {
                durations.upstream.observe(upstream.as_secs_f64());
            }
        }
    }

    /// Counts what an error is made of, beyond its kind.
    pub fn record_error(&self, error: &ApiError) {
        match error {
            ApiError::Unauthenticated { failure, .. } => {
                self.authentication_failures
                    .with_label_values(&[failure.label()])
                    .inc();
            }
            ApiError::Violations(violations) | ApiError::Policy(violations) => {
                for violation in &violations.told {
                    self.violations.with_label_values(&[violation.keyword]).inc();
                }
            }
            ApiError::UpstreamCredential => self.upstream_credential_refused.inc(),
            _ => {}
        }
    }

    /// Counts a violation that was let through with a warning.
    pub fn record_warning(&self, keyword: &'static str) {
        self.warnings.with_label_values(&[keyword]).inc();
    }

    /// Counts a reply to a read, by where it came from.
    pub fn record_read(&self, source: &'static str) {
        self.reads.with_label_values(&[source]).inc();
    }

    /// Counts a reading of the settings by what came of it.
    pub fn record_reload(&self, outcome: &str) {
        self.reloads.with_label_values(&[outcome]).inc();
    }

    /// Counts a connection of HTTP/2 that ended because of what its client did.
    pub fn record_http2_misuse(&self, reason: &'static str) {
        self.http2_misuse.with_label_values(&[reason]).inc();
    }

    /// The metrics of a budget.
    #[must_use]
    pub fn budget(&self, name: &str) -> BudgetMetrics {
        self.budgets.of(name)
    }

    /// The metrics of the connections at an address, by its name in the settings.
    #[must_use]
    pub fn connections(&self, address: &str) -> ConnectionMetrics {
        self.connections.at(address)
    }

    /// How a budget stands with the replicas that share it.
    #[must_use]
    pub fn budget_sharing(&self, name: &str) -> BudgetSharing {
        self.budgets.sharing(name)
    }

    /// All metrics in the Prometheus text format.
    ///
    /// # Errors
    /// Where the encoder finds a metric without a name.
    pub fn encode(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }

    fn request_counter(
        &self,
        operation: usize,
        status: StatusCode,
        error: Option<&'static str>,
    ) -> Option<&IntCounter> {
        let class = usize::from(status.as_u16() / 100).checked_sub(1)?;
        let kind = error.and_then(|error| ApiError::KINDS.iter().position(|kind| *kind == error));
        let error_index = kind.map_or(0, |index| index + 1);
        let cell = self
            .request_cells
            .get((operation * STATUS_CLASSES.len() + class) * ERRORS + error_index)?;
        let status_label = STATUS_CLASSES.get(class)?;
        Some(cell.get_or_init(|| {
            self.requests.with_label_values(&[
                operation_label(operation),
                status_label,
                error.unwrap_or(NONE),
            ])
        }))
    }
}

fn operation_index(operation: Option<Operation>) -> usize {
    operation
        .and_then(|wanted| Operation::ALL.iter().position(|operation| *operation == wanted))
        .unwrap_or(Operation::ALL.len())
}

fn operation_label(index: usize) -> &'static str {
    Operation::ALL
        .get(index)
        .map_or(NONE, |operation| operation.name())
}

#[cfg(test)]
mod tests;
