use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::{Admin, answer};

/// What a balancer asks, without a token: one word, and nothing of what is behind it.
pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
}

/// What the operator asks: the word with all that there is to say.
pub(super) fn detail_routes() -> Router<Admin> {
    Router::new().route("/api/v1/readiness", get(readiness_in_detail))
}

/// The process is alive: 200 as long as it can answer at all.
async fn health() -> Response {
    report(StatusCode::OK, &json!({ "status": "ok" }))
}

/// Whether requests should be sent here: 200 or 503.
async fn readiness(State(admin): State<Admin>) -> Response {
    let (readiness, _) = admin.vitals.readiness();
    let code = match readiness.is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    report(code, &json!({ "status": readiness.word }))
}

/// The same, and why.
async fn readiness_in_detail(State(admin): State<Admin>) -> Response {
    let (readiness, detail) = admin.vitals.readiness();
    let content = json!({
        "ready": readiness.is_ready,
        "status": readiness.word,
        "detail": Some(detail).filter(|detail| !detail.is_empty()),
    });
    answer(StatusCode::OK, &content)
}

fn report(code: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (code, headers, body.to_string()).into_response()
}
