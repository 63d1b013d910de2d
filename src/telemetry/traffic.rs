//! What happens now, for whoever looks at one gateway: rates, refusals, and the slowest requests.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::Mutex;

use super::exemplars::WallClock;
use super::request_metrics::Outcome;
use super::timeline::Step;
use super::trace_context::TraceId;
use crate::contract::{ApiError, Operation};
use crate::tenancy::{Directory, RateTime, RateWindow, Tenant, TenantTraffic};

/// What happens now. Requests count without a lock, but for the few that are among the slowest.
#[derive(Debug)]
pub struct Traffic {
    pub(super) clock: WallClock,
    since: Timestamp,
    /// Those of whom nobody knows who they are from; the others are counted with their tenants.
    unnamed: RateWindow,
    /// One for each kind of error, in the order of [`ApiError::KINDS`].
    errors: Vec<RateWindow>,
    slowest: Slowest,
    directory: OnceLock<Arc<Directory>>,
}

/// A request that took long.
#[derive(Clone, Debug)]
pub struct SlowRequest {
    /// When it ended.
    pub at: Timestamp,
    /// What was asked.
    pub operation: Option<Operation>,
    /// Who asked.
    pub tenant: Option<Arc<Tenant>>,
    /// The status of its answer.
    pub status: u16,
    /// The kind of error that it ended with.
    pub error: Option<&'static str>,
    /// From the header's arrival to the last byte of the answer.
    pub total: Duration,
    /// What of it the gateway itself took.
    pub own: Duration,
    /// How long each step took.
    pub steps: [(Step, Duration); Step::ALL.len()],
    /// Its name.
    pub request_id: String,
    /// Its trace.
    pub trace_id: TraceId,
    /// Without what its client took to send and to receive.
    served_in: Duration,
}

/// How often something happens in a second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    /// Of the last ten seconds.
    pub per_second_10s: f64,
    /// Of the last minute.
    pub per_second_60s: f64,
}

/// How many requests failed with one kind of error.
#[derive(Clone, Copy, Debug)]
pub struct ErrorTraffic {
    /// [`ApiError::kind`]
    pub error: &'static str,
    /// How many of them there were.
    pub total: u64,
    /// How often there are some now.
    pub rates: Rates,
}

impl Rates {
    fn of(window: &RateWindow, now: RateTime) -> Self {
        Self {
            per_second_10s: window.per_second_10s(now),
            per_second_60s: window.per_second_60s(now),
        }
    }

    fn add(&mut self, other: Self) {
        self.per_second_10s += other.per_second_10s;
        self.per_second_60s += other.per_second_60s;
    }
}

impl Traffic {
    pub(super) fn new() -> Self {
        let (started, since) = (Instant::now(), Timestamp::now());
        Self {
            clock: WallClock::new(started, since),
            since,
            unnamed: RateWindow::default(),
            errors: ApiError::KINDS.iter().map(|_| RateWindow::default()).collect(),
            slowest: Slowest::default(),
            directory: OnceLock::new(),
        }
    }

    /// Says where the tenants are. The first one counts.
    pub fn set_directory(&self, directory: Arc<Directory>) {
        let _ = self.directory.set(directory);
    }

    /// Since when anything is counted.
    #[must_use]
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// The tenants that have asked for anything, and what.
    #[must_use]
    pub fn tenants(&self) -> Vec<(Arc<Tenant>, Arc<TenantTraffic>)> {
        self.directory
            .get()
            .map_or(Vec::new(), |directory| directory.traffic())
    }

    /// A moment as rates count it.
    #[must_use]
    pub fn time(&self, now: Instant) -> RateTime {
        RateTime::after(self.clock.elapsed(now))
    }

    /// How often requests come, of these tenants and of nobody.
    #[must_use]
    pub fn rates(&self, tenants: &[(Arc<Tenant>, Arc<TenantTraffic>)], now: Instant) -> Rates {
        let now = self.time(now);
        let mut rates = Rates::of(&self.unnamed, now);
        for (_, traffic) in tenants {
            rates.add(Rates::of(traffic.requests(), now));
        }
        rates
    }

    pub(super) fn error_rates(&self, now: Instant) -> impl Iterator<Item = Rates> {
        let now = self.time(now);
        self.errors.iter().map(move |window| Rates::of(window, now))
    }

    /// The slowest requests of the last minutes, the slowest first, without what their clients took.
    #[must_use]
    pub fn slowest(&self, now: Instant) -> Vec<SlowRequest> {
        self.slowest.list(minute(self.clock.elapsed(now)))
    }

    /// Counts a request. Says whether it is among the slowest, which are to be [kept](Self::keep).
    pub(super) fn record(&self, outcome: &Outcome<'_>) -> bool {
        let elapsed = self.clock.elapsed(outcome.timeline.ended());
        let now = RateTime::after(elapsed);
        match outcome.caller {
            Some(caller) => caller.traffic.record(outcome.status.as_u16(), now),
            None => self.unnamed.add(now),
        }
        if let Some(error) = outcome.error
            && let Some(index) = ApiError::KINDS.iter().position(|kind| *kind == error)
            && let Some(window) = self.errors.get(index)
        {
            window.add(now);
        }
        self.slowest.would_take(served_in(outcome), minute(elapsed))
    }

    /// Keeps a request that is among the slowest.
    pub fn keep(&self, outcome: &Outcome<'_>, request_id: &str) {
        let timeline = outcome.timeline;
        let at = self.clock.at(timeline.ended());
        let slow = SlowRequest {
            at: Timestamp::from_millisecond(at).unwrap_or(self.since),
            operation: outcome.operation,
            tenant: outcome.caller.map(|caller| Arc::clone(&caller.tenant)),
            status: outcome.status.as_u16(),
            error: outcome.error,
            total: timeline.total(),
            own: timeline.own_time(),
            steps: Step::ALL.map(|step| (step, timeline.time_in(step))),
            request_id: request_id.to_owned(),
            trace_id: outcome.trace_id,
            served_in: served_in(outcome),
        };
        self.slowest
            .keep(slow, minute(self.clock.elapsed(timeline.ended())));
    }
}

/// What a client takes to send and to receive says nothing of us.
fn served_in(outcome: &Outcome<'_>) -> Duration {
    let timeline = outcome.timeline;
    let client = timeline.time_in(Step::Body) + timeline.time_in(Step::Write);
    timeline.total().saturating_sub(client)
}

fn minute(elapsed: Duration) -> u32 {
    u32::try_from(elapsed.as_secs() / 60).unwrap_or(u32::MAX)
}

/// The slowest of each of the last minutes. A request that is none of them costs two reads.
#[derive(Debug, Default)]
struct Slowest {
    /// The minute that is being filled, and how long a request of it has to take, in nanoseconds.
    minute: AtomicU32,
    threshold: AtomicU64,
    minutes: Mutex<Vec<(u32, Vec<SlowRequest>)>>,
}

/// How many are kept of each minute, and for how many minutes.
const KEPT: usize = 32;
const MINUTES: u32 = 5;

impl Slowest {
    fn would_take(&self, served_in: Duration, minute: u32) -> bool {
        self.minute.load(Ordering::Relaxed) != minute
            || nanoseconds(served_in) > self.threshold.load(Ordering::Relaxed)
    }

    fn keep(&self, slow: SlowRequest, minute: u32) {
        let mut minutes = self.minutes.lock();
        minutes.retain(|(kept, _)| is_recent(*kept, minute));
        let index = match minutes.iter().position(|(kept, _)| *kept == minute) {
            Some(index) => index,
            None => {
                minutes.push((minute, Vec::with_capacity(KEPT)));
                minutes.len() - 1
            }
        };
        let Some((_, kept)) = minutes.get_mut(index) else {
            return;
        };
        let place = kept.partition_point(|other| other.served_in >= slow.served_in);
        if place < KEPT {
            kept.truncate(KEPT - 1);
            kept.insert(place, slow);
        }
        // One that ended with the minute before may come late.
        if minute < self.minute.load(Ordering::Relaxed) {
            return;
        }
        let last = kept.last().filter(|_| kept.len() == KEPT);
        let threshold = last.map_or(0, |last| nanoseconds(last.served_in));
        self.threshold.store(threshold, Ordering::Relaxed);
        self.minute.store(minute, Ordering::Relaxed);
    }

    fn list(&self, minute: u32) -> Vec<SlowRequest> {
        let minutes = self.minutes.lock();
        let recent = minutes.iter().filter(|(kept, _)| is_recent(*kept, minute));
        let mut all: Vec<_> = recent.flat_map(|(_, kept)| kept).cloned().collect();
        drop(minutes);
        all.sort_by_key(|slow| std::cmp::Reverse(slow.served_in));
        all
    }
}

fn is_recent(kept: u32, minute: u32) -> bool {
    minute.saturating_sub(kept) <= MINUTES
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(milliseconds: u64) -> SlowRequest {
        SlowRequest {
            at: Timestamp::UNIX_EPOCH,
            operation: None,
            tenant: None,
            status: 200,
            error: None,
            total: Duration::from_millis(milliseconds),
            own: Duration::ZERO,
            steps: Step::ALL.map(|step| (step, Duration::ZERO)),
            request_id: String::new(),
            trace_id: TraceId([1; 16]),
            served_in: Duration::from_millis(milliseconds),
        }
    }

    fn offer(slowest: &Slowest, milliseconds: u64, minute: u32) -> bool {
        let is_taken = slowest.would_take(Duration::from_millis(milliseconds), minute);
        if is_taken {
            slowest.keep(slow(milliseconds), minute);
        }
        is_taken
    }

    fn times(slowest: &Slowest, minute: u32) -> Vec<u128> {
        slowest
            .list(minute)
            .iter()
            .map(|slow| slow.total.as_millis())
            .collect()
    }

    #[test]
    fn the_slowest_stay_and_the_others_are_not_even_looked_at() {
        let slowest = Slowest::default();
        for milliseconds in 1..=1000 {
            assert!(offer(&slowest, milliseconds, 0));
        }
        assert_eq!(times(&slowest, 0), (969..=1000).rev().collect::<Vec<_>>());
        assert!(!offer(&slowest, 968, 0));
        assert!(!offer(&slowest, 969, 0), "no slower than the last that is kept");
        assert_eq!(slowest.minutes.lock()[0].1.len(), KEPT);
    }

    #[test]
    fn each_minute_has_its_own_and_goes_after_five() {
        let slowest = Slowest::default();
        offer(&slowest, 900, 0);
        assert!(offer(&slowest, 1, 1), "the first of a minute is its slowest");
        assert_eq!(times(&slowest, 5), [900, 1]);
        assert_eq!(times(&slowest, 6), [1]);
        for minute in 2..100 {
            offer(&slowest, 1, minute);
        }
        assert_eq!(times(&slowest, 99).len(), 6);
        assert!(slowest.minutes.lock().len() <= 6);
    }
}
