//! What was expected and what came, in words.

use serde_json::Value;

use super::instance_path::InstancePath;
use super::shape::{Kind, Shape};
use crate::contract::echo::quoted;
use crate::text::{join_names, json_kind};

pub(super) fn wrong_type(path: &InstancePath<'_>, kinds: &[Kind], shape: &Shape, value: &Value) -> String {
    let expected = kinds.iter().map(|kind| kind_in_words(*kind, shape).to_owned());
    must_be(path, &alternatives(expected), json_kind(value))
}

pub(super) fn no_option(path: &InstancePath<'_>, options: &[Value], value: &Value) -> String {
    let expected = alternatives(options.iter().map(Value::to_string));
    let came = value.as_str().filter(|_| !path.is_private).and_then(quoted);
    must_be(path, &expected, came.as_deref().unwrap_or(json_kind(value)))
}

pub(super) fn no_match(path: &InstancePath<'_>, shape: &Shape, text: &str) -> String {
    let expected = shape.title.as_deref().unwrap_or("in the documented form");
    match quoted(text).filter(|_| !path.is_private) {
        Some(came) => must_be(path, expected, &came),
        None => format!("{} must be {expected}", path.in_words()),
    }
}

pub(super) fn too_short(path: &InstancePath<'_>, fewest: usize, length: usize) -> String {
    let path = path.in_words();
    match length {
        0 => format!("{path} must not be empty"),
        _ => format!("{path} must have at least {fewest} characters, not {length}"),
    }
}

pub(super) fn too_long(path: &InstancePath<'_>, most: usize, length: usize) -> String {
    format!(
        "{} must have at most {most} characters, not {length}",
        path.in_words()
    )
}

pub(super) fn unexpected(path: &InstancePath<'_>) -> String {
    format!("{} is not a known field", path.in_words())
}

pub(super) fn missing(path: &InstancePath<'_>) -> String {
    format!("{} is required", path.in_words())
}

/// `"a", "b" or null`
pub(super) fn alternatives(words: impl IntoIterator<Item = String>) -> String {
    join_names(words, "or")
}

fn must_be(path: &InstancePath<'_>, expected: &str, came: &str) -> String {
    format!("{} must be {expected}, not {came}", path.in_words())
}

fn kind_in_words(kind: Kind, shape: &Shape) -> &'static str {
    let items = shape.items.as_ref().and_then(|items| items.kinds.as_deref());
    match kind {
        Kind::Null => "null",
        Kind::Boolean => "a boolean",
        Kind::Integer => "a whole number",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array if items == Some(&[Kind::String]) => "a list of strings",
        Kind::Array => "a list",
        Kind::Object => "an object",
    }
}
