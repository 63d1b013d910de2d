use std::borrow::Cow;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::contract::{ApiError, Dialect, UpstreamError};
use crate::environment::MergeError;
use crate::store::StoreError;

/// Why the service does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// What gateway and service refuse alike.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The credential is missing or wrong.
    #[error("{0}")]
    Credential(&'static str),
    /// The environment does not allow it.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The store does not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Turns a refusal into an answer in the native envelope.
pub(super) fn error_response(refusal: &Refusal, request_id: &str) -> Response<Body> {
    let answer = match refusal {
        Refusal::Api(error) => error.answer(&Dialect::ANTHROPIC, request_id),
        other => own_error(other, request_id).answer(&Dialect::ANTHROPIC, request_id),
    };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().extend(answer.headers);
    response
}

/// The errors that an upstream alone has: the gateway meets them as [`ApiError::Upstream`], here they are made.
fn own_error(refusal: &Refusal, request_id: &str) -> ApiError {
    let (status, error_type) = match refusal {
        Refusal::Store(StoreError::NotFound) => return ApiError::EnvironmentNotFound,
        Refusal::Credential(_) => (StatusCode::UNAUTHORIZED, "authentication_error"),
        Refusal::Merge(_) => (StatusCode::BAD_REQUEST, "invalid_request_error"),
        Refusal::Store(_) | Refusal::Api(_) => (StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
    };
    let code = match refusal {
        Refusal::Merge(error) => Some(error.code()),
        _ => None,
    };
    let message = if status.is_server_error() {
        tracing::error!(request_id, error = %refusal, "the environments service failed");
        "the environments service could not complete this request".to_owned()
    } else {
        refusal.to_string()
    };
    ApiError::Upstream(Box::new(UpstreamError {
        status,
        error_type: Cow::Borrowed(error_type),
        message,
        details: code.and_then(|code| to_raw_value(&json!({ "error_code": code })).ok()),
        headers: Vec::new(),
    }))
}
