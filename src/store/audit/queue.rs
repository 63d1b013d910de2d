use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::sync::{Notify, mpsc};

use super::lines::Lines;
use super::repeats::Repeats;
use super::writer::BATCH;
use super::{AuditEntry, AuditOutcome, AuditWriter};
use crate::config;
use crate::contract::StampKey;
use crate::telemetry::Metrics;

/// How many entries wait for the writer.
const QUEUE: usize = 1024;

/// Where request tasks leave what they did. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Audit {
    entries: mpsc::Sender<AuditEntry>,
    /// Wakes the writer. Not every entry does: that would cost each request more than all the rest.
    is_enough: Arc<Notify>,
    repeats: Arc<Mutex<Repeats>>,
    dropped: IntCounter,
}

/// The writer's end of it.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) entries: mpsc::Receiver<AuditEntry>,
    /// Told when there is a batch to write.
    pub(super) is_enough: Arc<Notify>,
    /// Refusals that are only counted so far.
    pub(super) repeats: Arc<Mutex<Repeats>>,
}

impl Audit {
    /// Makes the audit and its writer, which has to be run. The file of JSON lines, where the settings name one, is
    /// opened here.
    ///
    /// # Errors
    /// Where the file cannot be written to; the error names it.
    pub fn open(
        settings: &config::Audit,
        stamp_key: &StampKey,
        metrics: &Arc<Metrics>,
    ) -> io::Result<(Self, AuditWriter)> {
        let lines = settings.file.as_deref().map(Lines::open).transpose()?;
        let (sender, entries) = mpsc::channel(QUEUE);
        let is_enough = Arc::new(Notify::new());
        let repeats = Arc::new(Mutex::new(Repeats::default()));
        let audit = Self {
            entries: sender,
            is_enough: Arc::clone(&is_enough),
            repeats: Arc::clone(&repeats),
            dropped: metrics.audit_dropped.clone(),
        };
        let queue = Queue {
            entries,
            is_enough,
            repeats,
        };
        let writer = AuditWriter::new(queue, lines, stamp_key.to_string(), Arc::clone(metrics));
        Ok((audit, writer))
    }

    /// Takes an entry without waiting. Refusals that come again are counted only; what does not fit is counted as
    /// dropped.
    pub fn note(&self, entry: AuditEntry) {
        if entry.outcome != AuditOutcome::Refused {
            return self.send(entry);
        }
        let repeats = entry.repeats;
        let noted = self.repeats.lock().note(entry);
        match noted {
            Ok(entries) => entries.into_iter().for_each(|entry| self.send(entry)),
            Err(_full) => self.dropped.inc_by(repeats),
        }
    }

    fn send(&self, entry: AuditEntry) {
        let repeats = entry.repeats;
        if self.entries.try_send(entry).is_err() {
            self.dropped.inc_by(repeats);
        }
        if self.entries.capacity() + BATCH <= QUEUE {
            self.is_enough.notify_one();
        }
    }
}
