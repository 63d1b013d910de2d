//! How an error is told: the one place that turns it into an answer.

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::error_type_of;
use super::operation::ALL_METHODS;
use super::{ApiError, Dialect, MalformedRequest, ReplyError, Violation, Violations};
use crate::text::whole_seconds;

/// The header that overrides what a client makes of a status.
pub const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The header that names a request, on every answer.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// The headers in which an upstream tells when to try again; they go down as they came.
pub const RETRY_HEADERS: [HeaderName; 3] = [
    RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    SHOULD_RETRY,
];

/// An answer of the gateway's own, ready to be written.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Every header but `content-length` and those of the connection.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// What a client should do about a failed request, where its status alone would mislead it.
enum Retry {
    /// The status says it.
    ByStatus,
    /// Sending it again could do it twice, or would fail again.
    Never,
    /// Nothing happened; try again after so many seconds.
    After(u64),
}

impl ApiError {
    /// Turns the error into an answer in the envelope and with the names of `dialect`.
    #[must_use]
    pub fn answer(&self, dialect: &Dialect, request_id: &str) -> Answer {
        let status = self.status();
        let upstream_type = match self {
            Self::Upstream(refusal) => &refusal.error_type,
            _ => error_type_of(status),
        };
        let envelope = Envelope {
            kind: "error",
            error: Inner {
                error_type: dialect.error_type(status, upstream_type),
                message: &self.to_string(),
                details: self.details(),
            },
            request_id,
        };
        let body = serde_json::to_vec(&envelope).unwrap_or_default();
        Answer {
            status,
            headers: self.headers(),
            body: body.into(),
        }
    }

    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        match self {
            Self::MethodNotAllowed { allow } => headers.push((ALLOW, HeaderValue::from_static(allow))),
            Self::Malformed(MalformedRequest::Connect) => {
                headers.push((ALLOW, HeaderValue::from_static(ALL_METHODS)));
            }
            Self::Unauthenticated { failure, .. } => {
                headers.push((WWW_AUTHENTICATE, HeaderValue::from_static(failure.challenge())));
            }
            _ => {}
        }
        if let Self::UnsupportedContentEncoding = self {
            headers.push((ACCEPT_ENCODING, HeaderValue::from_static("identity")));
        }
        if let Self::Upstream(refusal) = self {
            headers.extend_from_slice(&refusal.headers);
        }
        match self.retry() {
            Retry::ByStatus => {}
            Retry::Never => headers.push((SHOULD_RETRY, HeaderValue::from_static("false"))),
            Retry::After(seconds) => {
                headers.push((SHOULD_RETRY, HeaderValue::from_static("true")));
                headers.push((RETRY_AFTER, HeaderValue::from(seconds)));
            }
        }
        headers
    }

    fn retry(&self) -> Retry {
        match self {
            Self::NotReady
            | Self::TooManyInFlight
            | Self::ListUnfinished
            | Self::EnvironmentBusy
            | Self::OutOfResources
            | Self::UpstreamUnreachable
            | Self::UpstreamProxy
            | Self::UpstreamConnectTimeout => Retry::After(1),
            Self::TenantLimit { retry_after }
            | Self::UpstreamLimit { retry_after }
            | Self::TooManyUnknownKeys { retry_after } => Retry::After(whole_seconds(*retry_after)),
            Self::CircuitOpen { retry_after } => Retry::After(whole_seconds(*retry_after)),
            Self::UpstreamTimeout { after_write: true }
            | Self::UpstreamBroken { after_write: true }
            | Self::UpstreamReply {
                after_write: true, ..
            }
            // The next answer would be no other.
            | Self::Malformed(MalformedRequest::TransferCoding | MalformedRequest::Version)
            | Self::UpstreamReply {
                reason: ReplyError::Redirect | ReplyError::TooLarge | ReplyError::Encoded,
                ..
            }
            | Self::UpstreamCredential
            | Self::Internal => Retry::Never,
            _ => Retry::ByStatus,
        }
    }

    fn details(&self) -> Option<Details<'_>> {
        match self {
            Self::Document(fault) => Some(Details::Document {
                error_code: fault.kind.code(),
                line: fault.line,
                column: fault.column,
                byte_offset: fault.offset,
            }),
            Self::Violations(violations) => Some(Details::violations("schema_violation", violations)),
            Self::Policy(violations) => Some(Details::violations("policy_violation", violations)),
            Self::PlanNotConfigured | Self::TenantLimit { .. } | Self::UpstreamLimit { .. } => {
                Some(Details::Code {
                    error_code: self.kind(),
                })
            }
            Self::InvalidChange(error) => Some(Details::Code {
                error_code: error.code(),
            }),
            Self::Upstream(refusal) => refusal.details.as_deref().map(Details::Upstream),
            _ => None,
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Inner<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Inner<'a> {
    #[serde(rename = "type")]
    error_type: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'a> {
    Document {
        error_code: &'static str,
        line: usize,
        column: usize,
        byte_offset: usize,
    },
    Violations {
        error_code: &'static str,
        violations: &'a [Violation],
        violations_total: String,
    },
    Code {
        error_code: &'static str,
    },
    Upstream(&'a RawValue),
}

impl<'a> Details<'a> {
    fn violations(error_code: &'static str, violations: &'a Violations) -> Self {
        Self::Violations {
            error_code,
            violations: &violations.told,
            violations_total: violations.total_in_words(),
        }
    }
}
