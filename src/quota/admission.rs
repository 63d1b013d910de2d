use std::time::Duration;

use tokio::time::Instant;

use super::gate::Gate;
use super::kind::{ByKind, Kind};
use super::lanes::{LANE_LENGTH, LaneId, Lanes};
use super::limits::{Entrant, LimitedBy, Limits, Refused, RefusedBecause, TenantStanding};
use super::line::{Arrival, Line};
use super::shared::{Message, Sharing, Wanted};

/// One budget's whole state: what may go up, and who is waiting for it. Whoever changes it calls
/// [`dispatch`](Self::dispatch) afterwards.
#[derive(Debug)]
pub(super) struct Admission<T> {
    gate: Gate,
    lanes: Lanes<T>,
    /// Exchanges that have a place and need another request. They hold up a place, so they go ahead of all who wait
    /// for one; their lanes pay for it.
    follow_ups: Line<(LaneId, T)>,
    arrivals: Arrival,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) lane: LaneId,
    pub(super) kind: Kind,
    arrival: Arrival,
    is_follow_up: bool,
}

impl<T> Admission<T> {
    pub(super) fn new(limits: &Limits, span: Duration) -> Self {
        Self {
            gate: Gate::new(limits, span),
            lanes: Lanes::new(span),
            follow_ups: Line::default(),
            arrivals: 0,
        }
    }

    /// Lets one wait in its tenant's lane for a place and a first request.
    pub(super) fn arrive(
        &mut self,
        entrant: &Entrant<'_>,
        kind: Kind,
        waiter: T,
        patience: Duration,
        now: Instant,
    ) -> Result<Ticket, Refused> {
        let lane = self.lanes.lane_of(entrant);
        let ticket = Ticket {
            lane,
            kind,
            arrival: self.next_arrival(),
            is_follow_up: false,
        };
        if self.lanes.waiting_in(lane) >= LANE_LENGTH {
            return Err(self.refuse(ticket, RefusedBecause::LaneFull, patience, now));
        }
        self.lanes.push(lane, kind, ticket.arrival, waiter, now);
        Ok(ticket)
    }

    /// Lets one that has a place wait for another request.
    pub(super) fn follow_up(&mut self, lane: LaneId, kind: Kind, waiter: T) -> Ticket {
        let arrival = self.next_arrival();
        self.follow_ups.push(kind, arrival, (lane, waiter));
        Ticket {
            lane,
            kind,
            arrival,
            is_follow_up: true,
        }
    }

    /// Takes one out that waits no longer. Whether it still did; where not, it has been admitted.
    pub(super) fn withdraw(&mut self, ticket: Ticket, now: Instant) -> bool {
        let Ticket {
            lane, kind, arrival, ..
        } = ticket;
        if ticket.is_follow_up {
            return self.follow_ups.remove(kind, arrival).is_some();
        }
        self.lanes.remove(lane, kind, arrival, now).is_some()
    }

    /// Takes back what one was admitted to that has gone before it could tell.
    pub(super) fn undo(&mut self, ticket: Ticket, now: Instant) {
        self.gate.give_back(ticket.kind);
        if !ticket.is_follow_up {
            self.leave(ticket.lane, false, now);
        }
    }

    /// Admits all whose turn it is, and hands each to `admit`.
    pub(super) fn dispatch(&mut self, now: Instant, admit: impl FnMut(T)) {
        self.lanes.unblock(now);
        self.admit_all(now, admit);
        if let Some(sharing) = self.gate.sharing() {
            sharing.return_unused();
        }
    }

    fn admit_all(&mut self, now: Instant, mut admit: impl FnMut(T)) {
        while self.waiting() > 0 {
            let open = self.gate.open(now);
            if let Some((kind, (lane, waiter))) = self.follow_ups.pop(&open) {
                self.gate.reserve(kind);
                self.lanes.charge(lane, now);
                admit(waiter);
                continue;
            }
            if !self.gate.has_place() {
                return;
            }
            let Some(next) = self.lanes.serve(&open, now) else {
                return;
            };
            self.gate.take_place(now);
            self.gate.reserve(next.kind);
            admit(next.waiter);
        }
    }

    /// The refusal of one that waits, where it cannot have its turn by then however quickly others are done.
    pub(super) fn refuse_late(&mut self, ticket: Ticket, until: Instant, now: Instant) -> Option<Refused> {
        let earliest = self.earliest(ticket, 1, until, now);
        let is_possible = now < until && earliest.own.max(earliest.shared) < until;
        (!is_possible).then(|| Refused {
            because: RefusedBecause::TooLate,
            limited_by: if earliest.own >= until {
                LimitedBy::Tenant
            } else {
                self.limited_by(ticket, now)
            },
            retry_after: earliest.retry_after(until.saturating_duration_since(now), now),
        })
    }

    /// The refusal of one that waits no longer, and was ready to wait so long.
    pub(super) fn refuse(
        &mut self,
        ticket: Ticket,
        because: RefusedBecause,
        patience: Duration,
        now: Instant,
    ) -> Refused {
        let earliest = self.earliest(ticket, 0, now + LONGEST_LOOK, now);
        Refused {
            because,
            limited_by: self.limited_by(ticket, now),
            retry_after: earliest.retry_after(patience, now),
        }
    }

    fn limited_by(&mut self, ticket: Ticket, now: Instant) -> LimitedBy {
        if !ticket.is_follow_up && self.lanes.is_blocked(ticket.lane, now) {
            LimitedBy::Tenant
        } else {
            LimitedBy::Upstream
        }
    }

    /// `itself` is 1 for a ticket that stands at the end of those who wait, 0 for one that would have to.
    fn earliest(&mut self, ticket: Ticket, itself: usize, until: Instant, now: Instant) -> Earliest {
        let Ticket { lane, kind, .. } = ticket;
        let follow_ups = self.follow_ups.len();
        if ticket.is_follow_up {
            let ahead_of_kind = self.follow_ups.len_of(kind).saturating_sub(itself);
            let ahead = follow_ups.saturating_sub(itself);
            return Earliest {
                own: now,
                shared: self.gate.earliest(kind, ahead, ahead_of_kind, now),
            };
        }
        let open = self.gate.open_by_kind(now);
        // Those whose kind has no room stand in nobody's way but their own kind's.
        let mut counting = open;
        *counting.of_mut(kind) = true;
        let ahead = self.lanes.waiting_in_of(lane, &counting).saturating_sub(itself);
        let only_own = ByKind::new(|other| other == kind);
        let ahead_of_kind = self.lanes.waiting_in_of(lane, &only_own).saturating_sub(itself);
        let gate = &self.gate;
        let is_enough = |position| gate.earliest_of_any(position + follow_ups, now) > until;
        let position = if gate.is_rated() {
            self.lanes.position(lane, ahead, &open, is_enough) + follow_ups
        } else {
            ahead
        };
        Earliest {
            own: self.lanes.earliest_own(lane, ahead, now),
            shared: self.gate.earliest(kind, position, ahead_of_kind, now),
        }
    }

    /// A request that was admitted goes out now.
    pub(super) fn sent(&mut self, kind: Kind, now: Instant) {
        self.gate.stamp(kind, now);
    }

    /// A request that was to go out then did not, and its token is for use again.
    pub(super) fn unsent(&mut self, kind: Kind, at: Instant) {
        self.gate.unstamp(kind, at);
    }

    /// A request that was admitted will never be sent.
    pub(super) fn give_back(&mut self, kind: Kind) {
        self.gate.give_back(kind);
    }

    /// The tenant's own limit has been used by one.
    pub(super) fn sent_own(&mut self, lane: LaneId, now: Instant) {
        self.lanes.stamp(lane, now);
    }

    /// It has not, after all.
    pub(super) fn unsent_own(&mut self, lane: LaneId, at: Instant, now: Instant) {
        self.lanes.unstamp(lane, at, now);
    }

    /// An exchange is over. `was_counted` says whether it used the tenant's own limit.
    pub(super) fn leave(&mut self, lane: LaneId, was_counted: bool, now: Instant) {
        if !was_counted {
            self.lanes.give_back(lane, now);
        }
        self.lanes.leave(lane, now);
        self.gate.free_place();
    }

    /// Lets nothing through for so long.
    pub(super) fn close_for(&mut self, duration: Duration, now: Instant) {
        self.gate.close_until(now + duration);
        if let Some(sharing) = self.gate.sharing() {
            sharing.silence(duration);
        }
    }

    /// From now on others use the budget too.
    pub(super) fn share(&mut self, sharing: Sharing, now: Instant) {
        self.gate.share(sharing, now);
    }

    /// How things stand with those others.
    pub(super) const fn sharing(&mut self) -> Option<&mut Sharing> {
        self.gate.sharing()
    }

    /// Whether there is something that Redis should be told or asked now.
    pub(super) fn has_question(&mut self, now: Instant) -> bool {
        self.gate.sharing().is_some_and(|sharing| sharing.has_news()) || self.wanted(now).is_some()
    }

    /// What to tell Redis now, and to ask.
    pub(super) fn question(&mut self, now: Instant) -> Option<Message> {
        let wanted = self.wanted(now);
        let sharing = self.gate.sharing()?;
        sharing.forget_old(now);
        sharing.message(wanted, now)
    }

    /// What whoever is next would need, of all that Redis may have.
    fn wanted(&mut self, now: Instant) -> Option<Wanted> {
        if self.waiting() == 0 {
            return None;
        }
        let (kinds, may_have_place) = self.gate.askable(now);
        if let Some(kind) = self.follow_ups.first(&kinds) {
            return Some(Wanted {
                kind,
                needs_place: false,
            });
        }
        let kind = self.lanes.next_kind(&kinds).filter(|_| may_have_place)?;
        Some(Wanted {
            kind,
            needs_place: true,
        })
    }

    pub(super) fn closed_until(&mut self, now: Instant) -> Option<Instant> {
        self.gate.closed_until(now)
    }

    /// When time alone will change what may be admitted.
    pub(super) fn wakes_at(&mut self, now: Instant) -> Option<Instant> {
        let opens = if self.waiting() > 0 {
            self.gate.opens_at(now)
        } else {
            self.gate.closed_until(now)
        };
        opens.into_iter().chain(self.lanes.unblocks_at()).min()
    }

    pub(super) fn waiting(&self) -> usize {
        self.lanes.waiting() + self.follow_ups.len()
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.gate.in_flight()
    }

    pub(super) fn left(&mut self, now: Instant) -> Option<usize> {
        self.gate.left(now)
    }

    pub(super) fn standing(&mut self, entrant: &Entrant<'_>, now: Instant) -> Option<TenantStanding> {
        self.lanes.standing(entrant, now)
    }

    pub(super) fn forget_idle(&mut self, now: Instant) {
        self.lanes.forget_idle(now);
    }

    #[cfg(test)]
    pub(super) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    const fn next_arrival(&mut self) -> Arrival {
        self.arrivals += 1;
        self.arrivals
    }
}

/// How far ahead the turn of one that was refused is looked for.
const LONGEST_LOOK: Duration = Duration::from_secs(5 * 60);
/// Sooner than that nobody is told to come back.
const LEAST_RETRY: Duration = Duration::from_secs(1);

/// When a turn could come, if all others were done at once.
struct Earliest {
    /// By the tenant's own limit.
    own: Instant,
    /// By what all tenants share.
    shared: Instant,
}

impl Earliest {
    /// When it could be worth waiting as long again: not when the turn could come, or whoever obeys would always be
    /// behind those who do not.
    fn retry_after(&self, patience: Duration, now: Instant) -> Duration {
        let wait = self.own.max(self.shared).saturating_duration_since(now);
        (wait.saturating_sub(patience) + LEAST_RETRY).min(LONGEST_LOOK)
    }
}
