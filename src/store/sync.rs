use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::error::within;
use super::{Changes, Store, StoreError};
use crate::environment::EnvironmentId;
use crate::telemetry::Metrics;
use crate::tenancy::Directory;

/// How often the store is asked whether a tenant or key has changed, told of a change or not. A revoked key is dead
/// within this time.
const PERIOD: Duration = Duration::from_millis(500);
/// How long it is not asked again, so that a thousand changes in a row are not read one by one.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the store may take to tell whether anything has changed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to read everything, at the start or after a long absence.
const READ_TIMEOUT: Duration = Duration::from_secs(120);
/// How long to wait before a store that cannot be reached is tried again.
const RETRY: Duration = Duration::from_secs(1);

impl Store {
    /// Opens the store, however long it takes until it can be reached.
    ///
    /// # Errors
    /// Every error but [`StoreError::Unreachable`]: waiting would not mend it.
    pub async fn open_when_reachable(url: &str, metrics: &Metrics) -> Result<Self, StoreError> {
        loop {
            match Self::open(url).await {
                Err(StoreError::Unreachable(reason)) => {
                    metrics.store_failures.inc();
                    tracing::warn!(%reason, "the store cannot be reached; nobody can be let in before it is");
                    sleep(RETRY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Keeps a directory in step with the store, without end. What fails is counted and tried again; meanwhile
    /// the directory stays as it was. `forget` is told of environments that may have become another tenant's.
    ///
    /// The store is asked twice a second. PostgreSQL also tells of a change when it is committed, which only hurries
    /// the next question: what it tells may get lost.
    pub async fn sync_directory(
        &self,
        directory: Arc<Directory>,
        metrics: Arc<Metrics>,
        forget: impl Fn(&[EnvironmentId]) + Send + Sync,
    ) {
        self.sync_directory_every(PERIOD, directory, metrics, forget)
            .await;
    }

    async fn sync_directory_every(
        &self,
        period: Duration,
        directory: Arc<Directory>,
        metrics: Arc<Metrics>,
        forget: impl Fn(&[EnvironmentId]) + Send + Sync,
    ) {
        let changed = Notify::new();
        tokio::join!(
            self.listen(&changed),
            self.poll_every(period, &changed, &directory, &metrics, &forget),
        );
    }

    async fn poll_every(
        &self,
        period: Duration,
        changed: &Notify,
        directory: &Directory,
        metrics: &Metrics,
        forget: &(impl Fn(&[EnvironmentId]) + Send + Sync),
    ) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = 0;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = changed.notified() => {}
            }
            match self.catch_up(known, directory, forget).await {
                Ok(number) => {
                    known = number;
                    if metrics.store_up.get() == 0 {
                        tracing::info!("the store answers");
                    }
                    metrics.store_up.set(1);
                }
                Err(error) => {
                    if metrics.store_up.get() == 1 {
                        tracing::warn!(%error, "the store does not answer; requests go on with what is known");
                    }
                    metrics.store_failures.inc();
                    metrics.store_up.set(0);
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads once what changed since `known`, and gives back the number that is known now.
    ///
    /// # Errors
    /// Where the store does not answer. What of the changes the directory has then comes again.
    async fn catch_up(
        &self,
        known: i64,
        directory: &Directory,
        forget: &(impl Fn(&[EnvironmentId]) + Send + Sync),
    ) -> Result<i64, StoreError> {
        let number = within(ANSWER_TIMEOUT, self.revision()).await?;
        if directory.is_loaded() && number == known {
            return Ok(known);
        }
        let take = |changes: Changes| {
            directory.extend(changes.tenants, changes.keys);
            directory.remove_tenants(&changes.deleted_tenants);
            if !changes.adopted.is_empty() {
                forget(&changes.adopted);
            }
        };
        let number = within(READ_TIMEOUT, self.for_each_change_since(known, take)).await?;
        directory.set_loaded();
        Ok(number)
    }
}

#[cfg(test)]
mod tests;
