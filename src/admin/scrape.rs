use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::task::spawn_blocking;

use super::Admin;
use super::access::{self, Guard};
use crate::telemetry::Exposition;

/// What a monitor asks, with a token where the settings want one.
pub(super) fn routes(guard: &Guard) -> Router<Admin> {
    let guard = middleware::from_fn_with_state(guard.clone(), access::admit_to_metrics);
    Router::new().route("/metrics", get(metrics)).layer(guard)
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let values = headers.get_all(ACCEPT).iter();
    let exposition = Exposition::accepted(values.filter_map(|value| value.to_str().ok()));
    // Ten thousand tenants and as many descriptors are looked at meanwhile.
    let encoding = spawn_blocking(move || admin.metrics.encode_as(exposition));
    match encoding.await {
        Ok(Ok(text)) => {
            let headers = [(CONTENT_TYPE, exposition.content_type()), (VARY, ACCEPT.as_str())];
            (headers, text).into_response()
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        // A panic has been told on standard error.
        Err(_panic) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
