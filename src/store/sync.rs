use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::error::within;
use super::listen::listen;
use super::revision::Revision;
use super::{Changes, Store, StoreError, StoreFault, StoreHealth};
use crate::config;
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
    /// Opens the store, however long it takes until it can be used. How it does is noted in `health`.
    ///
    /// # Errors
    /// Every error that waiting would not mend.
    pub async fn open_when_reachable(
        settings: &config::Store,
        health: &Arc<StoreHealth>,
        metrics: &Metrics,
    ) -> Result<Self, StoreError> {
        loop {
            match Self::open_configured(settings, Arc::clone(health)).await {
                Err(error) if error.may_pass() => {
                    metrics.store_failures.inc();
                    health.note_opening(&error);
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
    /// the next question: what it tells may get lost. It is listened to at `listen_url`, where there is one.
    pub async fn sync_directory(
        &self,
        listen_url: Option<&str>,
        directory: Arc<Directory>,
        metrics: Arc<Metrics>,
        forget: impl Fn(&[EnvironmentId]) + Send + Sync,
    ) {
        let sync = DirectorySync {
            store: self,
            directory,
            metrics,
            forget,
        };
        sync.run(listen_url, PERIOD).await;
    }
}

struct DirectorySync<'a, F> {
    store: &'a Store,
    directory: Arc<Directory>,
    metrics: Arc<Metrics>,
    forget: F,
}

impl<F: Fn(&[EnvironmentId]) + Send + Sync> DirectorySync<'_, F> {
    async fn run(&self, listen_url: Option<&str>, period: Duration) {
        let changed = Notify::new();
        tokio::join!(listen(listen_url, &changed), self.poll(period, &changed));
    }

    async fn poll(&self, period: Duration, changed: &Notify) {
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = changed.notified() => {}
            }
            let outcome = self.catch_up(&mut known).await;
            let health = &self.store.health;
            health.note_read(outcome.as_ref().err());
            if outcome.is_err() {
                self.metrics.store_failures.inc();
            } else if health.is_write_failing() {
                // Nobody may write for long; this tells whether they could.
                let _ = within(ANSWER_TIMEOUT, self.store.try_to_write()).await;
            }
            self.metrics.store_up.set(i64::from(health.problem().is_none()));
            sleep(PAUSE).await;
        }
    }

    /// Reads once what changed since `known`, which is then what is known now.
    ///
    /// # Errors
    /// Where the store does not answer. What of the changes the directory has then comes again.
    async fn catch_up(&self, known: &mut Option<Revision>) -> Result<(), StoreError> {
        let glance = within(ANSWER_TIMEOUT, self.store.glance(known.as_ref())).await?;
        if glance.is_read_only() {
            let reason = "it is a standby, or was told to take no writes".into();
            let fault = StoreFault::ReadOnly;
            self.store
                .health
                .note_write(Some(&StoreError::Unusable { fault, reason }));
        }
        if let Some(before) = known {
            if glance.continues(before) {
                if glance.is_at(before) {
                    return Ok(());
                }
                if let Some(now) = self.take_changes(Some(before)).await? {
                    *known = Some(now);
                    return Ok(());
                }
            }
            tracing::warn!(
                revision = before.number,
                "the store is not the one that was read before: it was put back to an earlier state or replaced; \
                 everything is read anew, and what it no longer has is dropped"
            );
            *known = None;
        }
        *known = self.take_everything().await?;
        self.directory.set_loaded();
        Ok(())
    }

    async fn take_changes(&self, known: Option<&Revision>) -> Result<Option<Revision>, StoreError> {
        let take = |changes| self.take(changes);
        within(READ_TIMEOUT, self.store.for_each_change_since(known, take)).await
    }

    /// Also drops what the directory has and the store has not.
    async fn take_everything(&self) -> Result<Option<Revision>, StoreError> {
        if !self.directory.is_loaded() {
            return self.take_changes(None).await;
        }
        let mut tenants = HashSet::new();
        let mut keys = HashSet::new();
        let take = |changes: Changes| {
            tenants.extend(changes.tenants.iter().map(|tenant| tenant.id.clone()));
            keys.extend(changes.keys.iter().map(|key| key.digest));
            self.take(changes);
        };
        let known = within(READ_TIMEOUT, self.store.for_each_change_since(None, take)).await?;
        let dropped = self.directory.retain(&tenants, &keys);
        tracing::info!(
            tenants = tenants.len(),
            keys = keys.len(),
            dropped,
            "everything was read anew from the store"
        );
        Ok(known)
    }

    fn take(&self, changes: Changes) {
        let is_new = self.directory.is_loaded();
        let keys = self.directory.extend(changes.tenants, changes.keys);
        // What there was at the start is no event.
        if is_new {
            self.metrics.record_key_changes(keys);
        }
        self.directory.remove_tenants(&changes.deleted_tenants);
        if !changes.adopted.is_empty() {
            (self.forget)(&changes.adopted);
        }
    }
}

#[cfg(test)]
mod tests;
