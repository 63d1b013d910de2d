//! One walk over a reply that tells whether its shape was seen before.
//!
//! A fingerprint takes in all that a schema can have an opinion about, and nothing else: which known and unknown
//! names there are, the kinds of values, texts that a schema counts up, and the form of those that it has a rule for. A
//! reply falls into parts, because a list of a thousand environments would be new each time: the reply itself, and each
//! element of a list or of a map, with where it stands. What stands behind a name that no schema knows is passed over.

use super::hash::{hash_bytes, hash_form, mix};
use super::known_names::{KnownNames, NameClass};
use crate::text::{Kinds, Layout, Node, NodeKind, Scanner};

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

/// Tells the fingerprint of each part of a value, the whole last. None where it is too deep.
pub(super) fn fingerprints(
    value: Node<'_>,
    names: &KnownNames,
    context: Context,
    class: NameClass,
    tell: impl FnMut(u64),
) -> Option<u64> {
    let mut walk = Walk { names, tell };
    let content = walk.value(value, context, class, 0)?;
    let part = context.part(content);
    (walk.tell)(part);
    Some(part)
}

/// The fingerprint of a text. None where it is not one JSON value, or too deep.
pub(super) fn fingerprint_of(
    text: &str,
    names: &KnownNames,
    context: Context,
    class: NameClass,
) -> Option<u64> {
    let layout = Layout::of(text)?;
    fingerprints(layout.root(text)?, names, context, class, |_| {})
}

struct Walk<'n, F> {
    names: &'n KnownNames,
    tell: F,
}

impl<F: FnMut(u64)> Walk<'_, F> {
    fn value(&mut self, node: Node<'_>, context: Context, class: NameClass, depth: usize) -> Option<u64> {
        match node.kind() {
            NodeKind::Object | NodeKind::List if depth >= MAX_DEPTH => None,
            NodeKind::Object => self.object(node, context, class, depth),
            NodeKind::List => self.list(node, context, class, depth),
            kind => Some(plain(kind, class, || node.written())),
        }
    }

    fn object(&mut self, node: Node<'_>, context: Context, class: NameClass, depth: usize) -> Option<u64> {
        // In any order: each member adds its own.
        let mut content = OBJECT;
        let mut kinds = Kinds::default();
        for member in node.inner() {
            let (name, behind) = match member.plain_name() {
                Some(name) => self.names.look_up(name),
                None => self.names.look_up(member.name().as_bytes()),
            };
            let kind = member.kind();
            let taken_in = if behind.is_known && (class.has_members || !class.is_map) {
                match kind.is_container() {
                    true => self.value(member, context.member(name), behind, depth + 1)?,
                    false => plain(kind, behind, || member.written()),
                }
            } else if class.is_map {
                self.child(member, context.child(), class, depth, &mut kinds)?;
                if !class.has_members {
                    continue;
                }
                OTHER
            } else {
                number_of(kind)
            };
            content = content.wrapping_add(mix(name, taken_in));
        }
        self.tell_kinds(context.child(), kinds);
        Some(content)
    }

    fn list(&mut self, node: Node<'_>, context: Context, class: NameClass, depth: usize) -> Option<u64> {
        let context = context.child();
        let mut kinds = node.plain_kinds();
        let matters = class.is_compared || class.is_formed || kinds.has(NodeKind::Number);
        if matters && !kinds.is_empty() {
            kinds = self.plain_elements(node, context, class);
        }
        for element in node.inner() {
            self.child(element, context, class, depth, &mut kinds)?;
        }
        self.tell_kinds(context, kinds);
        Some(LIST)
    }

    /// Tells the plain elements of which more than their kind matters; gives back the kinds of the others.
    fn plain_elements(&mut self, list: Node<'_>, context: Context, class: NameClass) -> Kinds {
        let mut kinds = Kinds::default();
        let text = list.written();
        Scanner::new(text).list(|element| {
            let written = text.get(element).unwrap_or_default();
            let kind = NodeKind::of(written);
            if !kind.is_container() {
                self.element(kind, plain(kind, class, || written), context, &mut kinds);
            }
        });
        kinds
    }

    fn child(
        &mut self,
        node: Node<'_>,
        context: Context,
        class: NameClass,
        depth: usize,
        kinds: &mut Kinds,
    ) -> Option<()> {
        let content = self.value(node, context, class, depth + 1)?;
        self.element(node.kind(), content, context, kinds);
        Some(())
    }

    /// An element is a part of its own; plain values of one kind are one together.
    fn element(&mut self, kind: NodeKind, content: u64, context: Context, kinds: &mut Kinds) {
        if kind.is_container() || content != number_of(kind) {
            return (self.tell)(context.part(content));
        }
        kinds.add(match kind {
            // It is a whole one.
            NodeKind::Number => NodeKind::Integer,
            kind => kind,
        });
    }

    fn tell_kinds(&mut self, context: Context, kinds: Kinds) {
        if kinds.is_empty() {
            return;
        }
        for kind in NodeKind::ALL.into_iter().filter(|kind| kinds.has(*kind)) {
            (self.tell)(context.part(number_of(kind)));
        }
    }
}

/// What is taken in of a plain value.
#[inline]
fn plain<'t>(kind: NodeKind, class: NameClass, written: impl FnOnce() -> &'t str) -> u64 {
    let number = number_of(kind);
    match kind {
        NodeKind::Object | NodeKind::List => number,
        _ if class.is_compared => mix(number, hash_bytes(written().as_bytes())),
        NodeKind::String if class.is_formed => mix(number, hash_form(written().as_bytes())),
        NodeKind::Number if !is_whole_number(written()) => FRACTION,
        _ => number,
    }
}

/// Whether the value is a number without a fraction.
pub(super) fn is_whole_number(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || byte == b'-';
    text.bytes().all(is_digit) || text.parse::<f64>().is_ok_and(|number| number.fract() == 0.0)
}

const fn number_of(kind: NodeKind) -> u64 {
    match kind {
        NodeKind::Object => OBJECT,
        NodeKind::List => LIST,
        NodeKind::String => STRING,
        NodeKind::Number | NodeKind::Integer => NUMBER,
        NodeKind::Boolean => BOOLEAN,
        NodeKind::Null => NULL,
    }
}
