use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::holdings::Holdings;
use super::message::{Admit, AdmitResult, Answer, Message, SharedLimits, Word, micros, name};
use crate::quota::learning::Learned;
use crate::quota::limits::{ByKind, ByRate, Kind, Limits, Open, Rate};

/// How things stand between a replica and Redis.
#[derive(Debug)]
pub(in crate::quota) struct ReplicaState {
    limits: SharedLimits,
    holdings: Holdings,
    /// Whether Redis answers and knows all that this replica holds.
    is_joined: bool,
    /// Whether it ever did.
    is_known: bool,
    has_left: bool,
    /// The seat that Redis has given this replica, with the share that it may go by alone.
    seat: Option<u32>,
    /// How many replicas Redis has heard of lately.
    present: u32,
    /// Of how many replicas anything could count.
    recent: u32,
    /// When that was asked for which Redis last answered, and when it did by its own clock.
    heard: Option<(Instant, String)>,
    /// When it last went away.
    lost_at: Instant,
    /// When everything has run out that Redis knew of this replica when it last answered.
    quiet_until: Instant,
    learned: ByRate<Option<Learned>>,
    /// What was asked for and not answered yet.
    asked: Vec<Asked>,
    /// What Redis has admitted and nobody has taken yet.
    granted: Vec<Asked>,
    /// How many requests are asked for in one message at most: more where all were admitted, fewer where some were
    /// not.
    most_asked: usize,
    /// By kind, before when there is no use in asking, and when there will be room as far as is known.
    not_before: ByKind<Option<Instant>>,
    room_at: ByKind<Option<Instant>>,
    full_until: Option<Instant>,
    told_at: Instant,
}

/// Whose word decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::quota) enum Mode {
    /// Redis's.
    Together,
    /// Nobody's: what this replica did before Redis was lost still counts.
    Quiet,
    /// The replica's own, within its share.
    Alone,
    /// Nobody's for as long as Redis is away: this replica has no seat, or has gone by its share for too
    /// long.
    Stopped,
}

/// What somebody who waits would need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::quota) struct Wanted {
    pub(in crate::quota) kind: Kind,
    pub(in crate::quota) needs_slot: bool,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    kind: Kind,
    member: Option<u64>,
    slot: Option<u64>,
}

/// How many requests are asked for in one message where there is room for all.
const MOST_ASKED: usize = 64;
/// How often Redis is asked for a slot while all are taken by other replicas.
const FULL_POLL: Duration = Duration::from_millis(20);
/// The longest time between two questions: what others give back is not announced.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long a Redis may be away that is worth waiting for.
const GRACE: Duration = Duration::from_secs(2);

impl ReplicaState {
    pub(in crate::quota) fn new(limits: SharedLimits, replica: String, now: Instant) -> Self {
        Self {
            limits,
            holdings: Holdings::new(limits, replica),
            is_joined: false,
            is_known: false,
            has_left: false,
            seat: None,
            present: 0,
            recent: 0,
            heard: None,
            lost_at: now,
            quiet_until: now,
            learned: ByRate::default(),
            asked: Vec::new(),
            granted: Vec::new(),
            most_asked: 1,
            not_before: ByKind::default(),
            room_at: ByKind::default(),
            full_until: None,
            told_at: now,
        }
    }

    pub(in crate::quota) const fn limits(&self) -> &SharedLimits {
        &self.limits
    }

    /// Goes by other limits from now on; the number of replicas and the span of a window stay.
    pub(in crate::quota) fn set_limits(&mut self, limits: SharedLimits) {
        let limits = SharedLimits {
            replicas: self.limits.replicas,
            span: self.limits.span,
            ..limits
        };
        self.limits = limits;
        self.holdings.set_limits(limits);
        // What Redis said of when there will be room was said of the limits from before.
        self.not_before = ByKind::default();
        self.room_at = ByKind::default();
        self.full_until = None;
    }

    pub(in crate::quota) fn mode(&self, now: Instant) -> Mode {
        if self.has_left {
            Mode::Stopped
        } else if self.is_joined {
            Mode::Together
        } else if self.seat.is_none() || !self.is_within(self.limits.alone, now) {
            Mode::Stopped
        } else if now < self.quiet_until {
            Mode::Quiet
        } else {
            Mode::Alone
        }
    }

    /// Whether that was asked for no longer ago which Redis last answered.
    fn is_within(&self, time: Duration, now: Instant) -> bool {
        let heard = self.heard.as_ref();
        heard.is_some_and(|(asked_at, _)| now < *asked_at + time)
    }

    /// Whether Redis has been away for so long that nobody should wait for it.
    pub(in crate::quota) fn is_given_up(&self, now: Instant) -> bool {
        !self.is_joined && now >= self.lost_at + GRACE
    }

    /// Where nothing may be admitted before a time that is known: until when.
    pub(in crate::quota) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        (self.mode(now) == Mode::Quiet).then_some(self.quiet_until)
    }

    /// The seat that Redis has given this replica.
    pub(in crate::quota) const fn seat(&self) -> Option<u32> {
        self.seat
    }

    /// Whether some Redis has ever known this replica.
    #[cfg(test)]
    pub(in crate::quota) const fn is_known(&self) -> bool {
        self.is_known
    }

    /// How many replicas Redis has heard of lately.
    pub(in crate::quota) const fn present(&self) -> u32 {
        self.present
    }

    /// The limits with what all replicas have learned.
    pub(in crate::quota) fn lower(&self, configured: &Limits, now: Instant) -> Limits {
        let [reads, writes] = Rate::TAUGHT.map(|rate| self.learned(rate, configured.of(rate), now));
        configured.lowered_to(reads, writes)
    }

    /// The learned limit of a rate as Redis last told it. Alone a replica does not let it grow: its share as
    /// it was told is what others leave to it. It ends only where there is no other limit.
    pub(in crate::quota) fn learned(&self, rate: Rate, configured: Option<u32>, now: Instant) -> Option<u32> {
        let learned = self.learned.of(rate).as_ref()?;
        let is_over = configured.is_none() && now >= learned.ends_at(self.limits.span);
        (!is_over).then_some(learned.limit)
    }

    /// The upstream has refused a request that counts there.
    pub(in crate::quota) fn teach(&mut self, rate: Rate) {
        if self.is_joined {
            self.holdings.news.refused.push(rate.name());
        }
    }

    /// When Redis will have room for a kind, as far as it has said.
    pub(in crate::quota) fn room_at(&self, kind: Kind) -> Option<Instant> {
        *self.room_at.of(kind)
    }

    /// Whether Redis has admitted a request of this kind that nobody has taken yet.
    pub(in crate::quota) fn is_granted(&self, kind: Kind) -> bool {
        let mut granted = self.granted.iter();
        granted.any(|granted| granted.kind == kind && granted.member.is_some())
    }

    pub(in crate::quota) fn is_slot_granted(&self) -> bool {
        self.granted.iter().any(|granted| granted.slot.is_some())
    }

    pub(in crate::quota) fn take_slot(&mut self, now: Instant) {
        let granted = self.granted.iter_mut().find_map(|granted| granted.slot.take());
        self.holdings.take_slot(granted, now);
    }

    pub(in crate::quota) fn free_slot(&mut self) {
        if self.holdings.free_slot() {
            self.full_until = None;
        }
    }

    pub(in crate::quota) fn reserve(&mut self, kind: Kind) {
        let mut of_kind = self.granted.iter_mut().filter(|granted| granted.kind == kind);
        let granted = of_kind.find_map(|granted| granted.member.take());
        self.holdings.reserve(kind, granted);
    }

    pub(in crate::quota) fn give_back(&mut self, kind: Kind) {
        if self.holdings.give_back(kind) {
            *self.not_before.of_mut(kind) = None;
        }
    }

    pub(in crate::quota) fn stamp(&mut self, kind: Kind, now: Instant) {
        self.holdings.stamp(kind, now);
    }

    pub(in crate::quota) fn unstamp(&mut self, kind: Kind, at: Instant) {
        self.holdings.unstamp(kind, at);
    }

    /// The upstream wants no more requests for so long.
    pub(in crate::quota) fn silence(&mut self, duration: Duration) {
        let silence = &mut self.holdings.news.silence;
        *silence = (*silence).max(Some(micros(duration)));
    }

    /// Gives back what was granted to those that have left meanwhile.
    pub(in crate::quota) fn return_unused(&mut self) {
        for granted in mem::take(&mut self.granted) {
            if granted.member.is_some() {
                *self.not_before.of_mut(granted.kind) = None;
            }
            self.give_up(granted);
        }
    }

    /// Tells Redis that this will not be used, whether it was granted or not.
    fn give_up(&mut self, Asked { kind, member, slot }: Asked) {
        if let Some(member) = member {
            self.holdings.return_request(kind, member);
        }
        if let Some(slot) = slot {
            self.holdings.return_slot(slot);
        }
    }

    /// How many requests it is worth asking for at once.
    pub(in crate::quota) const fn most_asked(&self) -> usize {
        self.most_asked
    }

    /// The kinds that it is worth asking for, and whether a slot is.
    pub(in crate::quota) fn askable(&self, now: Instant) -> (Open, bool) {
        let is_time = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        let is_idle = self.is_joined && self.asked.is_empty();
        let kinds = ByKind::new(|kind| is_idle && is_time(*self.not_before.of(kind)));
        (kinds, is_idle && is_time(self.full_until))
    }

    /// When there will be something to ask or to tell again, if nothing happens meanwhile.
    pub(in crate::quota) fn asks_at(&self, now: Instant) -> Instant {
        let kinds = Kind::ALL.into_iter().filter_map(|kind| *self.not_before.of(kind));
        let later = kinds.chain(self.full_until).filter(|at| *at > now);
        later.fold(self.told_at + self.heartbeat(), Instant::min)
    }

    /// Whether there is anything that Redis must be told soon.
    pub(in crate::quota) fn has_news(&self) -> bool {
        self.is_joined && self.asked.is_empty() && self.holdings.news != Message::default()
    }

    /// What to tell Redis now, where that is anything.
    pub(in crate::quota) fn message(&mut self, wanted: &[Wanted], now: Instant) -> Option<Message> {
        let is_due = now >= self.told_at + self.heartbeat();
        if self.has_left || (self.is_joined && !is_due && wanted.is_empty() && !self.has_news()) {
            return None;
        }
        let mut message = self.news(now);
        let wanted = if self.is_joined { wanted } else { &[] };
        for Wanted { kind, needs_slot } in wanted {
            let member = self.holdings.next_name();
            let slot = needs_slot.then(|| self.holdings.next_name());
            message.admit.push(Admit {
                kind: name(*kind),
                member: self.holdings.name_of(member),
                slot: slot.map(|slot| self.holdings.name_of(slot)),
            });
            self.asked.push(Asked {
                kind: *kind,
                member: Some(member),
                slot,
            });
        }
        self.told_at = now;
        Some(message)
    }

    fn news(&mut self, now: Instant) -> Message {
        self.holdings.forget_old(now);
        let mut message = self.holdings.take_news();
        if let Some((asked_at, answered_at)) = &self.heard {
            message.answered_at = Some(answered_at.clone());
            message.elapsed = Some(micros(now.saturating_duration_since(*asked_at)));
        }
        if !self.is_joined {
            let mut held = self.holdings.snapshot(now);
            held.is_known = self.is_known;
            held.recent = self.recent;
            // Later it may have been given to another.
            held.seat = self.seat.filter(|_| self.is_within(self.limits.tenure(), now));
            message.join = Some(held);
            // It is among what is held, with its true age.
            message.sent.clear();
        }
        message
    }

    /// The last message: nothing more will be done.
    pub(in crate::quota) fn leave(&mut self, now: Instant) -> Message {
        let message = self.news(now);
        self.has_left = true;
        Message {
            leave: true,
            ..message
        }
    }

    /// Takes in what Redis says to the last message.
    pub(in crate::quota) fn answered(&mut self, answer: Answer, now: Instant) {
        self.quiet_until = now + self.limits.past();
        self.is_joined = answer.word != Word::Join;
        self.is_known |= self.is_joined;
        if self.is_joined {
            self.seat = answer.seat;
            self.present = answer.present;
            self.recent = answer.recent;
            self.heard = Some((self.told_at, answer.at));
            for rate in Rate::TAUGHT {
                *self.learned.of_mut(rate) = answer.learned.of(rate).map(|told| Learned {
                    limit: told.limit,
                    taught: told.taught,
                    raised_at: now.checked_sub(Duration::from_micros(told.age)).unwrap_or(now),
                });
            }
        }
        let asked = mem::take(&mut self.asked);
        for Asked { kind, .. } in &asked {
            *self.not_before.of_mut(*kind) = None;
            *self.room_at.of_mut(*kind) = None;
        }
        let (count, before) = (asked.len(), self.granted.len());
        for (asked, result) in asked.into_iter().zip(answer.results) {
            match result {
                AdmitResult::Admitted => self.granted.push(asked),
                AdmitResult::Full => self.full_until = Some(now + FULL_POLL),
                AdmitResult::Wait(wait) => {
                    *self.room_at.of_mut(asked.kind) = Some(now + wait);
                    *self.not_before.of_mut(asked.kind) = Some(now + wait.min(LONGEST_PAUSE));
                }
            }
        }
        let admitted = self.granted.len() - before;
        self.most_asked = match admitted {
            _ if admitted == count => self.most_asked.max(MOST_ASKED.min(2 * count)),
            some => some.max(1),
        };
    }

    /// Redis has not answered.
    pub(in crate::quota) fn lost(&mut self, message: Message, now: Instant) {
        self.holdings.tell_again(message);
        // Whether Redis has admitted them nobody knows, and nobody waits for that.
        for asked in mem::take(&mut self.asked) {
            self.give_up(asked);
        }
        if self.is_joined {
            self.lost_at = now;
        }
        self.is_joined = false;
        self.not_before = ByKind::default();
        self.room_at = ByKind::default();
        self.full_until = None;
    }

    /// Often enough that others do not take this replica for lost.
    fn heartbeat(&self) -> Duration {
        LONGEST_PAUSE.min(self.limits.span / 4).min(self.limits.lease / 4)
    }
}

#[cfg(test)]
mod tests;
