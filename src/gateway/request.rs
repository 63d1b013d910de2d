//! Receiving a request: a header with one meaning, and a whole body within its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Version};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

use super::stream::client_stream;
use crate::contract::ApiError;

/// The one expectation that there is.
const CONTINUE: &[u8] = b"100-continue";

/// Refuses what the client expects and nobody here does. What the head means was judged while it was read.
pub(super) fn check_expectation(session: &ServerSession) -> Result<(), ApiError> {
    let head = session.req_header();
    // HTTP/1.0 does not know the field.
    if head.version < Version::HTTP_11 {
        return Ok(());
    }
    let is_met = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(CONTINUE);
    match head.headers.get_all(EXPECT).iter().all(is_met) {
        true => Ok(()),
        false => Err(ApiError::ExpectationFailed),
    }
}

/// Drops the fields that are meant for this connection alone: those that `Connection` names. How the message
/// is framed, and for which host it is, is nobody's to take out of it.
pub(super) fn drop_connection_fields(session: &mut ServerSession) {
    let head = session.req_header();
    let names_none = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    if head.headers.get_all(CONNECTION).iter().all(names_none) {
        return;
    }
    let values = head.headers.get_all(CONNECTION).iter();
    let names = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let names: Vec<_> = names
        .filter_map(|name| HeaderName::from_bytes(name.trim_matches([' ', '\t']).as_bytes()).ok())
        .filter(|name| ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, HOST, EXPECT].contains(name))
        .collect();
    for name in names {
        session.req_header_mut().remove_header(&name);
    }
}

/// The length that the client announced, if it did.
pub(super) fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the client waits for `100 Continue` before it sends its body, which none of HTTP/1.0 does.
pub(super) fn expects_continue(head: &RequestHeader) -> bool {
    head.version >= Version::HTTP_11
        && head
            .headers
            .get(EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(CONTINUE))
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
    let head = session.req_header();
    if announced_length(&head.headers).is_some_and(|length| length > limits.max_bytes) {
        return Err(ApiError::BodyTooLarge {
            limit: limits.max_bytes,
        });
    }
    let expects_continue = expects_continue(head);
    if session.is_body_empty() {
        return Ok(Bytes::new());
    }
    let reading = async {
        if expects_continue {
            let permission =
                pingora::http::ResponseHeader::build(100, Some(0)).map_err(|error| broken(&error))?;
            // It is no answer, after which the body would not be read.
            session.set_close_on_response_before_downstream_finish(false);
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
            Err(error) => return Err(refused(session).unwrap_or_else(|| broken(&error))),
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

/// Why the stream hands on no more of the body, if that is so.
fn refused(session: &ServerSession) -> Option<ApiError> {
    client_stream(session)?.refusal().map(ApiError::from)
}

/// What a client gets whose body cannot be read; mostly it is gone by then.
fn broken(error: &Error) -> ApiError {
    tracing::debug!(
        kind = error.etype().as_str(),
        "the request body could not be read"
    );
    ApiError::BadRequest("the body ended before it was complete".into())
}
