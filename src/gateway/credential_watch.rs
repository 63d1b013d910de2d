use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long a request waits for a look at most: looks are a second apart, and a file system may hang.
const PATIENCE: Duration = Duration::from_secs(3);

/// When the files of credentials are looked at, for those who need to know what they hold by now. Whoever looks
/// does so about once a second, whether anybody waits for it or not.
#[derive(Debug)]
pub struct CredentialWatch {
    begun: AtomicU64,
    ended: watch::Sender<u64>,
    /// Whether the upstream has refused one of the credentials since the last look.
    is_refused: AtomicBool,
}

/// A look that goes on. Dropped, it has ended.
#[derive(Debug)]
pub struct Look<'a> {
    watch: &'a CredentialWatch,
    number: u64,
    /// Whether the upstream has refused a credential since the look before: what a file holds now is to be
    /// taken, even if it may change once more in a moment.
    pub is_urgent: bool,
}

impl CredentialWatch {
    pub(super) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            is_refused: AtomicBool::new(false),
        }
    }

    /// The files are looked at from now on, until what is given back is dropped.
    pub fn look(&self) -> Look<'_> {
        let is_urgent = self.is_refused.swap(false, Ordering::SeqCst);
        Look {
            watch: self,
            number: self.begun.fetch_add(1, Ordering::SeqCst) + 1,
            is_urgent,
        }
    }

    /// Waits for the end of a look that has not begun yet, because the upstream has refused a credential.
    pub(super) async fn next_look(&self, until: Instant) {
        self.is_refused.store(true, Ordering::SeqCst);
        let begun = self.begun.load(Ordering::SeqCst);
        let mut ended = self.ended.subscribe();
        let until = until.min(Instant::now() + PATIENCE);
        // Whoever waits in vain goes on with what there is.
        let _ = timeout_at(until, ended.wait_for(|ended| *ended > begun)).await;
    }
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        self.watch.ended.send_replace(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn who_waits_is_served_by_a_look_that_begins_later_and_makes_it_urgent() {
        let watch = CredentialWatch::new();
        let until = Instant::now() + Duration::from_secs(60);
        let earlier = watch.look();
        let mut waiting = pin!(watch.next_look(until));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(earlier);
        assert!(
            waiting.as_mut().now_or_never().is_none(),
            "it may have read the file before"
        );
        let later = watch.look();
        assert!(later.is_urgent);
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(later);
        assert!(waiting.now_or_never().is_some());
        assert!(!watch.look().is_urgent);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_long_where_nobody_looks() {
        let watch = CredentialWatch::new();
        let began = Instant::now();
        watch.next_look(began + Duration::from_secs(60)).await;
        assert_eq!(began.elapsed(), PATIENCE);
    }
}
