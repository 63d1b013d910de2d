use std::time::Duration;

use prometheus::{IntCounter, IntGauge};

use super::registrar::Registrar;

/// How large the store is, and how far back its audit goes. Looked at beside the requests, not when somebody asks.
#[derive(Debug)]
pub struct StoreMetrics {
    /// Of its tables with their indices, in bytes.
    pub size_bytes: IntGauge,
    /// When the oldest record of the audit was made, in seconds of Unix time; 0 where there is none.
    pub oldest_record: IntGauge,
    /// Records of the audit that were deleted because of their age.
    pub records_deleted: IntCounter,
    retention: IntGauge,
}

impl StoreMetrics {
    pub(super) fn new(add: &Registrar<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            size_bytes: add.gauge(
                "envgate_store_size_bytes",
                "Size of the store's tables with their indices, looked at once a minute.",
            )?,
            oldest_record: add.gauge(
                "envgate_audit_oldest_record_timestamp_seconds",
                "When the oldest record of the audit was made, Unix time, looked at once a minute; 0 where there is none.",
            )?,
            records_deleted: add.counter(
                "envgate_audit_records_deleted_total",
                "Records of the audit that this gateway deleted because of their age.",
            )?,
            retention: add.gauge(
                "envgate_audit_retention_seconds",
                "How long the store keeps records of the audit, audit.retention; 0 for ever.",
            )?,
        })
    }

    /// Says how long records are kept; none for ever.
    pub fn set_retention(&self, retention: Option<Duration>) {
        let seconds = retention.map_or(0, |retention| retention.as_secs());
        self.retention.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }
}
