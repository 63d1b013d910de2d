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

/// The errors that an upstream alone has: the gateway meets them as [`ApiError::Upstream`], here they are
/// made.
fn own_error(refusal: &Refusal, request_id: &str) -> ApiError {
    let (status, error_type) = match refusal {
        Refusal::Store(StoreError::NotFound) => return ApiError::EnvironmentNotFound,
        Refusal::Credential(_) => (StatusCode::UNAUTHORIZED, "authentication_error"),
        Refusal::Merge(_) => (StatusCode::BAD_REQUEST, "invalid_request_error"),
        // With the type that the service itself sends.
        Refusal::Store(StoreError::Conflict) => (StatusCode::CONFLICT, "invalid_request_error"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_409_with_the_type_of_a_bad_request_as_the_service_sends_it() {
        let error = own_error(&Refusal::Store(StoreError::Conflict), "req_1");
        let native = error.answer(&Dialect::ANTHROPIC, "req_1");
        assert_eq!(native.status, StatusCode::CONFLICT);
        let body: serde_json::Value = serde_json::from_slice(&native.body).unwrap();
        assert_eq!(body["error"]["type"], "invalid_request_error");
    }
}
