use std::time::Duration;

use tokio::time::Instant;

use super::limits::Limits;
use super::limits::{ByKind, Kind, Open};
use super::shared::{Mode, ReplicaState};
use super::window::Window;

/// What all tenants of a budget share: room in its windows, slots in flight, and whether the upstream has
/// asked for silence. The one thing that the rest of this room asks whether another request may go up, see
/// the module.
#[derive(Debug)]
pub(super) struct CapacityLimiter {
    limits: Limits,
    requests: Window,
    by_kind: ByKind<Window>,
    /// None where there is no limit.
    slots: Option<u32>,
    in_flight: u32,
    closed_until: Option<Instant>,
    /// None where no other replica uses the budget.
    replica: Option<ReplicaState>,
    mode: Mode,
}

impl CapacityLimiter {
    pub(super) fn new(limits: &Limits, span: Duration) -> Self {
        Self {
            limits: *limits,
            requests: Window::new(limits.requests, span),
            by_kind: ByKind::new(|kind| Window::new(limits.of(kind), span)),
            slots: limits.concurrent,
            in_flight: 0,
            closed_until: None,
            replica: None,
            mode: Mode::Alone,
        }
    }

    /// From now on others use the budget too, and Redis knows what they do.
    pub(super) fn share(&mut self, replica: ReplicaState, now: Instant) {
        self.replica = Some(replica);
        self.follow_mode(now);
    }

    pub(super) const fn replica(&mut self) -> Option<&mut ReplicaState> {
        self.replica.as_mut()
    }

    /// Goes over to the limits of the mode that things are in now.
    fn follow_mode(&mut self, now: Instant) -> Mode {
        let Some(replica) = &self.replica else {
            return Mode::Alone;
        };
        let mode = replica.mode(now);
        if mode != self.mode {
            self.mode = mode;
            let limits = match mode {
                Mode::Alone => self.limits.share(replica.limits().replicas),
                Mode::Together | Mode::Quiet => self.limits,
            };
            self.requests.set_limit(limits.requests);
            for kind in Kind::ALL {
                self.by_kind.of_mut(kind).set_limit(limits.of(kind));
            }
            self.slots = limits.concurrent;
        }
        mode
    }

    /// The kinds of which another request may be sent.
    pub(super) fn open(&mut self, now: Instant) -> Open {
        let mode = self.follow_mode(now);
        if self.closed_until(now).is_some() || mode == Mode::Quiet {
            return ByKind::default();
        }
        if let (Mode::Together, Some(replica)) = (mode, &self.replica) {
            return ByKind::new(|kind| replica.is_granted(kind));
        }
        let is_open = self.requests.has_room(now);
        ByKind::new(|kind| is_open && self.by_kind.of_mut(kind).has_room(now))
    }

    /// The kinds that have no limit of their own in the way, whatever stands in the way of all.
    pub(super) fn open_by_kind(&mut self, now: Instant) -> Open {
        ByKind::new(|kind| self.by_kind.of_mut(kind).has_room(now))
    }

    pub(super) fn has_slot(&self) -> bool {
        if let (Mode::Together, Some(replica)) = (self.mode, &self.replica) {
            return replica.is_slot_granted();
        }
        self.slots.is_none_or(|slots| self.in_flight < slots)
    }

    pub(super) fn take_slot(&mut self, now: Instant) {
        self.in_flight += 1;
        if let Some(replica) = &mut self.replica {
            replica.take_slot(now);
        }
    }

    pub(super) fn free_slot(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(replica) = &mut self.replica {
            replica.free_slot();
        }
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn reserve(&mut self, kind: Kind) {
        if let Some(replica) = &mut self.replica {
            replica.reserve(kind);
        }
        self.requests.reserve();
        self.by_kind.of_mut(kind).reserve();
    }

    pub(super) fn give_back(&mut self, kind: Kind) {
        if let Some(replica) = &mut self.replica {
            replica.give_back(kind);
        }
        self.requests.give_back();
        self.by_kind.of_mut(kind).give_back();
    }

    pub(super) fn stamp(&mut self, kind: Kind, now: Instant) {
        if let Some(replica) = &mut self.replica {
            replica.stamp(kind, now);
        }
        self.requests.stamp(now);
        self.by_kind.of_mut(kind).stamp(now);
    }

    pub(super) fn unstamp(&mut self, kind: Kind, at: Instant) {
        if let Some(replica) = &mut self.replica {
            replica.unstamp(kind, at);
        }
        self.requests.unstamp(at);
        self.by_kind.of_mut(kind).unstamp(at);
    }

    /// Lets nothing through until then; never shortens what was asked for before.
    pub(super) fn close_until(&mut self, until: Instant) {
        self.closed_until = self.closed_until.max(Some(until));
    }

    pub(super) fn closed_until(&mut self, now: Instant) -> Option<Instant> {
        self.closed_until = self.closed_until.filter(|until| now < *until);
        self.closed_until
    }

    /// When time alone will next make room that is not there now.
    pub(super) fn opens_at(&mut self, now: Instant) -> Option<Instant> {
        if let Some(until) = self.closed_until(now) {
            return Some(until);
        }
        match self.follow_mode(now) {
            Mode::Together => return None,
            Mode::Quiet => return self.quiet_until(now),
            Mode::Alone => {}
        }
        let shared = self.requests.opens_at(now);
        let by_kind = Kind::ALL
            .into_iter()
            .filter_map(|kind| self.by_kind.of_mut(kind).opens_at(now));
        shared.into_iter().chain(by_kind).min()
    }

    /// The earliest moment for a request with so many ahead of it, and so many of its own kind among those.
    pub(super) fn earliest(
        &mut self,
        kind: Kind,
        ahead: usize,
        ahead_of_kind: usize,
        now: Instant,
    ) -> Instant {
        let shared = self.requests.earliest(ahead, now);
        let of_kind = self.by_kind.of(kind).earliest(ahead_of_kind, now);
        let opening = self.closed_until(now).unwrap_or(now);
        let replica = self.replica.as_ref().and_then(|replica| replica.room_at(kind));
        let local = shared.max(of_kind).max(opening);
        local
            .max(replica.unwrap_or(now))
            .max(self.quiet_until(now).unwrap_or(now))
    }

    fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.replica.as_ref()?.quiet_until(now)
    }

    /// The kinds that Redis may be asked about now, and whether it may be asked for a slot.
    pub(super) fn askable(&mut self, now: Instant) -> (Open, bool) {
        match (self.closed_until(now), &self.replica) {
            (None, Some(replica)) => replica.askable(now),
            _ => (Open::default(), false),
        }
    }

    /// The earliest moment for a request of whatever kind with so many ahead of it.
    pub(super) fn earliest_of_any(&self, ahead: usize, now: Instant) -> Instant {
        self.requests.earliest(ahead, now)
    }

    /// Whether the number of those ahead has a say in when a request may be sent.
    pub(super) const fn is_rated(&self) -> bool {
        self.requests.is_limited()
    }

    /// How many requests may still be sent in this window; none where there is no limit.
    pub(super) fn left(&mut self, now: Instant) -> Option<usize> {
        self.requests.left(now)
    }
}
