//! The audit: who changed which environment, or was refused to, and what changed.

mod entry;
mod record;
mod rows;

pub use entry::{AuditEntry, AuditOutcome, Documents};
pub use record::{AuditRecord, AuditTenant};
pub use rows::{AuditPage, AuditQuery};

#[cfg(test)]
mod tests;
