use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// A sliding log: never more than `limit` requests are sent in any stretch of time as long as `span`.
///
/// A slot is reserved when a request is admitted and stamped when it is sent. A reserved slot does not
/// expire, because its request may still be sent at any moment: one that spends five seconds connecting would
/// otherwise let twice the limit through in the 55 seconds after it.
#[derive(Debug)]
pub(super) struct Window {
    /// None where there is no limit; then nothing is kept.
    limit: Option<usize>,
    span: Duration,
    /// When those requests were sent that still count, in order.
    sent: VecDeque<Instant>,
    reserved: usize,
    /// How much of the limit another process has for itself.
    elsewhere: usize,
}

impl Window {
    pub(super) fn new(limit: Option<u32>, span: Duration) -> Self {
        Self {
            limit: limit.map(in_slots),
            span,
            sent: VecDeque::new(),
            reserved: 0,
            elsewhere: 0,
        }
    }

    pub(super) fn set_limit(&mut self, limit: Option<u32>) {
        self.limit = limit.map(in_slots);
        if limit.is_none() {
            self.sent.clear();
        }
    }

    /// Takes in what was sent while there was no limit and nothing was kept.
    pub(super) fn seed(&mut self, sent: Vec<Instant>) {
        self.sent = sent.into();
    }

    pub(super) const fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// How many more requests may be admitted; none where there is no limit.
    pub(super) fn left(&mut self, now: Instant) -> Option<usize> {
        let limit = self.limit?;
        self.forget_old(now);
        Some(limit.saturating_sub(self.sent.len() + self.reserved + self.elsewhere))
    }

    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        self.left(now) != Some(0)
    }

    /// When a full window will have room again, if time alone makes some: where all of it is reserved, it
    /// does not.
    pub(super) fn opens_at(&mut self, now: Instant) -> Option<Instant> {
        if self.has_room(now) {
            return None;
        }
        self.sent.front().map(|oldest| *oldest + self.span)
    }

    /// When the whole limit will be there again if nothing more is sent.
    pub(super) fn is_whole_at(&self, now: Instant) -> Instant {
        match self.sent.back() {
            Some(latest) if self.reserved == 0 => *latest + self.span,
            None if self.reserved == 0 => now,
            _ => now + self.span,
        }
    }

    /// Whether nothing is reserved and nothing that was sent still counts.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.forget_old(now);
        self.reserved == 0 && self.sent.is_empty()
    }

    /// The earliest moment at which the `ahead`-th request after the next can be admitted, if every reserved
    /// slot were given back at once.
    pub(super) fn earliest(&self, ahead: usize, now: Instant) -> Instant {
        let Some(limit) = self.limit else {
            return now;
        };
        let limit = limit.saturating_sub(self.elsewhere).max(1);
        let rounds = u32::try_from(ahead / limit).unwrap_or(u32::MAX);
        let open = limit.saturating_sub(self.sent.len());
        let expiring = (ahead % limit)
            .checked_sub(open)
            .and_then(|index| self.sent.get(index));
        let first = expiring.map_or(now, |sent| (*sent + self.span).max(now));
        first + self.span.saturating_mul(rounds).min(FAR_OFF)
    }

    pub(super) const fn reserve(&mut self) {
        self.reserved += 1;
    }

    /// Takes back a slot whose request was not sent.
    pub(super) const fn give_back(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Counts a request whose slot is reserved as sent.
    pub(super) fn stamp(&mut self, now: Instant) {
        self.give_back();
        if self.is_limited() {
            self.sent.push_back(now);
        }
    }

    /// Reserves the slot again of a request that turned out not to have been sent.
    pub(super) fn unstamp(&mut self, at: Instant) {
        if let Some(index) = self.sent.iter().rposition(|sent| *sent == at) {
            self.sent.remove(index);
        }
        self.reserve();
    }

    /// Splits what the limit allows with another process: gives it all but `keep`, if there is as much, and gives
    /// back what was sent and counts there from now on. What is reserved stays here; of what is kept besides, what
    /// is free comes first, and what will be free soonest comes next.
    ///
    /// The limit is what was kept from then on, see [`held`](Self::held).
    pub(super) fn split(&mut self, keep: usize, now: Instant) -> Vec<Instant> {
        let Some(free) = self.left(now) else {
            return Vec::new();
        };
        let kept_sent = keep.saturating_sub(free).min(self.sent.len());
        let given = self.sent.split_off(kept_sent).into();
        self.limit = Some(self.reserved + free.min(keep) + kept_sent);
        given
    }

    /// How much of its limit it needs if `free` of what is free is enough.
    pub(super) fn held(&mut self, free: usize, now: Instant) -> usize {
        let left = self.left(now).unwrap_or_default();
        self.sent.len() + self.reserved + left.min(free)
    }

    /// What was sent and still counts, and as if it were sent now what is reserved and what `waiting` may send.
    pub(super) fn all_sent(&mut self, waiting: usize, now: Instant) -> Vec<Instant> {
        if !self.is_limited() {
            return Vec::new();
        }
        self.forget_old(now);
        let coming = std::iter::repeat_n(now, self.reserved + waiting);
        self.sent.iter().copied().chain(coming).collect()
    }

    /// Takes back what was given away, as if it had stayed here.
    pub(super) fn unsplit(&mut self, given: Vec<Instant>) {
        self.sent.extend(given);
        self.sent.make_contiguous().sort_unstable();
    }

    /// Leaves so much of the limit to another process. What it gives up may be used here at once.
    pub(super) const fn leave_elsewhere(&mut self, count: usize) {
        self.elsewhere = count;
    }

    /// Counts all that another process had for itself as sent: it is gone, and nobody knows what it has sent.
    pub(super) fn end_elsewhere(&mut self, now: Instant) {
        let count = std::mem::take(&mut self.elsewhere);
        if self.is_limited() {
            self.sent.extend(std::iter::repeat_n(now, count));
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.sent.front().is_some_and(|oldest| *oldest + self.span <= now) {
            self.sent.pop_front();
        }
    }
}

/// Longer than anybody waits, and short enough that no sum of times overflows.
const FAR_OFF: Duration = Duration::from_secs(24 * 60 * 60);

fn in_slots(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(60);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_slot_counts_from_its_sending_until_the_span_is_over() {
        let start = Instant::now();
        let mut window = Window::new(Some(2), SPAN);
        window.reserve();
        window.reserve();
        assert!(!window.has_room(start));
        assert!(
            !window.has_room(start + 3 * SPAN),
            "a reserved slot does not expire"
        );
        assert_eq!(window.opens_at(start), None, "nor does time open it");

        window.stamp(start + seconds(5));
        window.stamp(start + seconds(7));
        assert!(!window.has_room(start + seconds(64)));
        assert_eq!(window.opens_at(start + seconds(64)), Some(start + seconds(65)));
        assert_eq!(window.left(start + seconds(65)), Some(1));
        assert_eq!(window.is_whole_at(start), start + seconds(67));
        assert!(window.is_idle(start + seconds(67)));
    }

    #[test]
    fn what_was_not_sent_gives_its_slot_back() {
        let start = Instant::now();
        let mut window = Window::new(Some(1), SPAN);
        window.reserve();
        window.stamp(start);
        window.unstamp(start);
        assert_eq!(window.left(start + 2 * SPAN), Some(0), "it is reserved again");
        window.give_back();
        assert_eq!(window.left(start), Some(1));
    }

    #[test]
    fn the_earliest_moment_goes_round_the_window_as_often_as_it_must() {
        let start = Instant::now();
        let mut window = Window::new(Some(2), SPAN);
        window.reserve();
        window.stamp(start);
        let earliest = |ahead| window.earliest(ahead, start + seconds(10)) - start;
        assert_eq!(earliest(0), seconds(10));
        assert_eq!(earliest(1), seconds(60));
        assert_eq!(earliest(2), seconds(70));
        assert_eq!(earliest(3), seconds(120));
        assert_eq!(
            earliest(usize::MAX),
            seconds(60) + FAR_OFF,
            "and does not overflow"
        );
    }

    #[test]
    fn without_a_limit_nothing_is_kept() {
        let now = Instant::now();
        let mut window = Window::new(None, SPAN);
        for _ in 0..1000 {
            window.reserve();
            window.stamp(now);
        }
        assert!(window.is_idle(now));
        assert_eq!((window.left(now), window.earliest(5, now)), (None, now));
    }
}
