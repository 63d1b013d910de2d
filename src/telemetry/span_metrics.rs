use prometheus::IntCounter;

use super::registrar::Registrar;

/// What becomes of spans.
#[derive(Clone, Debug)]
pub struct SpanMetrics {
    /// Those that the collector has taken.
    pub exported: IntCounter,
    /// Those that found no room.
    pub queue_full: IntCounter,
    /// Those that the collector did not take.
    pub export_failed: IntCounter,
    /// Those that were left when the process stopped.
    pub stopped: IntCounter,
}

impl SpanMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        let dropped = add.counters(
            "envgate_spans_dropped_total",
            "Spans that are lost.",
            &[(
                "reason",
                "`queue_full`, `export_failed`, where the collector did not take them, or `stopped`, where the process did \
                 not wait for that",
            )],
        )?;
        Ok(Self {
            exported: add.counter(
                "envgate_spans_exported_total",
                "Spans that the collector has taken.",
            )?,
            queue_full: dropped.with_label_values(&["queue_full"]),
            export_failed: dropped.with_label_values(&["export_failed"]),
            stopped: dropped.with_label_values(&["stopped"]),
        })
    }
}
