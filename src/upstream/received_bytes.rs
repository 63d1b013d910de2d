use std::sync::Arc;

use parking_lot::Mutex;
use tokio::time::Instant;

/// When the upstream has last sent something since the last request went out. A read that died on a reused
/// connection may be sent again only if nothing came.
#[derive(Clone, Debug, Default)]
pub struct ReceivedBytes(Arc<Mutex<Option<Instant>>>);

impl ReceivedBytes {
    pub(super) fn reset(&self) {
        *self.0.lock() = None;
    }

    pub(super) fn is_set(&self) -> bool {
        self.last_at().is_some()
    }

    /// Says that some came now.
    pub fn note(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    /// When the last of them came; none before the first.
    #[must_use]
    pub fn last_at(&self) -> Option<Instant> {
        *self.0.lock()
    }
}
