//! Receiving a request: a header with one meaning, and a whole body within its limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use pingora::protocols::http::ServerSession;
use pingora::{Error, ErrorType};
use tokio::time::timeout;

use crate::contract::ApiError;

/// The largest request header: request line, names and values together. Pingora's own limit is 1 MiB.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// Refuses a header that can be understood in more than one way, or is too large to be looked at.
pub(super) fn check_framing(session: &ServerSession) -> Result<(), ApiError> {
    let head = session.req_header();
    let request_line = head.method.as_str().len() + head.raw_path().len();
    let fields: usize = head
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if request_line + fields > MAX_HEADER_BYTES {
        return Err(ApiError::HeaderTooLarge {
            limit: MAX_HEADER_BYTES,
        });
    }
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

/// Whether the body can be JSON in UTF-8, as far as the header tells. Clients label JSON in several ways,
/// `curl -d` as a form, so the label is only refused where it is sure to be something else.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(ApiError::UnsupportedMediaType(
            "send the body without Content-Encoding",
        ));
    }
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(()),
        (Some(_), Some(_)) => Err(ApiError::UnsupportedMediaType("Content-Type came twice")),
        (Some(value), None) if value.as_bytes() == b"application/json" => Ok(()),
        (Some(value), None) => match value.to_str() {
            Ok(value) => check_media_type(value),
            Err(_) => Err(NOT_JSON),
        },
    }
}

const NOT_JSON: ApiError =
    ApiError::UnsupportedMediaType("the body must be JSON: send Content-Type: application/json");

fn check_media_type(value: &str) -> Result<(), ApiError> {
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let is_json = matches!(
        essence.as_str(),
        "application/json" | "text/plain" | "application/x-www-form-urlencoded"
    ) || essence
        .split_once('/')
        .is_some_and(|(kind, subtype)| !kind.is_empty() && subtype.ends_with("+json"));
    if !is_json {
        return Err(NOT_JSON);
    }
    let is_other_charset = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("charset")
            && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    };
    if parts.any(is_other_charset) {
        return Err(ApiError::UnsupportedMediaType("the body must be in UTF-8"));
    }
    Ok(())
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

    fn checked(content_type: &str) -> Result<(), ApiError> {
        check_content_type(&HeaderMap::from_iter([(
            CONTENT_TYPE,
            content_type.parse().unwrap(),
        )]))
    }

    #[test]
    fn labels_under_which_clients_send_json_are_taken() {
        for label in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/merge-patch+json",
            "text/plain",
            "application/x-www-form-urlencoded",
        ] {
            assert!(checked(label).is_ok(), "{label}");
        }
        assert!(check_content_type(&HeaderMap::new()).is_ok(), "no label at all");
    }

    #[test]
    fn labels_of_something_else_are_refused() {
        for label in [
            "multipart/form-data; boundary=x",
            "application/xml",
            "json",
            "+json",
            "application/json; charset=latin1",
        ] {
            assert!(
                matches!(checked(label), Err(ApiError::UnsupportedMediaType(_))),
                "{label}"
            );
        }
        let encoded = HeaderMap::from_iter([(CONTENT_ENCODING, "gzip".parse().unwrap())]);
        assert!(check_content_type(&encoded).is_err());
    }

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
