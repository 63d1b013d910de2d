use std::time::Duration;

use jiff::Timestamp;
use tokio::time::sleep;

use crate::store::Store;
use crate::store::error::within;
use crate::telemetry::Metrics;

/// How often old records are looked for.
const PERIOD: Duration = Duration::from_secs(60 * 60);
/// How soon again where the store did not answer.
const RETRY: Duration = Duration::from_secs(60);
/// How long the store may take. What is left then is deleted the next time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

impl Store {
    /// Deletes records of the audit that are older than `retention`, now and every hour, without end.
    pub async fn keep_audit_for(&self, retention: Duration, metrics: &Metrics) {
        loop {
            // A retention that reaches back before all time keeps everything.
            let before = Timestamp::now().checked_sub(retention).unwrap_or(Timestamp::MIN);
            match within(ANSWER_TIMEOUT, self.forget_audit(before)).await {
                Ok(0) => {}
                Ok(records) => tracing::info!(records, "old records of the audit were deleted"),
                Err(error) => {
                    metrics.store_failures.inc();
                    tracing::warn!(%error, "old records of the audit could not be deleted");
                    sleep(RETRY).await;
                    continue;
                }
            }
            sleep(PERIOD).await;
        }
    }
}
