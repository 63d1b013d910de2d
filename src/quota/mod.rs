//! The budget: how much may go up for one organisation, and in whose turn.
//!
//! ```text
//! Budget ── enter ──▶ InFlightSlot ── token ──▶ Token ── sent
//!   │                     │                   │
//!   │                     │                   └ one upstream request; dropped unsent, it is given back
//!   │                     └ one exchange in flight, whatever it costs; dropped, it is the next one's
//!   └ Admission: CapacityLimiter (what all share), FairQueue (whose turn it is); pure, the time is handed in
//! ```
//!
//! Whoever arrives, leaves or sends takes one short lock and admits all whose turn that makes it. What time
//! alone makes possible is admitted by one task for each budget, [`Budget::run`]. Where neither the budget
//! nor the tenant has a limit nothing of that happens; only what the upstream accepts is counted, because a
//! refusal turns that into a limit, see `learning`.
//!
//! `CapacityLimiter` alone knows whether there is room, and nothing in it waits. Where replicas share the
//! budget it has what Redis has admitted, for which a second task of the budget asks, [`Budget::share`]; see
//! `shared`. Where one process follows another on the same machine, `handover` splits the budget between the two.

mod admission;
mod budget;
mod capacity;
mod fair_queue;
mod handover;
mod learning;
mod limits;
mod live;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod protocol;
mod renewal;
mod report;
mod retry_after;
mod shared;
mod sharing;
#[cfg(test)]
mod simulation;
mod slot;
mod tenant_queue;
mod window;

pub use budget::{Allowance, Budget};
pub use handover::{BudgetHandover, KeptShare, SpentBudget};
pub use limits::{
    BudgetRejection, Kind, LimitedBy, Limits, RateLimitStatus, RejectionReason, TenantLimits, TenantQuota,
};
pub use live::{LiveBudget, WeakBudget};
pub use shared::{RedisBudget, RedisBudgetError, RedisInspection, SharedLimits};
pub use slot::{InFlightSlot, Token};
