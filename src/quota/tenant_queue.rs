use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::limits::{ByKind, Kind, Open, TenantLimits};
use super::window::Window;

/// How far a request moves the queue of a tenant of weight 1; a heavier one's moves by a part of it.
const FULL_COST: u64 = 1_000_000;

/// One tenant under one budget: who of it waits, what of it is in flight, and how much of its share it has
/// had.
#[derive(Debug)]
pub(super) struct TenantQueue<T> {
    pub(super) waiting: Fifo<T>,
    /// Its place in the fair order: what it has been served, by weight.
    pub(super) tag: u64,
    pub(super) cost: u64,
    /// Its own limit of requests.
    pub(super) window: Window,
    slots: Option<u32>,
    in_flight: u32,
    /// Where it is listed at present.
    pub(super) listed: Listed,
}

/// Where the fair order has a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Nowhere: nobody waits in it, or it waits for one of its own to leave.
    No,
    /// Among those that may be served, under this tag.
    Ready(u64),
    /// Among those whose own window opens then.
    Blocked(Instant),
}

/// What a queue's own limits allow.
pub(super) enum Own {
    Room,
    /// None before this.
    RoomAt(Instant),
    /// None before one of its own requests was sent or has left.
    NoRoom,
}

impl<T> TenantQueue<T> {
    pub(super) fn new(limits: &TenantLimits, span: Duration) -> Self {
        let mut queue = Self {
            waiting: Fifo::default(),
            tag: 0,
            cost: FULL_COST,
            window: Window::new(None, span),
            slots: None,
            in_flight: 0,
            listed: Listed::No,
        };
        queue.set_limits(limits);
        queue
    }

    /// Takes over what the tenant's plan gives: it may be on another one since it was last here.
    pub(super) fn set_limits(&mut self, limits: &TenantLimits) {
        self.window.set_limit(limits.requests);
        self.slots = limits.concurrent;
        self.cost = FULL_COST / u64::from(limits.weight.get());
    }

    pub(super) fn own(&mut self, now: Instant) -> Own {
        if self.slots.is_some_and(|slots| self.in_flight >= slots) {
            return Own::NoRoom;
        }
        if self.window.has_room(now) {
            return Own::Room;
        }
        self.window.opens_at(now).map_or(Own::NoRoom, Own::RoomAt)
    }

    /// How many more requests its own limits allow now.
    pub(super) fn room(&mut self, now: Instant) -> usize {
        let in_window = self.window.left(now).unwrap_or(usize::MAX);
        let slots = self.slots.map(|slots| slots.saturating_sub(self.in_flight));
        let slots = slots.and_then(|slots| usize::try_from(slots).ok());
        in_window.min(slots.unwrap_or(usize::MAX))
    }

    pub(super) const fn enter(&mut self) {
        self.in_flight += 1;
        self.window.reserve();
    }

    pub(super) const fn leave(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Whether nothing is lost if it is forgotten.
    pub(super) fn is_idle(&mut self, now: Instant) -> bool {
        self.waiting.is_empty() && self.in_flight == 0 && self.window.is_idle(now)
    }
}

/// A number that grows with every arrival.
pub(super) type Arrival = u64;

/// Those who wait, first come, first served within each kind: where no more creates may be sent, reads go on.
#[derive(Debug)]
pub(super) struct Fifo<T>(ByKind<BTreeMap<Arrival, T>>);

impl<T> Default for Fifo<T> {
    fn default() -> Self {
        Self(ByKind::new(|_| BTreeMap::new()))
    }
}

impl<T> Fifo<T> {
    pub(super) fn push(&mut self, kind: Kind, arrival: Arrival, waiter: T) {
        self.0.of_mut(kind).insert(arrival, waiter);
    }

    pub(super) fn remove(&mut self, kind: Kind, arrival: Arrival) -> Option<T> {
        self.0.of_mut(kind).remove(&arrival)
    }

    /// The kind of who came first of all that are of an open kind.
    pub(super) fn first(&self, open: &Open) -> Option<Kind> {
        let head = |kind: &Kind| Some((*self.0.of(*kind).first_key_value()?.0, *kind));
        let heads = Kind::ALL.into_iter().filter(|kind| *open.of(*kind));
        let first = heads
            .filter_map(|kind| head(&kind))
            .min_by_key(|(arrival, _)| *arrival);
        first.map(|(_, kind)| kind)
    }

    /// The kinds of those who came first of all that are of an open kind, in their order.
    pub(super) fn first_kinds(&self, open: &Open, most: usize) -> Vec<Kind> {
        let kinds = Kind::ALL.into_iter().filter(|kind| *open.of(*kind));
        let first = |kind| {
            self.0
                .of(kind)
                .keys()
                .take(most)
                .map(move |arrival| (*arrival, kind))
        };
        let mut first: Vec<_> = kinds.flat_map(first).collect();
        first.sort_unstable_by_key(|(arrival, _)| *arrival);
        first.into_iter().take(most).map(|(_, kind)| kind).collect()
    }

    /// Takes out who came first of all that are of an open kind.
    pub(super) fn pop(&mut self, open: &Open) -> Option<(Kind, T)> {
        let kind = self.first(open)?;
        let (_, waiter) = self.0.of_mut(kind).pop_first()?;
        Some((kind, waiter))
    }

    pub(super) fn len_of(&self, kind: Kind) -> usize {
        self.0.of(kind).len()
    }

    /// The first of the open kinds, in their order, of which any wait.
    pub(super) fn first_of(&self, open: &Open) -> Option<Kind> {
        self.waiting_kinds(open).next()
    }

    /// How many of the open kinds wait.
    pub(super) fn len_of_open(&self, open: &Open) -> usize {
        self.waiting_kinds(open).map(|kind| self.len_of(kind)).sum()
    }

    fn waiting_kinds(&self, open: &Open) -> impl Iterator<Item = Kind> {
        Kind::ALL
            .into_iter()
            .filter(|kind| *open.of(*kind) && self.len_of(*kind) > 0)
    }

    pub(super) fn len(&self) -> usize {
        Kind::ALL.into_iter().map(|kind| self.len_of(kind)).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
