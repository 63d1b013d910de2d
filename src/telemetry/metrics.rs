use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry, TextEncoder};

use super::UpstreamMetrics;
use super::budget_metrics::{BudgetMetrics, BudgetSharing, BudgetTraffic, BudgetsMetrics};
use super::certificate_metrics::CertificateMetrics;
use super::client_metrics::ClientMetrics;
use super::connection_metrics::{ConnectionMetrics, ConnectionsMetrics};
use super::drift_metrics::DriftMetrics;
use super::exposition::Exposition;
use super::metrics_page::{self, MetricDoc, Section};
use super::openmetrics;
use super::process_metrics::ProcessMetrics;
use super::refusal_metrics::RefusalMetrics;
use super::registrar::{Registrar, initialise};
use super::request_metrics::{Outcome, RequestMetrics};
use super::span_metrics::SpanMetrics;
use super::store_metrics::StoreMetrics;
use super::tenant_metrics::TenantMetrics;
use super::traffic::{ErrorTraffic, Traffic};
use crate::contract::{ApiError, Operation};
use crate::tenancy::KeyChanges;

/// All metrics of the gateway. Handles are resolved once, so that a request looks up no label.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: RequestMetrics,
    tenants: TenantMetrics,
    /// What happens now.
    pub traffic: Arc<Traffic>,
    refusals: RefusalMetrics,
    reads: IntCounterVec,
    reloads: IntCounterVec,
    reloaded_at: IntGauge,
    budgets: BudgetsMetrics,
    connections: ConnectionsMetrics,
    http2_misuse: IntCounterVec,
    /// The certificates that are shown or trusted.
    pub certificates: CertificateMetrics,
    /// What becomes of clients' connections.
    pub clients: ClientMetrics,
    /// What becomes of spans.
    pub spans: SpanMetrics,
    /// How large the store is, and how far back its audit goes.
    pub store: StoreMetrics,
    /// Whether the upstream's replies still are what the contract says.
    pub drift: DriftMetrics,
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

const REFUSED: &str = "refused";
const RELOAD_OUTCOMES: [&str; 3] = ["applied", "unchanged", REFUSED];
const HTTP2_MISUSES: [&str; 5] = ["resets", "control_frames", "slow_head", "slow_reader", "protocol"];
const READ_SOURCES: [&str; 3] = ["hit", "coalesced", "miss"];

impl Metrics {
    /// Makes and registers all metrics.
    ///
    /// # Errors
    /// Where two metrics have one name, which a test rules out.
    pub fn new() -> prometheus::Result<Self> {
        Ok(Self::register()?.0)
    }

    /// The page of the documentation that tells of all metrics.
    ///
    /// # Errors
    /// As of [`Metrics::new`].
    pub fn page() -> prometheus::Result<String> {
        Ok(metrics_page::page(&Self::register()?.1))
    }

    fn register() -> prometheus::Result<(Self, Vec<MetricDoc>)> {
        let registry = Registry::new();
        let docs = RefCell::default();
        let add = Registrar::new(&registry, &docs, Section::Requests);
        let on_connections = add.section(Section::Connections);
        let on_store = add.section(Section::Store);
        let on_process = add.section(Section::Process);
        let requests = RequestMetrics::new(&add)?;
        let traffic = Arc::new(Traffic::new());
        let tenants = TenantMetrics::new(&add, &traffic)?;
        let reloads = on_process.counters(
            "envgate_reloads_total",
            "Times that the settings were read again.",
            &[(
                "outcome",
                "`applied`, `unchanged`, or `refused`, where those from before stay and the log says why",
            )],
        )?;
        initialise(&reloads, &RELOAD_OUTCOMES);
        let reloaded_at = on_process.gauge(
            "envgate_settings_read_timestamp_seconds",
            "When the settings were last read and taken, at the start or at a reload, Unix time.",
        )?;
        reloaded_at.set(Timestamp::now().as_second());
        let reads = add.counters(
            "envgate_reads_total",
            "Replies to retrieves and list pages.",
            &[("result", "where they came from: `hit`, `coalesced` or `miss`")],
        )?;
        initialise(&reads, &READ_SOURCES);
        let http2_misuse = on_connections.counters(
            "envgate_http2_connections_given_up_total",
            "Connections of HTTP/2 that ended because of what their clients did.",
            &[(
                "reason",
                "`resets`, `control_frames`, `slow_head`, `slow_reader`, or `protocol`, which they broke",
            )],
        )?;
        initialise(&http2_misuse, &HTTP2_MISUSES);
        let metrics = Self {
            requests,
            tenants,
            traffic,
            refusals: RefusalMetrics::new(&add)?,
            reads,
            reloads,
            reloaded_at,
            budgets: BudgetsMetrics::new(&add.section(Section::Budget))?,
            connections: ConnectionsMetrics::new(&on_connections)?,
            http2_misuse,
            certificates: CertificateMetrics::new(&on_connections)?,
            clients: ClientMetrics::new(&on_connections)?,
            spans: SpanMetrics::new(&on_process)?,
            store: StoreMetrics::new(&on_store)?,
            drift: DriftMetrics::new(&add.section(Section::Contract))?,
            in_flight: add.gauge("envgate_requests_in_flight", "Requests that are being answered.")?,
            upstream: UpstreamMetrics::new(&add.section(Section::Upstream))?,
            upstream_credential_refused: add.section(Section::Upstream).counter(
                "envgate_upstream_credential_refused_total",
                "Requests that the upstream refused because of the operator's credential or account; page somebody.",
            )?,
            policy_breaches: add.counter(
                "envgate_policy_breaches_total",
                "Results that break the policy of their plan although the request did not.",
            )?,
            query_names_dropped: add.counter(
                "envgate_query_names_dropped_total",
                "Query parameters that nobody knows, and that did not go up.",
            )?,
            panics: on_process.counter(
                "envgate_panics_total",
                "Faults of the gateway; anything but 0 is one to report.",
            )?,
            log_lines_lost: add.section(Section::Telemetry).counter(
                "envgate_log_lines_dropped_total",
                "Lines of the log that standard error did not take: nobody reads it, or its disk is full.",
            )?,
            store_up: on_store.gauge(
                "envgate_store_up",
                "Whether the store answered when last asked, and took the last write.",
            )?,
            store_failures: on_store.counter(
                "envgate_store_failures_total",
                "Times that the store did not answer.",
            )?,
            audit_dropped: on_store.counter(
                "envgate_audit_records_dropped_total",
                "Requests without a record: there was no room while the store was away, or it was away at the stop.",
            )?,
            audit_put_aside: on_store.counter(
                "envgate_audit_put_aside_total",
                "Records of the audit that the store refused for good; the log has them.",
            )?,
            audit_pending: on_store.gauge(
                "envgate_audit_pending",
                "Records of the audit that wait for the store.",
            )?,
            audit_file_lost: on_store.counter(
                "envgate_audit_file_lost_total",
                "Lines of the audit that audit.file did not take.",
            )?,
            admin_unauthorized: on_process.counter(
                "envgate_admin_unauthorized_total",
                "Requests to the admin address without a token that is taken; the log tells of them once a minute.",
            )?,
            audit_failures: on_store.counter(
                "envgate_audit_write_failures_total",
                "Writes of records of the audit that failed and were tried again.",
            )?,
            registry: registry.clone(),
        };
        on_process
            .gauges(
                "envgate_build_info",
                "The build that runs; always 1.",
                &[("version", "of envgate")],
            )?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        ProcessMetrics::register(&on_process)?;
        Ok((metrics, docs.into_inner()))
    }

    /// Counts one request and its times. Says whether it is among the slowest, which the [traffic](Traffic::keep) keeps.
    pub fn record(&self, outcome: &Outcome<'_>) -> bool {
        self.requests
            .record(outcome, self.traffic.clock.at(outcome.timeline.ended()));
        self.traffic.record(outcome)
    }

    /// How many requests there were.
    #[must_use]
    pub fn request_count(&self) -> u64 {
        self.requests.counts().1
    }

    /// What requests have failed with, those kinds that there were.
    #[must_use]
    pub fn error_traffic(&self, now: Instant) -> Vec<ErrorTraffic> {
        let (by_error, _) = self.requests.counts();
        let with_rates = by_error.into_iter().zip(self.traffic.error_rates(now));
        let told = with_rates.map(|((error, total), rates)| ErrorTraffic { error, total, rates });
        told.filter(|told| told.total > 0).collect()
    }

    /// Says for how many tenants, those that ask the most, requests are counted by name; 0 for none.
    pub fn set_named_tenants(&self, count: usize) {
        self.tenants.set_limit(count);
    }

    /// Counts what an error is made of, beyond its kind.
    pub fn record_error(&self, error: &ApiError) {
        self.refusals.record(error);
        if matches!(error, ApiError::UpstreamCredential) {
            self.upstream_credential_refused.inc();
        }
    }

    /// Counts a write that only the upstream refused, with the place that its message names.
    pub fn record_contract_refusal(&self, operation: Operation, place: &str) {
        self.refusals.record_of_upstream(operation, place);
    }

    /// Counts a violation that was let through with a warning.
    pub fn record_warning(&self, keyword: &'static str) {
        self.refusals.record_warning(keyword);
    }

    /// Counts a reply to a read, by where it came from.
    pub fn record_read(&self, source: &'static str) {
        self.reads.with_label_values(&[source]).inc();
    }

    /// Counts what became of keys.
    pub fn record_key_changes(&self, changes: KeyChanges) {
        self.refusals.record_key_changes(changes);
    }

    /// Counts a reading of the settings by what came of it.
    pub fn record_reload(&self, outcome: &str) {
        self.reloads.with_label_values(&[outcome]).inc();
        if outcome != REFUSED {
            self.reloaded_at.set(Timestamp::now().as_second());
        }
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

    /// How a budget stands, for whoever looks at it.
    #[must_use]
    pub fn budget_traffic(&self, name: &str) -> BudgetTraffic {
        self.budgets.traffic(name)
    }

    /// All metrics in the Prometheus text format.
    ///
    /// # Errors
    /// As of [`Metrics::encode_as`].
    pub fn encode(&self) -> prometheus::Result<Vec<u8>> {
        Ok(self.encode_as(Exposition::Prometheus)?.into_bytes())
    }

    /// All metrics, in one of the formats that there are.
    ///
    /// # Errors
    /// Where the encoder finds a metric without a name.
    pub fn encode_as(&self, exposition: Exposition) -> prometheus::Result<String> {
        self.traffic.clock.look(Instant::now(), Timestamp::now());
        let families = self.registry.gather();
        match exposition {
            Exposition::Prometheus => TextEncoder::new().encode_to_string(&families),
            Exposition::OpenMetrics => {
                let traced = |name: &str, labels: &[_]| self.requests.traced(name, labels);
                Ok(openmetrics::encode(&families, traced))
            }
        }
    }
}

#[cfg(test)]
mod tests;
