//! What of a budget goes over to another process, and what stays for the one that goes on until it is done.

use tokio::time::Instant;

use super::CapacityLimiter;
use crate::quota::learning::Learned;
use crate::quota::limits::{ByRate, Limits, Rate};

/// What of a budget counts in the process that follows.
#[derive(Clone, Debug, Default)]
pub(in crate::quota) struct Spent {
    /// When those requests were sent that count there.
    pub(in crate::quota) sent: ByRate<Vec<Instant>>,
    /// What the process before keeps of each limit.
    pub(in crate::quota) kept: Limits,
    pub(in crate::quota) learned: ByRate<Option<Learned>>,
    pub(in crate::quota) closed_until: Option<Instant>,
}

fn in_requests(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

impl CapacityLimiter {
    /// Leaves the budget to another process but for what this one still needs: `waiting` requests wait. None where
    /// replicas share it, which tell each other anyway.
    pub(in crate::quota) fn hand_over(&mut self, waiting: usize, now: Instant) -> Option<Spent> {
        if self.replica.is_some() {
            return None;
        }
        let limits = self.limits(now);
        let in_flight = usize::try_from(self.in_flight).unwrap_or(usize::MAX);
        // Each may need another request besides the one that it waits for.
        let needed = in_flight.saturating_add(waiting).saturating_mul(2);
        let mut kept = Limits::default();
        let mut given = ByRate::default();
        for rate in Rate::ALL {
            let window = self.windows.of_mut(rate);
            let Some(free) = window.left(now) else { continue };
            *given.of_mut(rate) = window.split(needed.max(free / 2), now);
            *kept.of_mut(rate) = Some(in_requests(window.held(usize::MAX, now)));
        }
        kept.concurrent = limits.concurrent.map(|slots| {
            let free = slots.saturating_sub(self.in_flight);
            self.in_flight + free.min(in_requests(waiting).max(free / 2))
        });
        self.kept = Some(kept);
        self.follow(now);
        Some(Spent {
            sent: given,
            kept,
            learned: self.learning.learned,
            closed_until: self.closed_until(now),
        })
    }

    /// Takes back what was handed over to a process that never used it.
    pub(in crate::quota) fn take_back(&mut self, spent: Spent, now: Instant) {
        self.kept = None;
        self.follow(now);
        let mut sent = spent.sent;
        for rate in Rate::ALL {
            let given = std::mem::take(sent.of_mut(rate));
            self.windows.of_mut(rate).unsplit(given);
        }
    }

    /// Gives up what it kept and needs no more: of what is free it needs `free` requests, and `waiting` slots. What
    /// it still keeps.
    pub(in crate::quota) fn shrink(&mut self, free: usize, waiting: usize, now: Instant) -> Option<Limits> {
        let mut kept = self.kept?;
        self.follow(now);
        for rate in Rate::ALL {
            if let Some(held) = kept.of_mut(rate) {
                *held = (*held).min(in_requests(self.windows.of_mut(rate).held(free, now)));
            }
        }
        let slots = self.in_flight.saturating_add(in_requests(waiting));
        kept.concurrent = kept.concurrent.map(|held| held.min(slots));
        self.kept = Some(kept);
        self.follow(now);
        Some(kept)
    }

    /// Takes the budget over from another process that keeps a part.
    pub(in crate::quota) fn take_over(&mut self, spent: Spent, now: Instant) {
        self.learning.learned = spent.learned;
        self.closed_until = self.closed_until.max(spent.closed_until);
        self.follow(now);
        let mut sent = spent.sent;
        for rate in Rate::ALL {
            let window = self.windows.of_mut(rate);
            if window.is_limited() {
                window.unsplit(std::mem::take(sent.of_mut(rate)));
            }
        }
        self.leave_elsewhere(&spent.kept);
    }

    /// Leaves another process what it keeps.
    pub(in crate::quota) fn leave_elsewhere(&mut self, kept: &Limits) {
        for rate in Rate::ALL {
            let count = kept
                .of(rate)
                .map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
            self.windows.of_mut(rate).leave_elsewhere(count);
        }
        self.slots_elsewhere = kept.concurrent.unwrap_or_default();
    }

    /// That process is gone.
    pub(in crate::quota) fn end_elsewhere(&mut self, now: Instant) {
        for rate in Rate::ALL {
            self.windows.of_mut(rate).end_elsewhere(now);
        }
        self.slots_elsewhere = 0;
    }
}
