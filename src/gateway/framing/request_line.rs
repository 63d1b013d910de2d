use std::ops::Range;

use memchr::memchr;

use super::fields::is_token_byte;
use super::host::is_host;
use crate::contract::MalformedRequest;

/// What the first line of a request says, as far as anybody before the session asks. Positions are counted
/// from the first byte of the head.
#[derive(Debug)]
pub(super) struct RequestLine {
    pub(super) is_head: bool,
    pub(super) minor_version: u8,
    /// Where the minor version stands, if it is later than the one that Pingora knows.
    pub(super) minor_at: Option<usize>,
    pub(super) cut: Option<TargetCut>,
}

/// What makes of an absolute target one that begins with its path.
#[derive(Clone, Debug)]
pub(super) struct TargetCut {
    /// What goes.
    pub(super) range: Range<usize>,
    /// What the target begins with then, where it has no path.
    pub(super) first: Option<u8>,
}

impl RequestLine {
    /// Judges a line without its end; `start` is where it stands.
    pub(super) fn parse(line: &[u8], start: usize) -> Result<Self, MalformedRequest> {
        let (method, rest) = split_at_blank(line)?;
        let (target, version) = split_at_blank(rest)?;
        if method.is_empty() || !method.iter().all(|byte| is_token_byte(*byte)) || target.is_empty() {
            return Err(MalformedRequest::RequestLine);
        }
        let minor_version = minor_version(version)?;
        if method == b"CONNECT" {
            return Err(MalformedRequest::Connect);
        }
        let cut = judge_target(method, target)?.map(|cut| cut.moved(start + method.len() + 1));
        Ok(Self {
            is_head: method == b"HEAD",
            minor_version,
            minor_at: (minor_version > 1).then(|| start + line.len() - 1),
            cut,
        })
    }
}

impl TargetCut {
    fn moved(self, by: usize) -> Self {
        Self {
            range: self.range.start + by..self.range.end + by,
            ..self
        }
    }
}

fn split_at_blank(line: &[u8]) -> Result<(&[u8], &[u8]), MalformedRequest> {
    let parts = memchr(b' ', line).and_then(|at| line.split_at_checked(at));
    let (before, after) = parts.ok_or(MalformedRequest::RequestLine)?;
    Ok((before, after.get(1..).unwrap_or_default()))
}

/// The minor version of HTTP/1. All of them have the same syntax (RFC 9110 §2.5).
const fn minor_version(version: &[u8]) -> Result<u8, MalformedRequest> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor] if minor.is_ascii_digit() => Ok(*minor - b'0'),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(MalformedRequest::Version)
        }
        _ => Err(MalformedRequest::RequestLine),
    }
}

/// Judges a target, and says what goes of it if it is absolute.
pub(super) fn judge_target(method: &[u8], target: &[u8]) -> Result<Option<TargetCut>, MalformedRequest> {
    // A fragment is no part of a target. Clients that do not escape what they should are told of it by the
    // contract, where it is text.
    let is_text = target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
    if !is_text {
        return Err(MalformedRequest::Target);
    }
    match target {
        [b'/', ..] => return Ok(None),
        b"*" if method == b"OPTIONS" => return Ok(None),
        _ => {}
    }
    let scheme = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| {
            target
                .get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .ok_or(MalformedRequest::Target)?;
    let rest = target.get(scheme.len()..).unwrap_or_default();
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    let authority = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
    if !is_host(authority) {
        return Err(MalformedRequest::Target);
    }
    let end = scheme.len() + authority.len();
    let first = match target.get(end) {
        Some(b'/') => None,
        None if method == b"OPTIONS" => Some(b'*'),
        _ => Some(b'/'),
    };
    // A host has a byte at least, in whose place the first one can stand.
    let end = end - usize::from(first.is_some());
    Ok(Some(TargetCut { range: 0..end, first }))
}
