use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a write of a request is on its way to the upstream, or was: from then on it may have been done, and whoever
/// waits for its reply should go on, even if nobody wants to hear of it any more.
#[derive(Debug, Default)]
pub struct Underway(AtomicBool);

impl Underway {
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a write has been sent.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
