//! What the upstream's replies are measured against, to find out whether it still keeps to the contract.

use std::fmt;
use std::sync::Arc;

use super::shape::Shape;
use super::{SchemaFault, Schemas};

/// The schemas of the upstream's replies, compiled. A value, so that others can take its place while the process runs.
#[expect(dead_code, reason = "what measures by them follows")]
pub struct ReplySchemas {
    environment: Arc<Shape>,
    list: Arc<Shape>,
    deleted: Arc<Shape>,
    error: Arc<Shape>,
}

impl ReplySchemas {
    /// Those of the binary itself.
    ///
    /// # Errors
    /// What is wrong with a schema, with which no gateway starts.
    pub fn built_in() -> Result<Arc<Self>, SchemaFault> {
        Schemas::built_in().map(|schemas| Arc::clone(schemas.replies()))
    }

    /// Takes each from `shape`, by its path in `schemas/`.
    pub(super) fn compile(
        shape: impl Fn(&'static str) -> Result<Arc<Shape>, SchemaFault>,
    ) -> Result<Self, SchemaFault> {
        Ok(Self {
            environment: shape("anthropic/environment.reply.json")?,
            list: shape("anthropic/list.reply.json")?,
            deleted: shape("anthropic/deleted.reply.json")?,
            error: shape("anthropic/error.reply.json")?,
        })
    }
}

impl fmt::Debug for ReplySchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplySchemas").finish_non_exhaustive()
    }
}
