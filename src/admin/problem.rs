//! What the admin API refuses, as problem details.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::reload_outcome::ReloadRejection;
use super::with;
use crate::config::Rights;
use crate::contract::DocumentFault;
use crate::store::StoreError;
use crate::tenancy::{KeyId, KeyText, StampRequired};
use crate::text::CursorError;

/// Everything that a request to the admin API can fail with.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("there is no such path")]
    UnknownPath,
    #[error("this path does not have that method; it has those of the header Allow")]
    MethodNotAllowed,
    #[error("{0}")]
    Unauthorised(&'static str),
    #[error("{0}")]
    Forbidden(&'static str),
    #[error("this needs the right {:?}, and {actor} has {:?}", needed.name(), has.name())]
    RightMissing {
        needed: Rights,
        actor: String,
        has: Rights,
    },
    #[error("query parameter {name}: {problem}")]
    BadQuery { name: String, problem: String },
    #[error("a body here is JSON: send Content-Type: application/json")]
    MediaType,
    #[error("the body is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("the body did not arrive whole, or in time")]
    Incomplete,
    #[error("{} (line {}, column {})", .0.message, .0.line, .0.column)]
    Document(DocumentFault),
    #[error("{}", .0.iter().map(|fault| fault.detail.as_str()).collect::<Vec<_>>().join("; "))]
    Fields(Vec<FieldFault>),
    #[error("there is no plan {0}")]
    NoSuchPlan(String),
    #[error("the plan {plan} is not configured here{hint}")]
    PlanNotConfigured { plan: String, hint: String },
    #[error(transparent)]
    StampRequired(StampRequired),
    #[error(
        "ownership.stamp is off: environments are told apart by the credential alone, so there is nothing to adopt"
    )]
    NothingToAdopt,
    #[error(
        "there is no such adoption; a gateway remembers its own last hundred, and forgets them when it stops"
    )]
    NoSuchAdoption,
    #[error("as many adoptions go on here as may at once; wait for one to finish")]
    TooManyAdoptions,
    #[error("this gateway is stopping; ask another one, or this one when it is back")]
    Stopping,
    #[error(transparent)]
    Store(Arc<StoreError>),
    #[error("{0}; try again in a moment")]
    StoreAway(&'static str),
    #[error("the gateway cannot reach its store yet; try again in a moment")]
    NotReady,
    #[error("the settings stay as they are: {0}")]
    ReloadRefused(ReloadRejection),
    #[error("an internal error of the gateway; its log says more")]
    Internal,
}

/// What is wrong with one field of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldFault {
    /// Which one (RFC 6901).
    pub(super) pointer: String,
    /// What is wrong, in words.
    pub(super) detail: String,
}

/// How long to wait before what failed for want of the store is tried again, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

impl From<CursorError> for Problem {
    fn from(error: CursorError) -> Self {
        tracing::error!(%error, "a page cursor could not be made");
        Self::Internal
    }
}

impl Problem {
    /// What is wrong with a parameter of the query.
    pub(super) fn bad_query(name: &str, problem: impl Into<String>) -> Self {
        Self::BadQuery {
            name: name.chars().take(64).collect(),
            problem: problem.into(),
        }
    }

    /// Status, machine code, and what this kind of problem is called.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::UnknownPath => (StatusCode::NOT_FOUND, "unknown_path", "No such path"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
            ),
            Self::Unauthorised(_) => (StatusCode::UNAUTHORIZED, "unauthorized", "Admin token needed"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Not from there"),
            Self::RightMissing { .. } => (StatusCode::FORBIDDEN, "right_missing", "Right missing"),
            Self::BadQuery { .. } => (StatusCode::BAD_REQUEST, "bad_query", "Bad query parameter"),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
            ),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::Incomplete => (StatusCode::REQUEST_TIMEOUT, "body_incomplete", "Incomplete body"),
            Self::Document(fault) => (StatusCode::BAD_REQUEST, fault.kind.code(), "Not a JSON document"),
            Self::Fields(_) => (StatusCode::BAD_REQUEST, "invalid_body", "Invalid body"),
            Self::NoSuchPlan(_) => (StatusCode::NOT_FOUND, "plan_not_found", "No such plan"),
            Self::PlanNotConfigured { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "plan_not_configured",
                "Plan not configured",
            ),
            Self::StampRequired(_) => (
                StatusCode::CONFLICT,
                "stamp_required",
                "Credential in use by another tenant",
            ),
            Self::NothingToAdopt => (StatusCode::CONFLICT, "stamp_off", "Nothing to adopt"),
            Self::NoSuchAdoption => (StatusCode::NOT_FOUND, "adoption_not_found", "No such adoption"),
            Self::TooManyAdoptions => (
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_adoptions",
                "Too many adoptions",
            ),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "Stopping"),
            Self::ReloadRefused(_) => (StatusCode::BAD_REQUEST, "invalid_settings", "Invalid settings"),
            Self::Store(error) => store_problem(error),
            Self::StoreAway(_) | Self::NotReady => STORE_AWAY,
            Self::Internal => INTERNAL,
        }
    }

    fn to_json(&self, instance: &str) -> Value {
        let (status, code, title) = self.kind();
        let content = json!({
            "type": format!("urn:envgate:problem:{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.to_string(),
            "instance": instance,
            "code": code,
        });
        let faults: Value = match self {
            Self::Fields(faults) => faults
                .iter()
                .map(|fault| json!({ "pointer": fault.pointer, "detail": fault.detail }))
                .collect(),
            Self::ReloadRefused(rejection) => {
                let faults = rejection.faults.iter();
                faults.map(|fault| json!({ "detail": fault })).collect()
            }
            _ => return content,
        };
        with(content, "errors", faults)
    }
}

const STORE_AWAY: (StatusCode, &str, &str) = (
    StatusCode::SERVICE_UNAVAILABLE,
    "store_unavailable",
    "Store unavailable",
);
const INTERNAL: (StatusCode, &str, &str) = (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error");

const fn store_problem(error: &StoreError) -> (StatusCode, &'static str, &'static str) {
    match error {
        StoreError::BadTenantName => (StatusCode::BAD_REQUEST, "bad_tenant_name", "Bad tenant name"),
        StoreError::BadPlanName => (StatusCode::BAD_REQUEST, "bad_plan_name", "Bad plan name"),
        StoreError::BadLabel => (StatusCode::BAD_REQUEST, "bad_label", "Bad label"),
        StoreError::PastExpiry => (StatusCode::BAD_REQUEST, "past_expiry", "Expiry not in the future"),
        StoreError::TooManyEnvironments(_) => (
            StatusCode::BAD_REQUEST,
            "too_many_environments",
            "Too many environments",
        ),
        StoreError::DuplicateTenant(_) => (StatusCode::CONFLICT, "duplicate_tenant", "Tenant exists already"),
        StoreError::AmbiguousKey => (StatusCode::CONFLICT, "ambiguous_key", "Several keys of one id"),
        StoreError::VoidKey => (StatusCode::CONFLICT, "void_key", "Key revoked or expired"),
        StoreError::NoSuchTenant(_) => (StatusCode::NOT_FOUND, "tenant_not_found", "No such tenant"),
        StoreError::NoSuchKey => (StatusCode::NOT_FOUND, "key_not_found", "No such key"),
        StoreError::Unreachable(_) | StoreError::Unusable { .. } => STORE_AWAY,
        _ => INTERNAL,
    }
}

/// What the store cannot be reached for, or cannot be read for, is the log's; all else is for the one who
/// asked.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if let StoreError::StampRequired(required) = error {
            return Self::StampRequired(required);
        }
        match store_problem(&error).0 {
            StatusCode::SERVICE_UNAVAILABLE => {
                tracing::warn!(%error, "a request to the admin API failed");
                Self::StoreAway(error.condition())
            }
            StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(%error, "a request to the admin API failed");
                Self::Internal
            }
            _ => Self::Store(Arc::new(error)),
        }
    }
}

/// The status, with the problem beside it: [`render`] knows the path that it is about.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind().0.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The path as it may be shown: what is shown ends up in logs, so of a whole key only its name is.
fn without_keys(path: &str) -> String {
    let public = |part: &str| match part.get(..KeyId::LENGTH) {
        Some(name) if part.starts_with(KeyText::PREFIX) => name.to_owned(),
        _ => part.to_owned(),
    };
    path.split('/').map(public).collect::<Vec<_>>().join("/")
}

/// Writes the problem of a response that has one into its body.
pub(super) async fn render(request: Request, next: Next) -> Response {
    let path = without_keys(request.uri().path());
    let is_head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let Some(problem) = response.extensions_mut().remove::<Problem>() else {
        return response;
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match problem {
        Problem::Unauthorised(_) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Problem::StoreAway(_) | Problem::NotReady => {
            headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        _ => {}
    }
    if !is_head {
        *response.body_mut() = Body::from(problem.to_json(&path).to_string());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_with_no_more_of_a_key_than_its_name() {
        for (path, shown) in [
            ("/api/v1/keys/sk-eg-12345678", "/api/v1/keys/sk-eg-12345678"),
            (
                "/api/v1/keys/sk-eg-12345678abc/rotate",
                "/api/v1/keys/sk-eg-12345678/rotate",
            ),
            ("/api/v1/tenants/acme", "/api/v1/tenants/acme"),
            ("/api/v1/keys/sk-eg-1", "/api/v1/keys/sk-eg-1"),
        ] {
            assert_eq!(without_keys(path), shown);
        }
    }
}
