//! The fair queue: a lane for each tenant, and an order among lanes. No clock and no task of its own.
//!
//! Start-time fair queueing. Each lane has a tag, which grows by 1/weight with every request that is served; the lane
//! with the smallest is next, and its tag is the virtual time. A lane that comes back starts at the virtual time at
//! the least, so that nobody saves up a share while not asking for it, and one that was blocked by its own limits
//! has lost its turn. Within a lane the first to come is the first to go, for each kind of request apart.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use super::kind::{ByKind, Kind, Open};
use super::lane::{Lane, Listed, Own};
use super::limits::{Entrant, TenantStanding};
use super::line::Arrival;
use crate::tenancy::TenantId;

/// How many of one tenant may wait.
pub(super) const LANE_LENGTH: usize = 1024;

/// A lane's name while it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LaneId(u64);

/// All lanes of a budget. `T` is whatever waits.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    span: Duration,
    ids: HashMap<TenantId, LaneId>,
    lanes: HashMap<LaneId, Lane<T>>,
    next_id: u64,
    virtual_time: u64,
    /// The largest tag that any lane has had.
    latest_tag: u64,
    waiting: usize,
    /// By tag, the lanes in which a request of the kind waits and that their own limits allow to be served. So what
    /// is next is found without a look at the others.
    ready: ByKind<BTreeSet<(u64, LaneId)>>,
    /// The lanes that wait for their own window, by the moment at which it opens.
    blocked: BTreeSet<(Instant, LaneId)>,
}

/// Who is next.
#[derive(Debug)]
pub(super) struct Next<T> {
    pub(super) kind: Kind,
    pub(super) waiter: T,
}

impl<T> Lanes<T> {
    pub(super) fn new(span: Duration) -> Self {
        Self {
            span,
            ids: HashMap::new(),
            lanes: HashMap::new(),
            next_id: 0,
            virtual_time: 0,
            latest_tag: 0,
            waiting: 0,
            ready: ByKind::default(),
            blocked: BTreeSet::new(),
        }
    }

    /// How many lanes there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lanes.len()
    }

    /// How many wait in all lanes.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// How many of a lane wait.
    pub(super) fn waiting_in(&self, id: LaneId) -> usize {
        self.lanes.get(&id).map_or(0, |lane| lane.line.len())
    }

    /// How many of them are of these kinds.
    pub(super) fn waiting_in_of(&self, id: LaneId, kinds: &Open) -> usize {
        self.lanes.get(&id).map_or(0, |lane| lane.line.len_of_open(kinds))
    }

    /// The lane of a tenant, with the limits that it has now.
    pub(super) fn lane_of(&mut self, entrant: &Entrant<'_>) -> LaneId {
        if let Some(id) = self.ids.get(entrant.tenant).copied() {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.set_limits(&entrant.limits);
            }
            return id;
        }
        let id = LaneId(self.next_id);
        self.next_id += 1;
        self.ids.insert(entrant.tenant.clone(), id);
        self.lanes.insert(id, Lane::new(&entrant.limits, self.span));
        id
    }

    /// Lets one wait at the end of its lane.
    pub(super) fn push(&mut self, id: LaneId, kind: Kind, arrival: Arrival, waiter: T, now: Instant) {
        if self.waiting == 0 {
            // Nobody has been kept waiting, so nobody is owed a turn.
            self.virtual_time = self.virtual_time.max(self.latest_tag);
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.line.push(kind, arrival, waiter);
            self.waiting += 1;
            self.relist(id, now);
        }
    }

    /// Takes one out that waits no longer; none where it does not.
    pub(super) fn remove(&mut self, id: LaneId, kind: Kind, arrival: Arrival, now: Instant) -> Option<T> {
        let waiter = self.lanes.get_mut(&id)?.line.remove(kind, arrival)?;
        self.waiting -= 1;
        self.relist(id, now);
        Some(waiter)
    }

    /// Serves who is next among those of the open kinds: it is in flight from now on, and counts as one request of
    /// its tenant.
    pub(super) fn serve(&mut self, open: &Open, now: Instant) -> Option<Next<T>> {
        let id = self.next_lane(open)?;
        let lane = self.lanes.get_mut(&id)?;
        let (kind, waiter) = lane.line.pop(open)?;
        lane.enter();
        self.waiting -= 1;
        // A tag from before the virtual time is one of a lane whose kind had no room for a while.
        self.virtual_time = self.virtual_time.max(lane.tag);
        self.charge(id, now);
        Some(Next { kind, waiter })
    }

    /// The kind of who is next among those of the open kinds.
    pub(super) fn next_kind(&self, open: &Open) -> Option<Kind> {
        self.lanes.get(&self.next_lane(open)?)?.line.first(open)
    }

    fn next_lane(&self, open: &Open) -> Option<LaneId> {
        let first = |kind| self.ready.of(kind).first().copied();
        let kinds = Kind::ALL.into_iter().filter(|kind| *open.of(*kind));
        kinds.filter_map(first).min().map(|(_, id)| id)
    }

    /// Lets a lane pay for one request by weight.
    pub(super) fn charge(&mut self, id: LaneId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        lane.tag = lane.tag.max(self.virtual_time) + lane.cost;
        self.latest_tag = self.latest_tag.max(lane.tag);
        self.relist(id, now);
    }

    /// One of the lane's requests is no longer in flight.
    pub(super) fn leave(&mut self, id: LaneId, now: Instant) {
        self.change(id, now, Lane::leave);
    }

    /// One of the lane's requests has been sent, in the sense of its own limit.
    pub(super) fn stamp(&mut self, id: LaneId, now: Instant) {
        self.change(id, now, |lane| lane.window.stamp(now));
    }

    /// It was not, after all.
    pub(super) fn unstamp(&mut self, id: LaneId, at: Instant, now: Instant) {
        self.change(id, now, |lane| lane.window.unstamp(at));
    }

    /// One of the lane's requests never was sent.
    pub(super) fn give_back(&mut self, id: LaneId, now: Instant) {
        self.change(id, now, |lane| lane.window.give_back());
    }

    /// Lets those lanes back into the fair order whose own window has opened.
    pub(super) fn unblock(&mut self, now: Instant) {
        while let Some((at, id)) = self.blocked.first().copied() {
            if at > now {
                return;
            }
            self.relist(id, now);
            // Where its lane is gone nothing else takes it out.
            self.blocked.remove(&(at, id));
        }
    }

    /// When the next lane's own window opens.
    pub(super) fn unblocks_at(&self) -> Option<Instant> {
        self.blocked.first().map(|(at, _)| *at)
    }

    /// Whether the lane's own limits stand in its way.
    pub(super) fn is_blocked(&mut self, id: LaneId, now: Instant) -> bool {
        let lane = self.lanes.get_mut(&id);
        lane.is_some_and(|lane| !matches!(lane.own(now), Own::Room))
    }

    /// The earliest moment that the lane's own limit allows for a request with so many of its lane ahead.
    pub(super) fn earliest_own(&self, id: LaneId, ahead: usize, now: Instant) -> Instant {
        self.lanes
            .get(&id)
            .map_or(now, |lane| lane.window.earliest(ahead, now))
    }

    /// How many requests of the open kinds the fair order has before the one that stands behind `ahead` others of
    /// its lane, as things are now. Stops counting where `is_enough` says so.
    pub(super) fn position(
        &self,
        id: LaneId,
        ahead: usize,
        open: &Open,
        is_enough: impl Fn(usize) -> bool,
    ) -> usize {
        let Some(lane) = self.lanes.get(&id) else {
            return 0;
        };
        let ahead_tags = lane.cost.saturating_mul(in_tags(ahead));
        let start = lane.tag.max(self.virtual_time).saturating_add(ahead_tags);
        let mut position = ahead;
        for kind in Kind::ALL.into_iter().filter(|kind| *open.of(*kind)) {
            let before = |(tag, _): &&(u64, LaneId)| *tag < start;
            for (tag, other) in self.ready.of(kind).iter().take_while(before) {
                if *other == id {
                    continue;
                }
                let Some(other) = self.lanes.get(other) else {
                    continue;
                };
                // A lane that is listed under several kinds counts under the first.
                if other.line.first_of(open) != Some(kind) {
                    continue;
                }
                let served_before = start
                    .saturating_sub((*tag).max(self.virtual_time))
                    .div_ceil(other.cost);
                let waiting = other.line.len_of_open(open);
                position += waiting.min(usize::try_from(served_before).unwrap_or(waiting));
                if is_enough(position) {
                    return position;
                }
            }
        }
        position
    }

    /// Where a tenant stands in its own limit of requests; none where it has none.
    pub(super) fn standing(&mut self, entrant: &Entrant<'_>, now: Instant) -> Option<TenantStanding> {
        let limit = entrant.limits.requests?;
        let id = self.ids.get(entrant.tenant);
        let Some(lane) = id.and_then(|id| self.lanes.get_mut(id)) else {
            return Some(TenantStanding {
                limit,
                remaining: limit,
                reset: Duration::ZERO,
            });
        };
        let left = lane.window.left(now).unwrap_or_default();
        Some(TenantStanding {
            limit,
            remaining: u32::try_from(left).unwrap_or(u32::MAX).min(limit),
            reset: lane.window.is_whole_at(now).saturating_duration_since(now),
        })
    }

    /// Forgets lanes that nobody has used for as long as anything of them counts.
    pub(super) fn forget_idle(&mut self, now: Instant) {
        let (virtual_time, is_owing) = (self.virtual_time, self.waiting > 0);
        self.lanes
            .retain(|_, lane| !lane.is_idle(now) || (is_owing && lane.tag > virtual_time));
        self.ids.retain(|_, id| self.lanes.contains_key(id));
    }

    fn change(&mut self, id: LaneId, now: Instant, change: impl FnOnce(&mut Lane<T>)) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            change(lane);
            self.relist(id, now);
        }
    }

    /// Puts a lane where it belongs after anything about it has changed.
    fn relist(&mut self, id: LaneId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        let before = lane.listed;
        let after = match lane.own(now) {
            _ if lane.line.is_empty() => Listed::No,
            Own::NoRoom => Listed::No,
            Own::RoomAt(at) => Listed::Blocked(at),
            Own::Room => {
                if !matches!(before, Listed::Ready(_)) {
                    lane.tag = lane.tag.max(self.virtual_time);
                }
                Listed::Ready(lane.tag)
            }
        };
        lane.listed = after;
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
            if let (Listed::Ready(tag), true) = (after, lane.line.len_of(kind) > 0) {
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
