use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use prometheus::{Histogram, IntCounter, IntCounterVec};

use super::registrar::{Label, Registrar};
use crate::contract::{ApiError, Operation};

/// Requests and their times. Handles are resolved once, so that a request looks up no label.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    requests: IntCounterVec,
    /// One cell for each operation, status class and error kind, filled when first needed.
    request_cells: Vec<OnceLock<IntCounter>>,
    durations: Vec<Durations>,
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

const OPERATIONS: usize = Operation::ALL.len() + 1;
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// No error, and each kind of error.
const ERRORS: usize = ApiError::KINDS.len() + 1;
const NONE: &str = "none";
const OPERATION: Label = (
    "operation",
    "its name, or `none` where the path is none of the API",
);

/// From a tenth of a millisecond, where the gateway's own time lies, to the upstream's last second.
const BUCKETS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
    15.0, 60.0,
];

impl RequestMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        let requests = add.counters(
            "envgate_requests_total",
            "Requests that were answered.",
            &[
                OPERATION,
                ("status", "the class, such as `2xx`"),
                ("error", "a kind of [errors.md](errors.md), or `none`"),
            ],
        )?;
        let total = add.histograms(
            "envgate_request_duration_seconds",
            "From a request's header to the last byte of its answer.",
            &BUCKETS,
            &[OPERATION],
        )?;
        let upstream = add.histograms(
            "envgate_upstream_duration_seconds",
            "What of a request the upstream took.",
            &BUCKETS,
            &[OPERATION],
        )?;
        let own = add.histograms(
            "envgate_overhead_duration_seconds",
            "What of a request neither the upstream nor a queue took.",
            &BUCKETS,
            &[OPERATION],
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
        Ok(Self {
            requests,
            request_cells: std::iter::repeat_with(OnceLock::new)
                .take(OPERATIONS * STATUS_CLASSES.len() * ERRORS)
                .collect(),
            durations,
        })
    }

    pub(super) fn record(&self, outcome: &Outcome) {
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
