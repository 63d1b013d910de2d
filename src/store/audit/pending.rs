use std::borrow::Borrow;
use std::collections::VecDeque;

use super::AuditRecord;
use super::queue::Size;

/// Records that the store does not have yet. Writes and refusals wait apart.
#[derive(Debug, Default)]
pub(super) struct PendingRecords {
    writes: VecDeque<PendingRecord>,
    refusals: VecDeque<PendingRecord>,
    next_number: u64,
}

#[derive(Debug)]
pub(super) struct PendingRecord {
    pub(super) record: AuditRecord,
    pub(super) size: Size,
    /// The order in which it came.
    number: u64,
}

impl Borrow<AuditRecord> for PendingRecord {
    fn borrow(&self) -> &AuditRecord {
        &self.record
    }
}

impl PendingRecords {
    pub(super) fn push(&mut self, record: AuditRecord, size: Size) {
        let number = self.next_number;
        self.next_number += 1;
        self.queue_of(size)
            .push_back(PendingRecord { record, size, number });
    }

    pub(super) fn len(&self) -> usize {
        self.writes.len() + self.refusals.len()
    }

    /// So many records at most, in the order in which they came.
    pub(super) fn take_oldest(&mut self, max: usize) -> Vec<PendingRecord> {
        std::iter::from_fn(|| self.pop_oldest()).take(max).collect()
    }

    /// So many at most, writes before refusals: where not all can be written, they are what is missed.
    pub(super) fn take_writes_first(&mut self, max: usize) -> Vec<PendingRecord> {
        let next = || self.writes.pop_front().or_else(|| self.refusals.pop_front());
        std::iter::from_fn(next).take(max).collect()
    }

    /// Takes back what was not written, to where it was.
    pub(super) fn put_back(&mut self, records: Vec<PendingRecord>) {
        for record in records.into_iter().rev() {
            self.queue_of(record.size).push_front(record);
        }
    }

    fn pop_oldest(&mut self) -> Option<PendingRecord> {
        let is_write_older = match (self.writes.front(), self.refusals.front()) {
            (Some(write), Some(refusal)) => write.number < refusal.number,
            (write, _) => write.is_some(),
        };
        let queue = if is_write_older {
            &mut self.writes
        } else {
            &mut self.refusals
        };
        queue.pop_front()
    }

    fn queue_of(&mut self, size: Size) -> &mut VecDeque<PendingRecord> {
        if size.is_refusal {
            &mut self.refusals
        } else {
            &mut self.writes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::audit::tests::record;

    fn pending() -> PendingRecords {
        let mut pending = PendingRecords::default();
        for second in 0..6 {
            let size = Size {
                is_refusal: second % 2 == 0,
                document_bytes: 0,
            };
            pending.push(record(second), size);
        }
        pending
    }

    fn seconds(records: &[PendingRecord]) -> Vec<i64> {
        records
            .iter()
            .map(|pending| pending.record.at.as_second())
            .collect()
    }

    #[test]
    fn records_are_taken_in_the_order_in_which_they_came_also_after_they_were_put_back() {
        let mut pending = pending();
        let taken = pending.take_oldest(3);
        assert_eq!(seconds(&taken), [0, 1, 2]);
        pending.put_back(taken);
        assert_eq!(seconds(&pending.take_oldest(10)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn at_the_end_writes_are_taken_before_refusals() {
        assert_eq!(seconds(&pending().take_writes_first(10)), [1, 3, 5, 0, 2, 4]);
    }
}
