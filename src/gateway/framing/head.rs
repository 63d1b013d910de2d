//! The head of a request: line by line, as they come.

use std::mem;

use bytes::BytesMut;
use memchr::memchr;

use super::fields::FieldSummary;
use super::request_line::{RequestLine, TargetCut};
use super::{Framing, Refusal};
use crate::contract::MalformedRequest;

/// The largest head of a request: request line and fields, as they come. Pingora would take 1 MiB before it
/// asks anybody.
pub(in crate::gateway) const MAX_HEAD_BYTES: usize = 32 * 1024;

/// How far a head was judged. Positions are counted from its first byte.
#[derive(Debug, Default)]
pub(super) struct HeadScanner {
    /// Up to here no line end is missed.
    scanned: usize,
    line_start: usize,
    has_empty_line: bool,
    request_line: Option<RequestLine>,
    fields: FieldSummary,
}

/// A head that is whole and in order.
#[derive(Debug)]
pub(super) struct WholeHead {
    pub(super) length: usize,
    pub(super) framing: Framing,
    cut: Option<TargetCut>,
    minor_at: Option<usize>,
}

impl HeadScanner {
    /// Judges what is there of a head, all of it from the first byte on. Gives it back once it is whole.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<WholeHead>, Refusal> {
        if self.request_line.is_none() && !self.begins_well(bytes) {
            return Err(MalformedRequest::RequestLine.into());
        }
        loop {
            let unseen = bytes.get(self.scanned..).unwrap_or_default();
            let Some(offset) = memchr(b'\n', unseen) else {
                self.scanned = bytes.len();
                return if bytes.len() < MAX_HEAD_BYTES {
                    Ok(None)
                } else {
                    Err(self.too_large())
                };
            };
            let line_end = self.scanned + offset;
            self.scanned = line_end + 1;
            if self.scanned > MAX_HEAD_BYTES {
                return Err(self.too_large());
            }
            let start = mem::replace(&mut self.line_start, self.scanned);
            let line = bytes.get(start..line_end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").ok_or(MalformedRequest::LineEnd)?;
            match (&self.request_line, line) {
                // Some clients end a body with an empty line that does not belong to it.
                (None, []) if !self.has_empty_line => {
                    self.has_empty_line = true;
                    if !self.begins_well(bytes) {
                        return Err(MalformedRequest::RequestLine.into());
                    }
                }
                (None, line) => self.request_line = Some(RequestLine::parse(line, start)?),
                (Some(request_line), []) => {
                    return Ok(Some(WholeHead {
                        length: self.scanned,
                        framing: self.fields.framing(request_line.minor_version)?,
                        cut: request_line.cut.clone(),
                        minor_at: request_line.minor_at,
                    }));
                }
                (Some(_), line) => self.fields.add(line)?,
            }
        }
    }

    /// Whether something of a request has come, which an empty line is not.
    pub(super) const fn has_begun(&self) -> bool {
        self.scanned > self.line_start || self.request_line.is_some()
    }

    pub(super) const fn is_head_request(&self) -> bool {
        matches!(&self.request_line, Some(line) if line.is_head)
    }

    pub(super) const fn wants_close(&self) -> bool {
        self.fields.wants_close
    }

    /// Whether the first byte can begin a request: what is no text, a handshake of TLS for one, may have no
    /// line end at all.
    fn begins_well(&self, bytes: &[u8]) -> bool {
        bytes
            .get(self.line_start)
            .is_none_or(|first| matches!(first, b'\r' | b'\n') || super::fields::is_token_byte(*first))
    }

    const fn too_large(&self) -> Refusal {
        match self.request_line {
            None => Refusal::Malformed(MalformedRequest::TargetTooLong),
            Some(_) => Refusal::TooLarge,
        }
    }
}

impl WholeHead {
    /// Makes of a later minor version of HTTP/1 the one that Pingora knows, which has the same meaning, and of an
    /// absolute target one that begins with its path. Its authority is its own host, whatever `Host` says, and
    /// nothing here depends on either.
    pub(super) fn rewrite(&self, head: &mut BytesMut) {
        if let Some(minor) = self.minor_at.and_then(|at| head.get_mut(at)) {
            *minor = b'1';
        }
        let Some(cut) = &self.cut else {
            return;
        };
        if let (Some(byte), Some(place)) = (cut.first, head.get_mut(cut.range.end)) {
            *place = byte;
        }
        let rest = head.split_off(cut.range.end);
        head.truncate(cut.range.start);
        head.extend_from_slice(&rest);
    }

    /// How many bytes shorter it is then.
    pub(super) fn bytes_cut(&self) -> usize {
        self.cut.as_ref().map_or(0, |cut| cut.range.len())
    }
}
