//! The strict parser against `serde_json`: what it takes has the same value there; what it refuses beyond that has one
//! of two reasons.

use std::collections::HashSet;
use std::fmt;

use envgate::contract::{DocumentFault, DocumentFaultKind, parse_document};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::spelling;

const MAX_DEPTH: usize = 64;

pub(super) fn check(bytes: &[u8]) {
    let text = spelling::text(bytes);
    let expected = serde_json::from_slice::<Value>(&text);
    match (parse_document(&text), expected) {
        (Ok(value), Ok(expected)) => {
            assert_eq!(value, expected);
            let shape: Shape = serde_json::from_slice(&text).unwrap();
            assert!(!shape.has_duplicates, "a name stands twice");
            assert!(shape.depth <= MAX_DEPTH, "{} deep", shape.depth);
        }
        (Ok(_), Err(error)) => panic!("taken, and no JSON: {error}"),
        (Err(fault), expected) => check_fault(&fault, &text, expected.is_ok()),
    }
}

fn check_fault(fault: &DocumentFault, text: &[u8], is_json: bool) {
    assert!(fault.offset <= text.len(), "{fault:?}");
    let before = &text[..fault.offset];
    let line_start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    assert_eq!(
        fault.line,
        1 + before.iter().filter(|byte| **byte == b'\n').count(),
        "{fault:?}"
    );
    assert_eq!(fault.column, 1 + fault.offset - line_start, "{fault:?}");
    if !is_json {
        return;
    }
    let shape: Shape = serde_json::from_slice(text).unwrap();
    match fault.kind {
        DocumentFaultKind::DuplicateKey => {
            assert!(shape.has_duplicates, "{fault:?}");
            assert_eq!(text[fault.offset], b'"', "{fault:?}");
        }
        DocumentFaultKind::NestingTooDeep => {
            assert!(shape.depth > MAX_DEPTH, "{fault:?}");
            assert!(matches!(text[fault.offset], b'{' | b'['), "{fault:?}");
        }
        _ => panic!("good JSON is refused: {fault:?}"),
    }
}

/// What the strict parser asks of a text besides being JSON, found out in another way.
#[derive(Clone, Copy, Default)]
pub(crate) struct Shape {
    pub(crate) has_duplicates: bool,
    pub(crate) depth: usize,
}

impl Shape {
    fn contain(&mut self, inner: Self) {
        self.has_duplicates |= inner.has_duplicates;
        self.depth = self.depth.max(inner.depth + 1);
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Look;

        impl<'de> Visitor<'de> for Look {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }

            fn visit_unit<E>(self) -> Result<Shape, E> {
                Ok(Shape::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Shape, E> {
                Ok(Shape::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Shape, E> {
                Ok(Shape::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Shape, E> {
                Ok(Shape::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Shape, E> {
                Ok(Shape::default())
            }

            fn visit_str<E>(self, _: &str) -> Result<Shape, E> {
                Ok(Shape::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Shape, A::Error> {
                let mut shape = Shape {
                    depth: 1,
                    ..Shape::default()
                };
                while let Some(element) = elements.next_element()? {
                    shape.contain(element);
                }
                Ok(shape)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
                let mut shape = Shape {
                    depth: 1,
                    ..Shape::default()
                };
                let mut names = HashSet::new();
                while let Some(name) = members.next_key::<String>()? {
                    shape.has_duplicates |= !names.insert(name);
                    shape.contain(members.next_value()?);
                }
                Ok(shape)
            }
        }

        deserializer.deserialize_any(Look)
    }
}

/// The value of a text in which no name stands twice; none for any other.
pub(crate) fn plain_value(text: &[u8]) -> Option<Value> {
    let shape: Shape = serde_json::from_slice(text).ok()?;
    if shape.has_duplicates {
        return None;
    }
    serde_json::from_slice(text).ok()
}

/// Whether a text is JSON, whatever its numbers and names are.
pub(crate) fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
}
