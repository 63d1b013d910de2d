//! Fields of a line in the looks that the log has: `name="text"` in text, `"name":"text"` in JSON.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::escape::escape;
use crate::text::Ratio;

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
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Adds the last `count` digits of a number, zeros before it.
    pub(super) fn push_digits(&mut self, number: u64, count: usize) {
        const MOST: usize = 20;
        let mut digits = [b'0'; MOST];
        let mut rest = number;
        for digit in digits.iter_mut().rev().take(count) {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        self.push(digits.get(MOST - count.min(MOST)..).unwrap_or_default());
    }

    /// Any text, its harmful characters escaped.
    pub(super) fn add_text(&mut self, name: &str, text: &str) {
        if text
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
        {
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
    pub(super) fn add_plain_text(&mut self, name: &str, text: &[u8]) {
        self.add_name(name);
        self.push(b"\"");
        self.push(text);
        self.push(b"\"");
    }

    pub(super) fn add_address(&mut self, name: &str, address: IpAddr) {
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

    pub(super) fn add_number(&mut self, name: &str, number: u64) {
        self.add_name(name);
        self.push_number(number);
    }

    /// Milliseconds with one to three digits after the point.
    pub(super) fn add_milliseconds(&mut self, name: &str, duration: Duration) {
        self.add_name(name);
        let microseconds = (duration.as_nanos() + 500) / 1000;
        let microseconds = u64::try_from(microseconds).unwrap_or(u64::MAX);
        self.push_number(microseconds / 1000);
        self.push(b".");
        let (mut fraction, mut count) = (microseconds % 1000, 3);
        while count > 1 && fraction % 10 == 0 {
            (fraction, count) = (fraction / 10, count - 1);
        }
        self.push_digits(fraction, count);
    }

    pub(super) fn add_ratio(&mut self, name: &str, ratio: Ratio) {
        self.add_name(name);
        // A Vec takes all.
        let _ = write!(self.bytes, "{ratio}");
    }

    fn add_name(&mut self, name: &str) {
        if self.is_json {
            self.push(b",\"");
            self.push(name.as_bytes());
            self.push(b"\":");
        } else {
            self.push(b" ");
            self.push(name.as_bytes());
            self.push(b"=");
        }
    }

    fn push_number(&mut self, number: u64) {
        let count = number.checked_ilog10().unwrap_or_default() + 1;
        self.push_digits(number, usize::try_from(count).unwrap_or_default());
    }
}
