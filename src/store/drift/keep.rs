use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::store::error::within;
use crate::store::{Store, StoreError};
use crate::telemetry::{DriftMetrics, DriftWatch, Metrics};

/// How often what was seen is written; so much is lost with a process that is killed.
const PERIOD: Duration = Duration::from_secs(5);
/// How often it is counted how many findings all gateways have.
const COUNT_PERIOD: Duration = Duration::from_secs(15);
/// How often old ones are looked for.
const FORGET_PERIOD: Duration = Duration::from_secs(10 * 60);
/// How long the store may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

impl Store {
    /// Writes what `watch` has seen every few seconds until `shutdown` is done, and then once more. What cannot be written
    /// is tried again the next time.
    pub async fn keep_drift(
        &self,
        watch: &DriftWatch,
        retention: Option<Duration>,
        metrics: &Metrics,
        shutdown: impl Future<Output = ()>,
    ) {
        tokio::pin!(shutdown);
        let mut is_failing = false;
        let (mut counted, mut forgotten) = (None::<Instant>, None::<Instant>);
        let is_due = |last: Option<Instant>, period| last.is_none_or(|last| last.elapsed() >= period);
        loop {
            let is_last = tokio::select! {
                () = sleep(PERIOD) => false,
                () = &mut shutdown => true,
            };
            if is_last {
                watch.measure_waiting();
            }
            let pass = async {
                if self.write_drift(watch).await? {
                    counted = Some(Instant::now());
                }
                if let Some(retention) = retention.filter(|_| is_due(forgotten, FORGET_PERIOD)) {
                    self.forget_drift(retention).await?;
                    forgotten = Some(Instant::now());
                }
                if is_due(counted, COUNT_PERIOD) {
                    self.tell_drift(&metrics.drift).await?;
                    counted = Some(Instant::now());
                }
                Ok::<_, StoreError>(())
            };
            match within(ANSWER_TIMEOUT, pass).await {
                Ok(()) => is_failing = false,
                Err(error) => {
                    metrics.store_failures.inc();
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error, "in what the upstream's replies differ could not be written; it is kept here");
                    }
                }
            }
            if is_last {
                return;
            }
        }
    }

    /// Writes what `watch` has seen by now, and tells whether there was anything.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`] or [`StoreError::Unusable`]
    pub async fn write_drift(&self, watch: &DriftWatch) -> Result<bool, StoreError> {
        let write = async |pending: &[_]| within(ANSWER_TIMEOUT, self.add_drift(pending)).await;
        let has_written = watch.write_pending(write).await?;
        if has_written {
            self.tell_drift(watch.metrics()).await?;
        }
        Ok(has_written)
    }

    /// Tells metrics how many findings there are.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`]
    pub async fn tell_drift(&self, metrics: &DriftMetrics) -> Result<(), StoreError> {
        metrics.set_findings(&self.count_drift().await?);
        Ok(())
    }
}
