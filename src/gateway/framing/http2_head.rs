use http::Method;
use http::header::HOST;
use pingora::http::RequestHeader;

use super::Refusal;
use super::fields::MAX_FIELDS;
use super::head::MAX_HEAD_BYTES;
use super::host::is_host;
use super::request_line::judge_target;
use crate::contract::MalformedRequest;

/// Judges what of a head of HTTP/2 the library leaves to others, by the rules of HTTP/1.
pub(in crate::gateway) fn judge_http2_head(head: &RequestHeader) -> Result<(), Refusal> {
    if head.method == Method::CONNECT {
        return Err(MalformedRequest::Connect.into());
    }
    // As long as it would be in HTTP/1.1, with a colon, a blank and the end of a line.
    let target = head.raw_path();
    let fields = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4);
    if target.len() + fields.sum::<usize>() > MAX_HEAD_BYTES {
        return Err(Refusal::TooLarge);
    }
    if head.headers.len() > usize::from(MAX_FIELDS) {
        return Err(MalformedRequest::TooManyFields.into());
    }
    if !matches!(head.uri.scheme_str(), Some("http" | "https")) && target != b"*" {
        return Err(MalformedRequest::Target.into());
    }
    judge_target(head.method.as_str().as_bytes(), target)?;
    let authority = head
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    let host = authority.or_else(|| head.headers.get(HOST).map(|host| host.as_bytes()));
    match host.is_some_and(is_host) {
        true => Ok(()),
        false => Err(MalformedRequest::Host.into()),
    }
}
