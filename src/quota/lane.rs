use std::time::Duration;

use tokio::time::Instant;

use super::limits::TenantLimits;
use super::line::Line;
use super::window::Window;

/// How far a request moves the lane of a tenant of weight 1; a heavier one's moves by a part of it.
const FULL_COST: u64 = 1_000_000;

/// One tenant under one budget: who of it waits, what of it is in flight, and how much of its share it has had.
#[derive(Debug)]
pub(super) struct Lane<T> {
    pub(super) line: Line<T>,
    /// Its place in the fair order: what it has been served, by weight.
    pub(super) tag: u64,
    pub(super) cost: u64,
    /// Its own limit of requests.
    pub(super) window: Window,
    places: Option<u32>,
    in_flight: u32,
    /// Where it is listed at present.
    pub(super) listed: Listed,
}

/// Where the fair order has a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed {
    /// Nowhere: nobody waits in it, or it waits for one of its own to leave.
    No,
    /// Among those that may be served, under this tag.
    Ready(u64),
    /// Among those whose own window opens then.
    Blocked(Instant),
}

/// What a lane's own limits allow.
pub(super) enum Own {
    Room,
    /// None before this.
    RoomAt(Instant),
    /// None before one of its own requests was sent or has left.
    NoRoom,
}

impl<T> Lane<T> {
    pub(super) fn new(limits: &TenantLimits, span: Duration) -> Self {
        let mut lane = Self {
            line: Line::default(),
            tag: 0,
            cost: FULL_COST,
            window: Window::new(None, span),
            places: None,
            in_flight: 0,
            listed: Listed::No,
        };
        lane.set_limits(limits);
        lane
    }

    /// Takes over what the tenant's plan gives: it may be on another one since it was last here.
    pub(super) fn set_limits(&mut self, limits: &TenantLimits) {
        self.window.set_limit(limits.requests);
        self.places = limits.concurrent;
        self.cost = FULL_COST / u64::from(limits.weight.get());
    }

    pub(super) fn own(&mut self, now: Instant) -> Own {
        if self.places.is_some_and(|places| self.in_flight >= places) {
            return Own::NoRoom;
        }
        if self.window.has_room(now) {
            return Own::Room;
        }
        self.window.opens_at(now).map_or(Own::NoRoom, Own::RoomAt)
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
        self.line.is_empty() && self.in_flight == 0 && self.window.is_idle(now)
    }
}
