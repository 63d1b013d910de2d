use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

use super::head;
use crate::contract::ApiError;

/// How much of a request body the gateway takes, and for how long it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    pub(super) max_bytes: usize,
    pub(super) timeout: Duration,
}

/// Reads the whole request body. A length that is announced and too large is refused before a byte is read;
/// what comes in chunks is counted. One deadline stands around the whole of it.
pub(super) async fn read(session: &mut ServerSession, limits: BodyLimits) -> Result<Bytes, ApiError> {
    let headers = &session.req_header().headers;
    if head::announced_length(headers).is_some_and(|length| length > limits.max_bytes) {
        return Err(ApiError::BodyTooLarge {
            limit: limits.max_bytes,
        });
    }
    let expects_continue = head::expects_continue(headers);
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
