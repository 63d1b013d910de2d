use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::echo::quoted_name;

/// How deep arrays and objects may stand in each other.
const MAX_DEPTH: usize = 64;

/// Why a body is no JSON document that this API takes, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentFault {
    /// What is wrong.
    pub kind: DocumentFaultKind,
    /// What is wrong in words, without the place.
    pub message: String,
    /// Line of the fault, from 1.
    pub line: usize,
    /// Column of the fault in bytes, from 1.
    pub column: usize,
    /// Offset of the fault in bytes from the start of the body.
    pub offset: usize,
}

/// The kinds of fault, each with an error code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentFaultKind {
    /// The bytes are not UTF-8.
    InvalidUtf8,
    /// The text is not JSON.
    InvalidJson,
    /// An object has one name twice, compared after unescaping.
    DuplicateKey,
    /// Arrays and objects stand more than 64 deep in each other.
    NestingTooDeep,
    /// Something follows the document.
    TrailingBytes,
}

impl DocumentFaultKind {
    /// The value of `error.details.error_code`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidJson => "invalid_json",
            Self::DuplicateKey => "duplicate_key",
            Self::NestingTooDeep => "nesting_too_deep",
            Self::TrailingBytes => "trailing_bytes",
        }
    }
}

impl DocumentFault {
    fn new(kind: DocumentFaultKind, message: impl Into<String>, bytes: &[u8], offset: usize) -> Self {
        let before = bytes.get(..offset).unwrap_or(bytes);
        let line_start = before
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |newline| newline + 1);
        Self {
            kind,
            message: message.into(),
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: before.len() - line_start + 1,
            offset,
        }
    }
}

/// Reads a request body as one JSON document, more strictly than JSON itself asks: a name that stands twice
/// in an object is a fault, because two readers of such a body may see two different values; so is nesting
/// beyond 64 levels. What kind of value the document holds is not judged here.
///
/// # Errors
/// A [`DocumentFault`] at the first place that cannot be taken. Its message never repeats a value of the
/// body.
///
/// ```
/// use envgate::contract::{DocumentFaultKind, parse_document};
///
/// assert_eq!(parse_document(br#"{"name": "a"}"#).unwrap()["name"], "a");
///
/// let fault = parse_document(br#"{"name": 1, "n\u0061me": 2}"#).unwrap_err();
/// assert_eq!(fault.kind, DocumentFaultKind::DuplicateKey);
/// assert_eq!((fault.line, fault.column, fault.offset), (1, 13, 12));
/// ```
pub fn parse_document(bytes: &[u8]) -> Result<Value, DocumentFault> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = "the body is not UTF-8";
        DocumentFault::new(
            DocumentFaultKind::InvalidUtf8,
            message,
            bytes,
            error.valid_up_to(),
        )
    })?;
    let progress = Progress::default();
    let root = Node {
        depth: 0,
        progress: &progress,
    };
    let mut json = serde_json::Deserializer::from_str(text);
    let value = root
        .deserialize(&mut json)
        .map_err(|error| progress.fault(text, &error))?;
    json.end().map_err(|error| {
        let message = "the body goes on after the end of the JSON document";
        let offset = offset_of(&error, text);
        DocumentFault::new(DocumentFaultKind::TrailingBytes, message, bytes, offset)
    })?;
    Ok(value)
}

/// How far reading has come, and what made it stop where the text itself is good JSON.
#[derive(Default)]
struct Progress {
    names: Cell<usize>,
    stop: RefCell<Option<Stop>>,
}

/// Why reading stopped before the end of a text that may be good JSON.
enum Stop {
    /// The name that was read last stands in its object already.
    Duplicate { name: String },
    /// One more array or object than may stand in each other.
    TooDeep,
}

impl Progress {
    /// Stops reading; the error itself carries nothing, [`Progress::fault`] knows.
    #[cold]
    fn stop<E: serde::de::Error>(&self, stop: Stop) -> E {
        self.stop.replace(Some(stop));
        E::custom("stopped")
    }

    #[cold]
    fn fault(&self, text: &str, error: &serde_json::Error) -> DocumentFault {
        let bytes = text.as_bytes();
        match self.stop.take() {
            Some(Stop::Duplicate { name }) => {
                let message = format!("{} stands twice in one object", quoted_name(&name));
                let offset = find(text, |seen| seen.names == self.names.get());
                DocumentFault::new(DocumentFaultKind::DuplicateKey, message, bytes, offset)
            }
            Some(Stop::TooDeep) => {
                let message = format!("arrays and objects stand more than {MAX_DEPTH} deep in each other");
                let offset = find(text, |seen| seen.open.len() > MAX_DEPTH);
                DocumentFault::new(DocumentFaultKind::NestingTooDeep, message, bytes, offset)
            }
            None => {
                let offset = offset_of(error, text);
                let message = describe(error, text);
                DocumentFault::new(DocumentFaultKind::InvalidJson, message, bytes, offset)
            }
        }
    }
}

/// What stands at one place of the document, `depth` arrays and objects deep.
#[derive(Clone, Copy)]
struct Node<'p> {
    depth: usize,
    progress: &'p Progress,
}

impl Node<'_> {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(self.progress.stop(Stop::TooDeep));
        }
        Ok(Self {
            depth: self.depth + 1,
            ..self
        })
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut list = Vec::new();
        while let Some(element) = elements.next_element_seed(inside)? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.progress.names.set(self.progress.names.get() + 1);
            match object.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(members.next_value_seed(inside)?);
                }
                Entry::Occupied(first) => {
                    let name = first.key().clone();
                    return Err(self.progress.stop(Stop::Duplicate { name }));
                }
            }
        }
        Ok(Value::Object(object))
    }
}

/// What a scan has passed on its way through a text.
#[derive(Default)]
struct Seen {
    /// How many names of members.
    names: usize,
    /// The opening bytes of the arrays and objects that are not closed yet.
    open: Vec<u8>,
}

/// The offset of the string or bracket with which `is_there` becomes true. The text up to there must be good
/// JSON; it is, because the parser came that far. The parser itself cannot tell the place: it reports where
/// it stands after an error of the visitor, not where the cause was.
#[cold]
fn find(text: &str, is_there: impl Fn(&Seen) -> bool) -> usize {
    let mut seen = Seen::default();
    let mut before = b' ';
    let mut bytes = text.bytes().enumerate();
    while let Some((offset, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let is_name = seen.open.last() == Some(&b'{') && before != b':';
                seen.names += usize::from(is_name);
            }
            b'{' | b'[' => seen.open.push(byte),
            b'}' | b']' => {
                seen.open.pop();
            }
            _ => {}
        }
        if is_there(&seen) {
            return offset;
        }
        if byte == b'"' {
            skip_string(bytes.by_ref().map(|(_, byte)| byte));
        }
        if !byte.is_ascii_whitespace() {
            before = byte;
        }
    }
    text.len()
}

/// Goes on to the end of a string whose opening quote was read.
fn skip_string(mut bytes: impl Iterator<Item = u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'"' => return,
            _ => {}
        }
    }
}

/// The offset of a syntax error; that of the end where the text ended too early.
fn offset_of(error: &serde_json::Error, text: &str) -> usize {
    if error.is_eof() {
        return text.len();
    }
    let line_start: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    (line_start + error.column()).saturating_sub(1).min(text.len())
}

fn describe(error: &serde_json::Error, text: &str) -> String {
    if text.trim_ascii().is_empty() {
        return "the body is empty; send a JSON object, {} at least".to_owned();
    }
    if text.starts_with('\u{feff}') {
        return "the body begins with a byte order mark; send it without".to_owned();
    }
    let message = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let reason = message.strip_suffix(&place).unwrap_or(&message);
    format!("the body is not JSON: {reason}")
}

#[cfg(test)]
mod tests;
