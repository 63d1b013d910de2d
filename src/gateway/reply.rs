use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::contract::{
    self, ApiError, Dialect, Object, Operation, REQUEST_ID, RETRY_HEADERS, RefusedReply, SHOULD_RETRY,
    StampKey, Target, UpstreamRefusal,
};
use crate::environment::EnvironmentId;
use crate::tenancy::Caller;
use crate::upstream::Reply;

/// What of a successful reply goes down, and what it told of its environment.
pub(super) struct Accepted {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
    /// Which environment it is; none where it is not one environment.
    pub(super) environment: Option<EnvironmentId>,
    /// The stamp that the environment had before it was hidden.
    stamp: Option<String>,
}

impl Accepted {
    /// A list that the gateway has put together.
    pub(super) const fn list(headers: Vec<(HeaderName, HeaderValue)>, body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            headers,
            body,
            environment: None,
            stamp: None,
        }
    }

    /// Whether the environment says that it is the caller's.
    pub(super) fn is_stamped_for(&self, caller: &Caller) -> bool {
        self.stamp.as_deref() == Some(caller.tenant.id.0.as_str())
    }
}

/// The upstream's name for the request, where it is fit for a header and a log.
pub(super) fn request_id(reply: &Reply) -> Option<&str> {
    let id = reply.headers.get(REQUEST_ID)?.to_str().ok()?;
    (1..=128).contains(&id.len()).then_some(id)
}

/// Judges a reply, whatever its status, and puts a success into the dialect's shape, without the stamp.
pub(super) fn accept(
    dialect: &Dialect,
    stamp_key: &StampKey,
    target: &Target,
    reply: Reply,
) -> Result<Accepted, ApiError> {
    let reply = success(target.operation, reply)?;
    let headers = retry_advice(&reply.headers);
    if let (Operation::Delete, Some(id), true) =
        (target.operation, &target.environment, reply.body.is_empty())
    {
        return Ok(Accepted {
            status: StatusCode::OK,
            headers,
            body: dialect.deleted(id),
            environment: None,
            stamp: None,
        });
    }
    let shown = dialect
        .reply(target.operation, reply.body, stamp_key)
        .map_err(|reason| ApiError::UpstreamReply {
            reason,
            after_write: target.operation.is_write(),
        })?;
    Ok(Accepted {
        status: reply.status,
        headers,
        body: shown.body,
        environment: shown.environment,
        stamp: shown.stamp,
    })
}

/// A reply whose status is a success and whose body can be read, as it came.
pub(super) fn success(operation: Operation, reply: Reply) -> Result<Reply, ApiError> {
    let after_write = operation.is_write();
    if !reply.status.is_success() {
        return Err(refusal(operation, &reply));
    }
    if is_encoded(&reply.headers) && !reply.body.is_empty() {
        return Err(ApiError::UpstreamReply {
            reason: RefusedReply::Encoded,
            after_write,
        });
    }
    Ok(reply)
}

/// Whether a reply is a success with a JSON object that can be read.
pub(super) fn is_readable(reply: &Reply) -> bool {
    let object = || Object::read(std::str::from_utf8(&reply.body).ok()?);
    reply.status.is_success() && !is_encoded(&reply.headers) && object().is_some()
}

/// What the upstream refused, as far as it is for tenants; the rest is for the operator's log.
fn refusal(operation: Operation, reply: &Reply) -> ApiError {
    let refused = contract::refusal(reply.status, &reply.body, operation.is_write());
    if let Some(message) = &refused.upstream_message {
        let status = reply.status.as_u16();
        tracing::warn!(
            status,
            upstream_message = message.as_str(),
            "the upstream refused a request"
        );
    }
    match refused.error {
        ApiError::Upstream(refusal) => ApiError::Upstream(Box::new(UpstreamRefusal {
            headers: refusal_advice(operation, reply),
            ..*refusal
        })),
        error => error,
    }
}

/// The upstream's own advice. Where it gives none on [`SHOULD_RETRY`], and clients would repeat by the status alone what
/// must not or need not be repeated, it is the gateway's: a write that failed may have been done, but for 503 and 529, which
/// say that nothing was; and an environment that is in use when it is deleted will still be.
fn refusal_advice(operation: Operation, reply: &Reply) -> Vec<(HeaderName, HeaderValue)> {
    let mut advice = retry_advice(&reply.headers);
    let is_futile = match reply.status.as_u16() {
        409 => operation == Operation::Delete,
        503 | 529 => false,
        status => status >= 500 && operation.is_write(),
    };
    if is_futile && !reply.headers.contains_key(SHOULD_RETRY) {
        advice.push((SHOULD_RETRY, HeaderValue::from_static("false")));
    }
    advice
}

pub(super) fn retry_advice(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    RETRY_HEADERS
        .into_iter()
        .filter_map(|name| headers.get(&name).cloned().map(|value| (name, value)))
        .collect()
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}
