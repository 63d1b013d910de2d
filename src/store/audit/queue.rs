use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::repeats::RepeatedRefusals;
use super::room::Room;
use super::{AuditEntry, AuditOutcome, AuditRecord};
use crate::telemetry::Metrics;

/// How many writes that were sent wait for the store: those of some hours, at the upstream's pace.
const MAX_WRITES: usize = 32 * 1024;
const MAX_WRITES_OF_ONE_TENANT: usize = 8 * 1024;
/// How many refusals. They have room of their own, because nothing but a client's own pace limits them.
const MAX_REFUSALS: usize = 16 * 1024;
const MAX_REFUSALS_OF_ONE_TENANT: usize = 1024;
/// How large the documents of all that waits may be together; those of what comes then are left out.
const MAX_DOCUMENT_BYTES: usize = 32 << 20;
/// So many entries wake the writer. Not every entry does: that would cost each request more than all the
/// rest.
const ENOUGH: usize = 500;
/// How often refusals that were counted are looked through.
const COUNTING: Duration = Duration::from_secs(1);

/// Where request tasks leave what they did. Clones share one queue.
#[derive(Clone, Debug)]
pub struct Audit(pub(super) Arc<Queue>);

/// What request tasks and the writer share.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Told when it is worth writing.
    pub(super) is_enough: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Waiting {
    /// What the writer has not taken yet, in the order in which it came.
    entries: Vec<AuditEntry>,
    /// What the store has already, for the file alone.
    recorded: Vec<AuditRecord>,
    /// Refusals that are only counted so far.
    repeats: RepeatedRefusals,
    /// When those were last looked through.
    counted_at: Instant,
    /// The room that writes take until the store has them, and refusals.
    writes: Room,
    refusals: Room,
    document_bytes: usize,
    is_closed: bool,
    /// How many writes are in no record.
    lost_writes: u64,
}

/// The room that a record takes until the store has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) is_refusal: bool,
    pub(super) document_bytes: usize,
}

impl Audit {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        let waiting = Waiting {
            entries: Vec::new(),
            recorded: Vec::new(),
            repeats: RepeatedRefusals::default(),
            counted_at: Instant::now(),
            writes: Room::new(MAX_WRITES, MAX_WRITES_OF_ONE_TENANT),
            refusals: Room::new(MAX_REFUSALS, MAX_REFUSALS_OF_ONE_TENANT),
            document_bytes: 0,
            is_closed: false,
            lost_writes: 0,
        };
        Self(Arc::new(Queue {
            waiting: Mutex::new(waiting),
            is_enough: Notify::new(),
            metrics,
        }))
    }

    /// Takes an entry without waiting. Refusals that come again are counted only; what does not fit is
    /// counted as dropped.
    pub fn note(&self, entry: AuditEntry) {
        let mut waiting = self.0.waiting.lock();
        let dropped = if entry.outcome == AuditOutcome::Refused {
            waiting.note_refusal(entry)
        } else {
            waiting.push(entry)
        };
        let is_enough = waiting.entries.len() >= ENOUGH;
        drop(waiting);
        if dropped > 0 {
            self.0.metrics.audit_dropped.inc_by(dropped);
        }
        if is_enough {
            self.0.is_enough.notify_one();
        }
    }
}

impl Audit {
    /// Takes a record that the store has, for the file.
    pub(super) fn note_recorded(&self, record: AuditRecord) {
        self.0.waiting.lock().recorded.push(record);
    }
}

impl Queue {
    /// The records that the store has already, and the file not yet.
    pub(super) fn take_recorded(&self) -> Vec<AuditRecord> {
        std::mem::take(&mut self.waiting.lock().recorded)
    }

    /// What came since, and what was counted in minutes that are over.
    pub(super) fn take(&self, now: Instant) -> Vec<AuditEntry> {
        let mut waiting = self.waiting.lock();
        let is_time = now.saturating_duration_since(waiting.counted_at) >= COUNTING;
        let due = if is_time {
            waiting.counted_at = now;
            waiting.repeats.take_due(now)
        } else {
            Vec::new()
        };
        self.take_with(&mut waiting, due)
    }

    /// All that is left. What comes from now on is dropped.
    pub(super) fn close(&self) -> Vec<AuditEntry> {
        let mut waiting = self.waiting.lock();
        waiting.is_closed = true;
        let counted = waiting.repeats.take_all();
        self.take_with(&mut waiting, counted)
    }

    fn take_with(&self, waiting: &mut Waiting, counted: Vec<AuditEntry>) -> Vec<AuditEntry> {
        let dropped: u64 = counted.into_iter().map(|entry| waiting.push_open(entry)).sum();
        self.metrics.audit_dropped.inc_by(dropped);
        self.metrics.audit_pending.set(waiting.in_all());
        std::mem::take(&mut waiting.entries)
    }

    /// The store has a record, or will not get it; its room is free.
    pub(super) fn release(&self, tenant: &str, size: Size) {
        let mut waiting = self.waiting.lock();
        waiting.document_bytes = waiting.document_bytes.saturating_sub(size.document_bytes);
        let room = if size.is_refusal {
            &mut waiting.refusals
        } else {
            &mut waiting.writes
        };
        room.leave(tenant);
        self.metrics.audit_pending.set(waiting.in_all());
    }

    /// Counts a record that nobody will find in the store.
    pub(super) fn count_lost(&self, repeats: u64, size: Size) {
        if !size.is_refusal {
            self.waiting.lock().lost_writes += repeats;
        }
    }

    /// How many writes are in no record, of all since the start.
    pub(super) fn lost_writes(&self) -> u64 {
        self.waiting.lock().lost_writes
    }
}

impl Waiting {
    /// Both give back how many requests were dropped.
    fn note_refusal(&mut self, entry: AuditEntry) -> u64 {
        let repeats = entry.repeats;
        match self.repeats.note(entry, Instant::now()) {
            Ok(entries) => entries.into_iter().map(|entry| self.push(entry)).sum(),
            Err(_full) => repeats,
        }
    }

    fn push(&mut self, entry: AuditEntry) -> u64 {
        if !self.is_closed {
            return self.push_open(entry);
        }
        self.drop_entry(&entry)
    }

    fn push_open(&mut self, mut entry: AuditEntry) -> u64 {
        let room = match entry.outcome {
            AuditOutcome::Refused => &mut self.refusals,
            _ => &mut self.writes,
        };
        if !room.enter(&entry.tenant.id) {
            return self.drop_entry(&entry);
        }
        if self.document_bytes + entry.documents.kept_bytes() > MAX_DOCUMENT_BYTES {
            entry.documents.omit();
        }
        self.document_bytes += entry.documents.kept_bytes();
        self.entries.push(entry);
        0
    }

    fn drop_entry(&mut self, entry: &AuditEntry) -> u64 {
        if entry.outcome != AuditOutcome::Refused {
            self.lost_writes += entry.repeats;
        }
        entry.repeats
    }

    fn in_all(&self) -> i64 {
        i64::try_from(self.writes.in_all() + self.refusals.in_all()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests;
