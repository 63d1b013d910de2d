use std::time::Duration;

use tokio::time::Instant;

use super::kind::{ByKind, Kind, Open};
use super::limits::Limits;
use super::shared::{Mode, Sharing};
use super::window::Window;

/// What all tenants of a budget share: room in its windows, places in flight, and whether the upstream has asked for
/// silence. The one thing that the rest of this room asks whether another request may go up, see the module.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    requests: Window,
    by_kind: ByKind<Window>,
    /// None where there is no limit.
    places: Option<u32>,
    in_flight: u32,
    closed_until: Option<Instant>,
    /// None where no other replica uses the budget.
    sharing: Option<Sharing>,
    mode: Mode,
}

impl Gate {
    pub(super) fn new(limits: &Limits, span: Duration) -> Self {
        Self {
            limits: *limits,
            requests: Window::new(limits.requests, span),
            by_kind: ByKind::new(|kind| Window::new(limits.of(kind), span)),
            places: limits.concurrent,
            in_flight: 0,
            closed_until: None,
            sharing: None,
            mode: Mode::Alone,
        }
    }

    /// From now on others use the budget too, and Redis knows what they do.
    pub(super) fn share(&mut self, sharing: Sharing, now: Instant) {
        self.sharing = Some(sharing);
        self.follow_mode(now);
    }

    pub(super) const fn sharing(&mut self) -> Option<&mut Sharing> {
        self.sharing.as_mut()
    }

    /// Goes over to the limits of the mode that things are in now.
    fn follow_mode(&mut self, now: Instant) -> Mode {
        let Some(sharing) = &self.sharing else {
            return Mode::Alone;
        };
        let mode = sharing.mode(now);
        if mode != self.mode {
            self.mode = mode;
            let limits = match mode {
                Mode::Alone => self.limits.share(sharing.terms().replicas),
                Mode::Together | Mode::Quiet => self.limits,
            };
            self.requests.set_limit(limits.requests);
            for kind in Kind::ALL {
                self.by_kind.of_mut(kind).set_limit(limits.of(kind));
            }
            self.places = limits.concurrent;
        }
        mode
    }

    /// The kinds of which another request may be sent.
    pub(super) fn open(&mut self, now: Instant) -> Open {
        let mode = self.follow_mode(now);
        if self.closed_until(now).is_some() || mode == Mode::Quiet {
            return ByKind::default();
        }
        if let (Mode::Together, Some(sharing)) = (mode, &self.sharing) {
            return ByKind::new(|kind| sharing.is_granted(kind));
        }
        let is_open = self.requests.has_room(now);
        ByKind::new(|kind| is_open && self.by_kind.of_mut(kind).has_room(now))
    }

    /// The kinds that have no limit of their own in the way, whatever stands in the way of all.
    pub(super) fn open_by_kind(&mut self, now: Instant) -> Open {
        ByKind::new(|kind| self.by_kind.of_mut(kind).has_room(now))
    }

    pub(super) fn has_place(&self) -> bool {
        if let (Mode::Together, Some(sharing)) = (self.mode, &self.sharing) {
            return sharing.is_place_granted();
        }
        self.places.is_none_or(|places| self.in_flight < places)
    }

    pub(super) fn take_place(&mut self, now: Instant) {
        self.in_flight += 1;
        if let Some(sharing) = &mut self.sharing {
            sharing.take_place(now);
        }
    }

    pub(super) fn free_place(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(sharing) = &mut self.sharing {
            sharing.free_place();
        }
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn reserve(&mut self, kind: Kind) {
        if let Some(sharing) = &mut self.sharing {
            sharing.reserve(kind);
        }
        self.requests.reserve();
        self.by_kind.of_mut(kind).reserve();
    }

    pub(super) fn give_back(&mut self, kind: Kind) {
        if let Some(sharing) = &mut self.sharing {
            sharing.give_back(kind);
        }
        self.requests.give_back();
        self.by_kind.of_mut(kind).give_back();
    }

    pub(super) fn stamp(&mut self, kind: Kind, now: Instant) {
        if let Some(sharing) = &mut self.sharing {
            sharing.stamp(kind, now);
        }
        self.requests.stamp(now);
        self.by_kind.of_mut(kind).stamp(now);
    }

    pub(super) fn unstamp(&mut self, kind: Kind, at: Instant) {
        if let Some(sharing) = &mut self.sharing {
            sharing.unstamp(kind, at);
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
        let sharing = self.sharing.as_ref().and_then(|sharing| sharing.room_at(kind));
        let local = shared.max(of_kind).max(opening);
        local
            .max(sharing.unwrap_or(now))
            .max(self.quiet_until(now).unwrap_or(now))
    }

    fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.sharing.as_ref()?.quiet_until(now)
    }

    /// The kinds that Redis may be asked about now, and whether it may be asked for a place.
    pub(super) fn askable(&mut self, now: Instant) -> (Open, bool) {
        match (self.closed_until(now), &self.sharing) {
            (None, Some(sharing)) => sharing.askable(now),
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
