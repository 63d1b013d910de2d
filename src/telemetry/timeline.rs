//! What a request spends its time with.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::trace_context::SpanId;
use crate::contract::Operation;

/// What a request spends its time with. It is always in exactly one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its head and its document are judged, and what an update would result in.
    Judge,
    /// The client sends its body.
    Body,
    /// Its turn is awaited: in the budget, after another update, or for the reply to another's request.
    Wait,
    /// One attempt at the upstream, from a connection to the last byte of the reply.
    Upstream,
    /// The answer is made of the reply.
    Answer,
    /// The client takes the answer.
    Write,
}

/// The steps of a request in their order, without a gap: each begins where the one before it ends, so that the
/// clock is read once for both. It takes no memory beside its own.
///
/// What comes after the first sixteen steps, as of a list that reads many pages, is in the sums alone.
#[derive(Clone, Debug)]
pub struct Timeline {
    started: Instant,
    /// When the current step began, and after the end the end.
    since: Instant,
    current: Option<Step>,
    /// How long each step has taken, all times together.
    sums: [Duration; Step::ALL.len()],
    /// The steps that have ended, and when each did.
    ended: [(Step, Duration); MAX_STEPS],
    ended_count: usize,
    attempts: [Attempt; MAX_ATTEMPTS],
    attempt_count: usize,
    /// How often what is being asked was sent again; none where nothing is being asked.
    resends: Option<u8>,
}

/// One step, from when to when after the request began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval<'t> {
    /// What was done.
    pub step: Step,
    /// When it began.
    pub start: Duration,
    /// When it ended.
    pub end: Duration,
    /// Of an attempt at the upstream, what it was.
    pub attempt: Option<&'t Attempt>,
}

/// One request that was sent to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// What was asked; an update may ask for more than itself.
    pub operation: Operation,
    /// The name of its span, where the request becomes one.
    pub span_id: Option<SpanId>,
    /// Whether it was sent before, and how often.
    pub resends: u8,
    /// What came of it.
    pub outcome: AttemptOutcome,
}

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// It was given up, because nobody waited for it any more.
    GivenUp,
    /// The upstream replied.
    Replied(StatusCode),
    /// There is no reply, for this reason.
    Failed(&'static str),
}

const MAX_STEPS: usize = 16;
const MAX_ATTEMPTS: usize = 6;

impl Step {
    /// All of them, in the order in which they come first.
    pub const ALL: [Self; 6] = [
        Self::Judge,
        Self::Body,
        Self::Wait,
        Self::Upstream,
        Self::Answer,
        Self::Write,
    ];

    /// Its name, for whoever reads of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Judge => "judge",
            Self::Body => "body",
            Self::Wait => "wait",
            Self::Upstream => "upstream",
            Self::Answer => "answer",
            Self::Write => "write",
        }
    }

    /// Whether it is the gateway itself that takes the time, and nobody is waited for.
    #[must_use]
    pub const fn is_own(self) -> bool {
        matches!(self, Self::Judge | Self::Answer)
    }

    const fn index(self) -> usize {
        match self {
            Self::Judge => 0,
            Self::Body => 1,
            Self::Wait => 2,
            Self::Upstream => 3,
            Self::Answer => 4,
            Self::Write => 5,
        }
    }
}

impl Timeline {
    /// Of a request that begins `now`, by being judged.
    #[must_use]
    pub const fn start(now: Instant) -> Self {
        let no_attempt = Attempt {
            operation: Operation::Retrieve,
            span_id: None,
            resends: 0,
            outcome: AttemptOutcome::GivenUp,
        };
        Self {
            started: now,
            since: now,
            current: Some(Step::Judge),
            sums: [Duration::ZERO; Step::ALL.len()],
            ended: [(Step::Judge, Duration::ZERO); MAX_STEPS],
            ended_count: 0,
            attempts: [no_attempt; MAX_ATTEMPTS],
            attempt_count: 0,
            resends: None,
        }
    }

    /// What is being done; none after the end.
    #[must_use]
    pub const fn current(&self) -> Option<Step> {
        self.current
    }

    /// Ends the current step `now`, and begins another.
    pub fn enter(&mut self, step: Step, now: Instant) {
        self.end_current(now);
        self.current = Some(step);
        if step.is_own() {
            self.resends = None;
        }
    }

    /// Begins an attempt at the upstream `now`. It is one more of the same request, unless the gateway has looked at
    /// what came of the one before.
    pub fn begin_attempt(&mut self, operation: Operation, span_id: Option<SpanId>, now: Instant) {
        self.enter(Step::Upstream, now);
        self.resends = self
            .resends
            .map_or(Some(0), |resends| Some(resends.saturating_add(1)));
        if let Some(place) = self.attempts.get_mut(self.attempt_count) {
            *place = Attempt {
                operation,
                span_id,
                resends: self.resends.unwrap_or_default(),
                outcome: AttemptOutcome::GivenUp,
            };
        }
        self.attempt_count += 1;
    }

    /// Says what came of the last attempt.
    pub fn settle_attempt(&mut self, outcome: AttemptOutcome) {
        let last = self.attempt_count.checked_sub(1);
        if let Some(attempt) = last.and_then(|last| self.attempts.get_mut(last)) {
            attempt.outcome = outcome;
        }
    }

    /// Calls what is being done something else, from when it began.
    pub const fn rename_current(&mut self, step: Step) {
        if self.current.is_some() {
            self.current = Some(step);
        }
    }

    /// Ends the request.
    pub fn end(&mut self, now: Instant) {
        self.end_current(now);
        self.current = None;
    }

    /// When the request began.
    #[must_use]
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// When the request ended; before that, when the current step began.
    #[must_use]
    pub const fn ended(&self) -> Instant {
        self.since
    }

    /// How long the request took until the current step began, or in all after the end.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.since.saturating_duration_since(self.started)
    }

    /// How long a step has taken, all times together that have ended.
    #[must_use]
    pub fn time_in(&self, step: Step) -> Duration {
        self.sums.get(step.index()).copied().unwrap_or_default()
    }

    /// How long the gateway itself has taken: nobody was waited for, the client neither.
    #[must_use]
    pub fn own_time(&self) -> Duration {
        let own = Step::ALL.into_iter().filter(|step| step.is_own());
        own.map(|step| self.time_in(step)).sum()
    }

    /// Whether the upstream was asked anything.
    #[must_use]
    pub const fn has_asked_upstream(&self) -> bool {
        self.attempt_count > 0
    }

    /// How often the upstream was asked.
    #[must_use]
    pub const fn attempt_count(&self) -> usize {
        self.attempt_count
    }

    /// The first steps that have ended, in their order.
    pub fn intervals(&self) -> impl Iterator<Item = Interval<'_>> {
        let mut attempts = self.attempts.iter().take(self.attempt_count);
        let mut start = Duration::ZERO;
        let ended = self.ended.iter().take(self.ended_count);
        ended.map(move |(step, end)| {
            let attempt = (*step == Step::Upstream).then(|| attempts.next()).flatten();
            Interval {
                step: *step,
                start: std::mem::replace(&mut start, *end),
                end: *end,
                attempt,
            }
        })
    }

    fn end_current(&mut self, now: Instant) {
        let Some(step) = self.current else {
            return;
        };
        let taken = now.saturating_duration_since(self.since);
        if let Some(sum) = self.sums.get_mut(step.index()) {
            *sum += taken;
        }
        if let Some(place) = self.ended.get_mut(self.ended_count) {
            *place = (step, now.saturating_duration_since(self.started));
            self.ended_count += 1;
        }
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPDATE: Operation = Operation::Update;

    fn after(timeline: &Timeline, milliseconds: u64) -> Instant {
        timeline.started() + Duration::from_millis(milliseconds)
    }

    fn steps(timeline: &Timeline) -> Vec<(&'static str, u128, u128)> {
        let steps = timeline.intervals();
        let steps = steps.map(|step| (step.step.name(), step.start.as_millis(), step.end.as_millis()));
        steps.collect()
    }

    #[test]
    fn the_steps_of_a_request_leave_no_gap() {
        let mut timeline = Timeline::start(Instant::now());
        for (at, step) in [(1, Step::Body), (3, Step::Judge), (4, Step::Wait)] {
            timeline.enter(step, after(&timeline, at));
        }
        timeline.begin_attempt(UPDATE, None, after(&timeline, 8));
        timeline.settle_attempt(AttemptOutcome::Failed("died_idle"));
        timeline.begin_attempt(UPDATE, None, after(&timeline, 9));
        timeline.settle_attempt(AttemptOutcome::Replied(StatusCode::OK));
        timeline.enter(Step::Answer, after(&timeline, 20));
        timeline.enter(Step::Write, after(&timeline, 22));
        timeline.end(after(&timeline, 30));
        timeline.end(after(&timeline, 99));
        assert_eq!(
            steps(&timeline),
            [
                ("judge", 0, 1),
                ("body", 1, 3),
                ("judge", 3, 4),
                ("wait", 4, 8),
                ("upstream", 8, 9),
                ("upstream", 9, 20),
                ("answer", 20, 22),
                ("write", 22, 30),
            ]
        );
        let attempts: Vec<_> = timeline.intervals().filter_map(|step| step.attempt).collect();
        assert_eq!(attempts[0].outcome, AttemptOutcome::Failed("died_idle"));
        assert_eq!(
            (attempts[1].resends, attempts[1].outcome),
            (1, AttemptOutcome::Replied(StatusCode::OK))
        );
        assert_eq!(timeline.time_in(Step::Upstream).as_millis(), 12);
        assert_eq!(timeline.own_time().as_millis(), 4, "neither upload nor download");
        assert_eq!(timeline.total().as_millis(), 30);
    }

    #[test]
    fn a_thousand_steps_take_no_more_memory_and_are_all_counted() {
        let mut timeline = Timeline::start(Instant::now());
        for at in 0..1000 {
            timeline.begin_attempt(UPDATE, None, after(&timeline, 2 * at + 1));
            timeline.enter(Step::Answer, after(&timeline, 2 * at + 2));
        }
        timeline.end(after(&timeline, 2001));
        assert_eq!(timeline.intervals().count(), MAX_STEPS);
        assert_eq!(timeline.time_in(Step::Upstream).as_millis(), 1000);
        assert_eq!(timeline.own_time().as_millis(), 1001);
        assert_eq!(timeline.attempt_count(), 1000);
        let mut attempts = timeline.intervals().filter_map(|step| step.attempt);
        assert!(
            attempts.all(|attempt| attempt.resends == 0),
            "each is another request"
        );
    }

    #[test]
    fn what_is_judged_of_a_reply_is_no_answer() {
        let mut timeline = Timeline::start(Instant::now());
        timeline.begin_attempt(UPDATE, None, after(&timeline, 1));
        timeline.enter(Step::Answer, after(&timeline, 2));
        timeline.rename_current(Step::Judge);
        timeline.end(after(&timeline, 4));
        assert_eq!(timeline.time_in(Step::Judge).as_millis(), 3);
        assert_eq!(timeline.time_in(Step::Answer), Duration::ZERO);
    }

    #[test]
    fn a_clock_that_stands_still_is_no_trouble() {
        let mut timeline = Timeline::start(Instant::now());
        let earlier = timeline.started().checked_sub(Duration::from_secs(1)).unwrap();
        timeline.enter(Step::Body, earlier);
        timeline.end(earlier);
        assert_eq!(timeline.total(), Duration::ZERO);
    }
}
