use super::Framing;
use super::host::is_host;
use crate::contract::MalformedRequest;

/// As many as Pingora parses.
pub(super) const MAX_FIELDS: u16 = 256;

/// What the fields of a head say of how its message is framed.
#[derive(Debug, Default)]
pub(super) struct FieldSummary {
    count: u16,
    has_host: bool,
    length: Option<u64>,
    codings: Option<TransferCodings>,
    /// Whether `Connection` has `close`, in any of its lines.
    pub(super) wants_close: bool,
}

/// What `Transfer-Encoding` lists, in all its lines.
#[derive(Debug, Default)]
struct TransferCodings {
    has_chunked: bool,
    has_other: bool,
}

impl FieldSummary {
    /// Judges the line of a field, without its end.
    pub(super) fn add(&mut self, line: &[u8]) -> Result<(), MalformedRequest> {
        self.count += 1;
        if self.count > MAX_FIELDS {
            return Err(MalformedRequest::TooManyFields);
        }
        let (name, value) = split_field(line).ok_or(MalformedRequest::Field)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if self.has_host || !is_host(value) {
                    return Err(MalformedRequest::Host);
                }
                self.has_host = true;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.wants_close |= elements(value).any(|element| element.eq_ignore_ascii_case(b"close"));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(MalformedRequest::ContentLength);
                }
                self.length = Some(parse_length(value).ok_or(MalformedRequest::ContentLength)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.codings.get_or_insert_default().add(value)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// How the body ends, where the fields leave no doubt.
    pub(super) fn framing(&self, minor_version: u8) -> Result<Framing, MalformedRequest> {
        if minor_version > 0 && !self.has_host {
            return Err(MalformedRequest::Host);
        }
        match (&self.codings, self.length) {
            (None, length) => Ok(Framing::Length(length.unwrap_or_default())),
            (Some(_), Some(_)) => Err(MalformedRequest::TwoFramings),
            // HTTP/1.0 does not know it, and whoever stands before us may go by that.
            (Some(_), None) if minor_version == 0 => Err(MalformedRequest::TransferEncoding),
            (Some(codings), None) => codings.framing(),
        }
    }
}

impl TransferCodings {
    fn add(&mut self, value: &[u8]) -> Result<(), MalformedRequest> {
        for coding in elements(value) {
            // After `chunked` nothing may come, another `chunked` least of all.
            let is_token = !coding.is_empty() && coding.iter().all(|byte| is_token_byte(*byte));
            if !is_token || self.has_chunked {
                return Err(MalformedRequest::TransferEncoding);
            }
            match coding.eq_ignore_ascii_case(b"chunked") {
                true => self.has_chunked = true,
                false => self.has_other = true,
            }
        }
        Ok(())
    }

    const fn framing(&self) -> Result<Framing, MalformedRequest> {
        match (self.has_chunked, self.has_other) {
            (false, _) => Err(MalformedRequest::TransferEncoding),
            (true, true) => Err(MalformedRequest::TransferCoding),
            (true, false) => Ok(Framing::Chunks),
        }
    }
}

/// Name and value of a field, without the blanks around the value; none where it is no field.
pub(super) fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let name_end = line.iter().position(|byte| !is_token_byte(*byte))?;
    let (name, rest) = line.split_at_checked(name_end)?;
    let [b':', value @ ..] = rest else {
        return None;
    };
    let value = trim_blanks(value);
    (!name.is_empty() && is_text(value)).then_some((name, value))
}

/// Whether all bytes may stand in a value. Eight at a time are enough to see that nothing is odd, which they
/// are all but always; only a tab needs a closer look and is none the worse.
fn is_text(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks();
    let is_plain = words.iter().all(|word| is_plain(u64::from_ne_bytes(*word)));
    let value = if is_plain { rest } else { value };
    value.iter().all(|byte| is_field_byte(*byte))
}

/// Whether none of eight bytes is below a blank, or DEL.
const fn is_plain(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH_BITS: u64 = ONES * 0x80;
    let without_del = word ^ (ONES * 0x7f);
    let below_blank = word.wrapping_sub(ONES * 0x20) & !word;
    let del = without_del.wrapping_sub(ONES) & !without_del;
    (below_blank | del) & HIGH_BITS == 0
}

/// The elements of a list, empty ones too.
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim_blanks)
}

fn trim_blanks(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits alone, and not so many that anybody's number overflows.
fn parse_length(value: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok()?;
    is_number.then(|| text.parse().ok())?
}

/// A byte of a token (RFC 9110 §5.6.2).
pub(super) const fn is_token_byte(byte: u8) -> bool {
    const IS_TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte: u8 = 0;
        while byte < 128 {
            let is_mark = matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
            #[allow(clippy::indexing_slicing, clippy::as_conversions)]
            {
                table[byte as usize] = byte.is_ascii_alphanumeric() || is_mark;
            }
            byte += 1;
        }
        table
    };
    #[allow(clippy::indexing_slicing, clippy::as_conversions)]
    IS_TOKEN[byte as usize]
}

/// A byte of a field's value: text, or what was text once (RFC 9110 §5.5).
pub(super) const fn is_field_byte(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_no_text_is_found_wherever_it_stands() {
        for length in 1..24 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    let mut value = vec![b'a'; length];
                    value[at] = byte;
                    assert_eq!(is_text(&value), is_field_byte(byte), "{byte} at {at} of {length}");
                }
            }
        }
    }
}
