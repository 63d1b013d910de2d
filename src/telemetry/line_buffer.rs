//! Fields of a line in the looks that the log has: `name="text"` in text, `"name":"text"` in JSON.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::escape::escape;
use crate::text::Ratio;

/// The name of a field, with all that stands between the value before it and its own.
pub(super) struct FieldName {
    pub(super) text: &'static str,
    pub(super) json: &'static str,
}

/// The [`FieldName`] that a literal is.
macro_rules! field {
    ($name:literal) => {
        $crate::telemetry::line_buffer::FieldName {
            text: concat!(" ", $name, "="),
            json: concat!(",\"", $name, "\":"),
        }
    };
}
pub(super) use field;

/// A line that is being written.
pub(super) struct LineBuffer<'b> {
    bytes: &'b mut Vec<u8>,
    is_json: bool,
}

impl<'b> LineBuffer<'b> {
    pub(super) const fn new(bytes: &'b mut Vec<u8>, is_json: bool) -> Self {
        Self { bytes, is_json }
    }

    /// Adds bytes as they are.
    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds microseconds of a second, all six digits.
    pub(super) fn push_microseconds(&mut self, microseconds: u32) {
        self.push(&three_digits(microseconds / 1000));
        self.push(&three_digits(microseconds % 1000));
    }

    /// Any text, its harmful characters escaped.
    pub(super) fn add_text(&mut self, name: FieldName, text: &str) {
        // Each is looked at, whatever came before it: so several are looked at together.
        let is_plain = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\');
        if text.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            return self.add_plain_text(name, text.as_bytes());
        }
        self.add_name(name);
        // A Vec takes all.
        let _ = if self.is_json {
            serde_json::to_writer(&mut *self.bytes, text).map_err(std::io::Error::from)
        } else {
            let quoted = format!("{text:?}");
            let escaped = escape(quoted.as_bytes());
            self.bytes
                .write_all(escaped.as_deref().unwrap_or(&quoted).as_bytes())
        };
    }

    /// A text without anything that would have to be escaped.
    pub(super) fn add_plain_text(&mut self, name: FieldName, text: &[u8]) {
        self.add_name(name);
        self.push(b"\"");
        self.push(text);
        self.push(b"\"");
    }

    pub(super) fn add_address(&mut self, name: FieldName, address: IpAddr) {
        self.add_name(name);
        if self.is_json {
            self.push(b"\"");
        }
        match address {
            IpAddr::V4(address) => {
                let [first, rest @ ..] = address.octets();
                self.push_number(u64::from(first));
                for octet in rest {
                    self.push(b".");
                    self.push_number(u64::from(octet));
                }
            }
            // A Vec takes all.
            IpAddr::V6(address) => drop(write!(self.bytes, "{address}")),
        }
        if self.is_json {
            self.push(b"\"");
        }
    }

    pub(super) fn add_number(&mut self, name: FieldName, number: u64) {
        self.add_name(name);
        self.push_number(number);
    }

    /// Milliseconds with one to three digits after the point.
    pub(super) fn add_milliseconds(&mut self, name: FieldName, duration: Duration) {
        self.add_name(name);
        let nanoseconds = duration.subsec_nanos() + 500;
        let whole = duration.as_secs().saturating_mul(1000);
        self.push_number(whole.saturating_add(u64::from(nanoseconds / 1_000_000)));
        match three_digits(nanoseconds / 1000 % 1000) {
            [first, b'0', b'0'] => self.push(&[b'.', first]),
            [first, second, b'0'] => self.push(&[b'.', first, second]),
            [first, second, third] => self.push(&[b'.', first, second, third]),
        }
    }

    pub(super) fn add_ratio(&mut self, name: FieldName, ratio: Ratio) {
        self.add_name(name);
        // A Vec takes all.
        let _ = write!(self.bytes, "{ratio}");
    }

    #[inline]
    fn add_name(&mut self, name: FieldName) {
        self.push(if self.is_json { name.json } else { name.text }.as_bytes());
    }

    fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// The digits of a number below 1000, zeros before it.
#[inline]
fn three_digits(number: u32) -> [u8; 3] {
    [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + u8::try_from(digit).unwrap_or_default())
}
