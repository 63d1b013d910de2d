mod earliest;

use std::time::Duration;

use tokio::time::Instant;

use super::capacity::CapacityLimiter;
use super::fair_queue::{FairQueue, MAX_WAITING, QueueId};
use super::limits::{
    BudgetRejection, Kind, LimitedBy, Limits, Rate, RateLimitStatus, RejectionReason, TenantQuota,
};
use super::shared::{Message, ReplicaState, Wanted};
use super::tenant_queue::{Arrival, Fifo};
use crate::tenancy::TenantId;

/// One budget's whole state: what may go up, and who is waiting for it. Whoever changes it calls
/// [`dispatch`](Self::dispatch) afterwards.
#[derive(Debug)]
pub(super) struct Admission<T> {
    capacity: CapacityLimiter,
    queue: FairQueue<T>,
    /// Exchanges that have a slot and need another request. They hold up a slot, so they go ahead of all who
    /// wait for one; their queues pay for it.
    follow_ups: Fifo<(QueueId, T)>,
    arrivals: Arrival,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) queue: QueueId,
    pub(super) kind: Kind,
    arrival: Arrival,
    is_follow_up: bool,
}

impl<T> Admission<T> {
    pub(super) fn new(limits: &Limits, replicas: u32, span: Duration, now: Instant) -> Self {
        Self {
            capacity: CapacityLimiter::new(limits, replicas, span, now),
            queue: FairQueue::new(span),
            follow_ups: Fifo::default(),
            arrivals: 0,
        }
    }

    /// Lets one wait in its tenant's queue for a slot and a first request.
    pub(super) fn arrive(
        &mut self,
        tenant_quota: &TenantQuota<'_>,
        kind: Kind,
        waiter: T,
        patience: Duration,
        now: Instant,
    ) -> Result<Ticket, BudgetRejection> {
        let queue = self.queue.queue_of(tenant_quota);
        let ticket = Ticket {
            queue,
            kind,
            arrival: self.next_arrival(),
            is_follow_up: false,
        };
        if self.queue.waiting_in(queue) >= MAX_WAITING {
            return Err(self.refuse(ticket, RejectionReason::QueueFull, patience, now));
        }
        self.queue.push(queue, kind, ticket.arrival, waiter, now);
        Ok(ticket)
    }

    /// Lets one that has a slot wait for another request.
    pub(super) fn follow_up(&mut self, queue: QueueId, kind: Kind, waiter: T) -> Ticket {
        let arrival = self.next_arrival();
        self.follow_ups.push(kind, arrival, (queue, waiter));
        Ticket {
            queue,
            kind,
            arrival,
            is_follow_up: true,
        }
    }

    /// Takes one out that waits no longer. Whether it still did; where not, it has been admitted.
    pub(super) fn withdraw(&mut self, ticket: Ticket, now: Instant) -> bool {
        let Ticket {
            queue, kind, arrival, ..
        } = ticket;
        if ticket.is_follow_up {
            return self.follow_ups.remove(kind, arrival).is_some();
        }
        self.queue.remove(queue, kind, arrival, now).is_some()
    }

    /// Takes back what one was admitted to that has gone before it could tell.
    pub(super) fn undo(&mut self, ticket: Ticket, now: Instant) {
        self.capacity.give_back(ticket.kind);
        if !ticket.is_follow_up {
            self.leave(ticket.queue, false, now);
        }
    }

    /// Admits all whose turn it is, and hands each to `admit`.
    pub(super) fn dispatch(&mut self, now: Instant, admit: impl FnMut(T)) {
        self.queue.unblock(now);
        self.admit_all(now, admit);
        if let Some(replica) = self.capacity.replica() {
            replica.return_unused();
        }
    }

    fn admit_all(&mut self, now: Instant, mut admit: impl FnMut(T)) {
        while self.waiting() > 0 {
            let open = self.capacity.open(now);
            if let Some((kind, (queue, waiter))) = self.follow_ups.pop(&open) {
                self.capacity.reserve(kind);
                self.queue.charge(queue, now);
                admit(waiter);
                continue;
            }
            if !self.capacity.has_slot(now) {
                return;
            }
            let Some(next) = self.queue.serve(&open, now) else {
                return;
            };
            self.capacity.take_slot(now);
            self.capacity.reserve(next.kind);
            admit(next.waiter);
        }
    }

    /// A request that was admitted goes out now.
    pub(super) fn sent(&mut self, kind: Kind, now: Instant) {
        self.capacity.stamp(kind, now);
    }

    /// A request that was to go out then did not, and its token is for use again.
    pub(super) fn unsent(&mut self, kind: Kind, at: Instant) {
        self.capacity.unstamp(kind, at);
    }

    /// A request that was admitted will never be sent.
    pub(super) fn give_back(&mut self, kind: Kind) {
        self.capacity.give_back(kind);
    }

    /// Reserves one more of the tenant's own limit for an exchange that is in flight.
    pub(super) fn reserve_own(&mut self, queue: QueueId, now: Instant) -> Result<(), BudgetRejection> {
        let opens_at = self.queue.reserve(queue, now);
        opens_at.map_err(|opens_at| BudgetRejection {
            limited_by: LimitedBy::Tenant,
            because: RejectionReason::TooLate,
            retry_after: opens_at
                .saturating_duration_since(now)
                .max(Duration::from_secs(1)),
        })
    }

    /// The tenant's own limit has been used by one.
    pub(super) fn sent_own(&mut self, queue: QueueId, now: Instant) {
        self.queue.stamp(queue, now);
    }

    /// It has not, after all.
    pub(super) fn unsent_own(&mut self, queue: QueueId, at: Instant, now: Instant) {
        self.queue.unstamp(queue, at, now);
    }

    /// An exchange is over. `was_counted` says whether it used the tenant's own limit.
    pub(super) fn leave(&mut self, queue: QueueId, was_counted: bool, now: Instant) {
        if !was_counted {
            self.queue.give_back(queue, now);
        }
        self.queue.leave(queue, now);
        self.capacity.free_slot();
    }

    /// Lets nothing through for so long.
    pub(super) fn close_for(&mut self, duration: Duration, now: Instant) {
        self.capacity.close_until(now + duration);
        if let Some(replica) = self.capacity.replica() {
            replica.silence(duration);
        }
    }

    /// Learns from a refusal of the upstream's; the limit, where that has taught one here.
    pub(super) fn teach(&mut self, rate: Rate, accepted: Vec<Instant>, now: Instant) -> Option<u32> {
        self.capacity.teach(rate, accepted, now)
    }

    /// The limits that hold now.
    pub(super) fn limits(&mut self, now: Instant) -> Limits {
        self.capacity.limits(now)
    }

    /// The limit that was learned for a rate, if that is what holds.
    pub(super) fn learned(&self, rate: Rate, now: Instant) -> Option<u32> {
        self.capacity.learned(rate, now)
    }

    /// Other limits are configured from now on; `accepted` is when the upstream has accepted requests lately that
    /// were not limited then.
    pub(super) fn set_limits(
        &mut self,
        limits: &Limits,
        accepted: impl Fn(Rate) -> Vec<Instant>,
        now: Instant,
    ) {
        self.capacity.set_limits(limits, accepted, now);
    }

    /// Nothing is known any more of what the upstream takes.
    pub(super) fn forget_learned(&mut self, now: Instant) {
        self.capacity.forget_learned(now);
    }

    /// From now on others use the budget too.
    pub(super) fn share(&mut self, replica: ReplicaState, now: Instant) {
        self.capacity.share(replica, now);
    }

    /// How things stand with those others.
    pub(super) const fn replica(&mut self) -> Option<&mut ReplicaState> {
        self.capacity.replica()
    }

    /// Whether there is something that Redis should be told or asked now.
    pub(super) fn has_question(&mut self, now: Instant) -> bool {
        self.capacity.replica().is_some_and(|replica| replica.has_news()) || !self.wanted(1, now).is_empty()
    }

    /// What to tell Redis now, and to ask.
    pub(super) fn question(&mut self, now: Instant) -> Option<Message> {
        let most = self.capacity.replica()?.most_asked();
        let wanted = self.wanted(most, now);
        self.capacity.replica()?.message(&wanted, now)
    }

    /// What those who are next would need, so many at most, of all that Redis may have.
    fn wanted(&mut self, most: usize, now: Instant) -> Vec<Wanted> {
        if self.waiting() == 0 {
            return Vec::new();
        }
        let (open, may_have_slot) = self.capacity.askable(now);
        let follow_ups = self.follow_ups.first_kinds(&open, most);
        let wanted = |needs_slot| move |kind| Wanted { kind, needs_slot };
        let mut all: Vec<_> = follow_ups.into_iter().map(wanted(false)).collect();
        if may_have_slot && all.len() < most {
            let kinds = self.queue.next_kinds(&open, most - all.len(), now);
            all.extend(kinds.into_iter().map(wanted(true)));
        }
        all
    }

    /// What tenants have sent, for the process that follows.
    pub(super) const fn tenants(&mut self) -> &mut FairQueue<T> {
        &mut self.queue
    }

    /// What all tenants share, for the process that follows.
    pub(super) const fn capacity(&mut self) -> &mut CapacityLimiter {
        &mut self.capacity
    }

    pub(super) fn closed_until(&mut self, now: Instant) -> Option<Instant> {
        self.capacity.closed_until(now)
    }

    /// When time alone will change what may be admitted.
    pub(super) fn wakes_at(&mut self, now: Instant) -> Option<Instant> {
        let opens = if self.waiting() > 0 {
            self.capacity.opens_at(now)
        } else {
            self.capacity.closed_until(now)
        };
        opens.into_iter().chain(self.queue.unblocks_at()).min()
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.waiting() + self.follow_ups.len()
    }

    /// How many wait of each tenant of whom any do. Looks at every queue, unless nobody waits.
    pub(super) fn waiting_by_tenant(&self) -> Vec<(TenantId, usize)> {
        match self.queue.waiting() {
            0 => Vec::new(),
            _ => self.queue.waiting_by_tenant(),
        }
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.capacity.in_flight()
    }

    pub(super) fn left(&mut self, now: Instant) -> Option<usize> {
        self.left_of(Rate::Requests, now)
    }

    /// How many requests of a rate may still be sent in this window; none where there is no limit.
    pub(super) fn left_of(&mut self, rate: Rate, now: Instant) -> Option<usize> {
        self.capacity.left(rate, now)
    }

    pub(super) fn rate_limit_status(
        &mut self,
        tenant_quota: &TenantQuota<'_>,
        now: Instant,
    ) -> Option<RateLimitStatus> {
        self.queue.rate_limit_status(tenant_quota, now)
    }

    pub(super) fn forget_idle(&mut self, now: Instant) {
        self.queue.forget_idle(now);
    }

    #[cfg(test)]
    pub(super) fn queues(&self) -> usize {
        self.queue.len()
    }

    const fn next_arrival(&mut self) -> Arrival {
        self.arrivals += 1;
        self.arrivals
    }
}
