//! Where the values of a JSON text stand: read once, for all who look into it.

mod kind;
mod reading;

use std::borrow::Cow;
use std::ops::Range;

pub(crate) use self::kind::{Kinds, NodeKind};

/// Where each value of a JSON text stands. The text itself stays apart, so that it can be shared: whoever looks into it
/// brings it along, and has to bring the one that the layout is of.
///
/// Elements of lists that are neither objects nor lists are not told apart: of those only the kinds are known.
///
/// ```
/// use envgate::text::Layout;
///
/// let text = r#"{"a": [1, 2], "b": {}}"#;
/// let layout = Layout::of(text).unwrap();
/// let object = layout.object(text).unwrap();
/// assert_eq!(object.member("a").unwrap().written(), "[1, 2]");
/// assert!(Layout::of("{").is_none());
/// ```
#[derive(Debug)]
pub struct Layout {
    /// The whole first, and each before those that are in it.
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Where its name stands, with its quotes; nowhere at the start where it has none.
    name: Range<u32>,
    value: Range<u32>,
    /// How many entries it is, with those in it. While the end of its value is looked for, which one it is in.
    size: u32,
    is_name_escaped: bool,
    kind: NodeKind,
    /// Of the elements without an entry of their own, where it is a list.
    plain: Kinds,
}

/// A value where it stands in its text, with its name where it is a member of an object.
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    text: &'t str,
    entry: &'t Entry,
    /// Of what is in it.
    inside: &'t [Entry],
}

/// An object where it stands in its text.
#[derive(Clone, Copy, Debug)]
pub struct Object<'t>(Node<'t>);

impl Layout {
    /// Reads a text that is one JSON value, but for white space around it. None where it is anything else, or larger than
    /// 4 GiB. It takes 24 bytes for each value that has an entry, so at most twelve times as much as the text, and what a vector has to spare.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let entries = reading::read(text)?;
        Some(Self { entries })
    }

    /// The whole.
    pub(crate) fn root<'t>(&'t self, text: &'t str) -> Option<Node<'t>> {
        let (entry, inside) = self.entries.split_first()?;
        Some(Node { text, entry, inside })
    }

    /// The object that is all of the text; none where it is anything else.
    #[must_use]
    pub fn object<'t>(&'t self, text: &'t str) -> Option<Object<'t>> {
        self.root(text)?.as_object()
    }
}

impl<'t> Node<'t> {
    /// Its value as it is written.
    #[must_use]
    pub fn written(&self) -> &'t str {
        self.text.get(self.span()).unwrap_or_default()
    }

    /// Where its value stands in the text, in bytes.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        in_text(&self.entry.value)
    }

    /// Where its name stands in the text, in bytes and with its quotes.
    #[must_use]
    pub fn name_span(&self) -> Range<usize> {
        in_text(&self.entry.name)
    }

    /// Its name, unescaped; as it is written where its escapes stand for no text. Nothing where it has none.
    #[must_use]
    pub fn name(&self) -> Cow<'t, str> {
        let written = self.text.get(self.inside_name()).unwrap_or_default();
        match self.entry.is_name_escaped {
            true => self.unescaped_name().unwrap_or(Cow::Borrowed(written)),
            false => Cow::Borrowed(written),
        }
    }

    fn unescaped_name(&self) -> Option<Cow<'t, str>> {
        unescaped(self.text.get(self.name_span())?)
    }

    /// The bytes of [`Node::name`] where it is written without escapes, as nearly all are.
    #[inline]
    pub(crate) fn plain_name(&self) -> Option<&'t [u8]> {
        let bytes = self.text.as_bytes().get(self.inside_name());
        bytes.filter(|_| !self.entry.is_name_escaped)
    }

    /// Whether that is its name.
    #[inline]
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        match self.plain_name() {
            Some(plain) => plain == name.as_bytes(),
            None => self.name() == name,
        }
    }

    /// Where its name stands without its quotes.
    #[inline]
    fn inside_name(&self) -> Range<usize> {
        let quoted = self.name_span();
        quoted.start + 1..quoted.end.saturating_sub(1)
    }

    /// What its value is.
    #[inline]
    pub(crate) const fn kind(&self) -> NodeKind {
        self.entry.kind
    }

    /// The value where it is a string, unescaped; none where it is anything else, or its escapes stand for no
    /// text.
    #[must_use]
    pub fn as_string(&self) -> Option<Cow<'t, str>> {
        unescaped(self.written())
    }

    /// Whether the value is the string `text`, however it is escaped.
    #[must_use]
    pub fn is_string(&self, text: &str) -> bool {
        self.as_string().is_some_and(|value| value == text)
    }

    /// Whether the value is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.kind() == NodeKind::List
    }

    /// Whether the value is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == NodeKind::Null
    }

    /// The value where it is an object; none where it is anything else.
    #[must_use]
    pub fn as_object(self) -> Option<Object<'t>> {
        (self.kind() == NodeKind::Object).then_some(Object(self))
    }

    /// The objects among the elements of the value where it is a list; none where it is no list.
    ///
    /// ```
    /// use envgate::text::Layout;
    ///
    /// let text = r#"{"data": [{"id": 1}, 2.0, {}]}"#;
    /// let layout = Layout::of(text).unwrap();
    /// let data = layout.object(text).unwrap().member("data").unwrap();
    /// assert_eq!(data.objects().unwrap().count(), 2);
    /// ```
    #[must_use]
    pub fn objects(self) -> Option<impl Iterator<Item = Object<'t>>> {
        self.is_list().then(|| self.inner().filter_map(Node::as_object))
    }

    /// The members of an object, or the objects and lists among the elements of a list.
    pub(crate) const fn inner(&self) -> Inner<'t> {
        Inner {
            text: self.text,
            rest: self.inside,
        }
    }

    /// The kinds of the elements that [`Node::inner`] leaves out.
    pub(crate) const fn plain_kinds(&self) -> Kinds {
        self.entry.plain
    }
}

/// See [`Node::inner`].
pub(crate) struct Inner<'t> {
    text: &'t str,
    rest: &'t [Entry],
}

impl<'t> Iterator for Inner<'t> {
    type Item = Node<'t>;

    #[inline]
    fn next(&mut self) -> Option<Node<'t>> {
        let (entry, rest) = self.rest.split_first()?;
        let (inside, rest) = rest.split_at_checked(offset(entry.size) - 1)?;
        self.rest = rest;
        Some(Node {
            text: self.text,
            entry,
            inside,
        })
    }
}

impl<'t> Object<'t> {
    /// The members, in their order.
    pub fn members(&self) -> impl Iterator<Item = Node<'t>> + use<'t> {
        self.0.inner()
    }

    /// The member of this name; the last where there are several.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Node<'t>> {
        let mut found = None;
        for member in self.members() {
            if member.is_named(name) {
                found = Some(member);
            }
        }
        found
    }

    /// Where it stands in the text, in bytes.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        self.0.span()
    }
}

/// The text of a string in its quotes; none where it is no string, or its escapes stand for no text.
fn unescaped(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

#[inline]
fn offset(position: u32) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[inline]
fn in_text(span: &Range<u32>) -> Range<usize> {
    offset(span.start)..offset(span.end)
}

#[cfg(test)]
mod tests;
