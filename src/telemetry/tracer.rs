//! Which requests become spans, and where these wait for the collector.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::request_spans::RequestSpans;
use super::span_metrics::SpanMetrics;
use super::trace_context::TraceContext;
use crate::config::{SpanExport, Telemetry};
use crate::text::Ratio;

/// Decides which requests become spans, and keeps these until they are exported. Nobody who hands one over waits.
#[derive(Debug)]
pub struct Tracer {
    pub(super) metrics: SpanMetrics,
    pub(super) export: watch::Sender<Option<SpanExport>>,
    kept_for_callers: SecondLimit,
    queue: Mutex<Queue>,
    /// Told where a batch is full, and not of each request.
    pub(super) batch_full: Notify,
}

/// By what it is decided, as the settings say.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    is_exporting: bool,
    ratio: Ratio,
    client_sampled_per_second: u32,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<RequestSpans>,
    /// How many spans those become.
    spans: usize,
    max_spans: usize,
    max_batch_spans: usize,
}

/// How often something has happened in this second, in one number: the second, and the count.
#[derive(Debug)]
struct SecondLimit {
    since: Instant,
    counted: AtomicU64,
}

impl Sampler {
    /// What the settings say.
    #[must_use]
    pub const fn new(settings: &Telemetry) -> Self {
        Self {
            is_exporting: settings.export.is_some(),
            ratio: settings.sample_ratio,
            client_sampled_per_second: settings.client_sampled_per_second,
        }
    }
}

impl Tracer {
    /// One that counts what is lost in `metrics`.
    #[must_use]
    pub fn new(settings: &Telemetry, metrics: SpanMetrics) -> Self {
        let tracer = Self {
            metrics,
            export: watch::Sender::new(None),
            kept_for_callers: SecondLimit {
                since: Instant::now(),
                counted: AtomicU64::new(0),
            },
            queue: Mutex::default(),
            batch_full: Notify::new(),
        };
        tracer.set_export(settings.export.as_ref());
        tracer
    }

    /// Spans go there from now on.
    pub fn set_export(&self, export: Option<&SpanExport>) {
        {
            let mut queue = self.queue.lock();
            queue.max_spans = export.map_or(0, |export| export.max_queued_spans);
            queue.max_batch_spans = export.map_or(0, |export| export.max_batch_spans);
        }
        self.export.send_if_modified(|current| {
            let is_other = current.as_ref() != export;
            if is_other {
                *current = export.cloned();
            }
            is_other
        });
    }

    /// Settles whether a request becomes a span, before anybody knows whose it is: the trace id decides, so that others
    /// who go by the same share keep the same traces; but nothing is kept that its caller does not keep.
    #[must_use]
    pub fn decide(&self, sampler: &Sampler, trace: TraceContext) -> TraceContext {
        if !sampler.is_exporting {
            return trace;
        }
        let is_taken = sampler.ratio.takes(u128::from_be_bytes(trace.trace_id().0));
        trace.recorded(is_taken && trace.is_sampled_by_caller() != Some(false))
    }

    /// Keeps what a tenant keeps, but only so many of its and others' requests in a second. What somebody without a key
    /// wants kept takes none of these.
    #[must_use]
    pub fn keep_for_tenant(&self, sampler: &Sampler, trace: TraceContext) -> TraceContext {
        let is_wanted = !trace.is_recorded() && trace.is_sampled_by_caller() == Some(true);
        if !(is_wanted && sampler.is_exporting) {
            return trace;
        }
        trace.recorded(self.kept_for_callers.take(sampler.client_sampled_per_second))
    }

    /// Leaves a request for the collector, where there is room.
    pub fn leave(&self, request: RequestSpans) {
        let spans = request.span_count();
        let mut queue = self.queue.lock();
        if queue.spans + spans > queue.max_spans {
            drop(queue);
            self.metrics
                .queue_full
                .inc_by(u64::try_from(spans).unwrap_or_default());
            return;
        }
        let was_full = queue.spans >= queue.max_batch_spans;
        queue.spans += spans;
        queue.waiting.push(request);
        let is_full = queue.spans >= queue.max_batch_spans;
        drop(queue);
        if is_full && !was_full {
            self.batch_full.notify_one();
        }
    }

    /// Takes what goes to the collector at once; nothing where nothing waits.
    pub(super) fn take_batch(&self) -> Vec<RequestSpans> {
        let mut queue = self.queue.lock();
        let mut spans = 0;
        let max = queue.max_batch_spans.max(1);
        let fitting = queue.waiting.iter().take_while(|request| {
            let fits = spans == 0 || spans + request.span_count() <= max;
            spans += request.span_count();
            fits
        });
        let count = fitting.count();
        let rest = queue.waiting.split_off(count);
        let batch = mem::replace(&mut queue.waiting, rest);
        queue.spans -= batch.iter().map(RequestSpans::span_count).sum::<usize>();
        batch
    }
}

impl SecondLimit {
    /// Whether this is one of the first `limit` in its second.
    fn take(&self, limit: u32) -> bool {
        let second = self.since.elapsed().as_secs();
        let count = |counted: u64| {
            let before = if counted >> 32 == second {
                counted & u64::from(u32::MAX)
            } else {
                0
            };
            (before < u64::from(limit)).then_some(second << 32 | (before + 1))
        };
        self.counted
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count)
            .is_ok()
    }
}

#[cfg(test)]
mod tests;
