use std::sync::atomic::{AtomicUsize, Ordering};

/// The largest head of a request: request line and header, as they come. Pingora would take 1 MiB before it
/// asks anybody.
pub(super) const MAX_HEAD_BYTES: usize = 32 * 1024;

/// How many bytes may still come of the head that is being read, if one is. The stream counts, the connection
/// looks.
#[derive(Debug)]
pub(super) struct HeadLimit(AtomicUsize);

/// No head is being read.
const NO_HEAD: usize = usize::MAX;

impl Default for HeadLimit {
    fn default() -> Self {
        Self(AtomicUsize::new(NO_HEAD))
    }
}

impl HeadLimit {
    /// What is read from now on is a head.
    pub(super) fn begin(&self) {
        self.0.store(MAX_HEAD_BYTES, Ordering::Relaxed);
    }

    /// What is read from now on is none.
    pub(super) fn end(&self) {
        self.0.store(NO_HEAD, Ordering::Relaxed);
    }

    /// How many bytes may still come; none where no head is being read.
    pub(super) fn bytes_left(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|left| *left != NO_HEAD)
    }

    /// Counts bytes that came of a head.
    pub(super) fn count(&self, bytes: usize) {
        if let Some(left) = self.bytes_left() {
            self.0.store(left.saturating_sub(bytes), Ordering::Relaxed);
        }
    }

    /// Whether a head is being read of which something has come.
    pub(super) fn has_begun(&self) -> bool {
        self.bytes_left().is_some_and(|left| left < MAX_HEAD_BYTES)
    }

    /// Whether a head is being read that is as large as it may be, and is not complete.
    pub(super) fn is_too_large(&self) -> bool {
        self.bytes_left() == Some(0)
    }
}
