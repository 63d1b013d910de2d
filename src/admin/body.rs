//! What a request's body asks for, read strictly: every name known, every value of its type, all faults told
//! at once.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::problem::{FieldFault, Problem};
use crate::contract::{parse_document, quoted};
use crate::server::{ReadBodyError, read_body};
use crate::text::{JsonPointer, json_kind, nearest_name};

/// The largest body.
const MAX_BYTES: usize = 64 * 1024;
/// How long it may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The fields of a body, taken one after the other.
pub(super) struct Fields {
    object: Map<String, Value>,
    faults: Vec<FieldFault>,
}

impl Fields {
    /// Reads the body of a request, an object with at most these fields. No body at all is an empty object.
    pub(super) async fn read(request: Request, known: &[&str]) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self::of(Map::new(), known));
        }
        if !is_json(&parts.headers) {
            return Err(Problem::MediaType);
        }
        match parse_document(&bytes).map_err(Problem::Document)? {
            Value::Object(object) => Ok(Self::of(object, known)),
            other => Err(Problem::Fields(vec![FieldFault {
                pointer: String::new(),
                detail: format!("expected an object, found {}", json_kind(&other)),
            }])),
        }
    }

    fn of(object: Map<String, Value>, known: &[&str]) -> Self {
        let unknown = object.keys().filter(|name| !known.contains(&name.as_str()));
        let faults = unknown.map(|name| unknown_field(name, known)).collect();
        Self { object, faults }
    }

    /// A text, if it is there.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.object.remove(name)? {
            Value::String(text) => Some(text),
            other => self.wrong(name, "a string", &other),
        }
    }

    /// A text that must be there; empty where it is not, which [`Fields::finish`] tells.
    pub(super) fn required_text(&mut self, name: &str) -> String {
        if !self.object.contains_key(name) {
            self.fault(name, "is missing");
        }
        self.text(name).unwrap_or_default()
    }

    /// A truth value, if it is there.
    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.object.remove(name)? {
            Value::Bool(truth) => Some(truth),
            other => self.wrong(name, "true or false", &other),
        }
    }

    /// What `parse` makes of a text, if it is there.
    pub(super) fn parsed<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name)?;
        parse(&text).map_err(|expected| self.fault(name, &expected)).ok()
    }

    /// What `parse` makes of each text of a list; empty where there is none.
    pub(super) fn list<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let elements = match self.object.remove(name) {
            None => return Vec::new(),
            Some(Value::Array(elements)) => elements,
            Some(other) => {
                return self.wrong(name, "a list of strings", &other).unwrap_or_default();
            }
        };
        let mut parsed = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let outcome = match element {
                Value::String(text) => parse(text),
                other => Err(format!("expected a string, found {}", json_kind(other))),
            };
            match outcome {
                Ok(value) => parsed.push(value),
                Err(problem) => self.faults.push(FieldFault {
                    pointer: JsonPointer::default().with_name(name).with_index(index).into(),
                    detail: format!("{name}[{index}]: {problem}"),
                }),
            }
        }
        parsed
    }

    /// Whether a list is there and names nothing.
    pub(super) fn is_empty_list(&self, name: &str) -> bool {
        matches!(self.object.get(name), Some(Value::Array(elements)) if elements.is_empty())
    }

    /// Notes what is wrong with a field.
    pub(super) fn fault(&mut self, name: &str, problem: &str) {
        self.faults.push(FieldFault {
            pointer: JsonPointer::default().with_name(name).into(),
            detail: format!("{name}: {problem}"),
        });
    }

    /// Refuses the body for everything that was found wrong with it.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() {
            Ok(())
        } else {
            Err(Problem::Fields(self.faults))
        }
    }

    fn wrong<T>(&mut self, name: &str, expected: &str, found: &Value) -> Option<T> {
        let hint = if found.is_null() { "; leave it out" } else { "" };
        self.fault(
            name,
            &format!("expected {expected}, found {}{hint}", json_kind(found)),
        );
        None
    }
}

fn unknown_field(name: &str, known: &[&str]) -> FieldFault {
    let shown = quoted(name).unwrap_or_else(|| "one with a long name".to_owned());
    let hint = match nearest_name(name, known.iter().copied()) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if known.is_empty() => "there are none here".to_owned(),
        None => format!("there are {}", known.join(", ")),
    };
    FieldFault {
        pointer: JsonPointer::default().with_name(name).into(),
        detail: format!("unknown field {shown}; {hint}"),
    }
}

async fn read(body: Body) -> Result<Bytes, Problem> {
    match timeout(TIMEOUT, read_body(body, MAX_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(ReadBodyError::TooLarge)) => Err(Problem::TooLarge { limit: MAX_BYTES }),
        Ok(Err(ReadBodyError::Incomplete)) | Err(_) => Err(Problem::Incomplete),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(kind), None) = (types.next(), types.next()) else {
        return false;
    };
    let essence = kind.to_str().ok().and_then(|kind| kind.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}
