//! Edits of JSON text by spans: whatever is not edited stays as it is, byte for byte.

mod scanner;

use std::borrow::Cow;
use std::ops::Range;

use serde_json::value::RawValue;

pub(crate) use self::scanner::Scanner;

/// An object in a JSON text: where it stands, and its members in their order.
#[derive(Debug)]
pub struct Object<'t> {
    text: &'t str,
    start: usize,
    members: Vec<Member<'t>>,
}

/// A member of an [`Object`]. The spans are offsets in bytes into the whole text.
#[derive(Debug)]
pub struct Member<'t> {
    /// Its name, unescaped; as it is written where its escapes stand for no text.
    pub name: Cow<'t, str>,
    /// Its value as it is written.
    pub value: &'t str,
    name_span: Range<usize>,
    value_span: Range<usize>,
}

/// An environment has as many.
const USUAL_MEMBERS: usize = 12;

impl<'t> Object<'t> {
    /// Reads the object that is all of `text`, but for white space around it. The members are looked at no
    /// deeper than it takes to find their ends; what is in them is good JSON all the same. None where the
    /// text is anything else.
    ///
    /// ```
    /// use envgate::text::Object;
    ///
    /// let object = Object::read(r#"{"a": [1, 2], "b": {}}"#).unwrap();
    /// assert_eq!(object.member("a").unwrap().value, "[1, 2]");
    /// assert!(Object::read("[]").is_none());
    /// ```
    #[must_use]
    pub fn read(text: &'t str) -> Option<Self> {
        Self::read_part(text, text)
    }

    /// Reads the object that is all of `part`, which must be a part of `text`.
    fn read_part(text: &'t str, part: &'t str) -> Option<Self> {
        let offset = span_of(part, text).start;
        let mut members = Vec::with_capacity(USUAL_MEMBERS);
        let start = Scanner::new(part).object(|member| {
            let written = |span: &Range<usize>| part.get(span.clone()).unwrap_or_default();
            let name = written(&member.name);
            members.push(Member {
                name: match member.is_name_escaped {
                    false => Cow::Borrowed(written(&(member.name.start + 1..member.name.end - 1))),
                    true => unescaped(name).unwrap_or(Cow::Borrowed(name)),
                },
                value: written(&member.value),
                name_span: moved(member.name, offset),
                value_span: moved(member.value, offset),
            });
        })?;
        Some(Self {
            text,
            start: start + offset,
            members,
        })
    }

    /// The members, in their order.
    #[must_use]
    pub fn members(&self) -> &[Member<'t>] {
        &self.members
    }

    /// The member of this name; the last where there are several.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Member<'t>> {
        self.members.iter().rfind(|member| member.name == name)
    }

    /// Reads a member's value as an object of the same text; none where it is anything else.
    #[must_use]
    pub fn object_in(&self, member: &Member<'t>) -> Option<Self> {
        Self::read_part(self.text, member.value)
    }

    /// Reads a member's value as a list of objects of the same text. Elements that are anything else are left
    /// out; none where the value is no list.
    #[must_use]
    pub fn objects_in(&self, member: &Member<'t>) -> Option<Vec<Self>> {
        let objects = member
            .elements()?
            .into_iter()
            .filter_map(|element| Self::read_part(self.text, element));
        Some(objects.collect())
    }
}

impl<'t> Member<'t> {
    /// Where its value stands in the whole text.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.value_span.clone()
    }

    /// The value where it is a string, unescaped; none where it is anything else, or its escapes stand for no
    /// text.
    #[must_use]
    pub fn as_string(&self) -> Option<Cow<'t, str>> {
        unescaped(self.value)
    }

    /// The elements of the value as they are written, where it is a list; none where it is anything else.
    ///
    /// ```
    /// use envgate::text::Object;
    ///
    /// let object = Object::read(r#"{"data": [{"id": 1}, 2.0]}"#).unwrap();
    /// assert_eq!(object.member("data").unwrap().elements().unwrap(), [r#"{"id": 1}"#, "2.0"]);
    /// ```
    #[must_use]
    pub fn elements(&self) -> Option<Vec<&'t str>> {
        let elements: Vec<&'t RawValue> = serde_json::from_str(self.value).ok()?;
        Some(elements.into_iter().map(RawValue::get).collect())
    }

    /// Whether the value is the string `text`, however it is escaped.
    #[must_use]
    pub fn is_string(&self, text: &str) -> bool {
        unescaped(self.value).is_some_and(|value| value == text)
    }

    /// Whether the value is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.value.starts_with('[')
    }

    /// Whether the value is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == "null"
    }
}

/// Edits of one text, to be applied in one pass.
#[derive(Debug, Default)]
pub struct Edits(Vec<(Range<usize>, Cow<'static, str>)>);

impl Edits {
    /// Writes another value for a member.
    pub fn replace(&mut self, member: &Member<'_>, value: impl Into<Cow<'static, str>>) {
        self.0.push((member.value_span.clone(), value.into()));
    }

    /// Removes the members that `is_removed` picks, and adds `added`: members as JSON writes them, parted by
    /// commas, or nothing. An object takes one such edit.
    ///
    /// ```
    /// use envgate::text::{Edits, Object};
    ///
    /// let text = r#"{ "a": 1, "b": 2.0 }"#;
    /// let mut edits = Edits::default();
    /// edits.change(&Object::read(text).unwrap(), |member| member.name == "a", r#""c":3"#);
    /// assert_eq!(edits.apply(text).unwrap(), r#"{ "b": 2.0,"c":3 }"#);
    /// ```
    pub fn change(
        &mut self,
        object: &Object<'_>,
        is_removed: impl Fn(&Member<'_>) -> bool,
        added: impl Into<Cow<'static, str>>,
    ) {
        let mut last_kept: Option<&Member<'_>> = None;
        let mut members = object.members.iter().peekable();
        let mut before: Option<&Member<'_>> = None;
        while let Some(member) = members.next() {
            if !is_removed(member) {
                last_kept = Some(member);
            } else if let (Some(_), Some(before)) = (last_kept, before) {
                // With the comma before it.
                self.0
                    .push((before.value_span.end..member.value_span.end, Cow::Borrowed("")));
            } else {
                // With the comma after it, where there is one.
                let end = members
                    .peek()
                    .map_or(member.value_span.end, |next| next.name_span.start);
                self.0.push((member.name_span.start..end, Cow::Borrowed("")));
            }
            before = Some(member);
        }
        let added = added.into();
        if added.is_empty() {
            return;
        }
        match last_kept {
            Some(last) => {
                let end = last.value_span.end;
                self.0.push((end..end, Cow::Owned(format!(",{added}"))));
            }
            None => self.0.push((object.start + 1..object.start + 1, added)),
        }
    }

    /// Writes something else for a part of the text.
    pub fn write(&mut self, span: Range<usize>, text: impl Into<Cow<'static, str>>) {
        self.0.push((span, text.into()));
    }

    /// The edited text; none where there is nothing to edit.
    #[must_use]
    pub fn apply(&self, text: &str) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut edits: Vec<_> = self.0.iter().collect();
        // What is inserted at a place comes before what is removed from there on.
        edits.sort_by_key(|(span, _)| (span.start, span.end));
        let grown: usize = edits.iter().map(|(_, inserted)| inserted.len()).sum();
        let shrunk: usize = edits.iter().map(|(span, _)| span.len()).sum();
        // As much as it takes: it may be kept for as long as a client does not read it.
        let mut edited = String::with_capacity((text.len() + grown).saturating_sub(shrunk));
        let mut kept_from = 0;
        for (span, inserted) in edits {
            edited.push_str(text.get(kept_from..span.start).unwrap_or_default());
            edited.push_str(inserted);
            kept_from = span.end;
        }
        edited.push_str(text.get(kept_from..).unwrap_or_default());
        Some(edited)
    }

    /// How many bytes they hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let inserted = |text: &Cow<'static, str>| match text {
            Cow::Borrowed(_) => 0,
            Cow::Owned(text) => text.capacity(),
        };
        let texts: usize = self.0.iter().map(|(_, text)| inserted(text)).sum();
        self.0.capacity() * size_of::<(Range<usize>, Cow<'static, str>)>() + texts
    }
}

/// Where `part` stands in `text`, of which it is a part.
#[must_use]
pub fn span_of(part: &str, text: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    start..start + part.len()
}

const fn moved(span: Range<usize>, offset: usize) -> Range<usize> {
    span.start + offset..span.end + offset
}

/// The text that a JSON string stands for; none where it is no string.
fn unescaped(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests;
