//! What was expected and what came, in words.

use serde_json::Value;

use super::place::Place;
use super::shape::{Kind, Shape};
use crate::contract::echo::quoted;
use crate::text::{join_names, json_kind};

pub(super) fn wrong_type(place: &Place<'_>, kinds: &[Kind], shape: &Shape, value: &Value) -> String {
    let expected = kinds.iter().map(|kind| kind_in_words(*kind, shape).to_owned());
    must_be(place, &alternatives(expected), json_kind(value))
}

pub(super) fn no_option(place: &Place<'_>, options: &[Value], value: &Value) -> String {
    let expected = alternatives(options.iter().map(Value::to_string));
    let came = value.as_str().filter(|_| !place.is_private).and_then(quoted);
    must_be(place, &expected, came.as_deref().unwrap_or(json_kind(value)))
}

pub(super) fn no_match(place: &Place<'_>, shape: &Shape, text: &str) -> String {
    let expected = shape.title.as_deref().unwrap_or("in the documented form");
    match quoted(text).filter(|_| !place.is_private) {
        Some(came) => must_be(place, expected, &came),
        None => format!("{} must be {expected}", place.in_words()),
    }
}

pub(super) fn too_short(place: &Place<'_>, fewest: usize, length: usize) -> String {
    let place = place.in_words();
    match length {
        0 => format!("{place} must not be empty"),
        _ => format!("{place} must have at least {fewest} characters, not {length}"),
    }
}

pub(super) fn too_long(place: &Place<'_>, most: usize, length: usize) -> String {
    format!(
        "{} must have at most {most} characters, not {length}",
        place.in_words()
    )
}

pub(super) fn unexpected(place: &Place<'_>) -> String {
    format!("{} is not a known field", place.in_words())
}

pub(super) fn missing(place: &Place<'_>) -> String {
    format!("{} is required", place.in_words())
}

/// `"a", "b" or null`
pub(super) fn alternatives(words: impl IntoIterator<Item = String>) -> String {
    join_names(words, "or")
}

fn must_be(place: &Place<'_>, expected: &str, came: &str) -> String {
    format!("{} must be {expected}, not {came}", place.in_words())
}

fn kind_in_words(kind: Kind, shape: &Shape) -> &'static str {
    let items = shape.items.as_ref().and_then(|items| items.kinds.as_deref());
    match kind {
        Kind::Null => "null",
        Kind::Boolean => "a boolean",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array if items == Some(&[Kind::String]) => "a list of strings",
        Kind::Array => "a list",
        Kind::Object => "an object",
    }
}
