//! Where the values of a JSON text stand: read once, for all who look into it.

use std::borrow::Cow;
use std::ops::Range;

use super::scanner::Scanner;

/// Where each value of a JSON text stands. The text itself stays apart, so that it can be shared: whoever looks into it
/// brings it along, and has to bring the one that the layout is of.
///
/// Elements of lists that have nothing in them, strings and numbers and empty objects and lists, are not told apart: of
/// those only the kinds are known.
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

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Object,
    List,
    String,
    /// With an exponent or a fraction, even if it is none.
    Number,
    /// Of digits alone.
    Integer,
    Boolean,
    Null,
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

/// What of a text usually is one entry, in bytes, and the most entries that there is room for before any was read.
const USUAL_BYTES: usize = 12;
const MOST_AT_FIRST: usize = 4096;
/// What nothing is in.
const NONE: u32 = u32::MAX;

impl Layout {
    /// Reads a text that is one JSON value, but for white space around it. None where it is anything else, or larger than
    /// 4 GiB. It takes 24 bytes for each value that has an entry, so at most seven times as much as the text.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        u32::try_from(text.len()).ok()?;
        let room = (text.len() / USUAL_BYTES).min(MOST_AT_FIRST) + 1;
        let reading = Reading {
            scanner: Scanner::new(text),
            entries: Vec::with_capacity(room),
        };
        reading.read().map(|entries| Self { entries })
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

    /// The bytes of [`Node::name`].
    #[inline]
    pub(crate) fn name_bytes(&self) -> Cow<'t, [u8]> {
        if self.entry.is_name_escaped {
            return self.escaped_name_bytes();
        }
        Cow::Borrowed(self.text.as_bytes().get(self.inside_name()).unwrap_or_default())
    }

    /// Few write a name like that.
    #[cold]
    fn escaped_name_bytes(&self) -> Cow<'t, [u8]> {
        match self.name() {
            Cow::Borrowed(name) => Cow::Borrowed(name.as_bytes()),
            Cow::Owned(name) => Cow::Owned(name.into_bytes()),
        }
    }

    fn unescaped_name(&self) -> Option<Cow<'t, str>> {
        unescaped(self.text.get(self.name_span())?)
    }

    /// Whether that is its name.
    #[inline]
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        let is_as_long = self.inside_name().len() == name.len();
        (is_as_long || self.entry.is_name_escaped) && *self.name_bytes() == *name.as_bytes()
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

    /// The objects among the elements of the value where it is a list, but for those with nothing in them; none where it
    /// is no list.
    ///
    /// ```
    /// use envgate::text::Layout;
    ///
    /// let text = r#"[{"id": 1}, 2.0, {}]"#;
    /// let layout = Layout::of(&text).unwrap();
    /// # let text = format!("{{\"data\": {text}}}");
    /// # let layout = Layout::of(&text).unwrap();
    /// let data = layout.object(&text).unwrap().member("data").unwrap();
    /// assert_eq!(data.objects().unwrap().count(), 1);
    /// ```
    #[must_use]
    pub fn objects(self) -> Option<impl Iterator<Item = Object<'t>>> {
        self.is_list().then(|| self.inner().filter_map(Node::as_object))
    }

    /// The members of an object, or the elements of a list that have something in them.
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

impl NodeKind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Object,
        Self::List,
        Self::String,
        Self::Number,
        Self::Integer,
        Self::Boolean,
        Self::Null,
    ];

    /// Of a value as it is written.
    #[inline]
    pub(crate) fn of(written: &str) -> Self {
        match written.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::List,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ if written.bytes().all(is_of_integer) => Self::Integer,
            _ => Self::Number,
        }
    }

    /// Whether there may be other values in it.
    #[inline]
    pub(crate) const fn is_container(self) -> bool {
        matches!(self, Self::Object | Self::List)
    }

    const fn bit(self) -> u8 {
        match self {
            Self::Object => 1,
            Self::List => 2,
            Self::String => 4,
            Self::Number => 8,
            Self::Integer => 16,
            Self::Boolean => 32,
            Self::Null => 64,
        }
    }
}

impl Kinds {
    #[inline]
    pub(crate) const fn add(&mut self, kind: NodeKind) {
        self.0 |= kind.bit();
    }

    #[inline]
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) const fn has(self, kind: NodeKind) -> bool {
        self.0 & kind.bit() != 0
    }
}

/// A text that is being read.
struct Reading<'t> {
    scanner: Scanner<'t>,
    entries: Vec<Entry>,
}

/// What has been begun: an object, or a list.
#[derive(Clone, Copy)]
struct Open {
    entry: u32,
    is_object: bool,
}

/// The name of the next value.
struct Name {
    span: Range<u32>,
    is_escaped: bool,
}

impl Name {
    const NONE: Self = Self {
        span: 0..0,
        is_escaped: false,
    };
}

impl Reading<'_> {
    /// However deep: the text may be hostile, so nothing calls itself here.
    fn read(mut self) -> Option<Vec<Entry>> {
        self.scanner.skip_space();
        let mut open = Open {
            entry: NONE,
            is_object: true,
        };
        let mut name = Name::NONE;
        loop {
            let start = position(self.scanner.at);
            let (kind, has_inside) = self.begin()?;
            if has_inside {
                open = self.enter(name, start, kind, open);
                name = self.name_in(open)?;
                continue;
            }
            let value = start..position(self.scanner.at);
            match self.entry(open.entry).filter(|_| !open.is_object) {
                Some(list) => list.plain.add(kind),
                None => self.entries.push(Entry::new(name, kind, value, 1)),
            }
            while open.entry != NONE && !self.goes_on(open)? {
                open = self.leave(open);
            }
            if open.entry == NONE {
                return self.scanner.is_at_end().then_some(self.entries);
            }
            name = self.name_in(open)?;
        }
    }

    /// Reads a value that has nothing in it, or what stands before what is in it; says what it is and which of both.
    #[inline]
    fn begin(&mut self) -> Option<(NodeKind, bool)> {
        let scanner = &mut self.scanner;
        let kind = match scanner.peek()? {
            b'"' => {
                scanner.string()?;
                NodeKind::String
            }
            b'{' => return Some((NodeKind::Object, scanner.enter(b'}'))),
            b'[' => return Some((NodeKind::List, scanner.enter(b']'))),
            b't' => {
                scanner.literal(b"true")?;
                NodeKind::Boolean
            }
            b'f' => {
                scanner.literal(b"false")?;
                NodeKind::Boolean
            }
            b'n' => {
                scanner.literal(b"null")?;
                NodeKind::Null
            }
            _ => match scanner.number()? {
                true => NodeKind::Integer,
                false => NodeKind::Number,
            },
        };
        Some((kind, false))
    }

    fn enter(&mut self, name: Name, start: u32, kind: NodeKind, outer: Open) -> Open {
        let entry = position(self.entries.len());
        self.entries
            .push(Entry::new(name, kind, start..start, outer.entry));
        Open {
            entry,
            is_object: kind == NodeKind::Object,
        }
    }

    /// Goes back to what an object or a list is in, at its end.
    fn leave(&mut self, open: Open) -> Open {
        let (count, end) = (position(self.entries.len()), position(self.scanner.at));
        let mut outer = NONE;
        if let Some(entry) = self.entry(open.entry) {
            entry.value.end = end;
            outer = std::mem::replace(&mut entry.size, count - open.entry);
        }
        let kind = self.entry(outer).map(|entry| entry.kind);
        Open {
            entry: outer,
            is_object: kind != Some(NodeKind::List),
        }
    }

    /// After a value: whether another one follows in the same object or list.
    #[inline]
    fn goes_on(&mut self, open: Open) -> Option<bool> {
        self.scanner.skip_space();
        if self.scanner.take(b',') {
            self.scanner.skip_space();
            return Some(true);
        }
        self.scanner.expect(if open.is_object { b'}' } else { b']' })?;
        Some(false)
    }

    #[inline]
    fn name_in(&mut self, open: Open) -> Option<Name> {
        if !open.is_object {
            return Some(Name::NONE);
        }
        let start = position(self.scanner.at);
        let is_escaped = self.scanner.string()?;
        let span = start..position(self.scanner.at);
        self.scanner.colon()?;
        Some(Name { span, is_escaped })
    }

    #[inline]
    fn entry(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(offset(index))
    }
}

impl Entry {
    #[inline]
    fn new(name: Name, kind: NodeKind, value: Range<u32>, size: u32) -> Self {
        Self {
            name: name.span,
            value,
            size,
            is_name_escaped: name.is_escaped,
            kind,
            plain: Kinds::default(),
        }
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

const fn is_of_integer(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-')
}

/// A place in a text that is smaller than 4 GiB.
#[inline]
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
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
