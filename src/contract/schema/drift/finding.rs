use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};

use super::place::Place;
use super::sketch::{form, shown, sketch};
use crate::contract::Operation;
use crate::contract::schema::shape::Kind;

/// In what the upstream's replies differ from what the schemas say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// A field that no schema names.
    UnknownField,
    /// A field that is always there, and is not.
    MissingField,
    /// A value of another type.
    WrongType,
    /// A value that is none of those that the schema counts up.
    UnknownValue,
    /// Another rule that is broken.
    BrokenRule,
    /// A write that keeps its schema here, and that the upstream refuses for what it says.
    RefusedUpstream,
    /// More than can be kept apart.
    Remainder,
}

impl FindingKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::UnknownField,
        Self::MissingField,
        Self::WrongType,
        Self::UnknownValue,
        Self::BrokenRule,
        Self::RefusedUpstream,
        Self::Remainder,
    ];

    /// The name in reports and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownField => "unknown_field",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::UnknownValue => "unknown_value",
            Self::BrokenRule => "broken_rule",
            Self::RefusedUpstream => "refused_upstream",
            Self::Remainder => "remainder",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Which schema a reply was measured against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyDocument {
    /// An environment.
    Environment,
    /// A page of them.
    List,
    /// What says that one was deleted.
    Deleted,
    /// What says why something was not done.
    Error,
    /// None: it is about a request.
    Request,
}

impl ReplyDocument {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Environment,
        Self::List,
        Self::Deleted,
        Self::Error,
        Self::Request,
    ];

    /// What answers an operation.
    #[must_use]
    pub const fn of(operation: Operation, is_success: bool) -> Self {
        match operation {
            _ if !is_success => Self::Error,
            Operation::Create | Operation::Retrieve | Operation::Update | Operation::Archive => {
                Self::Environment
            }
            Operation::List => Self::List,
            Operation::Delete => Self::Deleted,
        }
    }

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::List => "list",
            Self::Deleted => "deleted",
            Self::Error => "error",
            Self::Request => "request",
        }
    }

    /// The document of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|document| document.name() == name)
    }
}

/// Something in which replies differ from what their schema says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was asked for.
    pub operation: Operation,
    /// Which schema the reply was measured against.
    pub document: ReplyDocument,
    /// What is different.
    pub kind: FindingKind,
    /// Where: a JSON pointer, `*` in it for each element of a list or of a map.
    pub pointer: String,
    /// The unknown value, the type that came, or the name of the broken rule.
    pub detail: Option<String>,
    /// What stood there when it was first seen, with its values masked.
    pub example: Option<String>,
}

impl Finding {
    /// A write that keeps its schema here, and that the upstream refuses for the place that `pointer` leads to: one that the
    /// schema has, with `*` for elements and keys, or empty.
    #[must_use]
    pub const fn refused_upstream(operation: Operation, pointer: String) -> Self {
        Self {
            operation,
            document: ReplyDocument::Request,
            kind: FindingKind::RefusedUpstream,
            pointer,
            detail: None,
            example: None,
        }
    }

    /// What is counted of an operation whose findings are too many to be kept apart.
    #[must_use]
    pub const fn remainder(operation: Operation, document: ReplyDocument) -> Self {
        Self {
            operation,
            document,
            kind: FindingKind::Remainder,
            pointer: String::new(),
            detail: None,
            example: None,
        }
    }

    /// Its name: the same in every process and replica.
    #[must_use]
    pub fn id(&self) -> String {
        let parts = [
            self.operation.name(),
            self.document.name(),
            self.kind.name(),
            &self.pointer,
            self.detail.as_deref().unwrap_or_default(),
        ];
        let digest = digest(&SHA256, parts.join("\0").as_bytes());
        let short = digest.as_ref().get(..10).unwrap_or_default();
        format!("drf_{}", HEXLOWER.encode(short))
    }

    /// It in a sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        let place = match self.pointer.as_str() {
            "" => "the whole reply",
            pointer => pointer,
        };
        let detail = self.detail.as_deref().unwrap_or_default();
        match self.kind {
            FindingKind::UnknownField => format!("{place} is a field that no schema names"),
            FindingKind::MissingField => format!("{place} is missing"),
            FindingKind::WrongType => format!("{place} is {detail}"),
            FindingKind::UnknownValue => format!("{place} has the unknown value {detail}"),
            FindingKind::BrokenRule => format!("{place} breaks the rule {detail}"),
            FindingKind::RefusedUpstream => match self.pointer.as_str() {
                "" => "the upstream refuses what keeps the schema, and names no place".to_owned(),
                pointer => format!("the upstream refuses {pointer}, which keeps the schema"),
            },
            FindingKind::Remainder => "there is more than can be kept apart".to_owned(),
        }
    }
}

/// A finding as it is met, before anything is made of it.
pub struct Sighting<'a> {
    pub(super) operation: Operation,
    pub(super) document: ReplyDocument,
    pub(super) kind: FindingKind,
    pub(super) place: &'a Place<'a>,
    pub(super) detail: Detail<'a>,
    /// The text of the value; none where there is none.
    pub(super) value: Option<&'a str>,
}

#[derive(Clone, Copy)]
pub(super) enum Detail<'a> {
    None,
    Type(Kind),
    /// The text of a value.
    Value(&'a str),
    Rule(&'static str),
}

impl Sighting<'_> {
    /// A number that all sightings of one finding have, as long as the process runs.
    #[must_use]
    pub fn key(&self) -> u64 {
        use super::hash::{hash_bytes, mix};
        let detail = match self.detail {
            Detail::None => 0,
            Detail::Type(kind) => hash_bytes(type_name(kind).as_bytes()),
            Detail::Value(text) => hash_bytes(text.as_bytes()),
            Detail::Rule(rule) => hash_bytes(rule.as_bytes()),
        };
        mix(mix(self.head(), self.place.hash), detail)
    }

    /// A number that all findings have among which the upstream chooses: the fields of one object that no schema names,
    /// or the values of one field. There are no more of them than places in schemas.
    #[must_use]
    pub fn crowd(&self) -> u64 {
        let place = match (self.kind, self.place.parent) {
            (FindingKind::UnknownField, Some(parent)) => parent.hash,
            _ => self.place.hash,
        };
        super::hash::mix(self.head(), place)
    }

    fn head(&self) -> u64 {
        use super::hash::{hash_bytes, mix};
        let name = |name: &str| hash_bytes(name.as_bytes());
        let document = mix(name(self.operation.name()), name(self.document.name()));
        mix(document, name(self.kind.name()))
    }

    /// What was asked for.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// Which schema the reply was measured against.
    #[must_use]
    pub const fn document(&self) -> ReplyDocument {
        self.document
    }

    /// The finding, in words and with an example.
    #[must_use]
    pub fn to_finding(&self) -> Finding {
        let is_private = self.place.is_private;
        let value = self.value.filter(|_| !is_private);
        let detail = match self.detail {
            Detail::None => None,
            Detail::Type(kind) => Some(type_name(kind).to_owned()),
            Detail::Value(_) if is_private => Some("…".to_owned()),
            Detail::Value(text) if text.starts_with(['{', '[']) => Some(sketch(text)),
            Detail::Value(text) => Some(shown(text)),
            Detail::Rule(rule) => Some(rule.to_owned()),
        };
        let example = match self.detail {
            // Nothing of what it is is hidden, nor more of it to be told.
            Detail::Value(_) => None,
            Detail::Rule("pattern") => value.map(form),
            Detail::Rule(_) => None,
            _ => value.map(sketch),
        };
        Finding {
            operation: self.operation,
            document: self.document,
            kind: self.kind,
            pointer: self.place.pointer(),
            detail,
            example,
        }
    }
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "null",
        Kind::Boolean => "boolean",
        Kind::Integer => "integer",
        Kind::Number => "number",
        Kind::String => "string",
        Kind::Array => "array",
        Kind::Object => "object",
    }
}
