//! When one that waits can have its turn at the earliest, and the refusal of one that cannot in time.

use std::time::Duration;

use tokio::time::Instant;

use super::{Admission, Ticket};
use crate::quota::capacity::Ahead;
use crate::quota::limits::{BudgetRejection, ByKind, Kind, LimitedBy, Open, Rate, RejectionReason};

impl<T> Admission<T> {
    /// The refusal of one that waits, where it cannot have its turn by then however quickly others are done.
    pub(in crate::quota) fn refuse_late(
        &mut self,
        ticket: Ticket,
        until: Instant,
        now: Instant,
    ) -> Option<BudgetRejection> {
        let earliest = self.earliest(ticket, 1, until, now);
        let is_possible = now < until && earliest.at().is_some_and(|at| at < until);
        (!is_possible).then(|| BudgetRejection {
            because: RejectionReason::TooLate,
            limited_by: if earliest.own >= until {
                LimitedBy::Tenant
            } else {
                self.limited_by(ticket, now)
            },
            retry_after: earliest.retry_after(until.saturating_duration_since(now), now),
        })
    }

    /// The refusal of one that waits no longer, and was ready to wait so long.
    pub(in crate::quota) fn refuse(
        &mut self,
        ticket: Ticket,
        because: RejectionReason,
        patience: Duration,
        now: Instant,
    ) -> BudgetRejection {
        let earliest = self.earliest(ticket, 0, now + LONGEST_LOOK, now);
        BudgetRejection {
            because,
            limited_by: self.limited_by(ticket, now),
            retry_after: earliest.retry_after(patience, now),
        }
    }

    fn limited_by(&mut self, ticket: Ticket, now: Instant) -> LimitedBy {
        if !ticket.is_follow_up && self.queue.is_blocked(ticket.queue, now) {
            LimitedBy::Tenant
        } else {
            LimitedBy::Upstream
        }
    }

    /// `itself` is 1 for a ticket that stands at the end of those who wait, 0 for one that would have to.
    fn earliest(&mut self, ticket: Ticket, itself: usize, until: Instant, now: Instant) -> Earliest {
        let Ticket { queue, kind, .. } = ticket;
        let only_own = ByKind::new(|other| other == kind);
        let only_writes = ByKind::new(|other| other != Kind::Read);
        if ticket.is_follow_up {
            let ahead = |kinds: &Open| self.follow_ups.len_of_open(kinds).saturating_sub(itself);
            let ahead = Ahead {
                all: self.follow_ups.len().saturating_sub(itself),
                of_kind: ahead(&only_own),
                writes: ahead(&only_writes),
            };
            return Earliest {
                own: now,
                shared: self.capacity.earliest(kind, ahead, now),
            };
        }
        // Those whose kind has no room stand in nobody's way but their own kind's.
        let open = self.capacity.open_by_kind(now);
        let mut counting = open;
        *counting.of_mut(kind) = true;
        let ahead_in_queue = self.queue.waiting_in_of(queue, &counting).saturating_sub(itself);
        let own_rate = match kind {
            Kind::Create => Rate::Creates,
            Kind::Read => Rate::Reads,
            Kind::OtherWrite => Rate::Writes,
        };
        let ahead = Ahead {
            all: self.ahead(ticket, Rate::Requests, &counting, &open, itself, (until, now)),
            of_kind: self.ahead(ticket, own_rate, &only_own, &only_own, itself, (until, now)),
            writes: self.ahead(
                ticket,
                Rate::Writes,
                &only_writes,
                &only_writes,
                itself,
                (until, now),
            ),
        };
        Earliest {
            own: self.queue.earliest_own(queue, ahead_in_queue, now),
            shared: self.capacity.earliest(kind, ahead, now),
        }
    }

    /// How many of `counting` the fair order has before a ticket, of all queues where that has a say in when
    /// the rate has room; of other queues only those of `open` kinds.
    fn ahead(
        &self,
        ticket: Ticket,
        rate: Rate,
        counting: &Open,
        open: &Open,
        itself: usize,
        (until, now): (Instant, Instant),
    ) -> usize {
        let queue = ticket.queue;
        let ahead = self.queue.waiting_in_of(queue, counting).saturating_sub(itself);
        if !self.capacity.is_rated(rate) {
            return ahead;
        }
        let follow_ups = self.follow_ups.len_of_open(counting);
        let is_enough = |position| self.capacity.earliest_of(rate, position + follow_ups, now) > until;
        self.queue.position(queue, ahead, open, is_enough) + follow_ups
    }
}

/// How far ahead the turn of one that was refused is looked for.
const LONGEST_LOOK: Duration = Duration::from_secs(5 * 60);
/// Sooner than that nobody is told to come back.
const LEAST_RETRY: Duration = Duration::from_secs(1);

/// When those are told to come back whose turn nobody can tell.
const UNKNOWN_RETRY: Duration = Duration::from_secs(10);

/// When a turn could come, if all others were done at once.
struct Earliest {
    /// By the tenant's own limit.
    own: Instant,
    /// By what all tenants share; none where nobody can tell.
    shared: Option<Instant>,
}

impl Earliest {
    fn at(&self) -> Option<Instant> {
        self.shared.map(|shared| shared.max(self.own))
    }

    /// When it could be worth waiting as long again: not when the turn could come, or whoever obeys would
    /// always be behind those who do not.
    fn retry_after(&self, patience: Duration, now: Instant) -> Duration {
        let Some(at) = self.at() else {
            return UNKNOWN_RETRY;
        };
        let wait = at.saturating_duration_since(now);
        (wait.saturating_sub(patience) + LEAST_RETRY).min(LONGEST_LOOK)
    }
}
