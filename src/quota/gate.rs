use std::time::Duration;

use tokio::time::Instant;

use super::kind::{ByKind, Kind, Open};
use super::limits::Limits;
use super::window::Window;

/// What all tenants of a budget share: room in its windows, places in flight, and whether the upstream has asked for
/// silence. The one thing that the rest of this room asks whether another request may go up, see the module.
#[derive(Debug)]
pub(super) struct Gate {
    requests: Window,
    by_kind: ByKind<Window>,
    /// None where there is no limit.
    places: Option<u32>,
    in_flight: u32,
    closed_until: Option<Instant>,
}

impl Gate {
    pub(super) fn new(limits: &Limits, span: Duration) -> Self {
        let of_kind = |kind| match kind {
            Kind::Create => limits.creates,
            Kind::Read => limits.reads,
            Kind::Change => None,
        };
        Self {
            requests: Window::new(limits.requests, span),
            by_kind: ByKind::new(|kind| Window::new(of_kind(kind), span)),
            places: limits.concurrent,
            in_flight: 0,
            closed_until: None,
        }
    }

    /// The kinds of which another request may be sent.
    pub(super) fn open(&mut self, now: Instant) -> Open {
        let is_open = self.closed_until(now).is_none() && self.requests.has_room(now);
        ByKind::new(|kind| is_open && self.by_kind.of_mut(kind).has_room(now))
    }

    /// The kinds that have no limit of their own in the way, whatever stands in the way of all.
    pub(super) fn open_by_kind(&mut self, now: Instant) -> Open {
        ByKind::new(|kind| self.by_kind.of_mut(kind).has_room(now))
    }

    pub(super) fn has_place(&self) -> bool {
        self.places.is_none_or(|places| self.in_flight < places)
    }

    pub(super) const fn take_place(&mut self) {
        self.in_flight += 1;
    }

    pub(super) const fn free_place(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) const fn reserve(&mut self, kind: Kind) {
        self.requests.reserve();
        self.by_kind.of_mut(kind).reserve();
    }

    pub(super) const fn give_back(&mut self, kind: Kind) {
        self.requests.give_back();
        self.by_kind.of_mut(kind).give_back();
    }

    pub(super) fn stamp(&mut self, kind: Kind, now: Instant) {
        self.requests.stamp(now);
        self.by_kind.of_mut(kind).stamp(now);
    }

    pub(super) fn unstamp(&mut self, kind: Kind, at: Instant) {
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
        shared.max(of_kind).max(opening)
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
