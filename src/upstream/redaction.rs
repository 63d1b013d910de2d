use std::borrow::Cow;

use bytes::Bytes;
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use http::{HeaderMap, HeaderName};
use memchr::memmem::Finder;

use super::reply::Reply;

/// Sees to it that nothing of the upstream's tells the operator's credential: some services quote it in their
/// errors, and what is quoted may be escaped on the way.
pub(super) struct Redaction {
    credential: Finder<'static>,
    /// The start of every escape that can stand for a character of a credential.
    escape: Finder<'static>,
    /// The credential in hexadecimal and in base 64, wherever in that it begins.
    encoded: Vec<Finder<'static>>,
}

/// What stands in its place; no JSON string breaks on it.
const MASK: &[u8] = b"[credential]";
/// What is shorter is no secret, and would be found in harmless texts.
const SHORTEST: usize = 8;
/// How often a text may have been escaped on its way here: once to be JSON at all, and twice before that.
const ROUNDS: usize = 3;

impl Redaction {
    pub(super) fn new(credential: &str) -> Self {
        Self {
            credential: Finder::new(credential).into_owned(),
            escape: Finder::new(if credential.contains(['/', '"', '\\']) {
                "\\"
            } else {
                "\\u00"
            }),
            encoded: encodings(credential.as_bytes())
                .iter()
                .map(|text| Finder::new(text).into_owned())
                .collect(),
        }
    }

    /// The reply as it may go on. In the headers and bodies of all replies the credential is looked for as it
    /// is and in the spellings of JSON; in those of errors, which are short and are written by hand, behind
    /// more of JSON's and of percent escapes too, in hexadecimal and in base 64. Where it can only be seen there, nothing of the text goes
    /// on.
    pub(super) fn clean(&self, reply: Reply) -> Reply {
        if self.credential.needle().len() < SHORTEST {
            return reply;
        }
        let is_error = !reply.status.is_success();
        let status = reply.status.as_u16();
        let cleaned = Reply {
            status: reply.status,
            headers: self.clean_headers(reply.headers, status, is_error),
            body: match self.mask(&reply.body) {
                Some(masked) => {
                    complain(status, "its body");
                    masked.into()
                }
                None => reply.body,
            },
        };
        if is_error && (self.is_encoded_in(&cleaned.body) || self.is_hidden_in(&cleaned.body)) {
            complain(status, "its body, escaped");
            return Reply {
                body: Bytes::new(),
                ..cleaned
            };
        }
        cleaned
    }

    fn clean_headers(&self, mut headers: HeaderMap, status: u16, is_error: bool) -> HeaderMap {
        let tells = |value: &[u8]| {
            self.mask(value).is_some() || self.is_hidden_in(value) || is_error && self.is_encoded_in(value)
        };
        let telling: Vec<HeaderName> = headers
            .iter()
            .filter(|(_, value)| tells(value.as_bytes()))
            .map(|(name, _)| name.clone())
            .collect();
        for name in telling {
            complain(status, name.as_str());
            headers.remove(name);
        }
        headers
    }

    /// The text with the credential masked; none where it is not in it.
    fn mask(&self, text: &[u8]) -> Option<Vec<u8>> {
        let is_worth_a_look = text.len() >= self.credential.needle().len()
            && (self.credential.find(text).is_some() || self.escape.find(text).is_some());
        let (first, _) = self
            .credential
            .needle()
            .split_first()
            .filter(|_| is_worth_a_look)?;
        let mut masked: Option<Vec<u8>> = None;
        let mut rest = text;
        // Where the text begins that has not been copied yet.
        let mut uncopied = text;
        while let Some(at) = memchr::memchr2(*first, b'\\', rest) {
            let (_, candidate) = rest.split_at(at);
            match self.length_at_start(candidate) {
                Some(length) => {
                    let before = uncopied.len() - candidate.len();
                    let masked = masked.get_or_insert_with(|| Vec::with_capacity(text.len()));
                    masked.extend_from_slice(uncopied.get(..before).unwrap_or_default());
                    masked.extend_from_slice(MASK);
                    rest = candidate.get(length..).unwrap_or_default();
                    uncopied = rest;
                }
                // A backslash takes the next character with it, so that an escaped one begins nothing.
                None if candidate.starts_with(b"\\\\") => rest = candidate.get(2..).unwrap_or_default(),
                None => rest = candidate.get(1..).unwrap_or_default(),
            }
        }
        if let Some(masked) = &mut masked {
            masked.extend_from_slice(uncopied);
        }
        masked
    }

    /// How many bytes of the text, from its start, spell the credential in JSON or as it is.
    fn length_at_start(&self, text: &[u8]) -> Option<usize> {
        // As it is it may look like an escape itself.
        if text.starts_with(self.credential.needle()) {
            return Some(self.credential.needle().len());
        }
        let mut rest = text;
        for expected in self.credential.needle() {
            let (byte, length) = unescape_one(rest)?;
            if byte != *expected {
                return None;
            }
            rest = rest.get(length..)?;
        }
        Some(text.len() - rest.len())
    }

    fn is_encoded_in(&self, text: &[u8]) -> bool {
        self.encoded.iter().any(|encoded| encoded.find(text).is_some())
    }

    /// Whether the credential comes to light when the text is freed of its escapes, round by round.
    fn is_hidden_in(&self, text: &[u8]) -> bool {
        let is_bare = |text: &[u8]| self.credential.find(text).is_some() || self.is_encoded_in(text);
        let mut text = Cow::Borrowed(text);
        for _ in 0..ROUNDS {
            if !text.contains(&b'\\') && !text.contains(&b'%') {
                return false;
            }
            let unescaped = unescape(&text);
            if is_bare(&unescaped) {
                return true;
            }
            let decoded: Vec<u8> = percent_encoding::percent_decode(&unescaped).collect();
            if is_bare(&decoded) {
                return true;
            }
            text = Cow::Owned(decoded);
        }
        false
    }
}

/// What a text is in hexadecimal, and in both alphabets of base 64 after no byte, one or two: the characters that
/// nothing before or after it has a part in.
fn encodings(text: &[u8]) -> Vec<String> {
    let mut encodings = vec![HEXLOWER.encode(text), HEXUPPER.encode(text)];
    for (before, first) in [(0, 0), (1, 2), (2, 3)] {
        let bytes = [vec![0; before], text.to_vec()].concat();
        let end = bytes.len() * 8 / 6;
        for alphabet in [&BASE64_NOPAD, &BASE64URL_NOPAD] {
            let encoded = alphabet.encode(&bytes);
            encodings.extend(encoded.get(first..end).map(str::to_owned));
        }
    }
    encodings
}

/// The first byte of a text in a JSON string, and how many bytes spell it. Of a character that is not ASCII
/// the escape is passed over: no credential has one.
fn unescape_one(text: &[u8]) -> Option<(u8, usize)> {
    match text {
        [b'\\', b'u', digits @ ..] => {
            let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
            let code = u32::from_str_radix(digits, 16).ok()?;
            Some((u8::try_from(code).ok()?, 6))
        }
        [b'\\', b'n', ..] => Some((b'\n', 2)),
        [b'\\', b'r', ..] => Some((b'\r', 2)),
        [b'\\', b't', ..] => Some((b'\t', 2)),
        [b'\\', byte, ..] => Some((*byte, 2)),
        [byte, ..] => Some((*byte, 1)),
        [] => None,
    }
}

/// A text with its JSON escapes resolved, wherever they stand. What is no escape stays as it is.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut unescaped = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, following @ ..] = rest {
        let (byte, length) = unescape_one(rest).unwrap_or((*first, 1));
        unescaped.push(byte);
        rest = rest.get(length..).unwrap_or(following);
    }
    unescaped
}

/// The operator should know: whoever asks the upstream by another way may read it.
fn complain(status: u16, place: &str) {
    tracing::error!(
        status,
        place,
        "the upstream's answer told the operator's credential; nobody was shown it, but think of rotating it"
    );
}

#[cfg(test)]
mod tests;
