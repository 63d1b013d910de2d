use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use tokio::time::Instant;

use super::message::{
    Admit, Answer, HeldRequest, HeldSlot, Message, ReplicaSnapshot, Request, SharedLimits, micros, name,
};
use crate::quota::limits::{ByKind, Kind, Open};

/// How things stand with Redis, and all that this replica holds of the budget, by the names that Redis has
/// for it.
///
/// What is held of one sort is interchangeable: whichever request is sent or given back, the name that was
/// given first is told. So what stays in Redis never ends before what it stands for.
#[derive(Debug)]
pub(in crate::quota) struct ReplicaState {
    limits: SharedLimits,
    replica: String,
    names: u64,
    /// Whether Redis answers and knows all that this replica holds.
    is_joined: bool,
    /// When everything has run out that Redis knew of this replica when it last answered.
    quiet_until: Instant,
    /// What was asked for and not answered yet.
    asked: Option<Asked>,
    /// What Redis has admitted and nobody has taken yet.
    granted: Option<Asked>,
    /// By kind, before when there is no use in asking, and when there will be room as far as is known.
    not_before: ByKind<Option<Instant>>,
    room_at: ByKind<Option<Instant>>,
    full_until: Option<Instant>,
    reserved: ByKind<VecDeque<u64>>,
    sent: VecDeque<(Instant, Kind, u64)>,
    slots: VecDeque<(Instant, u64)>,
    news: Message,
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

/// How often Redis is asked for a slot while all are taken by other replicas.
const FULL_POLL: Duration = Duration::from_millis(20);
/// The longest time between two questions: what others give back is not announced.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl ReplicaState {
    pub(in crate::quota) fn new(limits: SharedLimits, replica: String, now: Instant) -> Self {
        Self {
            limits,
            replica,
            names: 0,
            is_joined: false,
            quiet_until: now + limits.past(),
            asked: None,
            granted: None,
            not_before: ByKind::default(),
            room_at: ByKind::default(),
            full_until: None,
            reserved: ByKind::default(),
            sent: VecDeque::new(),
            slots: VecDeque::new(),
            news: Message::default(),
            told_at: now,
        }
    }

    pub(in crate::quota) const fn limits(&self) -> &SharedLimits {
        &self.limits
    }

    pub(in crate::quota) fn mode(&self, now: Instant) -> Mode {
        if self.is_joined {
            Mode::Together
        } else if now < self.quiet_until {
            Mode::Quiet
        } else {
            Mode::Alone
        }
    }

    /// Where nothing may be admitted: until when.
    pub(in crate::quota) fn quiet_until(&self, now: Instant) -> Option<Instant> {
        (self.mode(now) == Mode::Quiet).then_some(self.quiet_until)
    }

    /// When Redis will have room for a kind, as far as it has said.
    pub(in crate::quota) fn room_at(&self, kind: Kind) -> Option<Instant> {
        *self.room_at.of(kind)
    }

    /// Whether Redis has admitted a request of this kind that nobody has taken yet.
    pub(in crate::quota) fn is_granted(&self, kind: Kind) -> bool {
        self.granted
            .is_some_and(|granted| granted.kind == kind && granted.member.is_some())
    }

    pub(in crate::quota) fn is_slot_granted(&self) -> bool {
        self.granted.is_some_and(|granted| granted.slot.is_some())
    }

    pub(in crate::quota) fn take_slot(&mut self, now: Instant) {
        let granted = self.granted.as_mut().and_then(|granted| granted.slot.take());
        let slot = granted.unwrap_or_else(|| self.next_name());
        self.slots.push_back((now + self.limits.lease, slot));
    }

    pub(in crate::quota) fn free_slot(&mut self) {
        if let Some((_, slot)) = self.slots.pop_front() {
            self.news.left.push(self.name_of(slot));
            self.full_until = None;
        }
    }

    pub(in crate::quota) fn reserve(&mut self, kind: Kind) {
        let granted = self.granted.as_mut().and_then(|granted| granted.member.take());
        let member = granted.unwrap_or_else(|| self.next_name());
        self.reserved.of_mut(kind).push_back(member);
    }

    pub(in crate::quota) fn give_back(&mut self, kind: Kind) {
        if let Some(member) = self.reserved.of_mut(kind).pop_front() {
            self.return_request(kind, member);
        }
    }

    pub(in crate::quota) fn stamp(&mut self, kind: Kind, now: Instant) {
        if let Some(member) = self.reserved.of_mut(kind).pop_front() {
            self.sent.push_back((now, kind, member));
            let request = self.request(kind, member);
            self.news.sent.push(request);
        }
    }

    pub(in crate::quota) fn unstamp(&mut self, kind: Kind, at: Instant) {
        let is_it = |sent: &(Instant, Kind, u64)| (sent.0, sent.1) == (at, kind);
        let index = self.sent.iter().rposition(is_it);
        if let Some((.., member)) = index.and_then(|index| self.sent.remove(index)) {
            self.reserved.of_mut(kind).push_back(member);
        }
    }

    /// The upstream wants no more requests for so long.
    pub(in crate::quota) fn silence(&mut self, duration: Duration) {
        self.news.silence = self.news.silence.max(Some(micros(duration)));
    }

    /// Gives back what was granted to one that has left meanwhile.
    pub(in crate::quota) fn return_unused(&mut self) {
        let Some(Asked { kind, member, slot }) = self.granted.take() else {
            return;
        };
        if let Some(member) = member {
            self.return_request(kind, member);
        }
        if let Some(slot) = slot {
            self.news.left.push(self.name_of(slot));
        }
    }

    /// The kinds that it is worth asking for, and whether a slot is.
    pub(in crate::quota) fn askable(&self, now: Instant) -> (Open, bool) {
        let is_time = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        let is_idle = self.is_joined && self.asked.is_none();
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
        self.is_joined && self.asked.is_none() && self.news != Message::default()
    }

    /// What to tell Redis now, where that is anything.
    pub(in crate::quota) fn message(&mut self, wanted: Option<Wanted>, now: Instant) -> Option<Message> {
        let is_due = now >= self.told_at + self.heartbeat();
        if self.is_joined && !is_due && wanted.is_none() && !self.has_news() {
            return None;
        }
        let mut message = mem::take(&mut self.news);
        if !self.is_joined {
            message.join = Some(self.holdings(now));
            // It is among what is held, with its true age.
            message.sent.clear();
        } else if let Some(Wanted { kind, needs_slot }) = wanted {
            let member = self.next_name();
            let slot = needs_slot.then(|| self.next_name());
            message.admit = Some(Admit {
                kind: name(kind),
                member: self.name_of(member),
                slot: slot.map(|slot| self.name_of(slot)),
            });
            self.asked = Some(Asked {
                kind,
                member: Some(member),
                slot,
            });
        }
        self.told_at = now;
        Some(message)
    }

    /// The last message: nothing more will be done.
    pub(in crate::quota) fn leave(&mut self) -> Message {
        Message {
            leave: true,
            ..mem::take(&mut self.news)
        }
    }

    /// Takes in what Redis says to the last message.
    pub(in crate::quota) fn answered(&mut self, answer: Answer, now: Instant) {
        self.quiet_until = now + self.limits.past();
        self.is_joined = answer != Answer::Join;
        let Some(asked) = self.asked.take() else {
            return;
        };
        *self.not_before.of_mut(asked.kind) = None;
        *self.room_at.of_mut(asked.kind) = None;
        match answer {
            Answer::Admitted => self.granted = Some(asked),
            Answer::Full => self.full_until = Some(now + FULL_POLL),
            Answer::Wait(wait) => {
                *self.room_at.of_mut(asked.kind) = Some(now + wait);
                *self.not_before.of_mut(asked.kind) = Some(now + wait.min(LONGEST_PAUSE));
            }
            Answer::Done | Answer::Join => {}
        }
    }

    /// Redis has not answered. Whether it took the message nobody knows, so all that it was told is told
    /// again.
    pub(in crate::quota) fn lost(&mut self, message: Message) {
        self.news.returned.extend(message.returned);
        self.news.left.extend(message.left);
        self.news.silence = self.news.silence.max(message.silence);
        self.is_joined = false;
        self.asked = None;
        self.not_before = ByKind::default();
        self.room_at = ByKind::default();
        self.full_until = None;
    }

    fn holdings(&mut self, now: Instant) -> ReplicaSnapshot {
        let oldest = now.checked_sub(self.limits.span);
        self.sent
            .retain(|(at, ..)| oldest.is_none_or(|oldest| *at > oldest));
        let reserved_age = 0_i64.saturating_sub_unsigned(micros(self.limits.hold));
        let reserved = Kind::ALL.into_iter().flat_map(|kind| {
            let members = self.reserved.of(kind).iter();
            members.map(move |member| (kind, *member, reserved_age))
        });
        let sent = self.sent.iter().map(|(at, kind, member)| {
            let age = micros(now.saturating_duration_since(*at));
            (*kind, *member, i64::try_from(age).unwrap_or(i64::MAX))
        });
        ReplicaSnapshot {
            requests: sent
                .chain(reserved)
                .map(|(kind, member, age)| HeldRequest {
                    kind: name(kind),
                    member: self.name_of(member),
                    age,
                })
                .collect(),
            slots: self
                .slots
                .iter()
                .map(|(until, slot)| HeldSlot {
                    member: self.name_of(*slot),
                    left: micros(until.saturating_duration_since(now)),
                })
                .collect(),
        }
    }

    /// What is not needed for telling a Redis that has forgotten is not kept.
    pub(in crate::quota) fn forget_old(&mut self, now: Instant) {
        let span = self.limits.span;
        while self.sent.front().is_some_and(|(at, ..)| *at + span <= now) {
            self.sent.pop_front();
        }
    }

    fn return_request(&mut self, kind: Kind, member: u64) {
        let request = self.request(kind, member);
        self.news.returned.push(request);
        *self.not_before.of_mut(kind) = None;
    }

    fn request(&self, kind: Kind, member: u64) -> Request {
        Request {
            kind: name(kind),
            member: self.name_of(member),
        }
    }

    fn name_of(&self, number: u64) -> String {
        format!("{}:{number}", self.replica)
    }

    const fn next_name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    /// Often enough that others do not take this replica for lost.
    fn heartbeat(&self) -> Duration {
        LONGEST_PAUSE.min(self.limits.span / 4).min(self.limits.lease / 4)
    }
}

#[cfg(test)]
mod tests;
