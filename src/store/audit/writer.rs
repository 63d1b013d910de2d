use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::lines::Lines;
use super::queue::{Audit, BATCH, Queue};
use super::{AuditEntry, AuditRecord};
use crate::config;
use crate::contract::StampKey;
use crate::store::error::within;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// How long a record waits for others.
const PERIOD: Duration = Duration::from_millis(200);
/// How many records are kept while the store is away; after that the queue fills up.
const MOST_KEPT: usize = 1024;
/// How long the store may take to write a batch.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before a store that does not answer is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Writes down what request tasks leave with an [`Audit`](super::Audit).
#[derive(Debug)]
pub struct AuditWriter {
    queue: Queue,
    lines: Option<Lines>,
    stamp_key: String,
    metrics: Arc<Metrics>,
    /// What the store does not have yet, oldest first.
    kept: Vec<AuditRecord>,
    /// How many of those the file has already.
    lined: usize,
    is_store_away: bool,
    is_file_failing: bool,
    retry_at: Instant,
}

impl Audit {
    /// Makes the audit and its writer, which has to be run. The file of JSON lines, where the settings name
    /// one, is opened here.
    ///
    /// # Errors
    /// Where the file cannot be written to; the error names it.
    pub fn open(
        settings: &config::Audit,
        stamp_key: &StampKey,
        metrics: &Arc<Metrics>,
    ) -> io::Result<(Self, AuditWriter)> {
        let lines = settings.file.as_deref().map(Lines::open).transpose()?;
        let (audit, queue) = Self::new(metrics.audit_dropped.clone());
        let writer = AuditWriter::new(queue, lines, stamp_key.to_string(), Arc::clone(metrics));
        Ok((audit, writer))
    }
}

impl AuditWriter {
    fn new(queue: Queue, lines: Option<Lines>, stamp_key: String, metrics: Arc<Metrics>) -> Self {
        Self {
            queue,
            lines,
            stamp_key,
            metrics,
            kept: Vec::new(),
            lined: 0,
            is_store_away: false,
            is_file_failing: false,
            retry_at: Instant::now(),
        }
    }

    /// Writes until `shutdown` is done, and then all that is left, however long the store takes for it. While
    /// the store is away records are kept and tried again.
    pub async fn run(mut self, store: &Store, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                () = self.queue.is_enough.notified() => {}
                _ = ticks.tick() => self.keep_repeats(),
            }
            self.keep_waiting();
            self.write(store).await;
        }
        self.finish(store).await;
    }

    fn keep_waiting(&mut self) {
        while self.kept.len() < MOST_KEPT
            && let Ok(entry) = self.queue.entries.try_recv()
        {
            self.keep(entry);
        }
    }

    fn keep(&mut self, entry: AuditEntry) {
        let repeats = entry.repeats;
        match entry.record(&self.stamp_key) {
            Ok(record) => self.kept.push(record),
            Err(_no_random_numbers) => self.metrics.audit_dropped.inc_by(repeats),
        }
    }

    /// What was counted waits where it was counted while there is no room here.
    fn keep_repeats(&mut self) {
        let room = MOST_KEPT.saturating_sub(self.kept.len());
        let due = self.queue.repeats.lock().take_due(Timestamp::now(), room);
        due.into_iter().for_each(|entry| self.keep(entry));
    }

    async fn write(&mut self, store: &Store) {
        self.write_lines().await;
        while !self.kept.is_empty() && Instant::now() >= self.retry_at {
            let count = self.kept.len().min(BATCH);
            let batch = self.kept.get(..count).unwrap_or_default();
            match within(ANSWER_TIMEOUT, store.write_audit(batch)).await {
                Ok(()) => self.has_written(count),
                Err(error) => self.has_failed(&error),
            }
        }
    }

    fn has_written(&mut self, count: usize) {
        self.kept.drain(..count);
        self.lined = self.lined.saturating_sub(count);
        if std::mem::take(&mut self.is_store_away) {
            tracing::info!("the audit is written again");
        }
    }

    fn has_failed(&mut self, error: &StoreError) {
        self.metrics.audit_failures.inc();
        self.retry_at = Instant::now() + RETRY;
        if !std::mem::replace(&mut self.is_store_away, true) {
            tracing::warn!(%error, "the audit cannot be written; what comes is kept, and tried again");
        }
    }

    /// The file gets each record once, whether the store is there or not. A line that cannot be written is
    /// not tried again: nobody knows how much of it is there.
    async fn write_lines(&mut self) {
        let (Some(lines), Some(records)) = (&self.lines, self.kept.get(self.lined..)) else {
            return;
        };
        if records.is_empty() {
            return;
        }
        let outcome = lines.write(records).await;
        self.lined = self.kept.len();
        let was_failing = std::mem::replace(&mut self.is_file_failing, outcome.is_err());
        if let Err(error) = outcome {
            self.metrics.audit_failures.inc();
            if !was_failing {
                tracing::error!(%error, "lines of the audit are lost: its file cannot be written to");
            }
        }
    }

    async fn finish(mut self, store: &Store) {
        self.queue.entries.close();
        while let Some(entry) = self.queue.entries.recv().await {
            self.keep(entry);
        }
        let counted = self.queue.repeats.lock().take_all();
        counted.into_iter().for_each(|entry| self.keep(entry));
        loop {
            self.retry_at = Instant::now();
            self.write(store).await;
            if self.kept.is_empty() {
                return;
            }
            tracing::warn!(left = self.kept.len(), "records of the audit are not written yet");
            sleep(RETRY / 4).await;
        }
    }
}

#[cfg(test)]
mod tests;
