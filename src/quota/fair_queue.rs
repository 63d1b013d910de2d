//! The fair queue: a queue for each tenant, and an order among queues. No clock and no task of its own.
//!
//! Start-time fair queueing. Each queue has a tag, which grows by 1/weight with every request that is served;
//! the queue with the smallest is next, and its tag is the virtual time. A queue that comes back starts at
//! the virtual time at the least, so that nobody saves up a share while not asking for it, and one that was
//! blocked by its own limits has lost its turn. Within a queue the first to come is the first to go, for each
//! kind of request apart.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::limits::{ByKind, Kind, Open, RateLimitStatus, TenantQuota};
use super::tenant_queue::{Arrival, Listed, Own, TenantQueue};
use crate::tenancy::TenantId;

/// How many of one tenant may wait.
pub(super) const MAX_WAITING: usize = 1024;

/// A tenant's queue by name, while it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct QueueId(u64);

/// All queues of a budget. `T` is whatever waits.
#[derive(Debug)]
pub(super) struct FairQueue<T> {
    span: Duration,
    ids: HashMap<TenantId, QueueId>,
    queues: HashMap<QueueId, TenantQueue<T>>,
    next_id: u64,
    virtual_time: u64,
    /// The largest tag that any queue has had.
    latest_tag: u64,
    waiting: usize,
    /// By tag, the queues in which a request of the kind waits and that their own limits allow to be served.
    /// So what is next is found without a look at the others.
    ready: ByKind<BTreeSet<(u64, QueueId)>>,
    /// The queues that wait for their own window, by the moment at which it opens.
    blocked: BTreeSet<(Instant, QueueId)>,
    /// What tenants that have no queue yet have sent by way of the process before this one.
    sent_before: HashMap<TenantId, Vec<Instant>>,
}

/// Who is next.
#[derive(Debug)]
pub(super) struct Next<T> {
    pub(super) kind: Kind,
    pub(super) waiter: T,
}

impl<T> FairQueue<T> {
    pub(super) fn new(span: Duration) -> Self {
        Self {
            span,
            ids: HashMap::new(),
            queues: HashMap::new(),
            next_id: 0,
            virtual_time: 0,
            latest_tag: 0,
            waiting: 0,
            ready: ByKind::default(),
            blocked: BTreeSet::new(),
            sent_before: HashMap::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    /// How many wait in all queues.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many wait of each tenant of whom any do.
    pub(super) fn waiting_by_tenant(&self) -> Vec<(TenantId, usize)> {
        let any = self.ids.iter().filter(|(_, id)| self.waiting_in(**id) > 0);
        any.map(|(tenant, id)| (tenant.clone(), self.waiting_in(*id)))
            .collect()
    }

    /// How many of a queue wait.
    pub(super) fn waiting_in(&self, id: QueueId) -> usize {
        self.queues.get(&id).map_or(0, |queue| queue.waiting.len())
    }

    /// How many of them are of these kinds.
    pub(super) fn waiting_in_of(&self, id: QueueId, kinds: &Open) -> usize {
        self.queues
            .get(&id)
            .map_or(0, |queue| queue.waiting.len_of_open(kinds))
    }

    /// The queue of a tenant, with the limits that it has now.
    pub(super) fn queue_of(&mut self, tenant_quota: &TenantQuota<'_>) -> QueueId {
        if let Some(id) = self.ids.get(tenant_quota.tenant).copied() {
            if let Some(queue) = self.queues.get_mut(&id) {
                queue.set_limits(&tenant_quota.limits);
            }
            return id;
        }
        let id = QueueId(self.next_id);
        self.next_id += 1;
        self.ids.insert(tenant_quota.tenant.clone(), id);
        let mut queue = TenantQueue::new(&tenant_quota.limits, self.span);
        if let Some(sent) = self.sent_before.remove(tenant_quota.tenant)
            && queue.window.is_limited()
        {
            queue.window.unsplit(sent);
        }
        self.queues.insert(id, queue);
        id
    }

    /// What counts of each tenant's own limit: what it has sent, and as if sent now what it may still send here.
    pub(super) fn sent_by_tenants(&mut self, now: Instant) -> Vec<(TenantId, Vec<Instant>)> {
        let mut all = Vec::new();
        for (tenant, id) in &self.ids {
            let Some(queue) = self.queues.get_mut(id) else {
                continue;
            };
            let sent = queue.window.all_sent(queue.waiting.len(), now);
            if !sent.is_empty() {
                all.push((tenant.clone(), sent));
            }
        }
        all
    }

    /// Counts that of tenants that have sent nothing here.
    pub(super) fn take_over(&mut self, sent: Vec<(TenantId, Vec<Instant>)>) {
        self.sent_before.extend(sent);
    }

    /// Lets one wait at the end of its queue.
    pub(super) fn push(&mut self, id: QueueId, kind: Kind, arrival: Arrival, waiter: T, now: Instant) {
        if self.waiting == 0 {
            // Nobody has been kept waiting, so nobody is owed a turn.
            self.virtual_time = self.virtual_time.max(self.latest_tag);
        }
        if let Some(queue) = self.queues.get_mut(&id) {
            queue.waiting.push(kind, arrival, waiter);
            self.waiting += 1;
            self.relist(id, now);
        }
    }

    /// Takes one out that waits no longer; none where it does not.
    pub(super) fn remove(&mut self, id: QueueId, kind: Kind, arrival: Arrival, now: Instant) -> Option<T> {
        let waiter = self.queues.get_mut(&id)?.waiting.remove(kind, arrival)?;
        self.waiting -= 1;
        self.relist(id, now);
        Some(waiter)
    }

    /// Serves who is next among those of the open kinds: it is in flight from now on, and counts as one
    /// request of its tenant.
    pub(super) fn serve(&mut self, open: &Open, now: Instant) -> Option<Next<T>> {
        let id = self.next_queue(open)?;
        let queue = self.queues.get_mut(&id)?;
        let (kind, waiter) = queue.waiting.pop(open)?;
        queue.enter();
        self.waiting -= 1;
        // A tag from before the virtual time is one of a queue whose kind had no room for a while.
        self.virtual_time = self.virtual_time.max(queue.tag);
        self.charge(id, now);
        Some(Next { kind, waiter })
    }

    /// The kinds of those who are next among those of the open kinds, so many at most, in their order.
    pub(super) fn next_kinds(&mut self, open: &Open, most: usize, now: Instant) -> Vec<Kind> {
        let listed = Kind::ALL.into_iter().filter(|kind| *open.of(*kind));
        // No more queues than that are served before so many requests are.
        let mut order: BTreeSet<_> = listed
            .flat_map(|kind| self.ready.of(kind).iter().take(most).copied())
            .collect();
        let (mut kinds, mut virtual_time) = (Vec::new(), self.virtual_time);
        let mut served: HashMap<QueueId, VecDeque<Kind>> = HashMap::new();
        while kinds.len() < most
            && let Some((tag, id)) = order.pop_first()
            && let Some(queue) = self.queues.get_mut(&id)
        {
            let left = served.entry(id).or_insert_with(|| {
                let room = queue.room(now).min(most);
                queue.waiting.first_kinds(open, room).into()
            });
            let Some(kind) = left.pop_front() else { continue };
            kinds.push(kind);
            virtual_time = virtual_time.max(tag);
            order.insert((virtual_time + queue.cost, id));
        }
        kinds
    }

    fn next_queue(&self, open: &Open) -> Option<QueueId> {
        let first = |kind| self.ready.of(kind).first().copied();
        let kinds = Kind::ALL.into_iter().filter(|kind| *open.of(*kind));
        kinds.filter_map(first).min().map(|(_, id)| id)
    }

    /// Lets a queue pay for one request by weight.
    pub(super) fn charge(&mut self, id: QueueId, now: Instant) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        queue.tag = queue.tag.max(self.virtual_time) + queue.cost;
        self.latest_tag = self.latest_tag.max(queue.tag);
        self.relist(id, now);
    }

    /// One of the queue's requests is no longer in flight.
    pub(super) fn leave(&mut self, id: QueueId, now: Instant) {
        self.change(id, now, TenantQueue::leave);
    }

    /// One of the queue's requests has been sent, in the sense of its own limit.
    pub(super) fn stamp(&mut self, id: QueueId, now: Instant) {
        self.change(id, now, |queue| queue.window.stamp(now));
    }

    /// It was not, after all.
    pub(super) fn unstamp(&mut self, id: QueueId, at: Instant, now: Instant) {
        self.change(id, now, |queue| queue.window.unstamp(at));
    }

    /// Reserves one more request of the queue's own window, or says when that could have room.
    pub(super) fn reserve(&mut self, id: QueueId, now: Instant) -> Result<(), Instant> {
        let Some(queue) = self.queues.get_mut(&id) else {
            return Ok(());
        };
        if !queue.window.has_room(now) {
            return Err(queue.window.opens_at(now).unwrap_or(now));
        }
        self.change(id, now, |queue| queue.window.reserve());
        Ok(())
    }

    /// One of the queue's requests never was sent.
    pub(super) fn give_back(&mut self, id: QueueId, now: Instant) {
        self.change(id, now, |queue| queue.window.give_back());
    }

    /// Lets those queues back into the fair order whose own window has opened.
    pub(super) fn unblock(&mut self, now: Instant) {
        while let Some((at, id)) = self.blocked.first().copied() {
            if at > now {
                return;
            }
            self.relist(id, now);
            // Where its queue is gone nothing else takes it out.
            self.blocked.remove(&(at, id));
        }
    }

    /// When the next queue's own window opens.
    pub(super) fn unblocks_at(&self) -> Option<Instant> {
        self.blocked.first().map(|(at, _)| *at)
    }

    /// Whether the queue's own limits stand in its way.
    pub(super) fn is_blocked(&mut self, id: QueueId, now: Instant) -> bool {
        let queue = self.queues.get_mut(&id);
        queue.is_some_and(|queue| !matches!(queue.own(now), Own::Room))
    }

    /// The earliest moment that the queue's own limit allows for a request with so many of its queue ahead.
    pub(super) fn earliest_own(&self, id: QueueId, ahead: usize, now: Instant) -> Instant {
        self.queues
            .get(&id)
            .map_or(now, |queue| queue.window.earliest(ahead, now))
    }

    /// How many requests of the open kinds the fair order has before the one that stands behind `ahead`
    /// others of its queue, as things are now. Stops counting where `is_enough` says so.
    pub(super) fn position(
        &self,
        id: QueueId,
        ahead: usize,
        open: &Open,
        is_enough: impl Fn(usize) -> bool,
    ) -> usize {
        let Some(queue) = self.queues.get(&id) else {
            return 0;
        };
        let ahead_tags = queue.cost.saturating_mul(in_tags(ahead));
        let start = queue.tag.max(self.virtual_time).saturating_add(ahead_tags);
        let mut position = ahead;
        for kind in Kind::ALL.into_iter().filter(|kind| *open.of(*kind)) {
            let before = |(tag, _): &&(u64, QueueId)| *tag < start;
            for (tag, other) in self.ready.of(kind).iter().take_while(before) {
                if *other == id {
                    continue;
                }
                let Some(other) = self.queues.get(other) else {
                    continue;
                };
                // A queue that is listed under several kinds counts under the first.
                if other.waiting.first_of(open) != Some(kind) {
                    continue;
                }
                let served_before = start
                    .saturating_sub((*tag).max(self.virtual_time))
                    .div_ceil(other.cost);
                let waiting = other.waiting.len_of_open(open);
                position += waiting.min(usize::try_from(served_before).unwrap_or(waiting));
                if is_enough(position) {
                    return position;
                }
            }
        }
        position
    }

    /// Where a tenant stands in its own limit of requests; none where it has none.
    pub(super) fn rate_limit_status(
        &mut self,
        tenant_quota: &TenantQuota<'_>,
        now: Instant,
    ) -> Option<RateLimitStatus> {
        let limit = tenant_quota.limits.requests?;
        let id = self.ids.get(tenant_quota.tenant);
        let Some(queue) = id.and_then(|id| self.queues.get_mut(id)) else {
            return Some(RateLimitStatus {
                limit,
                remaining: limit,
                reset: Duration::ZERO,
            });
        };
        let left = queue.window.left(now).unwrap_or_default();
        Some(RateLimitStatus {
            limit,
            remaining: u32::try_from(left).unwrap_or(u32::MAX).min(limit),
            reset: queue.window.is_whole_at(now).saturating_duration_since(now),
        })
    }

    /// Forgets queues that nobody has used for as long as anything of them counts.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        let (virtual_time, is_owing) = (self.virtual_time, self.waiting > 0);
        self.queues
            .retain(|_, queue| !queue.is_idle(now) || (is_owing && queue.tag > virtual_time));
        self.ids.retain(|_, id| self.queues.contains_key(id));
        let counts = |at: &Instant| *at + self.span > now;
        self.sent_before.retain(|_, sent| sent.iter().any(counts));
    }

    fn change(&mut self, id: QueueId, now: Instant, change: impl FnOnce(&mut TenantQueue<T>)) {
        if let Some(queue) = self.queues.get_mut(&id) {
            change(queue);
            self.relist(id, now);
        }
    }

    /// Puts a queue where it belongs after anything about it has changed.
    fn relist(&mut self, id: QueueId, now: Instant) {
        let Some(queue) = self.queues.get_mut(&id) else {
            return;
        };
        let before = queue.listed;
        let after = match queue.own(now) {
            _ if queue.waiting.is_empty() => Listed::No,
            Own::NoRoom => Listed::No,
            Own::RoomAt(at) => Listed::Blocked(at),
            Own::Room => {
                if !matches!(before, Listed::Ready(_)) {
                    queue.tag = queue.tag.max(self.virtual_time);
                }
                Listed::Ready(queue.tag)
            }
        };
        queue.listed = after;
        match before {
            Listed::Blocked(at) if before != after => {
                self.blocked.remove(&(at, id));
            }
            _ => {}
        }
        for kind in Kind::ALL {
            let ready = self.ready.of_mut(kind);
            if let Listed::Ready(tag) = before {
                ready.remove(&(tag, id));
            }
            if let (Listed::Ready(tag), true) = (after, queue.waiting.len_of(kind) > 0) {
                ready.insert((tag, id));
            }
        }
        if let Listed::Blocked(at) = after {
            self.blocked.insert((at, id));
        }
    }
}

fn in_tags(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
