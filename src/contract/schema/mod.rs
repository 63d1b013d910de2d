//! The schemas of request bodies and of the upstream's replies: documents in `schemas/`, compiled before a request needs
//! them.
//!
//! A body is judged by a JSON Schema validator. What that refuses is explained by a walk of our own over the
//! same documents, because the validator's list of errors is built whole (a body of a megabyte can hold half
//! a million), is in the order of keywords and not of the document, and does not know the nearest known name.

mod drift;
mod explainer;
mod hint;
mod instance_path;
mod shape;
mod wording;

use std::fmt::{self, Display};
use std::sync::{Arc, LazyLock};

use jsonschema::{Draft, PatternOptions, Registry, Resource, Uri, Validator};
use serde_json::Value;

pub use self::drift::ReplySchemas;
use self::explainer::SchemaExplainer;
use self::shape::{Documents, Shape};
use super::{BodyStrictness, Violations, Warnings};

/// The documents by their path in `schemas/`; their `$id` is that path under [`BASE`].
const DOCUMENTS: [(&str, &str); 9] = [
    (
        "environment.json",
        include_str!("../../../schemas/environment.json"),
    ),
    (
        "anthropic/create.json",
        include_str!("../../../schemas/anthropic/create.json"),
    ),
    (
        "anthropic/update.json",
        include_str!("../../../schemas/anthropic/update.json"),
    ),
    (
        "sandbase/create.json",
        include_str!("../../../schemas/sandbase/create.json"),
    ),
    (
        "sandbase/update.json",
        include_str!("../../../schemas/sandbase/update.json"),
    ),
    (
        "anthropic/environment.reply.json",
        include_str!("../../../schemas/anthropic/environment.reply.json"),
    ),
    (
        "anthropic/list.reply.json",
        include_str!("../../../schemas/anthropic/list.reply.json"),
    ),
    (
        "anthropic/deleted.reply.json",
        include_str!("../../../schemas/anthropic/deleted.reply.json"),
    ),
    (
        "anthropic/error.reply.json",
        include_str!("../../../schemas/anthropic/error.reply.json"),
    ),
];

const BASE: &str = "https://envgate.invalid/schemas/";

/// What this release ships, compiled once for the process.
static BUILT_IN: LazyLock<Result<Arc<Schemas>, SchemaFault>> =
    LazyLock::new(|| Schemas::compile().map(Arc::new));

/// What is wrong with a schema document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schemas/{document}: {problem}")]
pub struct SchemaFault {
    /// The document, as a path in `schemas/`.
    pub document: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Compiles all schemas that this release ships, so that a fault is told at start and no request waits for it.
///
/// # Errors
/// The first fault that was found, with the name of its document.
///
/// ```
/// assert_eq!(envgate::contract::prove_schemas(), Ok(()));
/// ```
pub fn prove_schemas() -> Result<(), SchemaFault> {
    Schemas::built_in().map(drop)
}

/// All schemas, compiled: a value, so that requests go by those that they began with while others are put in
/// force.
pub struct Schemas {
    pub(super) anthropic: Bodies,
    pub(super) sandbase: Bodies,
    /// Those of the upstream's replies, whatever the dialect.
    replies: Arc<ReplySchemas>,
}

/// The schemas of a dialect.
pub(super) struct Bodies {
    pub(super) create: Schema,
    pub(super) update: Schema,
}

/// The schema of one body.
pub(super) struct Schema {
    judge: Validator,
    shape: Arc<Shape>,
}

impl Schemas {
    /// Those that this release ships. They are compiled once for the process.
    ///
    /// # Errors
    /// As of [`prove_schemas`].
    pub fn built_in() -> Result<Arc<Self>, SchemaFault> {
        BUILT_IN.as_ref().map(Arc::clone).map_err(SchemaFault::clone)
    }

    /// Those of the upstream's replies.
    #[must_use]
    pub const fn replies(&self) -> &Arc<ReplySchemas> {
        &self.replies
    }

    fn compile() -> Result<Self, SchemaFault> {
        let sources = Sources::read()?;
        Ok(Self {
            anthropic: Bodies {
                create: sources.schema("anthropic/create.json")?,
                update: sources.schema("anthropic/update.json")?,
            },
            sandbase: Bodies {
                create: sources.schema("sandbase/create.json")?,
                update: sources.schema("sandbase/update.json")?,
            },
            replies: Arc::new(ReplySchemas::compile(|path| sources.shape(path))?),
        })
    }
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").finish_non_exhaustive()
    }
}

impl Schema {
    /// Checks a body. One that keeps all rules costs one pass and no allocation.
    pub(super) fn check(&self, body: &Value, strictness: BodyStrictness) -> Result<Warnings, Violations> {
        if self.judge.is_valid(body) {
            return Ok(Warnings::default());
        }
        SchemaExplainer::explain(body, &self.shape, strictness)
    }
}

/// The documents, read but not compiled.
struct Sources {
    registry: Registry<'static>,
    documents: Documents,
}

impl Sources {
    fn read() -> Result<Self, SchemaFault> {
        let mut registry = Registry::new().draft(Draft::Draft202012);
        let mut documents = Vec::new();
        for (path, text) in DOCUMENTS {
            let document: Value = serde_json::from_str(text).map_err(fault_in(path))?;
            jsonschema::meta::validate(&document).map_err(fault_in(path))?;
            let id = id_of(path).map_err(fault_in(path))?;
            if document.get("$id").and_then(Value::as_str) != Some(id.as_str()) {
                return Err(fault_in(path)(format!("its $id must be {id}")));
            }
            registry = registry
                .add(&id, Resource::from_contents(document.clone()))
                .map_err(fault_in(path))?;
            documents.push((id, document));
        }
        let registry = registry.prepare().map_err(fault_in("*"))?;
        let documents = Documents::new(documents);
        Ok(Self { registry, documents })
    }

    fn schema(&self, path: &'static str) -> Result<Schema, SchemaFault> {
        let id = id_of(path).map_err(fault_in(path))?;
        let judge = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_registry(&self.registry)
            .with_pattern_options(PatternOptions::regex())
            .build(&serde_json::json!({ "$ref": id.as_str() }))
            .map_err(fault_in(path))?;
        let shape = self.shape(path)?;
        Ok(Schema { judge, shape })
    }

    fn shape(&self, path: &'static str) -> Result<Arc<Shape>, SchemaFault> {
        let id = id_of(path).map_err(fault_in(path))?;
        self.documents.shape(&id).map_err(fault_in(path))
    }
}

fn id_of(path: &str) -> Result<Uri<String>, jsonschema::ReferencingError> {
    jsonschema::uri::from_str(&format!("{BASE}{path}"))
}

fn fault_in<E: Display>(document: &'static str) -> impl FnOnce(E) -> SchemaFault {
    move |problem| SchemaFault {
        document,
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod tests;
