//! Which request was the last one in each bucket of a histogram.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus::Histogram;

use super::trace_context::TraceId;

/// A histogram that knows of each bucket which trace was observed last.
#[derive(Debug)]
pub(super) struct TracedHistogram {
    histogram: Histogram,
    bounds: &'static [f64],
    /// One for each bound, and one for what is above them all.
    cells: Box<[Cell]>,
}

/// One observation, and whose it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exemplar {
    pub(super) trace_id: TraceId,
    pub(super) value: f64,
    /// Milliseconds of Unix time.
    pub(super) at: i64,
}

/// An exemplar that is read and written without a wait: the sequence is odd while somebody writes, and another one
/// when they have written. Who finds another writing leaves it at theirs, which is as good.
#[derive(Debug, Default)]
struct Cell {
    sequence: AtomicU64,
    trace_id: [AtomicU64; 2],
    value: AtomicU64,
    at: AtomicI64,
}

impl TracedHistogram {
    pub(super) fn new(histogram: Histogram, bounds: &'static [f64]) -> Self {
        Self {
            histogram,
            bounds,
            cells: std::iter::repeat_with(Cell::default)
                .take(bounds.len() + 1)
                .collect(),
        }
    }

    /// Counts a duration of a request that belongs to a trace; `at` in milliseconds of Unix time.
    pub(super) fn observe(&self, duration: Duration, trace_id: TraceId, at: i64) {
        let value = duration.as_secs_f64();
        self.histogram.observe(value);
        let above = self.bounds.iter().position(|bound| value <= *bound);
        if let Some(cell) = self.cells.get(above.unwrap_or(self.bounds.len())) {
            cell.write(Exemplar { trace_id, value, at });
        }
    }

    /// The last one of a bucket, counted from the lowest.
    pub(super) fn exemplar(&self, bucket: usize) -> Option<Exemplar> {
        self.cells.get(bucket)?.read()
    }
}

/// How often a cell is read again that is being written.
const READS: usize = 8;

impl Cell {
    fn write(&self, exemplar: Exemplar) {
        let seen = self.sequence.load(Ordering::Relaxed);
        let is_being_written = seen % 2 == 1;
        let begin = || {
            let odd = seen.wrapping_add(1);
            let swap = self
                .sequence
                .compare_exchange(seen, odd, Ordering::Acquire, Ordering::Relaxed);
            swap.is_ok()
        };
        if is_being_written || !begin() {
            return;
        }
        fence(Ordering::Release);
        for (half, bits) in self.trace_id.iter().zip(halves(exemplar.trace_id)) {
            half.store(bits, Ordering::Relaxed);
        }
        self.value.store(exemplar.value.to_bits(), Ordering::Relaxed);
        self.at.store(exemplar.at, Ordering::Relaxed);
        self.sequence.store(seen.wrapping_add(2), Ordering::Release);
    }

    /// None where there is none yet, or where it is written again and again.
    fn read(&self) -> Option<Exemplar> {
        (0..READS).find_map(|_| self.read_once())
    }

    fn read_once(&self) -> Option<Exemplar> {
        let before = self.sequence.load(Ordering::Acquire);
        if before == 0 || before % 2 == 1 {
            return None;
        }
        let [high, low] = self.trace_id.each_ref().map(|half| half.load(Ordering::Relaxed));
        let exemplar = Exemplar {
            trace_id: TraceId((u128::from(high) << 64 | u128::from(low)).to_be_bytes()),
            value: f64::from_bits(self.value.load(Ordering::Relaxed)),
            at: self.at.load(Ordering::Relaxed),
        };
        fence(Ordering::Acquire);
        (self.sequence.load(Ordering::Relaxed) == before).then_some(exemplar)
    }
}

fn halves(trace_id: TraceId) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = trace_id.0;
    [
        u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        u64::from_be_bytes(rest),
    ]
}

/// The time of day for those who read the steady clock: so that a request asks for one time alone, and what it is
/// called does not change when the clock is set.
#[derive(Debug)]
pub(super) struct WallClock {
    started: Instant,
    /// Milliseconds of Unix time at which `started` was, by today's clock.
    started_at: AtomicI64,
}

/// How far the clock may have been set before it is believed.
const SET_BY: i64 = 500;

impl WallClock {
    pub(super) fn new(started: Instant, now: Timestamp) -> Self {
        Self {
            started,
            started_at: AtomicI64::new(now.as_millisecond()),
        }
    }

    /// How long it has been running.
    pub(super) fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.started)
    }

    /// Milliseconds of Unix time.
    pub(super) fn at(&self, instant: Instant) -> i64 {
        let elapsed = i64::try_from(self.elapsed(instant).as_millis()).unwrap_or(i64::MAX);
        self.started_at.load(Ordering::Relaxed).saturating_add(elapsed)
    }

    /// Looks whether the clock was set. What was named before keeps its name.
    pub(super) fn look(&self, instant: Instant, now: Timestamp) {
        let set_by = now.as_millisecond().saturating_sub(self.at(instant));
        if set_by.abs() > SET_BY {
            self.started_at.fetch_add(set_by, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::HistogramOpts;

    use super::*;

    const BOUNDS: [f64; 2] = [0.001, 0.1];

    fn histogram() -> TracedHistogram {
        let options = HistogramOpts::new("h", "help").buckets(BOUNDS.to_vec());
        TracedHistogram::new(Histogram::with_opts(options).unwrap(), &BOUNDS)
    }

    #[test]
    fn each_bucket_has_its_last_trace() {
        let histogram = histogram();
        for (milliseconds, id) in [(1, 1), (1, 2), (50, 3), (5000, 4)] {
            histogram.observe(
                Duration::from_millis(milliseconds),
                TraceId([id; 16]),
                i64::from(id),
            );
        }
        let ids = [0, 1, 2].map(|bucket| histogram.exemplar(bucket).unwrap().trace_id.0[0]);
        assert_eq!(ids, [2, 3, 4]);
        let last = histogram.exemplar(2).unwrap();
        assert_eq!((last.value, last.at), (5.0, 4));
        assert_eq!(histogram.exemplar(3), None);
        assert_eq!(self::histogram().exemplar(0), None, "nothing was observed");
    }

    #[test]
    fn no_exemplar_is_made_of_two() {
        let cell = Cell::default();
        let is_torn = |exemplar: Exemplar| {
            let id = exemplar.trace_id.0[0];
            exemplar.trace_id.0 != [id; 16] || exemplar.value != f64::from(id) || exemplar.at != i64::from(id)
        };
        std::thread::scope(|scope| {
            for id in 1..=3 {
                let cell = &cell;
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        cell.write(Exemplar {
                            trace_id: TraceId([id; 16]),
                            value: f64::from(id),
                            at: i64::from(id),
                        });
                    }
                });
            }
            for _ in 0..20_000 {
                assert!(!cell.read().is_some_and(is_torn));
            }
        });
    }

    #[test]
    fn a_clock_that_is_set_moves_what_comes_and_not_what_was() {
        let started = Instant::now();
        let clock = WallClock::new(started, Timestamp::from_second(1000).unwrap());
        let later = started + Duration::from_secs(10);
        let named = clock.at(later);
        assert_eq!(named, 1_010_000);
        clock.look(later, Timestamp::from_millisecond(1_010_300).unwrap());
        assert_eq!(
            clock.at(later),
            named,
            "no two names for one moment because clocks tremble"
        );
        clock.look(later, Timestamp::from_second(500).unwrap());
        assert_eq!(clock.at(later + Duration::from_secs(1)), 501_000);
    }
}
