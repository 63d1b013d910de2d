//! The schemas of request bodies and of the upstream's replies: documents in `schemas/`, compiled before a request needs
//! them.
//!
//! A body is judged by a JSON Schema validator. What that refuses is explained by a walk of our own over the
//! same documents, because the validator's list of errors is built whole (a body of a megabyte can hold half
//! a million), is in the order of keywords and not of the document, and does not know the nearest known name.

mod drift;
mod explainer;
mod fault;
mod hint;
mod instance_path;
mod lint;
mod message;
mod overlay;
mod shape;
mod sources;
mod wording;

use std::fmt;
use std::sync::{Arc, LazyLock};

use jsonschema::Validator;
use serde_json::Value;

pub use self::drift::{
    Finding, FindingKind, ReplyDocument, ReplySchemas, SchemaPatches, Sighting, UpstreamReply,
};
use self::explainer::SchemaExplainer;
pub use self::fault::SchemaFault;
pub use self::overlay::SchemaFile;
use self::shape::Shape;
use self::sources::{Document, Sources};
use super::{BodyStrictness, Violations, Warnings};

/// How many faults of files are told.
const MOST_FAULTS: usize = 50;

/// The documents by their path in `schemas/`.
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

/// What this release ships, compiled once for the process.
static BUILT_IN: LazyLock<Result<Arc<Schemas>, SchemaFault>> = LazyLock::new(|| {
    let schemas = Schemas::compile(&Sources::new(Document::built_in()?)?)?;
    Ok(Arc::new(schemas))
});

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
    is_built_in: bool,
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

    /// Those that this release ships, with files laid over them: one with the name of a document replaces it, one
    /// such as `environment.patch.json` changes it by an RFC 6902 patch.
    ///
    /// # Errors
    /// All that is wrong with the files, as far as one fault does not hide others.
    ///
    /// ```
    /// use envgate::contract::{SchemaFile, Schemas};
    ///
    /// let patch = r#"[{"op": "add", "path": "/$defs/cloud/properties/gpu", "value": {"type": "string"}}]"#;
    /// let file = |path: &str| SchemaFile { path: path.to_owned(), content: patch.into() };
    /// assert!(Schemas::overlaid(&[file("environment.patch.json")]).is_ok());
    ///
    /// let faults = Schemas::overlaid(&[file("enviroment.patch.json")]).unwrap_err();
    /// assert_eq!(
    ///     faults[0].to_string(),
    ///     "enviroment.patch.json: there is no schema of this name; did you mean \"environment.patch.json\"?"
    /// );
    /// ```
    pub fn overlaid(files: &[SchemaFile]) -> Result<Self, Vec<SchemaFault>> {
        let mut documents = Document::built_in().map_err(|fault| vec![fault])?;
        let mut faults = overlay::lay(files, &mut documents);
        faults.extend(lint::find_faults(&documents, faults.is_empty()));
        if !faults.is_empty() {
            return Err(shortened(faults));
        }
        let compile = || Self::compile(&Sources::new(documents)?);
        let mut schemas = compile().map_err(|fault| vec![fault])?;
        let faults = schemas.relaxed_bodies();
        if !faults.is_empty() {
            return Err(faults);
        }
        schemas.is_built_in = files.is_empty();
        Ok(schemas)
    }

    /// Whether a file of this path, as it is in the folder, can be laid over them.
    ///
    /// # Errors
    /// That there is no document for it, and which may be meant.
    pub fn check_file_name(path: &str) -> Result<(), SchemaFault> {
        overlay::check_file_name(path)
    }

    /// Whether they are those that this release ships, and nothing is laid over them.
    #[must_use]
    pub const fn is_built_in(&self) -> bool {
        self.is_built_in
    }

    /// What the schemas of the bodies lack of that which nothing relaxes: a body is an object, its metadata are
    /// a map if they are there, and what is in there is never repeated.
    fn relaxed_bodies(&self) -> Vec<SchemaFault> {
        let bodies = [
            ("anthropic/create.json", &self.anthropic.create),
            ("anthropic/update.json", &self.anthropic.update),
            ("sandbase/create.json", &self.sandbase.create),
            ("sandbase/update.json", &self.sandbase.update),
        ];
        let fault = |(path, schema): (&str, &Schema)| {
            let (pointer, problem) = schema.shape.relaxed_rule()?;
            Some(SchemaFault {
                file: path.to_owned(),
                pointer: pointer.to_owned(),
                problem: problem.to_owned(),
            })
        };
        bodies.into_iter().filter_map(fault).collect()
    }

    /// Those of the upstream's replies.
    #[must_use]
    pub const fn replies(&self) -> &Arc<ReplySchemas> {
        &self.replies
    }

    fn compile(sources: &Sources) -> Result<Self, SchemaFault> {
        Ok(Self {
            is_built_in: true,
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

/// As many faults as anybody reads, and how many more there are.
fn shortened(mut faults: Vec<SchemaFault>) -> Vec<SchemaFault> {
    let more = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    if let (Some(last), 1..) = (faults.last_mut(), more) {
        last.problem.push_str(&format!(" (and {more} more faults)"));
    }
    faults
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas")
            .field("is_built_in", &self.is_built_in)
            .finish_non_exhaustive()
    }
}

impl Schema {
    /// The pointer to the place that a message about a body names; empty where it names none.
    pub(super) fn place_in_message(&self, message: &str) -> String {
        message::find_place(message, &self.shape)
    }

    /// Checks a body. One that keeps all rules costs one pass and no allocation.
    pub(super) fn check(&self, body: &Value, strictness: BodyStrictness) -> Result<Warnings, Violations> {
        if self.judge.is_valid(body) {
            return Ok(Warnings::default());
        }
        SchemaExplainer::explain(body, &self.shape, strictness)
    }
}

#[cfg(test)]
mod agreement_tests;
#[cfg(test)]
mod tests;
