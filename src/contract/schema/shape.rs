use std::cell::Cell;
use std::sync::Arc;

use jsonschema::{PatternOptions, Uri, Validator};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A schema taken apart, so that a walk over a body can tell in order, and in our words, what is wrong with
/// it. The judge of a body is the JSON Schema validator that is compiled from the same document.
#[derive(Default)]
pub(super) struct Shape {
    /// What the value is, in words.
    pub(super) title: Option<String>,
    /// `type`
    pub(super) kinds: Option<Vec<Kind>>,
    /// `enum`
    pub(super) options: Option<Vec<Value>>,
    /// `minLength`, in code points
    pub(super) min_length: Option<usize>,
    /// `maxLength`, in code points
    pub(super) max_length: Option<usize>,
    /// `pattern`, as a validator of that keyword alone
    pub(super) pattern: Option<Validator>,
    /// `items`
    pub(super) items: Option<Arc<Self>>,
    /// `properties`
    pub(super) members: Vec<(String, Arc<Self>)>,
    /// `additionalProperties`
    pub(super) others: Others,
    /// `required`
    pub(super) required: Vec<String>,
    /// `allOf`, each with `if` and `then`
    pub(super) cases: Vec<Case>,
    /// `x-hints`: what to say about a name that is not a member.
    pub(super) hints: Map<String, Value>,
    /// `x-private`: values in here are never repeated in an answer.
    pub(super) is_private: bool,
    /// `x-rule`: the name under which an operator may relax the rules for a string.
    pub(super) rule: Option<RuleName>,
}

/// What an object may hold besides its known members.
#[derive(Default)]
pub(super) enum Others {
    /// Anything.
    #[default]
    Open,
    /// Nothing.
    Closed,
    /// Members that all have this shape.
    Each(Arc<Shape>),
}

/// The shape that an object also has when its member `member` is `value`.
pub(super) struct Case {
    pub(super) member: String,
    pub(super) value: String,
    pub(super) then: Arc<Shape>,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// The rules for strings that an operator may relax.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum RuleName {
    HostFormat,
}

impl Kind {
    pub(super) const fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(_) => Self::Boolean,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::String,
            Value::Array(_) => Self::Array,
            Value::Object(_) => Self::Object,
        }
    }

    /// Whether a value is of this kind: a number without a fraction is an integer too.
    pub(super) fn admits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Integer, Value::Number(number)) => {
                let has_no_fraction = |number: f64| number.fract() == 0.0;
                number.is_u64() || number.is_i64() || number.as_f64().is_some_and(has_no_fraction)
            }
            _ => self == Self::of(value),
        }
    }
}

impl Case {
    pub(super) fn applies_to(&self, members: &Map<String, Value>) -> bool {
        members.get(&self.member).and_then(Value::as_str) == Some(self.value.as_str())
    }
}

impl Shape {
    /// Where a body lacks what nothing relaxes, and what: it is an object, its metadata are a map if they are
    /// there, and what is in there is never repeated.
    pub(super) fn relaxed_rule(&self) -> Option<(&'static str, &'static str)> {
        const OBJECT: Option<&[Kind]> = Some(&[Kind::Object]);
        if self.kinds.as_deref() != OBJECT {
            return Some(("/type", "has to be \"object\", whatever is laid over the schemas"));
        }
        let metadata = self.member("metadata");
        if metadata.is_none_or(|metadata| metadata.kinds.as_deref() != OBJECT) {
            return Some((
                "/properties/metadata",
                "has to be there, with the type \"object\", whatever is laid over the schemas",
            ));
        }
        (!self.hides_metadata()).then_some((
            "/properties/metadata",
            "has to say \"x-private\": true, for its values are never repeated",
        ))
    }

    fn hides_metadata(&self) -> bool {
        self.member("metadata").is_none_or(|metadata| metadata.is_private)
            && self.cases.iter().all(|case| case.then.hides_metadata())
    }

    pub(super) fn member(&self, name: &str) -> Option<&Arc<Self>> {
        self.members
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, shape)| shape)
    }
}

/// The keywords that a schema of ours may have. Any other is a fault of the document: a rule that the walk
/// does not know would be judged and never explained.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Keywords {
    #[serde(rename = "$schema")]
    _schema: Option<String>,
    #[serde(rename = "$id")]
    _id: Option<String>,
    #[serde(rename = "$ref")]
    reference: Option<String>,
    title: Option<String>,
    #[serde(rename = "description")]
    _description: Option<String>,
    #[serde(rename = "type")]
    kinds: Option<OneOrMore>,
    #[serde(rename = "enum")]
    options: Option<Vec<Value>>,
    min_length: Option<usize>,
    max_length: Option<usize>,
    pattern: Option<String>,
    items: Option<Value>,
    properties: Map<String, Value>,
    additional_properties: Option<Value>,
    required: Vec<String>,
    all_of: Vec<Conditional>,
    #[serde(rename = "x-hints")]
    hints: Map<String, Value>,
    #[serde(rename = "x-private")]
    is_private: bool,
    #[serde(rename = "x-rule")]
    rule: Option<RuleName>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(Kind),
    More(Vec<Kind>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conditional {
    #[serde(rename = "if")]
    condition: Condition,
    then: Value,
}

/// `{"properties": {"type": {"enum": ["cloud"]}}, "required": ["type"]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Condition {
    properties: Map<String, Value>,
    required: (String,),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OneOption {
    #[serde(rename = "enum")]
    option: (String,),
}

/// What a compiled pattern may take.
const MOST_PATTERN_BYTES: usize = 1 << 20;

/// The schema documents by their `$id`.
pub(super) struct Documents {
    by_id: Vec<(Uri<String>, Value)>,
    /// How many schemas were taken apart.
    compiled: Cell<usize>,
}

/// How many schemas all documents may unfold to: each reference takes its target apart anew, so a few that lead
/// to each other twice could keep a gateway busy for years.
const MOST_SCHEMAS: usize = 20_000;

impl Documents {
    pub(super) fn new(documents: impl IntoIterator<Item = (Uri<String>, Value)>) -> Self {
        Self {
            by_id: documents.into_iter().collect(),
            compiled: Cell::new(0),
        }
    }

    /// Takes the document with this `$id` apart.
    pub(super) fn shape(&self, id: &Uri<String>) -> Result<Arc<Shape>, String> {
        self.resolve(id, "#", 0)
    }

    fn resolve(&self, base: &Uri<String>, reference: &str, depth: usize) -> Result<Arc<Shape>, String> {
        let target =
            jsonschema::uri::resolve_against(&base.borrow(), reference).map_err(|error| error.to_string())?;
        let fragment = target.fragment().map_or("", |fragment| fragment.as_str());
        let target = target.strip_fragment();
        let schema = self
            .by_id
            .iter()
            .find(|(id, _)| id.as_str() == target.as_str())
            .and_then(|(_, document)| document.pointer(fragment))
            .ok_or_else(|| format!("{reference} leads nowhere"))?;
        self.compile(&target.to_owned(), schema, depth + 1)
            .map_err(|problem| format!("{fragment}: {problem}"))
    }

    fn compile(&self, base: &Uri<String>, schema: &Value, depth: usize) -> Result<Arc<Shape>, String> {
        if depth > 32 {
            return Err("its references go round in a circle".to_owned());
        }
        let compiled = self.compiled.get() + 1;
        self.compiled.set(compiled);
        if compiled > MOST_SCHEMAS {
            return Err(format!(
                "its references unfold to more than {MOST_SCHEMAS} schemas"
            ));
        }
        match schema {
            Value::Bool(true) => return Ok(Arc::default()),
            Value::Object(_) => {}
            _ => return Err("a schema is an object or true".to_owned()),
        }
        let mut schema = schema.clone();
        if let Some(document) = schema.as_object_mut() {
            document.remove("$defs");
        }
        let keywords: Keywords = serde_json::from_value(schema).map_err(|error| error.to_string())?;
        let compile = |schema: &Value| self.compile(base, schema, depth + 1);
        if let Some(reference) = &keywords.reference {
            return self.resolve(base, reference, depth);
        }
        let members = keywords
            .properties
            .iter()
            .map(|(name, schema)| Ok((name.clone(), compile(schema)?)))
            .collect::<Result<_, String>>()?;
        let others = match &keywords.additional_properties {
            None | Some(Value::Bool(true)) => Others::Open,
            Some(Value::Bool(false)) => Others::Closed,
            Some(schema) => Others::Each(compile(schema)?),
        };
        let cases = keywords
            .all_of
            .into_iter()
            .map(|conditional| {
                let (member, value) = conditional.condition.into_parts()?;
                let then = compile(&conditional.then)?;
                Ok(Case { member, value, then })
            })
            .collect::<Result<_, String>>()?;
        Ok(Arc::new(Shape {
            title: keywords.title,
            kinds: keywords.kinds.map(|kinds| match kinds {
                OneOrMore::One(kind) => vec![kind],
                OneOrMore::More(kinds) => kinds,
            }),
            options: keywords.options,
            min_length: keywords.min_length,
            max_length: keywords.max_length,
            pattern: keywords.pattern.as_deref().map(pattern).transpose()?,
            items: keywords.items.as_ref().map(compile).transpose()?,
            members,
            others,
            required: keywords.required,
            cases,
            hints: keywords.hints,
            is_private: keywords.is_private,
            rule: keywords.rule,
        }))
    }
}

impl Condition {
    fn into_parts(self) -> Result<(String, String), String> {
        let (member,) = self.required;
        let mut properties = self.properties.into_iter();
        match (properties.next(), properties.next()) {
            (Some((name, schema)), None) if name == member => {
                let OneOption { option: (value,) } =
                    serde_json::from_value(schema).map_err(|error| error.to_string())?;
                Ok((member, value))
            }
            _ => Err("an if names one member, requires it, and gives one value in an enum".to_owned()),
        }
    }
}

/// Whether a value names a type.
pub(super) fn is_kind(value: &Value) -> bool {
    Kind::deserialize(value).is_ok()
}

/// Whether a value names a rule that an operator may relax.
pub(super) fn is_rule(value: &Value) -> bool {
    RuleName::deserialize(value).is_ok()
}

/// Whether a value is an `if` of the one form that there is, with its `then`.
pub(super) fn is_conditional(value: &Value) -> bool {
    Conditional::deserialize(value).is_ok_and(|conditional| conditional.condition.into_parts().is_ok())
}

/// Whether a text is a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    pattern(text).is_ok()
}

/// A validator of nothing but a pattern, so that what matches is decided by one engine only.
fn pattern(pattern: &str) -> Result<Validator, String> {
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex().size_limit(MOST_PATTERN_BYTES))
        .build(&serde_json::json!({ "pattern": pattern }))
        .map_err(|error| error.to_string())
}
