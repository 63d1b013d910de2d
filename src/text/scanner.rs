//! Finds where the values of a JSON text end, and whether it is one. Nothing is kept of what is in them.

use std::ops::Range;

/// Walks a text once.
pub(crate) struct Scanner<'t> {
    text: &'t [u8],
    /// How far it has come, in bytes.
    pub(super) at: usize,
    open: OpenContainers,
}

/// A member of an object: where its name stands, with its quotes, and its value.
pub(crate) struct ScannedMember {
    pub(crate) name: Range<usize>,
    pub(crate) is_name_escaped: bool,
    pub(crate) value: Range<usize>,
}

impl<'t> Scanner<'t> {
    pub(crate) const fn new(text: &'t str) -> Self {
        Self {
            text: text.as_bytes(),
            at: 0,
            open: OpenContainers::new(),
        }
    }

    /// Reads the object that is all of the text, but for white space around it, and tells of each of its members.
    /// None where the text is anything else.
    pub(crate) fn object(mut self, mut tell: impl FnMut(ScannedMember)) -> Option<()> {
        self.skip_space();
        self.expect(b'{')?;
        self.skip_space();
        if !self.take(b'}') {
            loop {
                let name_start = self.at;
                let is_name_escaped = self.string()?;
                let name = name_start..self.at;
                self.colon()?;
                let value_start = self.at;
                self.value()?;
                tell(ScannedMember {
                    name,
                    is_name_escaped,
                    value: value_start..self.at,
                });
                self.skip_space();
                if self.take(b'}') {
                    break;
                }
                self.expect(b',')?;
                self.skip_space();
            }
        }
        self.is_at_end().then_some(())
    }

    /// Reads the list that is all of the text, but for white space around it, and tells where each of its elements
    /// stands. None where the text is anything else.
    pub(crate) fn list(mut self, mut tell: impl FnMut(Range<usize>)) -> Option<()> {
        self.skip_space();
        self.expect(b'[')?;
        self.skip_space();
        if !self.take(b']') {
            loop {
                let start = self.at;
                self.value()?;
                tell(start..self.at);
                self.skip_space();
                if self.take(b']') {
                    break;
                }
                self.expect(b',')?;
                self.skip_space();
            }
        }
        self.is_at_end().then_some(())
    }

    /// Whether nothing but white space follows.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    /// A value, however deep: the text may be hostile, so nothing calls itself here.
    fn value(&mut self) -> Option<()> {
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                b'{' => {
                    if self.enter(b'}') {
                        self.open.push(true);
                        self.string()?;
                        self.colon()?;
                        continue;
                    }
                }
                b'[' => {
                    if self.enter(b']') {
                        self.open.push(false);
                        continue;
                    }
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                _ => {
                    self.number()?;
                }
            }
            if !self.goes_on()? {
                return Some(());
            }
        }
    }

    /// After a value: whether another one comes before the end of the outermost.
    fn goes_on(&mut self) -> Option<bool> {
        while let Some(is_object) = self.open.last() {
            self.skip_space();
            if self.take(b',') {
                self.skip_space();
                if is_object {
                    self.string()?;
                    self.colon()?;
                }
                return Some(true);
            }
            self.expect(if is_object { b'}' } else { b']' })?;
            self.open.pop();
        }
        Some(false)
    }

    /// Goes into an object or a list, past the white space at its start, or past all of it where `close` follows: whether
    /// there is anything in it.
    #[inline]
    pub(super) fn enter(&mut self, close: u8) -> bool {
        self.at += 1;
        self.skip_space();
        !self.take(close)
    }

    #[inline]
    pub(super) fn colon(&mut self) -> Option<()> {
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        Some(())
    }

    /// Whether it has an escape.
    #[inline]
    pub(super) fn string(&mut self) -> Option<bool> {
        self.expect(b'"')?;
        let mut is_escaped = false;
        loop {
            self.at += plain_bytes(self.text.get(self.at..)?);
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(is_escaped);
                }
                b'\\' => {
                    self.escape()?;
                    is_escaped = true;
                }
                // Others must be escaped.
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.text.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.text.get(self.at + 2..self.at + 6)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    /// Whether it is of digits alone.
    pub(super) fn number(&mut self) -> Option<bool> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        let has_fraction = self.take(b'.');
        if has_fraction {
            self.digits()?;
        }
        let has_exponent = self.take(b'e') || self.take(b'E');
        if has_exponent {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Some(!has_fraction && !has_exponent)
    }

    /// One digit at least.
    fn digits(&mut self) -> Option<()> {
        let rest = self.text.get(self.at..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }

    pub(super) fn literal(&mut self, literal: &[u8]) -> Option<()> {
        let is_there = self.text.get(self.at..)?.starts_with(literal);
        self.at += literal.len();
        is_there.then_some(())
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        // Programs write none.
        if self.peek() <= Some(b' ') {
            self.skip_some_space();
        }
    }

    fn skip_some_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    #[inline]
    pub(super) fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }
}

/// The arrays and objects that are not closed yet: a bit for each, so that few need memory of their own.
struct OpenContainers {
    depth: usize,
    /// Of the innermost whether each is an object, the last in the lowest bit.
    are_objects: u64,
    /// The bits of those around them.
    outer: Vec<u64>,
}

impl OpenContainers {
    const BITS: usize = 64;

    const fn new() -> Self {
        Self {
            depth: 0,
            are_objects: 0,
            outer: Vec::new(),
        }
    }

    #[inline]
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(Self::BITS) {
            self.outer.push(self.are_objects);
        }
        self.are_objects = self.are_objects << 1 | u64::from(is_object);
        self.depth += 1;
    }

    #[inline]
    fn pop(&mut self) {
        self.depth -= 1;
        self.are_objects >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(Self::BITS) {
            self.are_objects = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether the innermost is an object; none where there is none.
    #[inline]
    const fn last(&self) -> Option<bool> {
        match self.depth {
            0 => None,
            _ => Some(self.are_objects & 1 == 1),
        }
    }
}

/// How many bytes from the start are plain text of a string: no quote, no backslash, no control character.
#[inline]
fn plain_bytes(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Some((word, after)) = rest.split_first_chunk() {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            let plain = usize::try_from(special.trailing_zeros() / 8).unwrap_or_default();
            return bytes.len() - rest.len() + plain;
        }
        rest = after;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    let plain = rest.iter().position(is_special).unwrap_or(rest.len());
    bytes.len() - rest.len() + plain
}

/// The highest bit of each of eight bytes that is special. Above the lowest of them that of one that is not may be set
/// too: what is smaller than a number borrows when that is taken from it, from the byte above it at times.
#[inline]
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const fn below(word: u64, number: u64) -> u64 {
        word.wrapping_sub(ONES * number) & !word
    }
    let quotes = below(word ^ (ONES * 0x22), 1);
    let backslashes = below(word ^ (ONES * 0x5c), 1);
    (quotes | backslashes | below(word, 0x20)) & (ONES * 0x80)
}

#[cfg(test)]
mod tests;
