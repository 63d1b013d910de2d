//! Finds where the values of a text stand, in one walk.

use std::ops::Range;

use super::{Entry, Kinds, NodeKind, offset};
use crate::text::Scanner;

/// What of a text usually is one entry, in bytes, and the most entries that there is room for before any was read.
const USUAL_BYTES: usize = 12;
const MOST_AT_FIRST: usize = 4096;
/// What nothing is in.
const NONE: u32 = u32::MAX;

/// The entries of a text that is one JSON value; none where it is anything else.
pub(super) fn read(text: &str) -> Option<Vec<Entry>> {
    // What is larger has places that are no u32.
    u32::try_from(text.len()).ok()?;
    let room = (text.len() / USUAL_BYTES).min(MOST_AT_FIRST) + 1;
    let reading = Reading {
        scanner: Scanner::new(text),
        entries: Vec::with_capacity(room),
    };
    reading.read()
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
            match self.entry(open.entry) {
                Some(list) if !open.is_object && !kind.is_container() => list.plain.add(kind),
                _ => self.entries.push(Entry::new(name, kind, value, 1)),
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

/// A place in the text or among the entries.
#[inline]
fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}
