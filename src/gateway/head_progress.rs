use std::sync::atomic::{AtomicU8, Ordering};

/// How far a connection is with the head of its next request: the connection says when it waits for one, the
/// stream beneath it when something of it has come.
#[derive(Debug, Default)]
pub(super) struct HeadProgress(AtomicU8);

const NOT_AWAITED: u8 = 0;
const AWAITED: u8 = 1;
const READING: u8 = 2;
const BEGUN: u8 = 3;

impl HeadProgress {
    /// The next thing that is read is a head.
    pub(super) fn await_head(&self) {
        self.0.store(AWAITED, Ordering::Relaxed);
    }

    /// What is read from now on is none.
    pub(super) fn end(&self) {
        self.0.store(NOT_AWAITED, Ordering::Relaxed);
    }

    /// Whether the next thing that is read is a head. Said once: one head is waited for at a time.
    pub(super) fn take_awaited(&self) -> bool {
        let is_awaited = self.0.load(Ordering::Relaxed) == AWAITED;
        if is_awaited {
            self.0.store(READING, Ordering::Relaxed);
        }
        is_awaited
    }

    /// Something of it has come, and more is missing.
    pub(super) fn begin_head(&self) {
        self.0.store(BEGUN, Ordering::Relaxed);
    }

    /// Whether a head is being read of which something has come.
    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed) == BEGUN
    }
}
