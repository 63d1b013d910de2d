use std::collections::VecDeque;
use std::mem;

use tokio::time::Instant;

use super::message::{HeldRequest, HeldSlot, Message, ReplicaSnapshot, Request, SharedLimits, micros, name};
use crate::quota::limits::{ByKind, Kind};

/// All that a replica holds of the budget, by the names that Redis has for it, and what Redis has not been
/// told of yet.
///
/// What is held of one sort is interchangeable: whichever request is sent or given back, the name that was
/// given first is told. So what stays in Redis never ends before what it stands for.
#[derive(Debug)]
pub(super) struct Holdings {
    limits: SharedLimits,
    replica: String,
    names: u64,
    reserved: ByKind<VecDeque<u64>>,
    sent: VecDeque<(Instant, Kind, u64)>,
    slots: VecDeque<(Instant, u64)>,
    pub(super) news: Message,
}

impl Holdings {
    pub(super) fn new(limits: SharedLimits, replica: String) -> Self {
        Self {
            limits,
            replica,
            names: 0,
            reserved: ByKind::default(),
            sent: VecDeque::new(),
            slots: VecDeque::new(),
            news: Message::default(),
        }
    }

    pub(super) const fn set_limits(&mut self, limits: SharedLimits) {
        self.limits = limits;
    }

    pub(super) const fn next_name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    pub(super) fn name_of(&self, number: u64) -> String {
        format!("{}:{number}", self.replica)
    }

    pub(super) fn take_slot(&mut self, slot: Option<u64>, now: Instant) {
        let slot = slot.unwrap_or_else(|| self.next_name());
        self.slots.push_back((now + self.limits.lease, slot));
    }

    /// Whether there was one.
    pub(super) fn free_slot(&mut self) -> bool {
        let Some((_, slot)) = self.slots.pop_front() else {
            return false;
        };
        self.return_slot(slot);
        true
    }

    pub(super) fn return_slot(&mut self, slot: u64) {
        self.news.left.push(self.name_of(slot));
    }

    pub(super) fn reserve(&mut self, kind: Kind, member: Option<u64>) {
        let member = member.unwrap_or_else(|| self.next_name());
        self.reserved.of_mut(kind).push_back(member);
    }

    /// Whether there was one.
    pub(super) fn give_back(&mut self, kind: Kind) -> bool {
        let Some(member) = self.reserved.of_mut(kind).pop_front() else {
            return false;
        };
        self.return_request(kind, member);
        true
    }

    pub(super) fn return_request(&mut self, kind: Kind, member: u64) {
        let request = self.request(kind, member);
        self.news.returned.push(request);
    }

    pub(super) fn stamp(&mut self, kind: Kind, now: Instant) {
        if let Some(member) = self.reserved.of_mut(kind).pop_front() {
            self.sent.push_back((now, kind, member));
            let request = self.request(kind, member);
            self.news.sent.push(request);
        }
    }

    pub(super) fn unstamp(&mut self, kind: Kind, at: Instant) {
        let is_it = |sent: &(Instant, Kind, u64)| (sent.0, sent.1) == (at, kind);
        let index = self.sent.iter().rposition(is_it);
        if let Some((.., member)) = index.and_then(|index| self.sent.remove(index)) {
            self.reserved.of_mut(kind).push_back(member);
        }
    }

    /// What is not needed for telling a Redis that has forgotten is not kept.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let span = self.limits.span;
        while self.sent.front().is_some_and(|(at, ..)| *at + span <= now) {
            self.sent.pop_front();
        }
    }

    /// All that is held.
    pub(super) fn snapshot(&mut self, now: Instant) -> ReplicaSnapshot {
        self.forget_old(now);
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
            ..ReplicaSnapshot::default()
        }
    }

    /// What Redis has not been told of.
    pub(super) fn take_news(&mut self) -> Message {
        mem::take(&mut self.news)
    }

    /// Whether Redis has taken a message nobody knows, so all that it was told is told again. What was
    /// accepted, and what refused, is not: by then that is of another window.
    pub(super) fn tell_again(&mut self, message: Message) {
        self.news.returned.extend(message.returned);
        self.news.left.extend(message.left);
        self.news.silence = self.news.silence.max(message.silence);
    }

    fn request(&self, kind: Kind, member: u64) -> Request {
        Request {
            kind: name(kind),
            member: self.name_of(member),
        }
    }
}
