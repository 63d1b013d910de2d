use std::time::Duration;

use tokio::time::Instant;

use super::learning::{Learned, Learning, least_learned};
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

/// What of a budget counts in the process that follows.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    /// When those requests were sent that count there.
    pub(super) sent: ByRate<Vec<Instant>>,
    /// What the process before keeps of each limit.
    pub(super) kept: Limits,
    pub(super) learned: ByRate<Option<Learned>>,
    pub(super) closed_until: Option<Instant>,
}

fn in_requests(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
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

    /// Leaves the budget to another process but for what this one still needs: `waiting` requests wait. None where
    /// replicas share it, which tell each other anyway.
    pub(super) fn hand_over(&mut self, waiting: usize, now: Instant) -> Option<Spent> {
        if self.replica.is_some() {
            return None;
        }
        let limits = self.limits(now);
        let in_flight = usize::try_from(self.in_flight).unwrap_or(usize::MAX);
        // Each may need another request besides the one that it waits for.
        let needed = in_flight.saturating_add(waiting).saturating_mul(2);
        let mut kept = Limits::default();
        let mut given = ByRate::default();
        for rate in Rate::ALL {
            let window = self.windows.of_mut(rate);
            let Some(free) = window.left(now) else { continue };
            *given.of_mut(rate) = window.split(needed.max(free / 2), now);
            *kept.of_mut(rate) = Some(in_requests(window.held(usize::MAX, now)));
        }
        kept.concurrent = limits.concurrent.map(|slots| {
            let free = slots.saturating_sub(self.in_flight);
            self.in_flight + free.min(in_requests(waiting).max(free / 2))
        });
        self.kept = Some(kept);
        self.follow(now);
        Some(Spent {
            sent: given,
            kept,
            learned: self.learning.learned,
            closed_until: self.closed_until(now),
        })
    }

    /// Takes back what was handed over to a process that never used it.
    pub(super) fn take_back(&mut self, spent: Spent, now: Instant) {
        self.kept = None;
        self.follow(now);
        let mut sent = spent.sent;
        for rate in Rate::ALL {
            let given = std::mem::take(sent.of_mut(rate));
            self.windows.of_mut(rate).unsplit(given);
        }
    }

    /// Gives up what it kept and needs no more: of what is free it needs `free` requests, and `waiting` slots. What
    /// it still keeps.
    pub(super) fn shrink(&mut self, free: usize, waiting: usize, now: Instant) -> Option<Limits> {
        let mut kept = self.kept?;
        self.follow(now);
        for rate in Rate::ALL {
            if let Some(held) = kept.of_mut(rate) {
                *held = (*held).min(in_requests(self.windows.of_mut(rate).held(free, now)));
            }
        }
        let slots = self.in_flight.saturating_add(in_requests(waiting));
        kept.concurrent = kept.concurrent.map(|held| held.min(slots));
        self.kept = Some(kept);
        self.follow(now);
        Some(kept)
    }

    /// Takes the budget over from another process that keeps a part.
    pub(super) fn take_over(&mut self, spent: Spent, now: Instant) {
        self.learning.learned = spent.learned;
        self.closed_until = self.closed_until.max(spent.closed_until);
        self.follow(now);
        let mut sent = spent.sent;
        for rate in Rate::ALL {
            let window = self.windows.of_mut(rate);
            if window.is_limited() {
                window.unsplit(std::mem::take(sent.of_mut(rate)));
            }
        }
        self.leave_elsewhere(&spent.kept);
    }

    /// Leaves another process what it keeps.
    pub(super) fn leave_elsewhere(&mut self, kept: &Limits) {
        for rate in Rate::ALL {
            let count = kept
                .of(rate)
                .map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX));
            self.windows.of_mut(rate).leave_elsewhere(count);
        }
        self.slots_elsewhere = kept.concurrent.unwrap_or_default();
    }

    /// That process is gone.
    pub(super) fn end_elsewhere(&mut self, now: Instant) {
        for rate in Rate::ALL {
            self.windows.of_mut(rate).end_elsewhere(now);
        }
        self.slots_elsewhere = 0;
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

    /// How many requests may still be sent in this window; none where there is no limit.
    pub(super) fn left(&mut self, now: Instant) -> Option<usize> {
        self.windows.of_mut(Rate::Requests).left(now)
    }
}
