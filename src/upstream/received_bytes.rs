use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::framing::MAX_HEAD_BYTES;

/// What the upstream has sent since the last request went out, and when. A read that died on a reused
/// connection may be sent again only if nothing came.
#[derive(Clone, Debug, Default)]
pub struct ReceivedBytes(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    last_at: Option<Instant>,
    /// How many bytes came before the header of the final answer was whole; none once it is.
    before_head: Option<usize>,
}

impl ReceivedBytes {
    pub(super) fn reset(&self) {
        *self.0.lock() = Received {
            last_at: None,
            before_head: Some(0),
        };
    }

    pub(super) fn is_set(&self) -> bool {
        self.last_at().is_some()
    }

    /// Says that some came now.
    pub fn note(&self) {
        self.add(0);
    }

    /// When the last of them came; none before the first.
    #[must_use]
    pub fn last_at(&self) -> Option<Instant> {
        self.0.lock().last_at
    }

    pub(super) fn add(&self, count: usize) {
        let mut received = self.0.lock();
        received.last_at = Some(Instant::now());
        received.before_head = received.before_head.map(|before| before.saturating_add(count));
    }

    /// Says that the header of the final answer is there: what comes from now on is its body.
    pub(super) fn end_head(&self) {
        self.0.lock().before_head = None;
    }

    /// Whether more came than a header takes, with the interim answers before it.
    pub(super) fn is_endless(&self) -> bool {
        let before_head = self.0.lock().before_head;
        before_head.is_some_and(|before| before > MAX_HEAD_BYTES)
    }
}
