//! A new process takes over from the one that runs, and no client notices.
//!
//! The two speak over a Unix socket in a directory that only their user may enter, each a message after the other,
//! all but one of them JSON after its length:
//!
//! ```text
//! new                               old
//! hello: protocol, store       ──▶
//!                              ◀──  offer: protocol, store, listeners     or refused: why
//! take: which of them          ──▶
//!                              ◀──  one byte, and the descriptors
//!   … opens the store, reads the keys; until here the old one goes on as if nobody had come
//! ready                        ──▶
//!                              ◀──  budgets: what was spent, and what it keeps
//!   … accepts
//! serving                      ──▶
//!                              ◀──  kept: what it still keeps, now and then; it stops as at SIGTERM
//!                              ◀──  the end
//! ```
//!
//! Each waits for the other with a deadline. Where the new one goes before it has said that it serves, the old one
//! goes on; where the old one goes, the new one does without it: what it was given by then is its own.

pub(super) mod channel;
pub(in crate::cli) mod directory;
pub(in crate::cli) mod error;
pub(super) mod predecessor;
pub(super) mod successor;

use serde::{Deserialize, Serialize};

use crate::quota::{KeptShare, SpentBudget};

/// The version of what is spoken. Another one is refused.
const PROTOCOL: u32 = 1;

/// What the new process says.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    Hello(Hello),
    Take(Vec<String>),
    Ready,
    Serving,
}

/// What the old process says.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Offer(Offer),
    Refused(String),
    Budgets(Vec<SpentBudget>),
    Kept(Vec<KeptShare>),
}

#[derive(Debug, Deserialize, Serialize)]
struct Hello {
    protocol: u32,
    /// Of envgate, for the log.
    version: String,
    /// The newest schema of the store that it knows.
    store: i64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Offer {
    protocol: u32,
    version: String,
    store: i64,
    /// Names as the settings have them, and where they listen.
    listeners: Vec<(String, std::net::SocketAddr)>,
}

/// What both say of themselves.
fn own_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}
