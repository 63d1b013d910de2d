use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::value::RawValue;

use super::authentication_failure::in_header;
use super::{
    AuthenticationFailure, CredentialHeader, DocumentFault, MalformedRequest, ReplyError, Violations,
};
use crate::environment::MergeError;
use crate::text::{format_seconds, whole_seconds};

/// Everything that a request can fail with. Each step of the exchange fails with this one type, one place
/// ([`ApiError::answer`]) turns it into the envelope of a dialect, and the variant is the metric label.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApiError {
    /// The path is none of this API.
    #[error("there is no such path")]
    UnknownPath,
    /// The environment does not exist, or is not the caller's to know of.
    #[error("environment not found")]
    EnvironmentNotFound,
    /// The path exists, the method does not.
    #[error("this path does not have that method; it has {allow}")]
    MethodNotAllowed {
        /// The value of `Allow`.
        allow: &'static str,
    },
    /// The credential does not name a caller.
    #[error("{failure}{}", in_header(*.header))]
    Unauthenticated {
        /// Why.
        failure: AuthenticationFailure,
        /// Where it came, if that is told beside the reason.
        header: Option<CredentialHeader>,
    },
    /// Nobody has the key, and whoever tried it tries such keys faster than anybody would by mistake.
    #[error(
        "too many unknown API keys were tried from this address; check the key, and try again in {}",
        in_seconds(retry_after)
    )]
    TooManyUnknownKeys {
        /// When an unknown key is told to be one again.
        retry_after: Duration,
    },
    /// As many requests are being answered as the gateway may answer at once; this one was not looked at.
    #[error("the gateway answers as many requests as it may at once; try again in a moment")]
    TooManyInFlight,
    /// The caller's plan or key does not allow the operation.
    #[error("{0}")]
    Forbidden(String),
    /// The caller's plan is not among those that the gateway is configured with.
    #[error("the plan of this tenant is not configured here; tell whoever runs the gateway")]
    PlanNotConfigured,
    /// The environment cannot be changed, or not in this way.
    #[error("{0}")]
    InvalidChange(MergeError),
    /// The environment that would result breaks the policy of the caller's plan.
    #[error("{}", .0.message())]
    Policy(Violations),
    /// The framing or the header of the request cannot be understood in one way only.
    #[error("{0}")]
    BadRequest(Cow<'static, str>),
    /// What came is no request that can be answered as one.
    #[error("{0}")]
    Malformed(MalformedRequest),
    /// The header is larger than the gateway takes.
    #[error("the request header is larger than {limit} bytes")]
    HeaderTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The client expects something else than `100-continue`.
    #[error("no expectation but 100-continue is met here")]
    ExpectationFailed,
    /// A query parameter is repeated or has a value of the wrong type.
    #[error("query parameter {name}: {problem}")]
    BadQuery {
        /// The parameter.
        name: &'static str,
        /// What was expected.
        problem: &'static str,
    },
    /// The operation takes no body and one came.
    #[error("this operation takes no body; send none, or {{}}")]
    UnexpectedBody,
    /// The body is larger than the gateway takes.
    #[error("the body is larger than {limit} bytes")]
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body did not arrive in time.
    #[error("the body did not arrive within {}", format_seconds(*.0))]
    BodyTimeout(Duration),
    /// The content type or content encoding is not one that the API takes.
    #[error("{0}")]
    UnsupportedMediaType(&'static str),
    /// The body is compressed, or encoded otherwise.
    #[error("send the body without Content-Encoding")]
    UnsupportedContentEncoding,
    /// The body is no JSON document.
    #[error("{} (line {}, column {})", .0.message, .0.line, .0.column)]
    Document(DocumentFault),
    /// The body breaks its schema.
    #[error("{}", .0.message())]
    Violations(Violations),
    /// Tenants and keys could not be read yet, so nobody can be let in or turned away.
    #[error("the gateway cannot reach its store yet; try again in a moment")]
    NotReady,
    /// The upstream has failed so often that nothing is sent for a while.
    #[error("the upstream keeps failing and is left alone for a moment; try again later")]
    CircuitOpen {
        /// How long.
        retry_after: Duration,
    },
    /// A limit of the caller's own plan stands in the way; nothing was sent.
    #[error(
        "the limit of this tenant's plan is reached; try again in {}",
        in_seconds(retry_after)
    )]
    TenantLimit {
        /// When another try could be worth it.
        retry_after: Duration,
    },
    /// What the upstream allows all tenants together is spent; nothing was sent.
    #[error(
        "the limit of the upstream, which all tenants share, is reached; try again in {}",
        in_seconds(retry_after)
    )]
    UpstreamLimit {
        /// When another try could be worth it.
        retry_after: Duration,
    },
    /// Nothing of the caller's was on as many pages of everybody's list as one request may read.
    #[error(
        "nothing of yours was found as far as one request may look; try again in a moment, and the list goes on \
         from there"
    )]
    ListUnfinished,
    /// Other updates of the environment took all the time that there was; nothing was sent.
    #[error("another update of this environment is under way; try again in a moment")]
    EnvironmentBusy,
    /// No connection to the upstream could be made; nothing was sent.
    #[error("the upstream cannot be reached")]
    UpstreamUnreachable,
    /// The proxy between the gateway and the upstream makes no way to it; nothing was sent.
    #[error("the gateway's own way to the upstream is closed; try again in a moment")]
    UpstreamProxy,
    /// The gateway's machine has nothing left for a connection to the upstream; nothing was sent.
    #[error("the gateway is short of descriptors, ports or memory; try again in a moment")]
    OutOfResources,
    /// No connection to the upstream could be made in time; nothing was sent.
    #[error("the upstream did not accept a connection in time")]
    UpstreamConnectTimeout,
    /// The upstream did not answer in time.
    #[error("the upstream did not answer in time")]
    UpstreamTimeout {
        /// Whether a write may have reached it.
        after_write: bool,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to the upstream broke before its answer was complete")]
    UpstreamBroken {
        /// Whether a write may have reached it.
        after_write: bool,
    },
    /// The upstream answered with something that cannot be passed on.
    #[error("{reason}")]
    UpstreamReply {
        /// What is wrong with it.
        reason: ReplyError,
        /// Whether a write may have reached it.
        after_write: bool,
    },
    /// The upstream turned the operator's credential away.
    #[error("the gateway's own access to the upstream was refused; tell whoever runs it")]
    UpstreamCredential,
    /// The upstream refused the request.
    #[error("{}", .0.message)]
    Upstream(Box<UpstreamError>),
    /// The client closed its connection before its answer was there, and what it asked for was given up.
    #[error("the client is gone")]
    ClientGone,
    /// The client did not take its answer, or took it so slowly that the connection was closed.
    #[error("the client does not take its answer")]
    AnswerNotTaken,
    /// A fault of the gateway.
    #[error("an internal error of the gateway")]
    Internal,
}

/// What the upstream refused, ready to be passed on.
#[derive(Clone, Debug)]
pub struct UpstreamError {
    /// The upstream's status.
    pub status: StatusCode,
    /// The upstream's `error.type`; a dialect may have another name for it.
    pub error_type: Cow<'static, str>,
    /// The upstream's message, or ours where the upstream's is not for tenants.
    pub message: String,
    /// The upstream's `error.details`, untouched.
    pub details: Option<Box<RawValue>>,
    /// `retry-after`, `retry-after-ms` and `x-should-retry` as they came.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// All labels that [`ApiError::kind`] gives.
    pub const KINDS: [&'static str; 40] = [
        "unknown_path",
        "environment_not_found",
        "method_not_allowed",
        "unauthenticated",
        "too_many_unknown_keys",
        "too_many_in_flight",
        "forbidden",
        "plan_not_configured",
        "invalid_change",
        "policy_violation",
        "bad_request",
        "malformed",
        "header_too_large",
        "expectation_failed",
        "bad_query",
        "unexpected_body",
        "body_too_large",
        "body_timeout",
        "unsupported_media_type",
        "unsupported_content_encoding",
        "invalid_document",
        "schema_violation",
        "not_ready",
        "circuit_open",
        "tenant_limit",
        "upstream_limit",
        "list_unfinished",
        "environment_busy",
        "upstream_unreachable",
        "upstream_proxy",
        "out_of_resources",
        "upstream_connect_timeout",
        "upstream_timeout",
        "upstream_broken",
        "upstream_reply",
        "upstream_credential",
        "upstream",
        "client_gone",
        "answer_not_taken",
        "internal",
    ];

    /// A credential that does not name a caller.
    #[must_use]
    pub const fn unauthenticated(failure: AuthenticationFailure) -> Self {
        Self::Unauthenticated {
            failure,
            header: None,
        }
    }

    /// The same error, where it is one of a credential with the header that this came in.
    #[must_use]
    pub fn of_credential_in(self, header: CredentialHeader) -> Self {
        match self {
            Self::Unauthenticated { failure, .. } => Self::Unauthenticated {
                failure,
                header: Some(header),
            },
            other => other,
        }
    }

    /// The metric label of the variant.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::EnvironmentNotFound => "environment_not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::TooManyUnknownKeys { .. } => "too_many_unknown_keys",
            Self::TooManyInFlight => "too_many_in_flight",
            Self::Forbidden(_) => "forbidden",
            Self::PlanNotConfigured => "plan_not_configured",
            Self::InvalidChange(_) => "invalid_change",
            Self::Policy(_) => "policy_violation",
            Self::BadRequest(_) => "bad_request",
            Self::Malformed(_) => "malformed",
            Self::HeaderTooLarge { .. } => "header_too_large",
            Self::ExpectationFailed => "expectation_failed",
            Self::BadQuery { .. } => "bad_query",
            Self::UnexpectedBody => "unexpected_body",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimeout(_) => "body_timeout",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::UnsupportedContentEncoding => "unsupported_content_encoding",
            Self::Document(_) => "invalid_document",
            Self::Violations(_) => "schema_violation",
            Self::NotReady => "not_ready",
            Self::CircuitOpen { .. } => "circuit_open",
            Self::TenantLimit { .. } => "tenant_limit",
            Self::UpstreamLimit { .. } => "upstream_limit",
            Self::ListUnfinished => "list_unfinished",
            Self::EnvironmentBusy => "environment_busy",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamProxy => "upstream_proxy",
            Self::OutOfResources => "out_of_resources",
            Self::UpstreamConnectTimeout => "upstream_connect_timeout",
            Self::UpstreamTimeout { .. } => "upstream_timeout",
            Self::UpstreamBroken { .. } => "upstream_broken",
            Self::UpstreamReply { .. } => "upstream_reply",
            Self::UpstreamCredential => "upstream_credential",
            Self::Upstream(_) => "upstream",
            Self::ClientGone => "client_gone",
            Self::AnswerNotTaken => "answer_not_taken",
            Self::Internal => "internal",
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath | Self::EnvironmentNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) | Self::PlanNotConfigured | Self::Policy(_) => StatusCode::FORBIDDEN,
            Self::InvalidChange(_)
            | Self::BadRequest(_)
            | Self::BadQuery { .. }
            | Self::UnexpectedBody
            | Self::Document(_)
            | Self::Violations(_) => StatusCode::BAD_REQUEST,
            Self::Malformed(malformed) => malformed.status(),
            Self::HeaderTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::ExpectationFailed => StatusCode::EXPECTATION_FAILED,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            Self::UnsupportedMediaType(_) | Self::UnsupportedContentEncoding => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::TenantLimit { .. } | Self::UpstreamLimit { .. } | Self::TooManyUnknownKeys { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::NotReady
            | Self::TooManyInFlight
            | Self::ListUnfinished
            | Self::EnvironmentBusy
            | Self::CircuitOpen { .. }
            | Self::OutOfResources
            | Self::UpstreamUnreachable
            | Self::UpstreamProxy => StatusCode::SERVICE_UNAVAILABLE,
            Self::UpstreamConnectTimeout | Self::UpstreamTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::UpstreamBroken { .. } | Self::UpstreamReply { .. } | Self::UpstreamCredential => {
                StatusCode::BAD_GATEWAY
            }
            Self::Upstream(refusal) => refusal.status,
            // Nobody gets to see it; in logs it is what nginx writes there.
            Self::ClientGone | Self::AnswerNotTaken => {
                StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn in_seconds(duration: &Duration) -> String {
    format_seconds(Duration::from_secs(whole_seconds(*duration)))
}

/// The upstream's name for the errors of a status.
pub(super) fn error_type_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500..=599 => "api_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests;
