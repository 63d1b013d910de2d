use std::sync::OnceLock;

use http::StatusCode;
use prometheus::proto::LabelPair;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};

use super::exemplars::TracedHistogram;
use super::registrar::{Label, Registrar};
use super::timeline::{AttemptOutcome, Interval, Step, Timeline};
use super::trace_context::TraceId;
use crate::contract::{ApiError, Operation};
use crate::tenancy::Caller;

/// Requests and their times. Handles are resolved once, so that a request looks up no label.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    requests: IntCounterVec,
    /// One cell for each operation, status class and error kind, filled when first needed.
    request_cells: Vec<OnceLock<IntCounter>>,
    durations: Vec<Durations>,
    attempts: HistogramVec,
    /// One cell for each operation and status class of the upstream's, and one for no reply.
    attempt_cells: Vec<OnceLock<Histogram>>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub struct Outcome<'a> {
    /// Who asked; none where nobody is known.
    pub caller: Option<&'a Caller>,
    /// The operation; none where the path is none of the API.
    pub operation: Option<Operation>,
    /// The status that the client got.
    pub status: StatusCode,
    /// [`ApiError::kind`] of what it failed with.
    pub error: Option<&'static str>,
    /// What it has spent its time with, to its end.
    pub timeline: &'a Timeline,
    /// The trace that it belongs to.
    pub trace_id: TraceId,
}

#[derive(Debug)]
struct Durations {
    total: TracedHistogram,
    upstream: TracedHistogram,
    own: TracedHistogram,
}

const TOTAL: &str = "envgate_request_duration_seconds";
const UPSTREAM: &str = "envgate_upstream_duration_seconds";
const OWN: &str = "envgate_overhead_duration_seconds";

const OPERATIONS: usize = Operation::ALL.len() + 1;
const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// No error, and each kind of error.
const ERRORS: usize = ApiError::KINDS.len() + 1;
/// Each status class, and no reply.
const ATTEMPT_STATUSES: usize = STATUS_CLASSES.len() + 1;
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
        for operation in Operation::NAMES {
            requests.with_label_values(&[operation, "2xx", NONE]);
        }
        let total = add.histograms(
            TOTAL,
            "From a request's header to the last byte of its answer.",
            &BUCKETS,
            &[OPERATION],
        )?;
        let upstream = add.histograms(
            UPSTREAM,
            "What of a request the upstream took, all attempts together.",
            &BUCKETS,
            &[OPERATION],
        )?;
        let own = add.histograms(
            OWN,
            "What of a request the gateway itself took: without the upstream, a queue, and the client's own upload and download.",
            &BUCKETS,
            &[OPERATION],
        )?;
        let durations = (0..OPERATIONS)
            .map(|index| {
                let label = [operation_label(index)];
                Durations {
                    total: TracedHistogram::new(total.with_label_values(&label), &BUCKETS),
                    upstream: TracedHistogram::new(upstream.with_label_values(&label), &BUCKETS),
                    own: TracedHistogram::new(own.with_label_values(&label), &BUCKETS),
                }
            })
            .collect();
        let attempts = add.histograms(
            "envgate_upstream_attempt_duration_seconds",
            "Each request that went up, from a connection to the last byte of the reply; of one request of a tenant's the \
             first six.",
            &BUCKETS,
            &[
                ("operation", "what the upstream was asked, which may be more than the tenant asked"),
                ("status", "the class of its reply, or `none` where there was none"),
            ],
        )?;
        Ok(Self {
            requests,
            request_cells: std::iter::repeat_with(OnceLock::new)
                .take(OPERATIONS * STATUS_CLASSES.len() * ERRORS)
                .collect(),
            durations,
            attempts,
            attempt_cells: std::iter::repeat_with(OnceLock::new)
                .take(OPERATIONS * ATTEMPT_STATUSES)
                .collect(),
        })
    }

    /// Counts a request that ended at `at`, in milliseconds of Unix time.
    pub(super) fn record(&self, outcome: &Outcome<'_>, at: i64) {
        let operation = operation_index(outcome.operation);
        if let Some(counter) = self.request_counter(operation, outcome.status, outcome.error) {
            counter.inc();
        }
        let (timeline, trace_id) = (outcome.timeline, outcome.trace_id);
        if let Some(durations) = self.durations.get(operation) {
            durations.total.observe(timeline.total(), trace_id, at);
            durations.own.observe(timeline.own_time(), trace_id, at);
            if timeline.has_asked_upstream() {
                durations
                    .upstream
                    .observe(timeline.time_in(Step::Upstream), trace_id, at);
                timeline.intervals().for_each(|step| self.record_attempt(&step));
            }
        }
    }

    fn record_attempt(&self, step: &Interval<'_>) {
        let Some(attempt) = step.attempt else {
            return;
        };
        let operation = operation_index(Some(attempt.operation));
        let class = match attempt.outcome {
            AttemptOutcome::Replied(status) => usize::from(status.as_u16() / 100).saturating_sub(1),
            AttemptOutcome::Failed(_) | AttemptOutcome::GivenUp => STATUS_CLASSES.len(),
        };
        let cell = self.attempt_cells.get(operation * ATTEMPT_STATUSES + class);
        if let Some(cell) = cell {
            let status = STATUS_CLASSES.get(class).copied().unwrap_or(NONE);
            let labels = [operation_label(operation), status];
            let histogram = cell.get_or_init(|| self.attempts.with_label_values(&labels));
            histogram.observe(step.end.saturating_sub(step.start).as_secs_f64());
        }
    }

    /// What knows the exemplars of a histogram, by its name and labels.
    pub(super) fn traced(&self, name: &str, labels: &[LabelPair]) -> Option<&TracedHistogram> {
        let (label, _) = OPERATION;
        let operation = labels.iter().find(|pair| pair.name() == label)?.value();
        let index = (0..OPERATIONS).find(|index| operation_label(*index) == operation)?;
        let durations = self.durations.get(index)?;
        match name {
            TOTAL => Some(&durations.total),
            UPSTREAM => Some(&durations.upstream),
            OWN => Some(&durations.own),
            _ => None,
        }
    }

    /// How many requests ended with each kind of error, and how many in all.
    pub(super) fn counts(&self) -> (Vec<(&'static str, u64)>, u64) {
        let count_of = |cell: &OnceLock<IntCounter>| cell.get().map_or(0, IntCounter::get);
        let mut by_error: Vec<_> = ApiError::KINDS.into_iter().map(|kind| (kind, 0)).collect();
        let mut total = 0;
        for cells in self.request_cells.chunks(ERRORS) {
            total += cells.iter().map(count_of).sum::<u64>();
            let refused = cells.iter().skip(1).map(count_of);
            by_error
                .iter_mut()
                .zip(refused)
                .for_each(|((_, sum), count)| *sum += count);
        }
        (by_error, total)
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
