//! Whether the upstream's replies still are what the contract says: their schemas, and how a reply is measured by them.
//!
//! Nearly all replies have a shape that was seen before, so measuring comes in two steps. [`ReplySchemas::fingerprints`]
//! is one cheap walk that keeps nothing: whoever has seen all that it tells knows all that is to be said of the reply.
//! [`ReplySchemas::measure`] walks along the schema and tells each difference, with the fingerprint of the part that it is
//! in. Both are here, because they must agree: what makes a difference must make another fingerprint.

mod finding;
mod fingerprint;
mod hash;
mod known_names;
mod measure;
mod patch;
mod place;
mod sketch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::StatusCode;

use self::finding::Detail;
use self::fingerprint::Context;
use self::hash::mix;
use self::known_names::{KnownNames, NameClass};
use self::measure::{Spot, Walk};
use self::place::Place;
use super::shape::Shape;
use super::{SchemaFault, Schemas};
use crate::contract::Operation;
use crate::text::{Layout, Node};

pub use self::finding::{Finding, FindingKind, ReplyDocument, Sighting};
pub use self::patch::SchemaPatches;

/// No two sets of schemas of a process have the same, so that what is known by one is unknown to the next.
static NEXT_SEED: AtomicU64 = AtomicU64::new(1);

/// A reply of the upstream, as it came.
#[derive(Clone, Debug)]
pub struct UpstreamReply {
    /// What was asked for.
    pub operation: Operation,
    /// Its status.
    pub status: StatusCode,
    /// Whether its body is in some encoding, so that nobody can read it.
    pub is_encoded: bool,
    /// Its body.
    pub body: Bytes,
}

/// The schemas of the upstream's replies, compiled. A value, so that others can take its place while the process runs.
pub struct ReplySchemas {
    environment: Document,
    list: Document,
    deleted: Document,
    error: Document,
    names: KnownNames,
    seed: u64,
}

struct Document {
    shape: Arc<Shape>,
    class: NameClass,
}

/// Why a body cannot be measured.
#[derive(Clone, Copy)]
enum BodyFault {
    /// It is none of the service's, or none is expected: nothing is wrong.
    Unexpected,
    Empty,
    Encoded,
    NotUtf8,
    NotJson,
    TooDeep,
}

impl BodyFault {
    /// The rule that is broken.
    const fn rule(self) -> Option<&'static str> {
        match self {
            Self::Unexpected => None,
            Self::Empty => Some("empty_body"),
            Self::Encoded => Some("encoded_body"),
            Self::NotUtf8 => Some("invalid_utf8"),
            Self::NotJson => Some("invalid_json"),
            Self::TooDeep => Some("nesting_too_deep"),
        }
    }

    /// What stands for the content of the body in its fingerprint.
    const fn number(self) -> u64 {
        match self {
            Self::Unexpected => 100,
            Self::Empty => 101,
            Self::Encoded => 102,
            Self::NotUtf8 => 103,
            Self::NotJson => 104,
            Self::TooDeep => 105,
        }
    }
}

impl UpstreamReply {
    /// Which schema it is measured against.
    #[must_use]
    pub fn document(&self) -> ReplyDocument {
        ReplyDocument::of(self.operation, self.status.is_success())
    }

    /// Its body; none where there is none, or nobody can read it.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.readable().ok()
    }

    fn readable(&self) -> Result<&str, BodyFault> {
        // What stands before the service may answer in its place, and speaks as it likes.
        let or_nothing = |fault| match self.status.is_server_error() {
            true => BodyFault::Unexpected,
            false => fault,
        };
        if self.body.is_empty() {
            let is_deleted = self.operation == Operation::Delete && self.status.is_success();
            return Err(match is_deleted {
                true => BodyFault::Unexpected,
                false => or_nothing(BodyFault::Empty),
            });
        }
        if self.is_encoded {
            return Err(or_nothing(BodyFault::Encoded));
        }
        str::from_utf8(&self.body).map_err(|_| or_nothing(BodyFault::NotUtf8))
    }

    /// Why a text has no fingerprint, whether it is JSON or not.
    #[cold]
    fn fault_of(&self, is_json: bool) -> BodyFault {
        match is_json {
            true => BodyFault::TooDeep,
            false if self.status.is_server_error() => BodyFault::Unexpected,
            false => BodyFault::NotJson,
        }
    }
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
        Ok(Self::of([
            shape("anthropic/environment.reply.json")?,
            shape("anthropic/list.reply.json")?,
            shape("anthropic/deleted.reply.json")?,
            shape("anthropic/error.reply.json")?,
        ]))
    }

    fn of(shapes: [Arc<Shape>; 4]) -> Self {
        let names = KnownNames::of(shapes.each_ref().map(|shape| &**shape));
        let [environment, list, deleted, error] = shapes.map(|shape| Document {
            class: NameClass::of(&shape),
            shape,
        });
        Self {
            environment,
            list,
            deleted,
            error,
            names,
            seed: NEXT_SEED.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Tells the fingerprint of each part of a reply, with one walk along its `body` and without keeping anything. That of
    /// the whole comes last. There is no body where the reply has no [`UpstreamReply::text`] or that is not one JSON value.
    pub fn fingerprints(&self, reply: &UpstreamReply, body: Option<Node<'_>>, mut tell: impl FnMut(u64)) {
        let (document, context) = self.document(reply);
        let told = body.and_then(|body| {
            fingerprint::fingerprints(body, &self.names, context, document.class, &mut tell)
        });
        if told.is_some() {
            return;
        }
        let fault = match reply.readable() {
            Ok(_) => reply.fault_of(body.is_some()),
            Err(fault) => fault,
        };
        tell(context.part(fault.number()));
    }

    /// Tells each difference between a reply and its schema, with the fingerprint of the part that it is in. One may be
    /// told several times. It may take as long as it takes to read the reply some ten times.
    pub fn measure(&self, reply: &UpstreamReply, mut tell: impl FnMut(u64, &Sighting<'_>)) {
        let (document, context) = self.document(reply);
        let (names, class) = (&self.names, document.class);
        let measured = reply.readable().and_then(|text| {
            let layout = Layout::of(text);
            let body = layout.as_ref().and_then(|layout| layout.root(text));
            let part = body.and_then(|body| fingerprint::fingerprints(body, names, context, class, |_| {}));
            part.map(|part| (text, part))
                .ok_or_else(|| reply.fault_of(body.is_some()))
        });
        match measured {
            Ok((text, part)) => {
                let mut walk = Walk {
                    operation: reply.operation,
                    document: reply.document(),
                    names,
                    tell: &mut tell,
                };
                let spot = Spot { context, class, part };
                walk.value(&document.shape, text.trim_ascii(), &Place::ROOT, spot);
            }
            Err(fault) => {
                let Some(rule) = fault.rule() else { return };
                let sighting = Sighting {
                    operation: reply.operation,
                    document: reply.document(),
                    kind: FindingKind::BrokenRule,
                    place: &Place::ROOT,
                    detail: Detail::Rule(rule),
                    value: None,
                };
                tell(context.part(fault.number()), &sighting);
            }
        }
    }

    fn document(&self, reply: &UpstreamReply) -> (&Document, Context) {
        let (document, number) = match reply.document() {
            ReplyDocument::Environment => (&self.environment, 0),
            ReplyDocument::List => (&self.list, 1),
            ReplyDocument::Deleted => (&self.deleted, 2),
            // No reply is measured against the latter.
            ReplyDocument::Error | ReplyDocument::Request => (&self.error, 3),
        };
        let operation = match reply.operation {
            Operation::Create => 0,
            Operation::List => 1,
            Operation::Retrieve => 2,
            Operation::Update => 3,
            Operation::Delete => 4,
            Operation::Archive => 5,
        };
        (document, Context::root(mix(self.seed, operation), number))
    }
}

impl fmt::Debug for ReplySchemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplySchemas").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
