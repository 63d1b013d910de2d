//! Edits of JSON text by where they stand: whatever is not edited stays as it is, byte for byte.

use std::borrow::Cow;
use std::ops::Range;

use super::{Node, Object};

/// Edits of one text, to be applied in one pass.
#[derive(Debug, Default)]
pub struct Edits(Vec<(Range<usize>, Cow<'static, str>)>);

impl Edits {
    /// Writes another value for a member.
    pub fn replace(&mut self, member: Node<'_>, value: impl Into<Cow<'static, str>>) {
        self.0.push((member.span(), value.into()));
    }

    /// Removes the members that `is_removed` picks, and adds `added`: members as JSON writes them, parted by
    /// commas, or nothing. An object takes one such edit.
    ///
    /// ```
    /// use envgate::text::{Edits, Layout};
    ///
    /// let text = r#"{ "a": 1, "b": 2.0 }"#;
    /// let layout = Layout::of(text).unwrap();
    /// let mut edits = Edits::default();
    /// edits.change(layout.object(text).unwrap(), |member| member.is_named("a"), r#""c":3"#);
    /// assert_eq!(edits.apply(text).unwrap(), r#"{ "b": 2.0,"c":3 }"#);
    /// ```
    pub fn change(
        &mut self,
        object: Object<'_>,
        is_removed: impl Fn(&Node<'_>) -> bool,
        added: impl Into<Cow<'static, str>>,
    ) {
        let mut last_kept: Option<Node<'_>> = None;
        let mut members = object.members().peekable();
        let mut before: Option<Node<'_>> = None;
        while let Some(member) = members.next() {
            if !is_removed(&member) {
                last_kept = Some(member);
            } else if let (Some(_), Some(before)) = (last_kept, before) {
                // With the comma before it.
                self.0
                    .push((before.span().end..member.span().end, Cow::Borrowed("")));
            } else {
                // With the comma after it, where there is one.
                let end = members
                    .peek()
                    .map_or(member.span().end, |next| next.name_span().start);
                self.0.push((member.name_span().start..end, Cow::Borrowed("")));
            }
            before = Some(member);
        }
        let added = added.into();
        if added.is_empty() {
            return;
        }
        match last_kept {
            Some(last) => {
                let end = last.span().end;
                self.0.push((end..end, Cow::Owned(format!(",{added}"))));
            }
            None => {
                let inside = object.span().start + 1;
                self.0.push((inside..inside, added));
            }
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

#[cfg(test)]
mod tests;
