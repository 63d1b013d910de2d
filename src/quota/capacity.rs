pub(super) mod handover;

use std::time::Duration;

use tokio::time::Instant;

use super::learning::{Learning, least_learned};
use super::limits::{ByKind, ByRate, Kind, Limits, Open, Rate};
use super::shared::{Mode, ReplicaState};
use super::window::Window;

/// What all tenants of a budget share: room in its windows, slots in flight, and whether the upstream has
/// asked for silence. The one thing that the rest of this room asks whether another request may go up, see
/// the module.
#[derive(Debug)]
pub(super) struct CapacityLimiter {
    /// As the settings have them.
    configured: Limits,
    learning: Learning,
    /// What holds now.
    limits: Limits,
    windows: ByRate<Window>,
    in_flight: u32,
    closed_until: Option<Instant>,
    /// None where no other replica uses the budget.
    replica: Option<ReplicaState>,
    /// What is left for this process where another follows it; none where none does.
    kept: Option<Limits>,
    /// How many slots in flight the process before this one still has.
    slots_elsewhere: u32,
}

/// How many requests one has before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ahead {
    pub(super) all: usize,
    pub(super) of_kind: usize,
    pub(super) writes: usize,
}

impl CapacityLimiter {
    pub(super) fn new(limits: &Limits, replicas: u32, span: Duration, now: Instant) -> Self {
        // Of what all replicas learn at least, as of every limit, each has its share.
        let least = least_learned(replicas).div_ceil(replicas.max(1));
        Self {
            configured: *limits,
            learning: Learning::new(least, span, now),
            limits: *limits,
            windows: ByRate::new(|rate| Window::new(limits.of(rate), span)),
            in_flight: 0,
            closed_until: None,
            replica: None,
            kept: None,
            slots_elsewhere: 0,
        }
    }

    /// Goes by other limits from now on. What was sent counts against them, as far as it is known: where there was
    /// no limit before, `accepted` says when the upstream has accepted requests of a rate that it can teach.
    pub(super) fn set_limits(
        &mut self,
        limits: &Limits,
        accepted: impl Fn(Rate) -> Vec<Instant>,
        now: Instant,
    ) {
        let before = self.limits;
        self.configured = *limits;
        self.follow(now);
        let is_new = |rate| before.of(rate).is_none() && limits.of(rate).is_some();
        for rate in Rate::TAUGHT.into_iter().filter(|rate| is_new(*rate)) {
            self.windows.of_mut(rate).seed(accepted(rate));
        }
        if is_new(Rate::Requests) {
            let mut all: Vec<_> = Rate::TAUGHT.into_iter().flat_map(accepted).collect();
            all.sort_unstable();
            self.windows.of_mut(Rate::Requests).seed(all);
        }
    }

    /// Nothing is known any more of what the upstream takes.
    pub(super) fn forget_learned(&mut self, now: Instant) {
        self.learning.forget(now);
        self.follow(now);
    }

    /// From now on others use the budget too, and Redis knows what they do.
    pub(super) fn share(&mut self, replica: ReplicaState, now: Instant) {
        self.replica = Some(replica);
        self.follow(now);
    }

    pub(super) const fn replica(&mut self) -> Option<&mut ReplicaState> {
        self.replica.as_mut()
    }

    /// Goes over to the limits that hold now, and says whose word decides.
    fn follow(&mut self, now: Instant) -> Mode {
        let (mode, limits) = match &self.replica {
            None => {
                let limits = self.learning.lower(&self.configured, now);
                (Mode::Alone, self.kept.map_or(limits, |kept| limits.within(&kept)))
            }
            Some(replica) => {
                let (mode, limits) = (replica.mode(now), replica.lower(&self.configured, now));
                match mode {
                    // Where nothing is limited nobody needs to be asked.
                    _ if limits.is_unlimited() => (Mode::Alone, limits),
                    Mode::Alone => (mode, limits.share(replica.limits().replicas)),
                    _ => (mode, limits),
                }
            }
        };
        if limits != self.limits {
            self.limits = limits;
            for rate in Rate::ALL {
                self.windows.of_mut(rate).set_limit(limits.of(rate));
            }
        }
        mode
    }

    /// What holds now.
    pub(super) fn limits(&mut self, now: Instant) -> Limits {
        self.follow(now);
        self.limits
    }

    /// The limit that was learned for a rate, if that is what holds.
    pub(super) fn learned(&self, rate: Rate, now: Instant) -> Option<u32> {
        match &self.replica {
            None => self.learning.learned(rate),
            Some(replica) => replica.learned(rate, self.configured.of(rate), now),
        }
    }

    /// Learns from a refusal of the upstream's, see [`Learning`]; `accepted` is when requests were accepted
    /// in the window before. The limit, where that has taught one here; what others are to learn too Redis is
    /// told.
    pub(super) fn teach(&mut self, rate: Rate, accepted: Vec<Instant>, now: Instant) -> Option<u32> {
        if let Some(replica) = &mut self.replica {
            replica.teach(rate);
            return None;
        }
        let configured = self.configured.of(rate);
        let limit = self.learning.teach(rate, accepted.len(), configured, now)?;
        let is_new = self.limits.of(rate).is_none();
        self.follow(now);
        if is_new {
            self.windows.of_mut(rate).seed(accepted);
        }
        Some(limit)
    }

    /// The kinds of which another request may be sent.
    pub(super) fn open(&mut self, now: Instant) -> Open {
        let mode = self.follow(now);
        if self.closed_until(now).is_some() {
            return ByKind::default();
        }
        match (mode, &self.replica) {
            (Mode::Quiet | Mode::Stopped, _) => ByKind::default(),
            (Mode::Together, Some(replica)) => ByKind::new(|kind| replica.is_granted(kind)),
            _ => {
                let is_open = self.windows.of_mut(Rate::Requests).has_room(now);
                ByKind::new(|kind| is_open && self.has_room_of_kind(kind, now))
            }
        }
    }

    /// The kinds that have no limit of their own in the way, whatever stands in the way of all.
    pub(super) fn open_by_kind(&mut self, now: Instant) -> Open {
        ByKind::new(|kind| self.has_room_of_kind(kind, now))
    }

    fn has_room_of_kind(&mut self, kind: Kind, now: Instant) -> bool {
        let mut rates = kind.rates().iter();
        rates.all(|rate| self.windows.of_mut(*rate).has_room(now))
    }

    pub(super) fn has_slot(&mut self, now: Instant) -> bool {
        if let (Mode::Together, Some(replica)) = (self.follow(now), &self.replica) {
            return replica.is_slot_granted();
        }
        let in_flight = self.in_flight.saturating_add(self.slots_elsewhere);
        self.limits.concurrent.is_none_or(|slots| in_flight < slots)
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
        self.count(kind, Window::reserve);
    }

    pub(super) fn give_back(&mut self, kind: Kind) {
        if let Some(replica) = &mut self.replica {
            replica.give_back(kind);
        }
        self.count(kind, Window::give_back);
    }

    pub(super) fn stamp(&mut self, kind: Kind, now: Instant) {
        if let Some(replica) = &mut self.replica {
            replica.stamp(kind, now);
        }
        self.count(kind, |window| window.stamp(now));
    }

    pub(super) fn unstamp(&mut self, kind: Kind, at: Instant) {
        if let Some(replica) = &mut self.replica {
            replica.unstamp(kind, at);
        }
        self.count(kind, |window| window.unstamp(at));
    }

    /// Changes all windows in which a request of the kind counts.
    fn count(&mut self, kind: Kind, change: impl Fn(&mut Window)) {
        change(self.windows.of_mut(Rate::Requests));
        for rate in kind.rates() {
            change(self.windows.of_mut(*rate));
        }
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
        match self.follow(now) {
            Mode::Together | Mode::Stopped => return None,
            Mode::Quiet => return self.quiet_until(now),
            Mode::Alone => {}
        }
        let windows = Rate::ALL
            .into_iter()
            .filter_map(|rate| self.windows.of_mut(rate).opens_at(now));
        windows.chain(self.learning.raises_at()).min()
    }

    /// The earliest moment for a request with so many ahead of it; none where nobody can tell of any.
    pub(super) fn earliest(&mut self, kind: Kind, ahead: Ahead, now: Instant) -> Option<Instant> {
        let mode = self.follow(now);
        if mode == Mode::Stopped
            && self
                .replica
                .as_ref()
                .is_some_and(|replica| replica.is_given_up(now))
        {
            return None;
        }
        let rates = kind.rates().iter().map(|rate| {
            let ahead = match rate {
                Rate::Writes => ahead.writes,
                _ => ahead.of_kind,
            };
            self.windows.of(*rate).earliest(ahead, now)
        });
        let shared = self.windows.of(Rate::Requests).earliest(ahead.all, now);
        let local = rates.fold(shared, Instant::max);
        let room_at = self.replica.as_ref().and_then(|replica| replica.room_at(kind));
        let others = [self.closed_until(now), room_at, self.quiet_until(now)];
        Some(others.into_iter().flatten().fold(local, Instant::max))
    }

    fn quiet_until(&self, now: Instant) -> Option<Instant> {
        self.replica.as_ref()?.quiet_until(now)
    }

    /// The kinds that Redis may be asked about now, and whether it may be asked for a slot.
    pub(super) fn askable(&mut self, now: Instant) -> (Open, bool) {
        let mode = self.follow(now);
        match (self.closed_until(now), mode, &self.replica) {
            (None, Mode::Together, Some(replica)) => replica.askable(now),
            _ => (Open::default(), false),
        }
    }

    /// The earliest moment that one rate allows for a request with so many ahead of it.
    pub(super) fn earliest_of(&self, rate: Rate, ahead: usize, now: Instant) -> Instant {
        self.windows.of(rate).earliest(ahead, now)
    }

    /// Whether the number of those ahead has a say in when a request may be sent.
    pub(super) const fn is_rated(&self, rate: Rate) -> bool {
        self.windows.of(rate).is_limited()
    }

    /// How many requests of a rate may still be sent in this window; none where there is no limit.
    pub(super) fn left(&mut self, rate: Rate, now: Instant) -> Option<usize> {
        self.windows.of_mut(rate).left(now)
    }
}
