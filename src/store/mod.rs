//! What must outlive the process: tenants, keys, the audit, drift and the environments of the embedded service, in SQLite
//! or PostgreSQL.
//!
//! The queries keep to what SQLite and PostgreSQL have in common: columns TEXT, BIGINT and BLOB, placeholders
//! `$1`, and writes that compare a revision and try again instead of holding locks.

mod adoptions;
mod audit;
mod backup;
mod directory;
mod drift;
mod environments;
mod error;
mod file_system;
mod health;
mod inspect;
mod key_columns;
mod keys;
mod last_used;
mod listen;
mod measure;
mod open;
mod postgres;
mod presence;
mod revision;
mod schema;
mod secrets;
mod sqlite;
mod sync;
mod tenants;
mod transaction;

use std::sync::Arc;

use jiff::Timestamp;
use sqlx::AnyPool;

use crate::text::format_timestamp;
use audit::Recording;
pub use audit::{
    Audit, AuditEntry, AuditOperation, AuditOutcome, AuditQuery, AuditRecord, AuditTenant, AuditWriter,
    Documents, Operator, Unrecorded,
};
pub use directory::Changes;
pub use drift::{DriftQuery, FindingState, StoredFinding};
pub use environments::{ListPosition, Page, PageRequest};
pub use error::{StoreError, StoreFault};
pub use health::StoreHealth;
pub use inspect::{Depth, Inspection, StoreProblem};
pub use keys::{IssuedKey, KeyState, ListedKey, Rotation};
pub use open::{display_name, newest_schema};
pub use presence::Presence;
pub use schema::Schema;

/// An open store. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
    backend: Backend,
    health: Arc<StoreHealth>,
    /// Whose changes of tenants and keys are recorded; none where nobody's are.
    recording: Option<Arc<Recording>>,
}

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Postgres,
}

/// What people may call a tenant, a plan or a key: 1 to 64 characters, none of control.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

/// The time of a write.
fn now() -> String {
    format_timestamp(Timestamp::now())
}

#[cfg(test)]
mod tests;
