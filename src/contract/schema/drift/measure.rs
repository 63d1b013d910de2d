//! A walk over a reply along its schema that tells each difference. It looks at nothing that no schema knows, keeps
//! nothing, and is no deeper than the schema.

use std::borrow::Cow;

use serde_json::Value;

use super::finding::{Detail, FindingKind, ReplyDocument, Sighting};
use super::fingerprint::{Context, fingerprint_of, is_whole_number};
use super::known_names::{KnownNames, NameClass};
use super::place::Place;
use crate::contract::Operation;
use crate::contract::schema::shape::{Kind, Others, Shape};
use crate::text::Scanner;

/// Values that a schema counts up are short; one that is not is none of them.
const MAX_OPTION_BYTES: usize = 1024;

pub(super) struct Walk<'a> {
    pub(super) operation: Operation,
    pub(super) document: ReplyDocument,
    pub(super) names: &'a KnownNames,
    /// Told of each difference, with the fingerprint of the part that it is in.
    pub(super) tell: &'a mut dyn FnMut(u64, &Sighting<'_>),
}

/// Where the walk is, as fingerprints see it.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) context: Context,
    pub(super) class: NameClass,
    /// The fingerprint of the part.
    pub(super) part: u64,
}

impl Walk<'_> {
    /// Measures a value, which must be good JSON without white space around it.
    pub(super) fn value(&mut self, shape: &Shape, text: &str, place: &Place<'_>, spot: Spot) {
        let place = &place.with_privacy(shape.is_private);
        let kind = kind_of(text);
        if let Some(kinds) = &shape.kinds
            && !kinds.contains(&kind)
            && !(kinds.contains(&Kind::Integer) && is_whole_number(text))
        {
            self.sight(
                FindingKind::WrongType,
                place,
                Detail::Type(kind),
                Some(text),
                spot,
            );
            return;
        }
        if let Some(options) = &shape.options
            && !is_option(text, options)
        {
            self.sight(
                FindingKind::UnknownValue,
                place,
                Detail::Value(text),
                Some(text),
                spot,
            );
            return;
        }
        match kind {
            Kind::String => self.string(shape, text, place, spot),
            Kind::Array => {
                let Some(items) = &shape.items else { return };
                let inside = place.child();
                Scanner::new(text).list(|element| {
                    let element = text.get(element).unwrap_or_default();
                    self.child(items, element, &inside, spot);
                });
            }
            Kind::Object => {
                self.object(shape, text, place, spot);
                for case in &shape.cases {
                    if member_text(text, &case.member).as_deref() == Some(&*case.value) {
                        self.value(&case.then, text, place, spot);
                    }
                }
            }
            Kind::Null | Kind::Boolean | Kind::Integer | Kind::Number => {}
        }
    }

    fn object(&mut self, shape: &Shape, text: &str, place: &Place<'_>, spot: Spot) {
        let mut missing: Vec<&str> = shape.required.iter().map(String::as_str).collect();
        let mut seen: Vec<&str> = Vec::new();
        Scanner::new(text).object(|member| {
            let value = text.get(member.value).unwrap_or_default();
            let name = unquoted(text.get(member.name).unwrap_or_default(), member.is_name_escaped);
            missing.retain(|missing| *missing != name);
            match (
                shape.members.iter().find(|(known, _)| **known == name),
                &shape.others,
            ) {
                (Some((known, shape)), _) => {
                    if seen.contains(&known.as_str()) {
                        let rule = Detail::Rule("duplicate_key");
                        let here = place.member(known);
                        self.sight(FindingKind::BrokenRule, &here, rule, None, spot);
                    }
                    seen.push(known);
                    self.member(shape, &name, value, &place.member(&name), spot);
                }
                (None, Others::Each(shape)) => self.member(shape, &name, value, &place.child(), spot),
                (None, Others::Open) => {}
                (None, Others::Closed) => {
                    let here = place.member(&name);
                    self.sight(FindingKind::UnknownField, &here, Detail::None, Some(value), spot);
                }
            }
        });
        for name in missing {
            let here = place.member(name);
            self.sight(FindingKind::MissingField, &here, Detail::None, None, spot);
        }
    }

    /// Goes into a member as fingerprints do: it is part of what it is in, or one of its own.
    fn member(&mut self, shape: &Shape, name: &str, value: &str, place: &Place<'_>, spot: Spot) {
        let (hash, behind) = self.names.look_up(name.as_bytes());
        if behind.is_known && (spot.class.has_members || !spot.class.is_map) {
            let inside = Spot {
                context: spot.context.member(hash),
                class: behind,
                ..spot
            };
            self.value(shape, value, place, inside);
        } else {
            self.child(shape, value, place, spot);
        }
    }

    /// An element of the list or of the map at `spot`.
    fn child(&mut self, shape: &Shape, text: &str, place: &Place<'_>, spot: Spot) {
        let (context, class) = (spot.context.child(), spot.class);
        if let Some(part) = fingerprint_of(text, self.names, context, class) {
            self.value(shape, text, place, Spot { context, class, part });
        }
    }

    fn string(&mut self, shape: &Shape, text: &str, place: &Place<'_>, spot: Spot) {
        let (fewest, most) = (
            shape.min_length.unwrap_or(0),
            shape.max_length.unwrap_or(usize::MAX),
        );
        if shape.pattern.is_none() && fewest == 0 && most == usize::MAX {
            return;
        }
        let unescaped = unquoted(text, text.contains('\\')).into_owned();
        let length = unescaped.chars().count();
        let value = Value::String(unescaped);
        let broken = match &shape.pattern {
            Some(pattern) if !pattern.is_valid(&value) => "pattern",
            _ if length < fewest => "minLength",
            _ if length > most => "maxLength",
            _ => return,
        };
        let content = value.as_str();
        self.sight(
            FindingKind::BrokenRule,
            place,
            Detail::Rule(broken),
            content,
            spot,
        );
    }

    fn sight(
        &mut self,
        kind: FindingKind,
        place: &Place<'_>,
        detail: Detail<'_>,
        value: Option<&str>,
        spot: Spot,
    ) {
        let sighting = Sighting {
            operation: self.operation,
            document: self.document,
            kind,
            place,
            detail,
            value,
        };
        (self.tell)(spot.part, &sighting);
    }
}

/// The string behind a name in an object; the last where there are several.
fn member_text<'t>(object: &'t str, name: &str) -> Option<Cow<'t, str>> {
    let mut found = None;
    Scanner::new(object).object(|member| {
        let written = object.get(member.name).unwrap_or_default();
        if unquoted(written, member.is_name_escaped) == name {
            let value = object.get(member.value).unwrap_or_default();
            found = value
                .starts_with('"')
                .then(|| unquoted(value, value.contains('\\')));
        }
    });
    found
}

/// A string without its quotes and escapes; as it is written where its escapes stand for no text.
fn unquoted(quoted: &str, is_escaped: bool) -> Cow<'_, str> {
    let written = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if !is_escaped {
        return Cow::Borrowed(written);
    }
    serde_json::from_str(quoted).map_or(Cow::Borrowed(written), Cow::Owned)
}

fn is_option(text: &str, options: &[Value]) -> bool {
    let is_short = text.len() <= MAX_OPTION_BYTES && !text.starts_with(['{', '[']);
    is_short && serde_json::from_str::<Value>(text).is_ok_and(|value| options.contains(&value))
}

fn kind_of(text: &str) -> Kind {
    match text.as_bytes().first() {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::Array,
        Some(b'"') => Kind::String,
        Some(b't' | b'f') => Kind::Boolean,
        Some(b'n') => Kind::Null,
        _ => Kind::Number,
    }
}
