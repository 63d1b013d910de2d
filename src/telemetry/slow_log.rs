//! Requests that took long, with the time of each step.

use std::time::Instant;

use parking_lot::Mutex;

use super::timeline::{Step, Timeline};
use crate::text::milliseconds;

/// What a line for a slow request is about.
const TARGET: &str = "envgate::slow";
/// How many of them there are in a second: where the upstream is slow, every request is.
const MOST_A_SECOND: u32 = 5;

/// Where requests that took long are told.
#[derive(Debug)]
pub struct SlowLog {
    started: Instant,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    /// Which second it is, counted from the start.
    second: u64,
    /// How many were told in it.
    lines: u32,
    /// How many were not told since the last one that was.
    unlogged: u64,
}

/// What is told of a request that took long, besides its times.
#[derive(Clone, Copy, Debug)]
pub struct SlowLine<'a> {
    /// The name of the request.
    pub request_id: &'a str,
    /// The trace that it is a part of, in hexadecimal.
    pub trace_id: &'a str,
    /// The name of the tenant.
    pub tenant: Option<&'a str>,
    /// What was asked for.
    pub operation: Option<&'static str>,
    /// The status that the client got.
    pub status: u16,
    /// The kind of what it failed with.
    pub error: Option<&'static str>,
}

impl Default for SlowLog {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            told: Mutex::default(),
        }
    }
}

impl SlowLog {
    /// Writes a line for a request that ended `now`, or counts it for the next line.
    pub fn write(&self, request: &SlowLine<'_>, timeline: &Timeline, now: Instant) {
        if !tracing::enabled!(target: TARGET, tracing::Level::WARN) {
            return;
        }
        let second = now.saturating_duration_since(self.started).as_secs();
        let Some(unlogged) = self.told.lock().tell(second) else {
            return;
        };
        let spent = |step| milliseconds(timeline.time_in(step));
        tracing::warn!(
            target: TARGET,
            request_id = request.request_id,
            trace_id = request.trace_id,
            tenant = request.tenant,
            operation = request.operation,
            status = request.status,
            error = request.error,
            duration_ms = milliseconds(timeline.total()),
            judge_ms = spent(Step::Judge),
            body_ms = spent(Step::Body),
            wait_ms = spent(Step::Wait),
            upstream_ms = spent(Step::Upstream),
            answer_ms = spent(Step::Answer),
            write_ms = spent(Step::Write),
            attempts = timeline.attempt_count(),
            unlogged = (unlogged > 0).then_some(unlogged),
            "slow request"
        );
    }
}

impl Told {
    /// Whether one more may be told, and then how many were not since the last one.
    fn tell(&mut self, second: u64) -> Option<u64> {
        if self.second != second {
            (self.second, self.lines) = (second, 0);
        }
        if self.lines >= MOST_A_SECOND {
            self.unlogged += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_in_a_second_the_first_are_told_and_the_rest_is_counted_in_the_next_line() {
        let mut told = Told::default();
        let first: Vec<_> = (0..1000).filter_map(|_| told.tell(7)).collect();
        assert_eq!(first, [0; 5]);
        assert_eq!(told.tell(8), Some(995));
        assert_eq!(told.tell(8), Some(0), "which counts nobody twice");
    }
}
