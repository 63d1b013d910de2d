//! A budget that several replicas share, with its truth in Redis.
//!
//! ```text
//! Budget ── share ──▶ Link ── one script ──▶ Redis     may another request go up? what this replica has done since
//!    │
//!    └ Gate ── Sharing     how things stand with Redis, and all that this replica holds, to tell one that has forgotten
//! ```
//!
//! Whose turn it is each replica decides for its own tenants; whether there is room Redis says, with a server-side
//! script on its own clock. A replica that Redis does not answer admits nothing until all that it sent and all that it
//! had in flight has run out, and then goes on with its share, `limit / replicas`. By then Redis, should others still
//! reach it, holds that share back. When Redis is there again the replica tells it what it holds before it asks for more.

mod link;
mod message;
mod sharing;

pub use link::{Link, LinkError};
pub(super) use message::Message;
pub use message::Terms;
pub(super) use sharing::{Mode, Sharing, Wanted};
