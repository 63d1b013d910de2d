use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

use super::file::AuditFile;
use super::pending::PendingRecords;
use super::queue::{Audit, Queue, Size};
use super::recorder::Recorder;
use super::spool::Spool;
use super::{AuditEntry, AuditOutcome};
use crate::config;
use crate::contract::StampKey;
use crate::store::Store;
use crate::telemetry::Metrics;

/// How long a record waits for others.
const PERIOD: Duration = Duration::from_millis(200);
/// How long the file may take for the last lines.
const FILE_TIMEOUT_AT_END: Duration = Duration::from_secs(1);
/// How often at most it is told that the file loses lines.
const LOST_LINES_PERIOD: Duration = Duration::from_secs(60);

/// Writes down what request tasks leave with an [`Audit`].
#[derive(Debug)]
pub struct AuditWriter {
    intake: Intake,
    recorder: Recorder,
}

/// What the audit does not have when a gateway has stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unrecorded {
    /// Writes that went up, of all since the start.
    pub writes: u64,
    /// Refusals of the last moments.
    pub refusals: u64,
}

/// Makes records of entries, for the file and for the store.
#[derive(Debug)]
struct Intake {
    queue: Arc<Queue>,
    file: Option<AuditFile>,
    stamp_key: String,
    metrics: Arc<Metrics>,
    lost_lines: LostLines,
}

/// How many lines the file had lost when that was last told.
#[derive(Debug, Default)]
struct LostLines {
    told: u64,
    told_at: Option<Instant>,
}

impl Unrecorded {
    /// Whether all was recorded.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

impl Audit {
    /// Makes the audit and its writer, which has to be run. The files that the settings name are opened here.
    ///
    /// # Errors
    /// Where a file cannot be written to; the error names it.
    pub fn open(
        settings: &config::Audit,
        stamp_key: &StampKey,
        metrics: &Arc<Metrics>,
    ) -> io::Result<(Self, AuditWriter)> {
        let open_file = |path| AuditFile::open(path, metrics.audit_file_lost.clone());
        let file = settings.file.as_deref().map(open_file).transpose()?;
        let spool = settings.spool.as_deref().map(Spool::open).transpose()?;
        let audit = Self::new(Arc::clone(metrics));
        let intake = Intake {
            queue: Arc::clone(&audit.0),
            file,
            stamp_key: stamp_key.to_string(),
            metrics: Arc::clone(metrics),
            lost_lines: LostLines::default(),
        };
        let recorder = Recorder::new(Arc::clone(&audit.0), spool, Arc::clone(metrics));
        Ok((audit, AuditWriter { intake, recorder }))
    }
}

impl AuditWriter {
    /// Takes in what the spool has, and writes until `shutdown` is done; then all that is left, as far as the
    /// store takes it in time. What it does not take goes to the spool, if there is one.
    pub async fn run(self, store: &Store, shutdown: impl Future<Output = ()>) -> Unrecorded {
        let Self {
            mut intake,
            mut recorder,
        } = self;
        let pending = Mutex::new(PendingRecords::default());
        let has_more = Notify::new();
        // Beside each other: neither the file nor the end waits for a store that hangs.
        tokio::select! {
            () = shutdown => {}
            () = intake.run(&pending, &has_more) => {}
            () = recorder.run(store, &pending, &has_more) => {}
        }
        let last = intake.queue.close();
        intake.take_in(last, &mut pending.lock());
        let refusals = recorder.finish(store, pending.into_inner()).await;
        let writes = intake.queue.lost_writes();
        intake.finish().await;
        Unrecorded { writes, refusals }
    }
}

impl Intake {
    /// Does not end.
    async fn run(&mut self, pending: &Mutex<PendingRecords>, has_more: &Notify) {
        let queue = Arc::clone(&self.queue);
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = queue.is_enough.notified() => {}
                _ = ticks.tick() => self.tell_lost_lines(),
            }
            self.take_in(queue.take(Instant::now()), &mut pending.lock());
            has_more.notify_one();
        }
    }

    fn take_in(&mut self, entries: Vec<AuditEntry>, pending: &mut PendingRecords) {
        for record in self.queue.take_recorded() {
            if let Some(file) = &self.file {
                file.push(&record);
            }
        }
        for entry in entries {
            let tenant = Arc::clone(&entry.tenant);
            let repeats = entry.repeats;
            let size = Size {
                is_refusal: entry.outcome == AuditOutcome::Refused,
                document_bytes: entry.documents.kept_bytes(),
            };
            match entry.record(&self.stamp_key) {
                Ok(record) => {
                    if let Some(file) = &self.file {
                        file.push(&record);
                    }
                    pending.push(record, size);
                }
                Err(_no_random_numbers) => {
                    self.metrics.audit_dropped.inc_by(repeats);
                    self.queue.count_lost(repeats, size);
                    self.queue.release(&tenant.id.0, size);
                }
            }
        }
    }

    fn tell_lost_lines(&mut self) {
        let lost = self.metrics.audit_file_lost.get();
        let is_time = self
            .lost_lines
            .told_at
            .is_none_or(|at| at.elapsed() >= LOST_LINES_PERIOD);
        if lost > self.lost_lines.told && is_time {
            tracing::error!(
                lines = lost,
                "lines of the audit are lost: its file does not take them"
            );
            self.lost_lines = LostLines {
                told: lost,
                told_at: Some(Instant::now()),
            };
        }
    }

    async fn finish(mut self) {
        let Some(file) = self.file.take() else { return };
        // On a thread that may hang: it ends with the process.
        let flushed = tokio::task::spawn_blocking(move || file.flush(FILE_TIMEOUT_AT_END)).await;
        self.lost_lines.told_at = None;
        self.tell_lost_lines();
        if let Ok(lines @ 1..) = flushed {
            tracing::error!(
                lines,
                "the last lines of the audit are lost: its file does not take them"
            );
        }
    }
}

#[cfg(test)]
mod tests;
