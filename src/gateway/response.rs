//! A reply of the upstream, and the answer that it becomes.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::received_reply::ReceivedReply;
use crate::contract::{
    Answer, ApiError, Dialect, Object, Operation, PageOutline, REQUEST_ID, RETRY_HEADERS, ReplyError,
    ReplyOutline, SHOULD_RETRY, StampKey, Target, UpstreamError, UpstreamErrorBody, Warnings,
};
use crate::environment::EnvironmentId;
use crate::quota::RateLimitStatus;
use crate::upstream::Reply;

/// Pointers to what was let through although it breaks the schema.
const WARNING: HeaderName = HeaderName::from_static("envgate-warning");

/// A tenant's own limit of requests, how much of it is left, and when all of it will be there again.
const RATE_LIMIT: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-reset");

/// A reply of the upstream's, and what was read of it: once, for all who share it.
#[derive(Clone, Debug)]
pub(super) struct ReadReply {
    pub(super) reply: Reply,
    /// None where there is no success that could be read.
    pub(super) outline: Option<Outline>,
}

/// What was read of a successful reply.
#[derive(Clone, Debug)]
pub(super) enum Outline {
    /// An environment, or whatever else is shown whole.
    Whole(Arc<ReplyOutline>),
    /// A page of everybody's environments, of which each reader sees a part.
    Page(Arc<PageOutline>),
}

/// A success: what of it goes down, and what it told of its environment.
pub(super) struct Accepted {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// As the upstream said it.
    pub(super) stored: Bytes,
    outline: Option<Arc<ReplyOutline>>,
}

impl ReadReply {
    /// Reads a reply to `operation`, as far as it is a success.
    pub(super) fn new(
        received: ReceivedReply,
        operation: Operation,
        dialect: &Dialect,
        stamp_key: &StampKey,
    ) -> Self {
        let outline =
            success_object(&received).and_then(|object| dialect.outline(operation, object, stamp_key).ok());
        Self {
            outline: outline.map(Arc::new).map(Outline::Whole),
            reply: received.reply,
        }
    }

    /// Reads a page of everybody's environments, as far as it is one.
    pub(super) fn page(received: ReceivedReply, stamp_key: &StampKey) -> Self {
        let outline = success_object(&received).and_then(|object| PageOutline::read(object, stamp_key));
        Self {
            outline: outline.map(Arc::new).map(Outline::Page),
            reply: received.reply,
        }
    }

    /// Judges the reply, whatever its status.
    pub(super) fn accept(self, target: &Target, dialect: &Dialect) -> Result<Accepted, ApiError> {
        let reply = success(target.operation, self.reply)?;
        let headers = retry_advice(&reply.headers);
        let accepted = |status, stored, outline| Accepted {
            status,
            headers,
            stored,
            outline,
        };
        match (self.outline, &target.environment) {
            (Some(Outline::Whole(outline)), _) => Ok(accepted(reply.status, reply.body, Some(outline))),
            (_, Some(id)) if target.operation == Operation::Delete && reply.body.is_empty() => {
                Ok(accepted(StatusCode::OK, dialect.deleted(id), None))
            }
            _ => Err(ApiError::UpstreamReply {
                reason: ReplyError::NotAnObject,
                after_write: target.operation.is_write(),
            }),
        }
    }
}

impl Outline {
    /// How many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Whole(outline) => outline.bytes(),
            Self::Page(outline) => outline.bytes(),
        }
    }
}

impl Accepted {
    /// A list that the gateway has put together.
    pub(super) const fn list(headers: Vec<(HeaderName, HeaderValue)>, body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            headers,
            stored: body,
            outline: None,
        }
    }

    /// Which environment it is; none where it is not one environment.
    pub(super) fn environment(&self) -> Option<&EnvironmentId> {
        self.outline.as_ref()?.environment.as_ref()
    }

    /// The stamp that the environment has.
    pub(super) fn stamp(&self) -> Option<&str> {
        self.outline.as_ref()?.stamp.as_deref()
    }

    /// The answer, in the dialect and without stamps.
    pub(super) fn answer(self, warnings: &Warnings, request_id: &str) -> Answer {
        let body = match &self.outline {
            Some(outline) => outline.show(&self.stored),
            None => self.stored,
        };
        let mut headers = self.headers;
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
        headers.push(request_id_header(request_id));
        if let Some(pointers) = warnings.header_value() {
            headers.push((WARNING, pointers));
        }
        Answer {
            status: self.status,
            headers,
            body,
        }
    }
}

/// Turns an error into its answer, with the request's id in the body and in the header.
pub(super) fn of_error(error: &ApiError, dialect: &Dialect, request_id: &str) -> Answer {
    let mut answer = error.answer(dialect, request_id);
    answer.headers.push(request_id_header(request_id));
    answer
}

/// What a path has.
pub(super) fn of_options(methods: &'static str, request_id: &str) -> Answer {
    Answer {
        status: StatusCode::NO_CONTENT,
        headers: vec![
            (ALLOW, HeaderValue::from_static(methods)),
            request_id_header(request_id),
        ],
        body: Bytes::new(),
    }
}

/// Adds where a tenant stands in its own limit of requests, under the names of the upstream's API.
pub(super) fn add_rate_limit_headers(answer: &mut Answer, limit: &RateLimitStatus) {
    let now = Timestamp::now();
    let mut add = |name, value| answer.headers.push((name, value));
    add(RATE_LIMIT, HeaderValue::from(limit.limit));
    add(RATE_REMAINING, HeaderValue::from(limit.remaining));
    let reset = now.checked_add(limit.reset).unwrap_or(now);
    // Rounded up: who comes too early comes in vain.
    let to_second = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    let reset = reset.round(to_second).unwrap_or(reset).to_string();
    if let Ok(reset) = HeaderValue::try_from(reset) {
        add(RATE_RESET, reset);
    }
}

fn request_id_header(request_id: &str) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::try_from(request_id).unwrap_or(HeaderValue::from_static("req_unnamed"));
    (REQUEST_ID, value)
}

/// The upstream's name for the request, where it is fit for a header and a log.
pub(super) fn request_id(reply: &Reply) -> Option<&str> {
    let id = reply.headers.get(REQUEST_ID).filter(|id| is_fit(id))?;
    id.to_str().ok()
}

/// A reply whose status is a success and whose body can be read, as it came.
pub(super) fn success(operation: Operation, reply: Reply) -> Result<Reply, ApiError> {
    let after_write = operation.is_write();
    if !reply.status.is_success() {
        return Err(refusal(operation, &reply));
    }
    if is_encoded(&reply.headers) && !reply.body.is_empty() {
        return Err(ApiError::UpstreamReply {
            reason: ReplyError::Encoded,
            after_write,
        });
    }
    Ok(reply)
}

/// What a success says, as far as it can be read.
fn success_object(received: &ReceivedReply) -> Option<Object<'_>> {
    received
        .reply
        .status
        .is_success()
        .then(|| received.object())
        .flatten()
}

/// What the upstream refused, as far as it is for tenants; the rest is for the operator's log.
fn refusal(operation: Operation, reply: &Reply) -> ApiError {
    let body = UpstreamErrorBody::read(&reply.body);
    if let Some(upstream_message) = body.message() {
        let status = reply.status.as_u16();
        tracing::warn!(status, upstream_message, "the upstream refused a request");
    }
    match body.error(reply.status, operation) {
        ApiError::Upstream(refusal) => ApiError::Upstream(Box::new(UpstreamError {
            headers: refusal_advice(operation, reply),
            ..*refusal
        })),
        error => error,
    }
}

/// The upstream's own advice. A create or a delete that conflicts will do so again, whatever it says. Where
/// it gives none on [`SHOULD_RETRY`], and clients would repeat by the status alone what must not or need not
/// be repeated, it is the gateway's: a write that failed may have been done, but for 503 and 529, which say
/// that nothing was.
fn refusal_advice(operation: Operation, reply: &Reply) -> Vec<(HeaderName, HeaderValue)> {
    let mut advice = retry_advice(&reply.headers);
    let is_conflict =
        reply.status == StatusCode::CONFLICT && matches!(operation, Operation::Create | Operation::Delete);
    if is_conflict {
        advice.clear();
    }
    let is_futile = match reply.status.as_u16() {
        501 | 505 => true,
        503 | 529 => false,
        status => status >= 500 && operation.is_write(),
    };
    let is_advised = advice.iter().any(|(name, _)| *name == SHOULD_RETRY);
    if is_conflict || (is_futile && !is_advised) {
        advice.push((SHOULD_RETRY, HeaderValue::from_static("false")));
    }
    advice
}

/// What the upstream says of when to try again, as far as it is fit to be passed on.
pub(super) fn retry_advice(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let advice = RETRY_HEADERS.into_iter().filter_map(|name| {
        let value = headers.get(&name).filter(|value| is_fit(value))?;
        Some((name, value.clone()))
    });
    advice.collect()
}

/// Whether a value of the upstream's is short and plain text: whatever else it may be, clients expect none.
fn is_fit(value: &HeaderValue) -> bool {
    (1..=128).contains(&value.len()) && value.to_str().is_ok()
}

pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}
