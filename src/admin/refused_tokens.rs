use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus::IntCounter;

/// How often at most it is told that somebody comes with no token or a wrong one.
const PERIOD: Duration = Duration::from_secs(60);

/// Requests without a token that is taken: all are counted, and told in the log once a minute at most, so that
/// nobody who tries tokens fills it.
pub(super) struct RefusedTokens {
    counter: IntCounter,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    at: Option<Instant>,
    /// How many came since.
    untold: u64,
}

impl RefusedTokens {
    pub(super) fn new(counter: IntCounter) -> Self {
        Self {
            counter,
            told: Mutex::default(),
        }
    }

    pub(super) fn note(&self, peer: Option<IpAddr>) {
        self.counter.inc();
        let Some(refused) = self.told.lock().note(Instant::now()) else {
            return;
        };
        tracing::warn!(
            refused,
            last_from = peer.map(tracing::field::display),
            "requests to the admin address had no token that is taken"
        );
    }
}

impl Told {
    /// How many there are to tell of now; none where that has to wait.
    fn note(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let is_time = self
            .at
            .is_none_or(|at| now.saturating_duration_since(at) >= PERIOD);
        is_time.then(|| {
            self.at = Some(now);
            std::mem::take(&mut self.untold)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_wrong_tokens_is_one_line_a_minute_with_how_many_there_were() {
        let start = Instant::now();
        let mut told = Told::default();
        assert_eq!(told.note(start), Some(1), "the first is told at once");
        for _ in 0..1000 {
            assert_eq!(told.note(start + PERIOD / 2), None);
        }
        assert_eq!(told.note(start + PERIOD), Some(1001));
        assert_eq!(told.note(start + PERIOD), None);
    }
}
