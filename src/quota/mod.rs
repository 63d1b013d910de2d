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
//! `Gate` alone knows whether there is room, and nothing in it waits. Where replicas share the budget it has what
//! Redis has admitted, for which a second task of the budget asks, [`Budget::share`]; see `shared`.

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
