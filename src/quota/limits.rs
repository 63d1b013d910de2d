use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config;
use crate::contract::Operation;
use crate::tenancy::TenantId;

/// What an upstream request is, as far as limits tell requests apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Makes an environment.
    Create,
    /// Changes nothing.
    Read,
    /// Changes an environment that is there.
    OtherWrite,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Create, Self::Read, Self::OtherWrite];
}

impl From<Operation> for Kind {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Create => Self::Create,
            _ if operation.is_write() => Self::OtherWrite,
            _ => Self::Read,
        }
    }
}

/// What is counted in a window of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    /// All requests.
    Requests,
    Creates,
    /// Creates and other writes.
    Writes,
    Reads,
}

impl Rate {
    pub(super) const ALL: [Self; 4] = [Self::Requests, Self::Creates, Self::Writes, Self::Reads];

    /// Those that the upstream can teach.
    pub(super) const TAUGHT: [Self; 2] = [Self::Reads, Self::Writes];

    /// Its name in metrics and the log.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Creates => "creates",
            Self::Writes => "writes",
            Self::Reads => "reads",
        }
    }
}

impl Kind {
    /// Where requests of this kind count, besides among all.
    pub(super) const fn rates(self) -> &'static [Rate] {
        match self {
            Self::Create => &[Rate::Writes, Rate::Creates],
            Self::Read => &[Rate::Reads],
            Self::OtherWrite => &[Rate::Writes],
        }
    }

    /// Whose limit a refusal of the upstream's tells something about.
    pub(super) const fn taught_rate(self) -> Rate {
        match self {
            Self::Read => Rate::Reads,
            Self::Create | Self::OtherWrite => Rate::Writes,
        }
    }
}

/// One of a thing for each kind.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ByKind<T> {
    create: T,
    read: T,
    other_write: T,
}

impl<T> ByKind<T> {
    pub(super) fn new(mut make: impl FnMut(Kind) -> T) -> Self {
        Self {
            create: make(Kind::Create),
            read: make(Kind::Read),
            other_write: make(Kind::OtherWrite),
        }
    }

    pub(super) const fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::Create => &self.create,
            Kind::Read => &self.read,
            Kind::OtherWrite => &self.other_write,
        }
    }

    pub(super) const fn of_mut(&mut self, kind: Kind) -> &mut T {
        match kind {
            Kind::Create => &mut self.create,
            Kind::Read => &mut self.read,
            Kind::OtherWrite => &mut self.other_write,
        }
    }
}

/// The kinds of which another request may be sent now.
pub(super) type Open = ByKind<bool>;

/// One of a thing for each rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByRate<T> {
    requests: T,
    creates: T,
    writes: T,
    reads: T,
}

impl<T> ByRate<T> {
    pub(super) fn new(mut make: impl FnMut(Rate) -> T) -> Self {
        Self {
            requests: make(Rate::Requests),
            creates: make(Rate::Creates),
            writes: make(Rate::Writes),
            reads: make(Rate::Reads),
        }
    }

    pub(super) const fn of(&self, rate: Rate) -> &T {
        match rate {
            Rate::Requests => &self.requests,
            Rate::Creates => &self.creates,
            Rate::Writes => &self.writes,
            Rate::Reads => &self.reads,
        }
    }

    pub(super) const fn of_mut(&mut self, rate: Rate) -> &mut T {
        match rate {
            Rate::Requests => &mut self.requests,
            Rate::Creates => &mut self.creates,
            Rate::Writes => &mut self.writes,
            Rate::Reads => &mut self.reads,
        }
    }
}

/// What may go up under one budget; none stands for no limit. All of them apply.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Requests in any window.
    pub requests: Option<u32>,
    /// Exchanges in flight.
    pub concurrent: Option<u32>,
    /// Creates in any window.
    pub creates: Option<u32>,
    /// Creates and other writes in any window.
    pub writes: Option<u32>,
    /// Reads in any window.
    pub reads: Option<u32>,
}

impl Limits {
    pub(super) fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    pub(super) const fn of(&self, rate: Rate) -> Option<u32> {
        match rate {
            Rate::Requests => self.requests,
            Rate::Creates => self.creates,
            Rate::Writes => self.writes,
            Rate::Reads => self.reads,
        }
    }

    /// What one of so many replicas may use where nobody can tell what the others do. It may be nothing.
    ///
    /// ```
    /// use envgate::quota::Limits;
    ///
    /// let limits = Limits { requests: Some(60), concurrent: Some(5), ..Limits::default() };
    /// let share = Limits { requests: Some(30), concurrent: Some(2), ..Limits::default() };
    /// assert_eq!(limits.share(2), share);
    /// ```
    #[must_use]
    pub fn share(&self, replicas: u32) -> Self {
        let share = |limit: Option<u32>| limit.map(|limit| limit / replicas.max(1));
        Self {
            requests: share(self.requests),
            concurrent: share(self.concurrent),
            creates: share(self.creates),
            writes: share(self.writes),
            reads: share(self.reads),
        }
    }

    /// The same with no more than another process has left.
    pub(super) fn within(&self, share: &Self) -> Self {
        Self {
            requests: lower(self.requests, share.requests),
            concurrent: lower(self.concurrent, share.concurrent),
            creates: lower(self.creates, share.creates),
            writes: lower(self.writes, share.writes),
            reads: lower(self.reads, share.reads),
        }
    }

    pub(super) const fn of_mut(&mut self, rate: Rate) -> &mut Option<u32> {
        match rate {
            Rate::Requests => &mut self.requests,
            Rate::Creates => &mut self.creates,
            Rate::Writes => &mut self.writes,
            Rate::Reads => &mut self.reads,
        }
    }

    /// The same with no more reads and writes than the upstream has been found to take.
    pub(super) fn lowered_to(&self, reads: Option<u32>, writes: Option<u32>) -> Self {
        Self {
            reads: lower(self.reads, reads),
            writes: lower(self.writes, writes),
            ..*self
        }
    }
}

fn lower(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl From<&config::Budget> for Limits {
    fn from(budget: &config::Budget) -> Self {
        Self {
            requests: budget.requests_per_minute,
            concurrent: budget.concurrent_requests,
            creates: budget.creates_per_minute,
            writes: budget.writes_per_minute,
            reads: budget.reads_per_minute,
        }
    }
}

/// What one tenant may do, as its plan says; none stands for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantLimits {
    /// Its own requests that need the upstream, in any window: one each, whatever they cost upstream.
    pub requests: Option<u32>,
    /// Its own requests in flight.
    pub concurrent: Option<u32>,
    /// Its share where tenants have to wait for each other.
    pub weight: NonZeroU16,
}

impl TenantLimits {
    pub(super) const fn is_unlimited(&self) -> bool {
        self.requests.is_none() && self.concurrent.is_none()
    }
}

impl Default for TenantLimits {
    fn default() -> Self {
        Self {
            requests: None,
            concurrent: None,
            weight: NonZeroU16::MIN,
        }
    }
}

impl From<&config::Plan> for TenantLimits {
    fn from(plan: &config::Plan) -> Self {
        Self {
            requests: plan.requests_per_minute,
            concurrent: plan.concurrent_requests,
            weight: plan.weight,
        }
    }
}

/// Who wants to go up.
#[derive(Clone, Copy, Debug)]
pub struct TenantQuota<'a> {
    /// Whose turn it is that is waited for.
    pub tenant: &'a TenantId,
    /// What its plan gives.
    pub limits: TenantLimits,
}

/// Which limit stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitedBy {
    /// The tenant's own, from its plan.
    Tenant,
    /// The upstream's, which all tenants share.
    Upstream,
}

/// Why there was no waiting, or no more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionReason {
    /// So many of the tenant wait that no other may.
    QueueFull,
    /// The turn cannot come in time.
    TooLate,
    /// The turn could have come in time and did not.
    Waited,
}

/// A request that may not go up. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused for {retry_after:?} by a limit of {limited_by:?}: {because:?}")]
pub struct BudgetRejection {
    /// Which limit.
    pub limited_by: LimitedBy,
    /// Why.
    pub because: RejectionReason,
    /// When another try could be worth it: a second at least.
    pub retry_after: Duration,
}

/// Where a tenant stands in its own limit of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitStatus {
    /// The limit.
    pub limit: u32,
    /// How much of it is left.
    pub remaining: u32,
    /// How long until all of it is there again, if nothing more is sent.
    pub reset: Duration,
}
