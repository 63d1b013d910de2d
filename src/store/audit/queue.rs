use std::sync::Arc;

use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::sync::{Notify, mpsc};

use super::repeats::Repeats;
use super::{AuditEntry, AuditOutcome};

/// How many entries wait for the writer.
const QUEUE: usize = 1024;
/// How many records are written in one transaction.
pub(super) const BATCH: usize = 100;

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
    /// An empty queue, and the writer's end of it. What does not fit is counted in `dropped`.
    pub(super) fn new(dropped: IntCounter) -> (Self, Queue) {
        let (sender, entries) = mpsc::channel(QUEUE);
        let is_enough = Arc::new(Notify::new());
        let repeats = Arc::new(Mutex::new(Repeats::default()));
        let audit = Self {
            entries: sender,
            is_enough: Arc::clone(&is_enough),
            repeats: Arc::clone(&repeats),
            dropped,
        };
        let queue = Queue {
            entries,
            is_enough,
            repeats,
        };
        (audit, queue)
    }

    /// Takes an entry without waiting. Refusals that come again are counted only; what does not fit is
    /// counted as dropped.
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
