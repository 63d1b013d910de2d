use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{MissedTickBehavior, interval_at};

use super::transaction::query;
use super::{Store, StoreError};
use crate::telemetry::Metrics;
use crate::tenancy::{Directory, KeyDigest};
use crate::text::format_timestamp;

/// How often uses are written: once in this time for a key, however often it is used.
const PERIOD: Duration = Duration::from_secs(60);
/// How many keys are written in one transaction, so that no other write waits long.
const BATCH: usize = 500;

impl Store {
    /// Writes down when keys were last used, as `directory` notes it, until `shutdown` is done, and then once
    /// more. What cannot be written is tried again the next time.
    pub async fn record_last_used(
        &self,
        directory: &Directory,
        metrics: &Metrics,
        shutdown: impl Future<Output = ()>,
    ) {
        tokio::pin!(shutdown);
        let mut ticks = interval_at(tokio::time::Instant::now() + PERIOD, PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut recorded_until = Timestamp::UNIX_EPOCH;
        loop {
            let is_last = tokio::select! {
                _ = ticks.tick() => false,
                () = &mut shutdown => true,
            };
            let until = Timestamp::now();
            match self.write_last_used(directory.uses_since(recorded_until)).await {
                Ok(()) => recorded_until = until,
                Err(error) => {
                    metrics.store_failures.inc();
                    tracing::warn!(%error, "when keys were last used could not be written");
                }
            }
            if is_last {
                return;
            }
        }
    }

    /// Writes the time of each key's last use, where a later one is not there already. This is no change that
    /// other gateways need to know of.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn write_last_used(&self, mut uses: Vec<(KeyDigest, Timestamp)>) -> Result<(), StoreError> {
        // Two gateways that write the same keys at once take them in one order, and so never wait for each other
        // in a circle.
        uses.sort_unstable_by_key(|(digest, _)| *digest.as_bytes());
        for batch in uses.chunks(BATCH) {
            self.write(async |connection| {
                for (digest, last_used_at) in batch {
                    query(
                        "UPDATE keys SET last_used_at = $1 \
                     WHERE digest = $2 AND (last_used_at IS NULL OR last_used_at < $1)",
                    )
                    .bind(format_timestamp(*last_used_at))
                    .bind(digest.as_bytes().as_slice())
                    .execute(&mut *connection)
                    .await?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}
