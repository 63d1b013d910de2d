//! What the upstream's refusals teach. Nobody tells how large an organisation's allowance is; a 429 that says
//! when to come back tells that as much as was accepted in the window before is all that there is. That
//! becomes the limit of the refused request's kind, and grows again, in case it was too low. No clock of its
//! own.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::{ByRate, Limits, Rate};

/// In how many parts of a window what was accepted is counted.
pub(super) const PARTS: u32 = 60;
/// A smaller limit than this is never learned.
const LEAST: u32 = 10;

/// The smallest limit that so many replicas together learn.
pub(super) const fn least_learned(replicas: u32) -> u32 {
    if replicas > LEAST { replicas } else { LEAST }
}

/// How many requests the upstream has accepted in the last window.
#[derive(Debug)]
pub(super) struct Accepted {
    began: Instant,
    span: Duration,
    /// The number of each part of time in which any were accepted, and how many.
    parts: ByRate<VecDeque<(u32, u32)>>,
}

impl Accepted {
    pub(super) fn new(span: Duration, now: Instant) -> Self {
        Self {
            began: now,
            span,
            parts: ByRate::default(),
        }
    }

    pub(super) fn count(&mut self, rate: Rate, now: Instant) {
        let number = self.part(now);
        let parts = self.parts.of_mut(rate);
        while parts.front().is_some_and(|(old, _)| old + PARTS <= number) {
            parts.pop_front();
        }
        match parts.back_mut() {
            Some((last, count)) if *last == number => *count += 1,
            _ => parts.push_back((number, 1)),
        }
    }

    /// When each was accepted that still counts, by the part of the window.
    pub(super) fn times(&self, rate: Rate, now: Instant) -> Vec<Instant> {
        let number = self.part(now);
        let parts = self
            .parts
            .of(rate)
            .iter()
            .filter(|(part, _)| part + PARTS > number);
        parts
            .flat_map(|(part, count)| {
                let at = self.began + (self.span / PARTS).saturating_mul(*part);
                (0..*count).map(move |_| at)
            })
            .collect()
    }

    fn part(&self, now: Instant) -> u32 {
        let length = (self.span / PARTS).as_micros().max(1);
        let number = now.saturating_duration_since(self.began).as_micros() / length;
        u32::try_from(number).unwrap_or(u32::MAX - PARTS)
    }
}

/// A limit that was learned, and grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Learned {
    pub(super) limit: u32,
    /// What it was at first.
    pub(super) taught: u32,
    /// When it last became larger.
    pub(super) raised_at: Instant,
}

impl Learned {
    /// A tenth more, and one at least.
    const fn raise(&mut self) {
        let tenth = self.limit / 10;
        self.limit += if tenth > 1 { tenth } else { 1 };
    }

    /// Whether it limits nothing any more: it has reached what is configured, or twice itself where nothing
    /// is.
    fn is_over(&self, configured: Option<u32>) -> bool {
        self.limit >= configured.unwrap_or(self.taught.saturating_mul(2))
    }

    /// When it will be over where nothing is configured.
    pub(super) fn ends_at(mut self, span: Duration) -> Instant {
        while !self.is_over(None) {
            self.raise();
            self.raised_at += span;
        }
        self.raised_at
    }
}

/// What one gateway has learned where it shares its budget with nobody, or cannot know with whom.
#[derive(Debug)]
pub(super) struct Learning {
    began: Instant,
    span: Duration,
    least: u32,
    pub(super) learned: ByRate<Option<Learned>>,
    taught_at: ByRate<Option<Instant>>,
}

impl Learning {
    pub(super) fn new(least: u32, span: Duration, now: Instant) -> Self {
        Self {
            began: now,
            span,
            least,
            learned: ByRate::default(),
            taught_at: ByRate::default(),
        }
    }

    /// Forgets all of it, and begins anew.
    pub(super) fn forget(&mut self, now: Instant) {
        *self = Self::new(self.least, self.span, now);
    }

    /// Learns from a refusal with so many accepted in the window before: once a window at most, and not
    /// before a whole window lies behind. The limit, where that has taught one.
    pub(super) fn teach(
        &mut self,
        rate: Rate,
        accepted: usize,
        configured: Option<u32>,
        now: Instant,
    ) -> Option<u32> {
        let taught_at = self.taught_at.of_mut(rate);
        if now < taught_at.unwrap_or(self.began) + self.span {
            return None;
        }
        *taught_at = Some(now);
        let limit = u32::try_from(accepted).unwrap_or(u32::MAX).max(self.least);
        let learned = Learned {
            limit,
            taught: limit,
            raised_at: now,
        };
        let is_lower = configured.is_none_or(|configured| limit < configured);
        *self.learned.of_mut(rate) = is_lower.then_some(learned);
        is_lower.then_some(limit)
    }

    /// The limits with what is learned at this time.
    pub(super) fn lower(&mut self, configured: &Limits, now: Instant) -> Limits {
        let [reads, writes] = Rate::TAUGHT.map(|rate| self.limit(rate, configured.of(rate), now));
        configured.lowered_to(reads, writes)
    }

    fn limit(&mut self, rate: Rate, configured: Option<u32>, now: Instant) -> Option<u32> {
        let learned = self.learned.of_mut(rate);
        let limit = learned.as_mut()?;
        while now >= limit.raised_at + self.span && !limit.is_over(configured) {
            limit.raise();
            limit.raised_at += self.span;
        }
        if limit.is_over(configured) {
            *learned = None;
            return None;
        }
        Some(limit.limit)
    }

    pub(super) fn learned(&self, rate: Rate) -> Option<u32> {
        self.learned.of(rate).map(|learned| learned.limit)
    }

    /// When the next limit grows.
    pub(super) fn raises_at(&self) -> Option<Instant> {
        let learned = Rate::TAUGHT.into_iter().filter_map(|rate| *self.learned.of(rate));
        learned.map(|learned| learned.raised_at + self.span).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(60);
    const UNLIMITED: Limits = Limits {
        requests: None,
        concurrent: None,
        creates: None,
        writes: None,
        reads: None,
    };

    fn learning(start: Instant) -> Learning {
        Learning::new(least_learned(1), SPAN, start)
    }

    #[test]
    fn what_was_accepted_in_the_window_before_becomes_the_limit_of_the_kind() {
        let start = Instant::now();
        let mut learning = learning(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(
            learning.teach(Rate::Reads, 40, Some(1200), at(59)),
            None,
            "not before a whole window lies behind"
        );
        assert_eq!(learning.teach(Rate::Reads, 40, Some(1200), at(60)), Some(40));
        assert_eq!(
            learning.teach(Rate::Reads, 30, Some(1200), at(119)),
            None,
            "once a window at most"
        );
        let limits = learning.lower(&UNLIMITED, at(61));
        assert_eq!((limits.reads, limits.writes), (Some(40), None));
        assert_eq!(
            learning.teach(Rate::Writes, 3, None, at(61)),
            Some(10),
            "each kind for itself, and never under ten"
        );
        assert_eq!(learning.teach(Rate::Reads, 30, Some(1200), at(120)), Some(30));
    }

    #[test]
    fn a_learned_limit_grows_by_a_tenth_a_minute_and_ends_at_the_setting_or_when_doubled() {
        let start = Instant::now();
        let mut learning = learning(start);
        let at = |minutes: u32| start + SPAN * minutes;
        learning.teach(Rate::Reads, 100, Some(130), at(1));
        learning.teach(Rate::Writes, 12, None, at(1));
        let limits = |learning: &mut Learning, minutes| {
            let configured = Limits {
                reads: Some(130),
                ..UNLIMITED
            };
            let limits = learning.lower(&configured, at(minutes));
            (limits.reads.unwrap(), limits.writes)
        };
        assert_eq!(limits(&mut learning, 1), (100, Some(12)));
        assert_eq!(limits(&mut learning, 2), (110, Some(13)));
        assert_eq!(learning.raises_at(), Some(at(3)));
        assert_eq!(limits(&mut learning, 3), (121, Some(14)));
        assert_eq!(limits(&mut learning, 4), (130, Some(15)));
        assert_eq!(learning.learned(Rate::Reads), None, "the setting is reached");
        assert_eq!(limits(&mut learning, 10), (130, Some(22)), "a tenth of 20 is two");
        assert_eq!(limits(&mut learning, 11), (130, None), "doubled");
    }

    #[test]
    fn when_a_limit_ends_can_be_told_ahead() {
        let now = Instant::now();
        let learned = Learned {
            limit: 100,
            taught: 100,
            raised_at: now,
        };
        assert_eq!(learned.ends_at(SPAN), now + 8 * SPAN);
    }

    #[test]
    fn what_was_accepted_counts_for_one_window() {
        let start = Instant::now();
        let mut accepted = Accepted::new(SPAN, start);
        for second in 0..90 {
            accepted.count(Rate::Reads, start + Duration::from_secs(second));
        }
        let now = start + Duration::from_secs(90);
        let times = accepted.times(Rate::Reads, now);
        assert_eq!((times.len(), times[0]), (59, start + Duration::from_secs(31)));
        assert_eq!(accepted.times(Rate::Writes, now), []);
    }
}
