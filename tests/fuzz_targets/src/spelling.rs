//! Texts that random bytes spell: JSON, mostly, with the names and values that envgate looks for.

use std::borrow::Cow;

/// Names of members as they are written: some stand for the same text.
const NAMES: [&str; 24] = [
    "id",
    "type",
    "name",
    "data",
    "config",
    "metadata",
    "m\\u0065tadata",
    "scope",
    "packages",
    "networking",
    "next_page",
    "envgate:tenant",
    "\\u0065nvgate:tenant",
    "envgate\\u003atenant",
    "apt",
    "pip",
    "npm",
    "a",
    "",
    "\\\"",
    "\\\\",
    "é",
    "\\ud83d\\ude00",
    "\\u0000",
];
const STRINGS: [&str; 12] = [
    "env_1",
    "cloud",
    "self_hosted",
    "packages",
    "ten_1",
    "",
    "a",
    "} ] , { \\\" :",
    "\\u00e9",
    "\\/",
    "é",
    "\\\\",
];
const LEAVES: [&str; 14] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1.5",
    "1e3",
    "1E-7",
    "123456789012345678901234567890",
    "1e400",
    "0.1",
    "[]",
    "{}",
];
const SPACES: [&str; 6] = ["", "", "", " ", "\n", "\t\r "];
/// What makes a good text bad.
const NOISE: [&str; 20] = [
    "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "\\ud800", "\u{0}", "\n", "nul", "-", "1e", ".", "é",
    "\u{feff}", "//", "'",
];
const MAX_DEPTH: usize = 5;

/// The bytes as a text: as they are where they begin below 0x80, else spelt.
pub fn text(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes.split_first() {
        Some((first, rest)) if *first >= 0x80 => {
            Cow::Owned(Speller::new(rest).json(first & 1 == 1).into_bytes())
        }
        _ => Cow::Borrowed(bytes),
    }
}

/// Takes one byte after the other for a choice; past the last all are 0.
pub struct Speller<'b>(std::slice::Iter<'b, u8>);

impl<'b> Speller<'b> {
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes.iter())
    }

    /// Whether no bytes are left to choose by.
    pub fn is_spent(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::from(self.byte()) % length
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    /// A JSON text: an object, or any value; `is_good` as it should be, else with something put in or cut off.
    fn json(&mut self, is_good: bool) -> String {
        let mut text = String::new();
        match self.index(8) {
            0 => self.value(0, &mut text),
            1 => self.nested(&mut text),
            _ => self.object(0, &mut text),
        }
        if !is_good {
            let at = self.index(text.len() + 1);
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            match self.index(4) {
                0 => text.truncate(at),
                _ => text.insert_str(at, self.one_of(&NOISE)),
            }
        }
        text
    }

    /// Arrays and objects that stand deep in each other.
    fn nested(&mut self, text: &mut String) {
        let levels = self.index(140);
        let (open, close) = self.one_of(&[("[", "]"), ("{\"a\":", "}"), ("[[],", "]")]);
        text.push_str(&open.repeat(levels));
        self.value(MAX_DEPTH, text);
        text.push_str(&close.repeat(levels));
    }

    fn value(&mut self, depth: usize, text: &mut String) {
        self.space(text);
        match self.index(6) {
            0 | 1 if depth < MAX_DEPTH => self.object(depth, text),
            2 if depth < MAX_DEPTH => self.array(depth, text),
            3 | 4 => self.quoted(&STRINGS, text),
            _ => text.push_str(self.one_of(&LEAVES)),
        }
        self.space(text);
    }

    fn object(&mut self, depth: usize, text: &mut String) {
        text.push('{');
        for number in 0..self.index(7) {
            if number > 0 {
                text.push(',');
            }
            self.space(text);
            self.quoted(&NAMES, text);
            self.space(text);
            text.push(':');
            self.value(depth + 1, text);
        }
        self.space(text);
        text.push('}');
    }

    fn array(&mut self, depth: usize, text: &mut String) {
        text.push('[');
        for number in 0..self.index(4) {
            if number > 0 {
                text.push(',');
            }
            self.value(depth + 1, text);
        }
        text.push(']');
    }

    fn quoted(&mut self, choices: &[&str], text: &mut String) {
        text.push('"');
        text.push_str(self.one_of(choices));
        text.push('"');
    }

    fn space(&mut self, text: &mut String) {
        text.push_str(self.one_of(&SPACES));
    }
}
