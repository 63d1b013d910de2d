//! Receiving a request: a header with one meaning, and a whole body within its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT, HeaderName, TRANSFER_ENCODING, UPGRADE};
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

use crate::contract::ApiError;

/// Refuses a header that can be understood in more than one way. How large it is was judged while it was read.
pub(super) fn check_framing(session: &ServerSession) -> Result<(), ApiError> {
    let head = session.req_header();
    if head.headers.contains_key(UPGRADE) {
        return Err(ApiError::BadRequest(
            "this API has no other protocol to upgrade to".into(),
        ));
    }
    // Pingora has dropped the length by now where both came; only the raw header still tells.
    if head.headers.contains_key(TRANSFER_ENCODING) && has_field(&session.to_h1_raw(), &CONTENT_LENGTH) {
        return Err(ApiError::BadRequest(
            "send Content-Length or Transfer-Encoding, not both".into(),
        ));
    }
    Ok(())
}

fn has_field(raw_header: &[u8], name: &HeaderName) -> bool {
    let name = name.as_str().as_bytes();
    raw_header.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let (start, rest) = line.split_at_checked(name.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(name) && rest.trim_ascii_start().starts_with(b":")
    })
}

/// The length that the client announced, if it did.
pub(super) fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the client waits for `100 Continue` before it sends its body.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// How much of a request body the gateway takes, and for how long it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    pub(super) max_bytes: usize,
    pub(super) timeout: Duration,
}

/// Reads the whole request body. A length that is announced and too large is refused before a byte is read;
/// what comes in chunks is counted. One deadline stands around the whole of it.
pub(super) async fn read_body(session: &mut ServerSession, limits: BodyLimits) -> Result<Bytes, ApiError> {
    let headers = &session.req_header().headers;
    if announced_length(headers).is_some_and(|length| length > limits.max_bytes) {
        return Err(ApiError::BodyTooLarge {
            limit: limits.max_bytes,
        });
    }
    let expects_continue = expects_continue(headers);
    if session.is_body_empty() {
        return Ok(Bytes::new());
    }
    let reading = async {
        if expects_continue {
            let permission =
                pingora::http::ResponseHeader::build(100, Some(0)).map_err(|error| broken(&error))?;
            session
                .write_response_header(Box::new(permission))
                .await
                .map_err(|error| broken(&error))?;
        }
        read_all(session, limits).await
    };
    let outcome = timeout(limits.timeout, reading)
        .await
        .unwrap_or(Err(ApiError::BodyTimeout(limits.timeout)));
    if !matches!(outcome, Ok(_) | Err(ApiError::BodyTooLarge { .. })) {
        // Nobody knows any more where the next request would begin.
        session.set_keepalive(None);
    }
    outcome
}

async fn read_all(session: &mut ServerSession, limits: BodyLimits) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::new();
    let mut only = None;
    loop {
        let chunk = match session.read_request_body().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error) if matches!(error.etype(), ErrorType::ReadTimedout) => {
                return Err(ApiError::BodyTimeout(limits.timeout));
            }
            Err(error) => return Err(broken(&error)),
        };
        let length = whole.len() + only.as_ref().map_or(0, Bytes::len) + chunk.len();
        if length > limits.max_bytes {
            return Err(ApiError::BodyTooLarge {
                limit: limits.max_bytes,
            });
        }
        // Most bodies come in one piece, which needs no copy.
        if whole.is_empty() && only.is_none() {
            only = Some(chunk);
            continue;
        }
        if let Some(first) = only.take() {
            whole.extend_from_slice(&first);
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(only.unwrap_or_else(|| whole.freeze()))
}

/// What a client gets whose body cannot be read; mostly it is gone by then.
fn broken(error: &Error) -> ApiError {
    tracing::debug!(
        kind = error.etype().as_str(),
        "the request body could not be read"
    );
    ApiError::BadRequest("the body ended before it was complete, or its chunks are malformed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_a_raw_header_whatever_its_case() {
        let raw = b"POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH : 5\r\n\r\n";
        assert!(has_field(raw, &CONTENT_LENGTH));
        assert!(!has_field(
            b"POST /content-length: HTTP/1.1\r\nHost: a\r\n\r\n",
            &CONTENT_LENGTH
        ));
    }
}
