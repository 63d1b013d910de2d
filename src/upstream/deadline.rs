use std::time::Duration;

use tokio::time::Instant;

/// When an exchange that needs the upstream must be over, from the first moment that it does: one deadline
/// for all the waiting and sending that it takes.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// Until when it may wait for its turn, and begin a write.
    pub waiting: Instant,
    /// Until when the last reply must be complete.
    pub total: Instant,
}

/// What is kept back of the time for the sending itself: a write that is sent with a second to live ends as
/// one of which nobody knows whether it happened.
const KEPT_FOR_SENDING: Duration = Duration::from_secs(20);

impl Deadline {
    /// The deadline of an exchange that begins now: of `timeout`, all but 20 seconds may be waited, or half
    /// where that is more.
    #[must_use]
    pub fn from_now(timeout: Duration) -> Self {
        let now = Instant::now();
        Self {
            waiting: now + longest_wait(timeout),
            total: now + timeout,
        }
    }
}

fn longest_wait(timeout: Duration) -> Duration {
    timeout.saturating_sub(KEPT_FOR_SENDING).max(timeout / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_seconds_are_kept_for_sending_or_half_of_a_short_timeout() {
        for (timeout, expected) in [(3600, 3580), (60, 40), (40, 20), (30, 15), (2, 1)] {
            let wait = longest_wait(Duration::from_secs(timeout));
            assert_eq!(wait, Duration::from_secs(expected), "{timeout}");
        }
    }
}
