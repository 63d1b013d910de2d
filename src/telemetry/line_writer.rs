//! Lines on their way to a file that may be slow, stuck or full, without anybody who waits for it.
//!
//! `tracing-appender` has a writer of the same kind. It bounds lines instead of bytes, wakes its thread for
//! each line, and a line that could not be written is not among those that it counts as lost.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use prometheus::IntCounter;

/// How long lines wait for others, so that they are written together and not each of them wakes the thread. The thread
/// looks for more as long after each time: only who comes after a silence has to wake it.
const GATHERING: Duration = Duration::from_millis(20);
/// So much is not waited with: more would not fit into a pipe at once.
const FULL_BYTES: usize = 64 * 1024;
/// How long to wait before a pipe that is full is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// What a buffer keeps for the next lines once it was written.
const KEPT_CAPACITY_BYTES: usize = 2 * FULL_BYTES;

/// Takes lines without waiting, and writes them on a thread of its own. What does not fit, or cannot be
/// written, is counted as lost.
#[derive(Debug)]
pub struct LineWriter {
    queue: Arc<Queue>,
    max_bytes: usize,
}

#[derive(Debug)]
struct Queue {
    waiting: Mutex<Waiting>,
    has_lines: Condvar,
    is_written: Condvar,
    lost: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: u64,
    /// How many lines the thread has taken and not written yet.
    in_writing: u64,
    /// How many bytes there may be before the thread has to be woken: none while it sleeps until there is a line, all while
    /// it has been woken or writes.
    quiet_bytes: usize,
    /// Whether somebody waits for all to be written.
    is_flushing: bool,
    is_closed: bool,
}

impl LineWriter {
    /// Starts the thread, which writes to `sink` until the writer is dropped. At most `max_bytes` wait for
    /// it.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn spawn(
        name: &str,
        sink: impl Write + Send + 'static,
        max_bytes: usize,
        lost: IntCounter,
    ) -> io::Result<Self> {
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            has_lines: Condvar::new(),
            is_written: Condvar::new(),
            lost,
        });
        let thread_queue = Arc::clone(&queue);
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || thread_queue.write_to(sink))?;
        Ok(Self { queue, max_bytes })
    }

    /// Takes a line with its newline, unless it does not fit.
    pub fn push(&self, line: &[u8]) {
        self.push_within(line, self.max_bytes);
    }

    /// As [`LineWriter::push`], for lines that leave room for others: they fit where no more than `max_bytes`
    /// wait.
    pub fn push_within(&self, line: &[u8], max_bytes: usize) {
        let mut waiting = self.queue.waiting.lock();
        if waiting.bytes.len() + line.len() > max_bytes.min(self.max_bytes) {
            return self.queue.lost.inc();
        }
        waiting.bytes.extend_from_slice(line);
        waiting.lines += 1;
        if waiting.bytes.len() > waiting.quiet_bytes {
            waiting.quiet_bytes = usize::MAX;
            drop(waiting);
            self.queue.has_lines.notify_one();
        }
    }

    /// Waits until all is written, at most so long. Gives back how many lines are not.
    pub fn flush(&self, patience: Duration) -> u64 {
        let deadline = Instant::now() + patience;
        let mut waiting = self.queue.waiting.lock();
        waiting.is_flushing = true;
        self.queue.has_lines.notify_one();
        while waiting.unwritten() > 0 {
            if self
                .queue
                .is_written
                .wait_until(&mut waiting, deadline)
                .timed_out()
            {
                break;
            }
        }
        waiting.is_flushing = false;
        waiting.unwritten()
    }
}

impl Drop for LineWriter {
    /// The thread ends once it has tried to write what is left.
    fn drop(&mut self) {
        self.queue.waiting.lock().is_closed = true;
        self.queue.has_lines.notify_one();
    }
}

impl Waiting {
    fn unwritten(&self) -> u64 {
        self.lines + self.in_writing
    }
}

impl Queue {
    fn write_to(&self, mut sink: impl Write) {
        let mut batch = Vec::new();
        let mut is_torn = false;
        while self.take(&mut batch) {
            // What comes after a line that is only half there begins on a line of its own.
            let head: &[u8] = if is_torn { b"\n" } else { b"" };
            let begun = self.write_all(&mut sink, head).map_err(|_| batch.len());
            is_torn &= begun.is_err();
            if let Err(rest) = begun.and_then(|()| self.write_all(&mut sink, &batch)) {
                let last = batch.len().checked_sub(rest + 1).and_then(|last| batch.get(last));
                is_torn |= last.is_some_and(|byte| *byte != b'\n');
                let lost = batch
                    .iter()
                    .rev()
                    .take(rest)
                    .filter(|byte| **byte == b'\n')
                    .count();
                self.lost.inc_by(u64::try_from(lost).unwrap_or(u64::MAX));
            }
            batch.clear();
            batch.shrink_to(KEPT_CAPACITY_BYTES);
            self.waiting.lock().in_writing = 0;
            self.is_written.notify_all();
        }
    }

    /// Waits for lines, and for those that follow them closely. False where there will be no more.
    fn take(&self, batch: &mut Vec<u8>) -> bool {
        let mut waiting = self.waiting.lock();
        // Lines come one after the other as a rule: those of the next moment need not wake anybody.
        self.gather(&mut waiting);
        if waiting.bytes.is_empty() {
            while waiting.bytes.is_empty() && !waiting.is_closed {
                waiting.quiet_bytes = 0;
                self.has_lines.wait(&mut waiting);
            }
            self.gather(&mut waiting);
        }
        waiting.quiet_bytes = usize::MAX;
        std::mem::swap(&mut waiting.bytes, batch);
        waiting.in_writing = std::mem::take(&mut waiting.lines);
        !batch.is_empty()
    }

    fn gather(&self, waiting: &mut MutexGuard<'_, Waiting>) {
        let deadline = Instant::now() + GATHERING;
        waiting.quiet_bytes = FULL_BYTES;
        while !waiting.is_flushing && !waiting.is_closed && waiting.bytes.len() <= FULL_BYTES {
            if self.has_lines.wait_until(waiting, deadline).timed_out() {
                return;
            }
        }
    }

    /// Writes all, however long that takes; the error is how many bytes could not be written.
    fn write_all(&self, sink: &mut impl Write, bytes: &[u8]) -> Result<(), usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match sink.write(rest) {
                Ok(count @ 1..) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && !self.waiting.lock().is_closed => {
                    thread::park_timeout(RETRY);
                }
                Ok(_) | Err(_) => return Err(rest.len()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
