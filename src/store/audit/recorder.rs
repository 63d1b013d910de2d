use std::borrow::Borrow;
use std::io;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::AuditRecord;
use super::pending::{PendingRecord, PendingRecords};
use super::queue::Queue;
use super::spool::{Spool, SpooledRecords};
use crate::store::error::within;
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// How many records are written in one transaction at most. A store that takes less at once falls behind a
/// busy gateway: each transaction waits for the disk.
const BATCH: usize = 1000;
/// How long the store may take to write a batch.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait before a store that does not answer is tried again.
const RETRY: Duration = Duration::from_secs(1);
const TIMEOUT_AT_END: Duration = Duration::from_secs(5);
/// How long the disk may take for what the store does not.
const SPOOL_TIMEOUT: Duration = Duration::from_secs(2);

/// Brings records to the store. While it is away they are kept and tried again.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: Arc<Queue>,
    spool: Option<Spool>,
    metrics: Arc<Metrics>,
    /// What is being written, or could not be.
    batch: Vec<PendingRecord>,
    is_store_away: bool,
    /// How long the store may take for all that is left at the end.
    pub(super) timeout_at_end: Duration,
}

impl Recorder {
    pub(super) fn new(queue: Arc<Queue>, spool: Option<Spool>, metrics: Arc<Metrics>) -> Self {
        Self {
            queue,
            spool,
            metrics,
            batch: Vec::new(),
            is_store_away: false,
            timeout_at_end: TIMEOUT_AT_END,
        }
    }

    /// Does not end. What the spool has is older than all that is pending.
    pub(super) async fn run(&mut self, store: &Store, pending: &Mutex<PendingRecords>, has_more: &Notify) {
        while let Err(error) = self.take_in_spool(store).await {
            self.note_failure(&error);
            sleep(RETRY).await;
        }
        loop {
            if self.batch.is_empty() {
                self.batch = pending.lock().take_oldest(BATCH);
            }
            if self.batch.is_empty() {
                has_more.notified().await;
            } else if let Err(error) = self.write_batch(store, ANSWER_TIMEOUT).await {
                self.note_failure(&error);
                sleep(RETRY).await;
            }
        }
    }

    /// Writes what is left, as far as the store takes it in time, and the rest to the spool. Gives back how
    /// many refusals are lost.
    pub(super) async fn finish(mut self, store: &Store, mut pending: PendingRecords) -> u64 {
        pending.put_back(std::mem::take(&mut self.batch));
        let deadline = Instant::now() + self.timeout_at_end;
        loop {
            if self.batch.is_empty() {
                self.batch = pending.take_writes_first(BATCH);
            }
            let time_left = deadline.saturating_duration_since(Instant::now());
            if self.batch.is_empty() || time_left.is_zero() {
                break;
            }
            if let Err(error) = self.write_batch(store, ANSWER_TIMEOUT.min(time_left)).await {
                self.note_failure(&error);
                sleep(RETRY.min(time_left) / 4).await;
            }
        }
        pending.put_back(std::mem::take(&mut self.batch));
        let count = pending.len();
        self.save(pending.take_oldest(count)).await
    }

    /// To the spool, where there is one; else they are lost, and counted. Gives back how many refusals are.
    async fn save(&self, left: Vec<PendingRecord>) -> u64 {
        if left.is_empty() {
            return 0;
        }
        let left = Arc::new(left);
        let records = left.len();
        let reason = match &self.spool {
            None => "audit.spool is not set".to_owned(),
            Some(spool) => match append(spool.clone(), Arc::clone(&left)).await {
                Err(error) => error.to_string(),
                Ok(()) => {
                    tracing::warn!(records, "the last records of the audit went to the spool");
                    return 0;
                }
            },
        };
        tracing::error!(records, reason, "the last records of the audit are lost");
        let mut refusals = 0;
        for pending in left.iter() {
            self.metrics.audit_dropped.inc_by(pending.record.repeats);
            self.queue.count_lost(pending.record.repeats, pending.size);
            refusals += u64::from(pending.size.is_refusal);
        }
        refusals
    }

    async fn write_batch(&mut self, store: &Store, patience: Duration) -> Result<(), StoreError> {
        let refused = write(store, &self.batch, patience).await?;
        for (index, reason) in refused {
            if let Some(pending) = self.batch.get(index) {
                self.put_aside(&pending.record, &reason);
                self.queue.count_lost(pending.record.repeats, pending.size);
            }
        }
        for pending in self.batch.drain(..) {
            self.queue.release(&pending.record.tenant.id, pending.size);
        }
        if std::mem::take(&mut self.is_store_away) {
            tracing::info!("the audit is written again");
        }
        Ok(())
    }

    /// Where only a part could be taken in, all is tried again: the store has each record once.
    async fn take_in_spool(&self, store: &Store) -> Result<(), StoreError> {
        let Some(spool) = self.spool.clone() else {
            return Ok(());
        };
        let spooled = match spawn_blocking(move || spool.read())
            .await
            .map_err(io::Error::other)
            .flatten()
        {
            Ok(spooled) => spooled,
            Err(error) => {
                tracing::error!(%error, "the spool of the audit cannot be read");
                return Ok(());
            }
        };
        for records in spooled.records.chunks(BATCH) {
            for (index, reason) in write(store, records, ANSWER_TIMEOUT).await? {
                if let Some(record) = records.get(index) {
                    self.put_aside(record, &reason);
                }
            }
        }
        self.clear(spooled).await;
        Ok(())
    }

    async fn clear(&self, spooled: SpooledRecords) {
        let (records, unreadable) = (spooled.records.len(), spooled.unreadable.len());
        if records + unreadable == 0 {
            return;
        }
        tracing::info!(
            records,
            "records that a stop had left in the spool of the audit were taken in"
        );
        if unreadable > 0 {
            self.metrics
                .audit_put_aside
                .inc_by(u64::try_from(unreadable).unwrap_or(u64::MAX));
            tracing::error!(
                lines = unreadable,
                "lines of the spool are no records; they are kept in a file beside it"
            );
        }
        let cleared = spawn_blocking(move || spooled.clear())
            .await
            .map_err(io::Error::other)
            .flatten();
        if let Err(error) = cleared {
            tracing::error!(%error, "the spool of the audit cannot be emptied; the next start finds it as it is");
        }
    }

    /// The log has the record then, but for what changed, and the file of the audit the whole.
    fn put_aside(&self, record: &AuditRecord, reason: &str) {
        self.metrics.audit_put_aside.inc();
        let record = serde_json::to_string(&AuditRecord {
            change: None,
            ..record.clone()
        });
        let record = record.unwrap_or_default();
        tracing::error!(
            record,
            reason,
            "the store refuses a record of the audit for good; it is put aside"
        );
    }

    fn note_failure(&mut self, error: &StoreError) {
        self.metrics.audit_failures.inc();
        if !std::mem::replace(&mut self.is_store_away, true) {
            tracing::warn!(%error, "the audit cannot be written; what comes is kept, and tried again");
        }
    }
}

/// Writes records, each once however often it is tried. Those that the store refuses for good do not keep it
/// from taking the others; they are given back, by their place, with the reason.
async fn write<R: Borrow<AuditRecord>>(
    store: &Store,
    records: &[R],
    patience: Duration,
) -> Result<Vec<(usize, String)>, StoreError> {
    let mut refused = Vec::new();
    if within(patience, store.insert_audit(records)).await?.is_ok() {
        return Ok(refused);
    }
    for (index, record) in records.iter().enumerate() {
        if let Err(reason) = within(patience, store.insert_audit(slice::from_ref(record))).await? {
            refused.push((index, reason));
        }
    }
    Ok(refused)
}

async fn append(spool: Spool, records: Arc<Vec<PendingRecord>>) -> io::Result<()> {
    let appended = spawn_blocking(move || spool.append(&records));
    match timeout(SPOOL_TIMEOUT, appended).await {
        Ok(outcome) => outcome.map_err(io::Error::other)?,
        Err(elapsed) => Err(io::Error::other(elapsed)),
    }
}
