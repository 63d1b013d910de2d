//! The budget: how much may go up for one organisation, and in whose turn.
//!
//! ```text
//! Budget ── enter ──▶ Place ── token ──▶ Token ── sent
//!   │                  │                  │
//!   │                  │                  └ one upstream request; dropped unsent, it is given back
//!   │                  └ one exchange in flight, whatever it costs upstream; dropped, it is the next one's
//!   └ Admission: Gate (what all share) and Lanes (whose turn it is); pure, the time is handed in
//! ```
//!
//! Whoever arrives, leaves or sends takes one short lock and admits all whose turn that makes it. What time alone
//! makes possible is admitted by one task for each budget, [`Budget::run`]. Where neither the budget nor the tenant
//! has a limit there is no lock at all.
//!
//! # Where a gate shared by replicas goes
//!
//! `Gate` alone knows whether there is room, and nothing in it waits. A gate whose truth is elsewhere is the same
//! questions asked of an allowance: the task of the budget, which may wait, fetches rate slots and places for as many
//! as are queued, the gate hands them out, and the task returns what was given back. Lanes, places and tokens do not
//! change.

mod admission;
mod budget;
#[cfg(test)]
mod budget_properties;
mod gate;
mod kind;
mod lane;
mod lanes;
mod limits;
mod line;
mod place;
mod retry_after;
#[cfg(test)]
mod scene;
mod shared;
mod window;

pub use budget::Budget;
pub use kind::Kind;
pub use limits::{Entrant, LimitedBy, Limits, Refused, RefusedBecause, TenantLimits, TenantStanding};
pub use place::{Place, Token};
pub use retry_after::silence;
pub use shared::{Link, LinkError, Terms};
