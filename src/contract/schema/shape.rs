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
}

impl Case {
    pub(super) fn applies_to(&self, members: &Map<String, Value>) -> bool {
        members.get(&self.member).and_then(Value::as_str) == Some(self.value.as_str())
    }
}

impl Shape {
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

/// The schema documents by their `$id`.
pub(super) struct Documents(Vec<(Uri<String>, Value)>);

impl Documents {
    pub(super) fn new(documents: impl IntoIterator<Item = (Uri<String>, Value)>) -> Self {
        Self(documents.into_iter().collect())
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
            .0
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

/// A validator of nothing but a pattern, so that what matches is decided by one engine only.
fn pattern(pattern: &str) -> Result<Validator, String> {
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(&serde_json::json!({ "pattern": pattern }))
        .map_err(|error| error.to_string())
}
