use std::fmt;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::translate::{Translation, UpstreamHeader};
use crate::contract::Operation;
use crate::telemetry::SpanId;

/// A request as it goes up: its head as it is sent, and its body.
pub struct UpstreamRequest {
    head: Vec<u8>,
    /// What of the body is not in `head`.
    body: Bytes,
    /// Where in `head` the span stands that the upstream is to see as its caller.
    span_at: Option<usize>,
}

/// Path and query are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path and query of a request are none")]
pub struct InvalidTarget;

/// Up to here a body is sent with the head out of one piece of memory; a larger one is never copied.
const COPIED_BYTES: usize = 4 * 1024;

impl UpstreamRequest {
    /// What has a body says with the operation that it is JSON.
    pub(super) fn new(
        operation: Operation,
        prefix: &str,
        path_and_query: &str,
        translation: &Translation,
        header: &UpstreamHeader,
        body: Bytes,
    ) -> Result<Self, InvalidTarget> {
        let is_legal = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !path_and_query.starts_with('/') || !path_and_query.bytes().all(is_legal) {
            return Err(InvalidTarget);
        }
        let (method, length) = (operation.method(), body.len().to_string());
        let copied = if body.len() <= COPIED_BYTES { body.len() } else { 0 };
        let room = prefix.len() + path_and_query.len() + header.lines().len() + copied + ROOM;
        let mut head = Vec::with_capacity(room);
        for part in [method.as_str(), " ", prefix, path_and_query, " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        translation.add_lines(&mut head);
        let span_at = header.span_at().map(|at| head.len() + at);
        head.extend_from_slice(header.lines());
        if operation.takes_body() {
            head.extend_from_slice(b"content-type: application/json\r\n");
        }
        // Some that stand between wait for a body, or answer 411, where a POST does not say that it has none.
        if !body.is_empty() || method == http::Method::POST {
            for part in ["content-length: ", &length, "\r\n"] {
                head.extend_from_slice(part.as_bytes());
            }
        }
        head.extend_from_slice(b"\r\n");
        let rest = match copied {
            0 => body,
            _ => {
                head.extend_from_slice(&body);
                Bytes::new()
            }
        };
        Ok(Self {
            head,
            body: rest,
            span_at,
        })
    }

    /// Says by which span it is sent, where it says so at all.
    pub fn set_span(&mut self, span_id: SpanId) {
        let place = self.span_at.and_then(|at| self.head.get_mut(at..));
        if let Some(place) = place.and_then(<[u8]>::first_chunk_mut) {
            *place = *span_id.to_hex().as_bytes();
        }
    }

    /// One with this head and body, whatever they are.
    #[cfg(test)]
    pub(super) fn of_test(head: &str, body: &'static str) -> Self {
        Self {
            head: head.as_bytes().to_vec(),
            body: Bytes::from_static(body.as_bytes()),
            span_at: None,
        }
    }

    /// All of it, to be sent.
    pub(super) fn unsent(&self) -> Unsent<'_> {
        Unsent {
            head: &self.head,
            body: &self.body,
        }
    }
}

/// What a head has beside target, translated header and body.
const ROOM: usize = 384;

/// The credential is in it.
impl fmt::Debug for UpstreamRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamRequest").finish_non_exhaustive()
    }
}

/// What is left to be sent of a request.
#[derive(Clone, Copy)]
pub(super) struct Unsent<'r> {
    head: &'r [u8],
    body: &'r [u8],
}

impl<'r> Unsent<'r> {
    pub(super) const fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }

    pub(super) fn pieces(&self) -> [IoSlice<'r>; 2] {
        [IoSlice::new(self.head), IoSlice::new(self.body)]
    }

    /// So many bytes of it were sent.
    pub(super) fn advance(&mut self, sent: usize) {
        let of_head = sent.min(self.head.len());
        self.head.advance(of_head);
        self.body.advance((sent - of_head).min(self.body.len()));
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::HeaderValue;

    use super::*;
    use crate::telemetry::TraceContext;
    use crate::upstream::translate::{Translation, request_headers};

    fn text(operation: Operation, target: &str, body: &'static str) -> Result<String, InvalidTarget> {
        let translation = Translation {
            host: HeaderValue::from_static("h"),
            credential: HeaderValue::from_static("sk-operator"),
        };
        let betas = HeaderValue::from_static("b");
        let header = request_headers(&HeaderMap::new(), betas, None, None);
        let request = UpstreamRequest::new(
            operation,
            "/p",
            target,
            &translation,
            &header,
            Bytes::from_static(body.as_bytes()),
        )?;
        assert!(!format!("{request:?}").contains("sk-operator"));
        let mut unsent = request.unsent();
        let mut text = Vec::new();
        while !unsent.is_empty() {
            let pieces = unsent.pieces();
            let piece = if pieces[0].is_empty() {
                &pieces[1]
            } else {
                &pieces[0]
            };
            let sent = &piece[..piece.len().min(1000)];
            text.extend_from_slice(sent);
            unsent.advance(sent.len());
        }
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn a_request_says_what_it_carries() {
        let update = text(Operation::Update, "/v1/environments/env_1", "{}").unwrap();
        assert!(
            update.starts_with("POST /p/v1/environments/env_1 HTTP/1.1\r\nhost: h\r\n"),
            "{update}"
        );
        assert!(
            update.ends_with("content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"),
            "{update}"
        );
        let archive = text(Operation::Archive, "/v1/environments/env_1/archive", "").unwrap();
        assert!(archive.ends_with("\r\ncontent-length: 0\r\n\r\n"), "{archive}");
        let list = text(Operation::List, "/v1/environments?limit=1", "").unwrap();
        assert!(list.starts_with("GET ") && !list.contains("content-"), "{list}");
    }

    #[test]
    fn the_upstream_is_called_by_the_span_of_the_attempt() {
        let trace = TraceContext::root().recorded(true);
        let betas = HeaderValue::from_static("b");
        let header = request_headers(&HeaderMap::new(), betas, None, Some(&trace));
        let translation = Translation {
            host: HeaderValue::from_static("h"),
            credential: HeaderValue::from_static("k"),
        };
        let (operation, body) = (Operation::Update, Bytes::from_static(b"{}"));
        let request = UpstreamRequest::new(operation, "/p", "/e", &translation, &header, body);
        let mut request = request.unwrap();
        let attempt = SpanId::new();
        request.set_span(attempt);
        let head = String::from_utf8(request.head).unwrap();
        let (trace_id, span_id) = (trace.trace_id().to_hex(), attempt.to_hex());
        let line = format!("\r\ntraceparent: 00-{trace_id}-{span_id}-03\r\n");
        assert!(head.contains(&line), "{head}");
    }

    #[test]
    fn a_large_body_follows_its_head() {
        let body: &'static str = "a".repeat(100_000).leak();
        let update = text(Operation::Update, "/e", body).unwrap();
        assert!(update.ends_with(&format!("content-length: 100000\r\n\r\n{body}")));
    }

    #[test]
    fn nothing_of_a_target_can_be_taken_for_the_rest_of_a_head() {
        for target in ["", "e", "/ ", "/\r\n", "/\u{e9}", "/#", "/\0"] {
            assert_eq!(
                text(Operation::List, target, ""),
                Err(InvalidTarget),
                "{target:?}"
            );
        }
    }
}
