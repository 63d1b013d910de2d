use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// A JSON pointer (RFC 6901) that grows step by step.
///
/// ```
/// use envgate::text::JsonPointer;
///
/// let mut pointer = JsonPointer::default();
/// pointer.push_name("metadata");
/// pointer.push_name("a/b");
/// pointer.push_index(2);
/// assert_eq!(pointer.to_string(), "/metadata/a~1b/2");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JsonPointer(String);

impl JsonPointer {
    /// Goes on to a member.
    pub fn push_name(&mut self, name: &str) {
        self.0.push('/');
        self.0.push_str(&escape_pointer_token(name));
    }

    /// Goes on to an element.
    pub fn push_index(&mut self, index: usize) {
        self.0.push('/');
        self.0.push_str(&index.to_string());
    }

    /// The pointer to a member of what this one points at.
    #[must_use]
    pub fn with_name(mut self, name: &str) -> Self {
        self.push_name(name);
        self
    }

    /// The pointer to an element of what this one points at.
    #[must_use]
    pub fn with_index(mut self, index: usize) -> Self {
        self.push_index(index);
        self
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<JsonPointer> for String {
    fn from(pointer: JsonPointer) -> Self {
        pointer.0
    }
}

/// A name as a step of a JSON pointer.
///
/// ```
/// assert_eq!(envgate::text::escape_pointer_token("a/~b"), "a~1~0b");
/// ```
#[must_use]
pub fn escape_pointer_token(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) {
        Cow::Owned(name.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(name)
    }
}

/// The name that a step of a JSON pointer stands for.
///
/// ```
/// assert_eq!(envgate::text::unescape_pointer_token("a~1b~0"), "a/b~");
/// ```
#[must_use]
pub fn unescape_pointer_token(token: &str) -> Cow<'_, str> {
    if token.contains('~') {
        Cow::Owned(token.replace("~1", "/").replace("~0", "~"))
    } else {
        Cow::Borrowed(token)
    }
}

/// What a value is, in words.
///
/// ```
/// assert_eq!(envgate::text::json_kind(&serde_json::json!([1])), "a list");
/// ```
#[must_use]
pub const fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
