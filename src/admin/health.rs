use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::Admin;

/// The content type of the Prometheus text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4";

/// What a monitor or a balancer asks, without a token: nothing here is a secret.
pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The process is alive: 200 as long as it can answer at all.
async fn health() -> Response {
    report(StatusCode::OK, &json!({ "status": "ok" }))
}

/// Whether requests should be sent here: 200, or 503 and why not.
async fn readiness(State(admin): State<Admin>) -> Response {
    let (readiness, why) = admin.vitals.readiness();
    let status = match why {
        why if why.is_empty() => readiness.word.to_owned(),
        why => why,
    };
    let code = match readiness.is_ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    report(code, &json!({ "status": status }))
}

fn report(code: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (code, headers, body.to_string()).into_response()
}
