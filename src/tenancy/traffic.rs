//! How much each tenant asks for: counted by requests without a lock, read by whoever shows it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// How many classes of status are counted.
pub const STATUS_CLASSES: usize = 5;

/// How often something happened lately: in this slot of ten seconds and in those before it, back to a minute.
///
/// A slot is the number of its ten seconds and a count, in one word, so that one that is old is never added to.
#[derive(Debug, Default)]
pub struct RateWindow([AtomicU64; SLOTS]);

/// Six whole slots, the one that is being filled, and one to spare, which makes it a power of two.
const SLOTS: usize = 8;
const SLOT_SECONDS: u64 = 10;

/// A moment as rates count it: the slot, and how much of it has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateTime {
    slot: u32,
    passed: Duration,
}

impl RateTime {
    /// So long after counting began.
    #[must_use]
    pub fn after(elapsed: Duration) -> Self {
        let seconds = elapsed.as_secs();
        // From 1, because a slot that was never used is 0.
        let slot = u32::try_from(seconds / SLOT_SECONDS + 1).unwrap_or(u32::MAX);
        let passed = Duration::new(seconds % SLOT_SECONDS, elapsed.subsec_nanos());
        Self { slot, passed }
    }
}

impl RateWindow {
    /// Counts one more.
    pub fn add(&self, now: RateTime) {
        let Some(cell) = self.cell(now.slot) else {
            return;
        };
        let mut seen = cell.load(Ordering::Relaxed);
        while seen >> 32 != u64::from(now.slot) {
            let first = u64::from(now.slot) << 32 | 1;
            match cell.compare_exchange_weak(seen, first, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now_there) => seen = now_there,
            }
        }
        cell.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it happened in a second of the last ten.
    #[must_use]
    pub fn per_second_10s(&self, now: RateTime) -> f64 {
        self.per_second(now, 1)
    }

    /// How often it happened in a second of the last minute.
    #[must_use]
    pub fn per_second_60s(&self, now: RateTime) -> f64 {
        self.per_second(now, 6)
    }

    /// Of the oldest slot that is not wholly in, a part is taken, as if its events were spread evenly.
    fn per_second(&self, now: RateTime, slots: u32) -> f64 {
        let whole: u64 = (0..slots).map(|back| self.count(now.slot, back)).sum();
        let part = self.count(now.slot, slots);
        let slot_seconds = Duration::from_secs(SLOT_SECONDS).as_secs_f64();
        let to_come = 1.0 - now.passed.as_secs_f64() / slot_seconds;
        (to_f64(whole) + to_f64(part) * to_come) / (f64::from(slots) * slot_seconds)
    }

    fn count(&self, slot: u32, back: u32) -> u64 {
        let Some(slot) = slot.checked_sub(back) else {
            return 0;
        };
        let seen = self.cell(slot).map_or(0, |cell| cell.load(Ordering::Relaxed));
        match seen >> 32 == u64::from(slot) {
            true => seen & u64::from(u32::MAX),
            false => 0,
        }
    }

    fn cell(&self, slot: u32) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(slot).ok()? % SLOTS)
    }
}

/// What one tenant has asked for since this process knows it, whatever it is called.
#[derive(Debug, Default)]
pub struct TenantTraffic {
    by_class: [AtomicU64; STATUS_CLASSES],
    requests: RateWindow,
    refused: RateWindow,
    /// What a metric has counted of it, and how it ranks; nobody's but the metric's.
    pub tally: Tally,
}

/// What a metric keeps of a tenant between two looks at it, so that it has no table of its own.
#[derive(Debug, Default)]
pub struct Tally {
    /// How many requests of each class it has counted.
    pub counted: [AtomicU64; STATUS_CLASSES],
    /// How much the tenant has asked for lately, as the bits of a number.
    pub score: AtomicU64,
    /// With which look it was last seen.
    pub seen_at: AtomicU32,
}

impl TenantTraffic {
    /// Counts a request by the status of its answer.
    pub fn record(&self, status: u16, now: RateTime) {
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(count) = class.and_then(|class| self.by_class.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.requests.add(now);
        if status / 100 == 4 {
            self.refused.add(now);
        }
    }

    /// How many requests were answered with each class of status, from 1xx on.
    #[must_use]
    pub fn by_class(&self) -> [u64; STATUS_CLASSES] {
        self.by_class
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed))
    }

    /// Its requests of late.
    #[must_use]
    pub const fn requests(&self) -> &RateWindow {
        &self.requests
    }

    /// Those of them that were answered with 4xx.
    #[must_use]
    pub const fn refused(&self) -> &RateWindow {
        &self.refused
    }
}

/// A count as a number to reckon with; beyond 2^53 nobody minds the last digit.
fn to_f64(count: u64) -> f64 {
    let high = u32::try_from(count >> 32).unwrap_or(u32::MAX);
    let low = u32::try_from(count & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    f64::from(high) * 4_294_967_296.0 + f64::from(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> RateTime {
        RateTime::after(Duration::from_secs_f64(seconds))
    }

    #[test]
    fn a_steady_rate_is_told_as_it_is() {
        let window = RateWindow::default();
        for tenth in 0..1200 {
            window.add(at(f64::from(tenth) / 10.0));
        }
        for now in [119.95, 120.0, 123.0] {
            let ten = window.per_second_10s(at(now));
            assert!((6.0..10.2).contains(&ten), "{ten} at {now}");
        }
        let sixty = window.per_second_60s(at(120.0));
        assert!((sixty - 10.0).abs() < 0.1, "{sixty}");
    }

    #[test]
    fn what_was_long_ago_is_forgotten_also_where_its_slot_was_never_used_again() {
        let window = RateWindow::default();
        window.add(at(5.0));
        assert!(window.per_second_60s(at(59.0)) > 0.0);
        assert_eq!(window.per_second_60s(at(85.0)), 0.0);
        assert_eq!(
            window.per_second_10s(at(5.0 + 80.0)),
            0.0,
            "the same place, another slot"
        );
        window.add(at(85.0));
        assert_eq!(window.per_second_10s(at(85.0)), 0.1);
    }

    #[test]
    fn nothing_is_lost_where_threads_begin_a_slot_together() {
        let window = RateWindow::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for slot in 0..5 {
                        for _ in 0..1000 {
                            window.add(at(f64::from(slot) * 10.0));
                        }
                    }
                });
            }
        });
        let last = window.count(at(40.0).slot, 0);
        assert_eq!(last, 4000);
    }

    #[test]
    fn a_tenants_requests_are_counted_by_class() {
        let traffic = TenantTraffic::default();
        for status in [200, 201, 404, 429, 503, 0, 999] {
            traffic.record(status, at(1.0));
        }
        assert_eq!(traffic.by_class(), [0, 2, 0, 2, 1]);
        assert_eq!(traffic.refused().per_second_10s(at(1.0)), 0.2);
    }
}
