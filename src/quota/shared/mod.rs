//! A budget that several replicas share, with its truth in Redis.
//!
//! ```text
//! Budget ── share ──▶ RedisBudget ── one script ──▶ Redis     may more go up? what this replica has done
//!    │
//!    └ CapacityLimiter ── ReplicaState     how things stand with Redis, and all that this replica holds
//! ```
//!
//! Whose turn it is each replica decides for its own tenants; whether there is room Redis says, with a
//! server-side script on its own clock. A replica that Redis does not answer admits nothing until all that it
//! sent and all that it had in flight has run out, and then goes on with its share, `limit / replicas`. By
//! then Redis, should others still reach it, holds that share back. When Redis is there again the replica
//! tells it what it holds before it asks for more.

mod holdings;
mod inspect;
mod message;
mod redis;
mod replica;

pub use inspect::RedisInspection;
#[cfg(test)]
pub(super) use message::Answer;
pub use message::SharedLimits;
pub(super) use message::{AcceptedCounts, Message};
pub use redis::{RedisBudget, RedisBudgetError};
#[cfg(test)]
pub(super) use redis::{SCRIPT, Signed};
pub(super) use replica::{Mode, ReplicaState, Wanted};
