//! One pass over a reply that tells whether its shape was seen before.
//!
//! A fingerprint takes in all that a schema can have an opinion about, and nothing else: which known and unknown
//! names there are, the kinds of values, texts that a schema counts up, and the form of those that it has a rule for. A
//! reply falls into parts, because a list of a thousand environments would be new each time: the reply itself, and each
//! element of a list or of a map, with where it stands. What stands behind a name that no schema knows is passed over.

use super::hash::{hash_bytes, hash_form, mix};
use super::known_names::{KnownNames, NameClass};
use crate::text::Scanner;

/// How deep known names may stand in each other.
const MAX_DEPTH: usize = 64;

const OBJECT: u64 = 1;
const LIST: u64 = 2;
const STRING: u64 = 3;
const NUMBER: u64 = 4;
const BOOLEAN: u64 = 5;
const NULL: u64 = 6;
/// A step to an element of a list or of a map.
const CHILD: u64 = 7;
/// What stands behind an unknown name in a map that has known ones too.
const OTHER: u64 = 8;
/// A number that is not whole.
const FRACTION: u64 = 9;

/// Where a part of a reply stands.
#[derive(Clone, Copy)]
pub(super) struct Context(u64);

impl Context {
    pub(super) fn root(seed: u64, document: u64) -> Self {
        Self(mix(seed, document))
    }

    pub(super) fn member(self, name: u64) -> Self {
        Self(mix(self.0, name))
    }

    pub(super) fn child(self) -> Self {
        Self(mix(self.0, CHILD))
    }

    /// The fingerprint of a part that stands here. None is 0.
    pub(super) fn part(self, content: u64) -> u64 {
        mix(self.0, content).max(1)
    }
}

/// Tells the fingerprint of each part of a text, the whole last. None where the text is not one JSON value, or too deep.
pub(super) fn fingerprints(
    text: &str,
    names: &KnownNames,
    context: Context,
    class: NameClass,
    tell: impl FnMut(u64),
) -> Option<u64> {
    let mut pass = Pass {
        text: text.as_bytes(),
        scanner: Scanner::new(text),
        names,
        tell,
    };
    pass.scanner.skip_space();
    let content = pass.value(context, class, 0)?;
    if !pass.scanner.is_at_end() {
        return None;
    }
    let part = context.part(content);
    (pass.tell)(part);
    Some(part)
}

struct Pass<'t, F> {
    text: &'t [u8],
    scanner: Scanner<'t>,
    names: &'t KnownNames,
    tell: F,
}

impl<F: FnMut(u64)> Pass<'_, F> {
    fn value(&mut self, context: Context, class: NameClass, depth: usize) -> Option<u64> {
        match self.scanner.peek()? {
            b'{' if depth < MAX_DEPTH => self.object(context, class, depth),
            b'[' if depth < MAX_DEPTH => self.list(context, class, depth),
            b'{' | b'[' => None,
            first => {
                let start = self.scanner.at;
                self.scanner.value()?;
                let kind = kind_of(first);
                let written = || self.text.get(start..self.scanner.at).unwrap_or_default();
                Some(if class.is_compared {
                    mix(kind, hash_bytes(written()))
                } else if class.is_formed && kind == STRING {
                    mix(kind, hash_form(written()))
                } else if kind == NUMBER && !is_whole_number(str::from_utf8(written()).unwrap_or_default()) {
                    FRACTION
                } else {
                    kind
                })
            }
        }
    }

    fn object(&mut self, context: Context, class: NameClass, depth: usize) -> Option<u64> {
        self.scanner.expect(b'{')?;
        self.scanner.skip_space();
        // In any order: each member adds its own.
        let mut content = OBJECT;
        let mut kinds = Kinds::default();
        if !self.scanner.take(b'}') {
            loop {
                let start = self.scanner.at;
                let is_escaped = self.scanner.string()?;
                let name = self.text.get(start..self.scanner.at).unwrap_or_default();
                self.scanner.colon()?;
                let (name, behind) = self.names.look_up_quoted(name, is_escaped);
                if behind.is_known && (class.has_members || !class.is_map) {
                    let value = self.value(context.member(name), behind, depth + 1)?;
                    content = content.wrapping_add(mix(name, value));
                } else if class.is_map {
                    self.child(context.child(), class, depth, &mut kinds)?;
                    if class.has_members {
                        content = content.wrapping_add(mix(name, OTHER));
                    }
                } else {
                    let kind = kind_of(self.scanner.peek()?);
                    self.scanner.value()?;
                    content = content.wrapping_add(mix(name, kind));
                }
                self.scanner.skip_space();
                if self.scanner.take(b'}') {
                    break;
                }
                self.scanner.expect(b',')?;
                self.scanner.skip_space();
            }
        }
        self.tell_kinds(context.child(), &kinds);
        Some(content)
    }

    fn list(&mut self, context: Context, class: NameClass, depth: usize) -> Option<u64> {
        self.scanner.expect(b'[')?;
        self.scanner.skip_space();
        let context = context.child();
        let mut kinds = Kinds::default();
        if !self.scanner.take(b']') {
            loop {
                self.child(context, class, depth, &mut kinds)?;
                self.scanner.skip_space();
                if self.scanner.take(b']') {
                    break;
                }
                self.scanner.expect(b',')?;
                self.scanner.skip_space();
            }
        }
        self.tell_kinds(context, &kinds);
        Some(LIST)
    }

    /// An element is a part of its own; plain values of one kind are one together.
    fn child(&mut self, context: Context, class: NameClass, depth: usize, kinds: &mut Kinds) -> Option<()> {
        let first = self.scanner.peek()?;
        let content = self.value(context, class, depth + 1)?;
        let is_plain = content == kind_of(first) && !matches!(first, b'{' | b'[');
        if is_plain {
            kinds.add(content);
        } else {
            (self.tell)(context.part(content));
        }
        Some(())
    }

    fn tell_kinds(&mut self, context: Context, kinds: &Kinds) {
        for kind in [STRING, NUMBER, BOOLEAN, NULL] {
            if kinds.has(kind) {
                (self.tell)(context.part(kind));
            }
        }
    }
}

/// Which kinds of plain values there are.
#[derive(Default)]
struct Kinds(u8);

impl Kinds {
    const fn add(&mut self, kind: u64) {
        self.0 |= 1 << kind;
    }

    const fn has(&self, kind: u64) -> bool {
        self.0 & 1 << kind != 0
    }
}

/// Whether the value is a number without a fraction.
pub(super) fn is_whole_number(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'-';
    text.bytes().all(is_digit) || text.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
}

/// The kind of a value that begins with a byte.
const fn kind_of(first: u8) -> u64 {
    match first {
        b'{' => OBJECT,
        b'[' => LIST,
        b'"' => STRING,
        b't' | b'f' => BOOLEAN,
        b'n' => NULL,
        _ => NUMBER,
    }
}
