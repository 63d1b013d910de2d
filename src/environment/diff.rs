mod masked;

use std::borrow::Cow;

use json_patch::{AddOperation, PatchOperation, ReplaceOperation, TestOperation};
use serde::ser::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use self::masked::masked;
use crate::text::{Edits, Layout, Node};

/// What stands in place of every value of the metadata.
const MASK: &str = "***";
/// The same as JSON.
const SHOWN_MASK: &str = "\"***\"";
/// A difference that takes more bytes than this is told by its size alone.
const MOST_BYTES: usize = 16 * 1024;

/// What is known of an environment before or after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State<'a> {
    /// There is none.
    Absent,
    /// Nobody has looked; what is no JSON object counts as this too.
    Unknown,
    /// The document of it, whatever fields that has.
    Read(&'a [u8]),
}

/// What a write changed, as JSON: a patch, or the size of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference(Box<str>);

impl Difference {
    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The one that this is the text of.
    ///
    /// # Errors
    /// Where it is no JSON.
    pub fn parse(text: String) -> serde_json::Result<Self> {
        serde_json::from_str::<&RawValue>(&text)?;
        Ok(Self(text.into()))
    }

    /// What stands in place of one that is not kept for its size.
    #[must_use]
    pub fn omitted(bytes: usize) -> Self {
        (&json!({ "omitted_bytes": bytes })).into()
    }
}

/// As it stands there.
impl From<&Value> for Difference {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

impl Serialize for Difference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Difference {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Box::<RawValue>::deserialize(deserializer)?.into()))
    }
}

/// What a write changed, for those who may know that it happened but not every secret in it. None where too
/// little is known to say.
///
/// The difference is an RFC 6902 patch. Before each value that is replaced or removed stands a `test` with
/// what it was. An environment that is new, or whose earlier state nobody read, is one `add` or `replace` of
/// the whole. Every value of the metadata is masked, its name is not; so is `user:password@` in any URL. The
/// metadata key `hidden` is left out. A patch of more than 16 KiB is `{"omitted_bytes": …}`.
///
/// ```
/// use envgate::environment::{State, diff};
/// use serde_json::json;
///
/// let before = br#"{"name": "a", "metadata": {"team": "x", "envgate:tenant": "ten_1"}}"#;
/// let after = br#"{"name": "b", "metadata": {"team": "y", "envgate:tenant": "ten_1"}}"#;
/// let diff = diff(State::Read(before), State::Read(after), Some("envgate:tenant")).unwrap();
/// assert_eq!(
///     serde_json::to_value(diff).unwrap(),
///     json!([
///         {"op": "test", "path": "/name", "value": "a"},
///         {"op": "replace", "path": "/name", "value": "b"},
///         {"op": "test", "path": "/metadata/team", "value": "***"},
///         {"op": "replace", "path": "/metadata/team", "value": "***"},
///     ])
/// );
/// ```
#[must_use]
pub fn diff(before: State<'_>, after: State<'_>, hidden: Option<&str>) -> Option<Difference> {
    // Most are of one document alone, which needs no more than to be written once.
    let text = match (before, after) {
        (State::Absent, State::Read(document)) => whole("add", document, hidden)?,
        (State::Unknown, State::Read(document)) => whole("replace", document, hidden)?,
        (State::Read(document), State::Absent) => {
            let test = whole("test", document, hidden)?;
            format!(r#"{},{{"op":"remove","path":""}}]"#, test.strip_suffix(']')?)
        }
        (State::Read(before), State::Read(after)) => between(before, after, hidden)?,
        _ => return None,
    };
    Some(match text.len() {
        ..=MOST_BYTES => Difference(text.into()),
        bytes => Difference::omitted(bytes),
    })
}

/// A patch of one operation on a whole document.
fn whole(name: &str, document: &[u8], hidden: Option<&str>) -> Option<String> {
    let text = str::from_utf8(document).ok()?;
    // Without either nothing in it is somebody's password, and all but the metadata may stay as it is.
    let document = match memchr::memchr2(b'@', b'\\', document).is_some() {
        true => masked(document, hidden)?,
        false => masked_by_spans(text.trim_ascii(), hidden)?,
    };
    Some(format!(r#"[{{"op":"{name}","path":"","value":{document}}}]"#))
}

/// A document without the values of its metadata, and without the metadata key `hidden`; none where it is no object.
fn masked_by_spans(text: &str, hidden: Option<&str>) -> Option<String> {
    let layout = Layout::of(text)?;
    let document = layout.object(text)?;
    let mut edits = Edits::default();
    for metadata in document.members().filter(|member| member.is_named("metadata")) {
        let Some(pairs) = metadata.as_object() else {
            if !metadata.is_null() {
                edits.replace(metadata, SHOWN_MASK);
            }
            continue;
        };
        let is_hidden = |pair: &Node<'_>| hidden.is_some_and(|hidden| pair.is_named(hidden));
        for pair in pairs.members().filter(|pair| !is_hidden(pair)) {
            edits.replace(pair, SHOWN_MASK);
        }
        edits.change(pairs, is_hidden, "");
    }
    Some(edits.apply(text).unwrap_or_else(|| text.to_owned()))
}

fn between(before: &[u8], after: &[u8], hidden: Option<&str>) -> Option<String> {
    let Some(old) = read(before, hidden) else {
        return whole("replace", after, hidden);
    };
    let new = read(after, hidden)?;
    let mut patch = with_tests(old, &new);
    // Only now, or a value that changed would look as if it had not.
    patch.iter_mut().for_each(mask);
    Some(Value::Array(patch.into_iter().map(operation).collect()).to_string())
}

/// An operation as it is written. Serialised it would be the same, with every value in it copied.
fn operation(operation: PatchOperation) -> Value {
    let path = operation.path().to_string();
    let (name, value) = match operation {
        PatchOperation::Add(AddOperation { value, .. }) => ("add", Some(value)),
        PatchOperation::Replace(ReplaceOperation { value, .. }) => ("replace", Some(value)),
        PatchOperation::Test(TestOperation { value, .. }) => ("test", Some(value)),
        PatchOperation::Remove(_) => ("remove", None),
        // A difference has neither.
        PatchOperation::Move(_) | PatchOperation::Copy(_) => return Value::Null,
    };
    let mut members = Map::from_iter([("op".to_owned(), name.into()), ("path".to_owned(), path.into())]);
    members.extend(value.map(|value| ("value".to_owned(), value)));
    Value::Object(members)
}

/// The document, without what is hidden; none where it is no JSON object.
fn read(document: &[u8], hidden: Option<&str>) -> Option<Value> {
    let mut members = serde_json::from_slice::<Map<String, Value>>(document).ok()?;
    let metadata = members.get_mut("metadata").and_then(Value::as_object_mut);
    if let (Some(metadata), Some(hidden)) = (metadata, hidden) {
        metadata.shift_remove(hidden);
    }
    Some(Value::Object(members))
}

/// The difference of two documents, with what each value was. Every operation counts on those before it, so
/// the document goes along with them.
fn with_tests(mut document: Value, after: &Value) -> Vec<PatchOperation> {
    let mut tested = Vec::new();
    for operation in json_patch::diff(&document, after).0 {
        let takes_away = matches!(operation, PatchOperation::Replace(_) | PatchOperation::Remove(_));
        if let (true, Some(value)) = (takes_away, document.pointer(operation.path().as_str())) {
            tested.push(PatchOperation::Test(TestOperation {
                path: operation.path().to_buf(),
                value: value.clone(),
            }));
        }
        // It was made for this document, so it fits.
        let _ = json_patch::patch_unsafe(&mut document, std::slice::from_ref(&operation));
        tested.push(operation);
    }
    tested
}

fn mask(operation: &mut PatchOperation) {
    let path = operation.path();
    let is_metadata = path.first().is_some_and(|token| token.decoded() == "metadata");
    let depth = path.count();
    let value = match operation {
        PatchOperation::Add(AddOperation { value, .. })
        | PatchOperation::Replace(ReplaceOperation { value, .. })
        | PatchOperation::Test(TestOperation { value, .. }) => value,
        PatchOperation::Remove(_) | PatchOperation::Move(_) | PatchOperation::Copy(_) => return,
    };
    match (is_metadata, depth) {
        (true, 1) => mask_metadata(value),
        (true, _) => *value = MASK.into(),
        (false, 0) => value.get_mut("metadata").into_iter().for_each(mask_metadata),
        (false, _) => {}
    }
    hide_user_info(value);
}

fn mask_metadata(metadata: &mut Value) {
    match metadata {
        Value::Object(pairs) => pairs.values_mut().for_each(|value| *value = MASK.into()),
        Value::Null => {}
        other => *other = MASK.into(),
    }
}

fn hide_user_info(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(hidden) = without_user_info(text) {
                *text = hidden;
            }
        }
        Value::Array(elements) => elements.iter_mut().for_each(hide_user_info),
        Value::Object(members) => members.values_mut().for_each(hide_user_info),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text with `***@` for the user and password of every URL in it. Requirements wrap URLs in many ways
/// (`git+https://…`, `name @ https://…`), so whatever follows two slashes is looked at.
fn without_user_info(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("//") {
        shown.push_str(before);
        shown.push_str("//");
        rest = after;
        if let Some(host) = after_user_info(after) {
            shown.push_str("***@");
            rest = host;
        }
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// What follows the user info of a URL, from its host on; none where there is no user info.
fn after_user_info(url: &str) -> Option<&str> {
    let url_end = url.find(char::is_whitespace).unwrap_or(url.len());
    let (url_text, _) = url.split_at_checked(url_end)?;
    let authority_end = url_text.find(['/', '?', '#']).unwrap_or(url_text.len());
    let (authority, _) = url_text.split_at_checked(authority_end)?;
    let at = match authority.rfind('@') {
        Some(at) => at,
        // No port, so it may be the beginning of a password with a slash in it.
        None if !ends_as_host(authority) => url_text.rfind('@')?,
        None => return None,
    };
    url.get(at + 1..)
}

fn ends_as_host(authority: &str) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    authority.ends_with(']') || authority.rsplit_once(':').is_none_or(|(_, port)| is_port(port))
}

#[cfg(test)]
mod tests;
