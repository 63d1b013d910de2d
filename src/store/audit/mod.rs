//! The audit: who changed which environment, or was refused to, and what changed.
//!
//! ```text
//! request tasks ─ AuditEntry ─▶ Audit, a queue ─▶ intake ─ AuditRecord ─┬▶ pending ─▶ recorder ─▶ the store
//!                                └ refusals that come again             │                    └ else the spool
//!                                  are counted                          └▶ a file of JSON lines
//! ```
//!
//! What the operator changes of tenants and keys is recorded with the change itself (`operator.rs`).
//!
//! A request never waits for it. What does not fit is counted, each tenant for itself; the file and the store
//! do not wait for each other.

mod entry;
mod file;
mod operator;
mod pending;
mod queue;
mod record;
mod recorder;
mod repeats;
mod retention;
mod room;
mod rows;
mod spool;
mod writer;

pub use entry::{AuditEntry, AuditOperation, AuditOutcome, Documents};
pub use operator::Operator;
pub(super) use operator::{Recording, TenantOfChange, shown_tenant, shown_terms};
pub use queue::Audit;
pub use record::{AuditRecord, AuditTenant};
pub use rows::AuditQuery;
pub use writer::{AuditWriter, Unrecorded};

#[cfg(test)]
mod tests;
