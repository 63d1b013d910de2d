//! The audit: who changed which environment, or was refused to, and what changed.
//!
//! ```text
//! request tasks ─ AuditEntry ─▶ Audit ─ bounded queue ─▶ AuditWriter ─ AuditRecord ─▶ the store and a file
//!                                 └─ Repeats: refusals that come again are counted ─┘
//! ```
//!
//! A request never waits for it. What does not fit is counted.

mod entry;
mod lines;
mod queue;
mod record;
mod repeats;
mod retention;
mod rows;
mod writer;

pub use entry::{AuditEntry, AuditOperation, AuditOutcome, Documents};
pub use queue::Audit;
pub use record::{AuditRecord, AuditTenant};
pub use rows::AuditQuery;
pub use writer::AuditWriter;

#[cfg(test)]
mod tests;
