use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use super::Admin;
use crate::telemetry::BudgetSharing;
use crate::tenancy::SharedCredentials;

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

/// Whether requests should be sent here: 200, or 503 and why not. A store that is away later does not count,
/// because requests go on from memory; it is told all the same.
async fn readiness(State(admin): State<Admin>) -> Response {
    let (code, status) = if admin.is_stopping.load(Ordering::Relaxed) {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping".to_owned())
    } else if !admin.directory.is_loaded() {
        let problem = admin.store_health.problem();
        let why = problem.map_or(String::new(), |problem| format!(": {problem}"));
        (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("waiting for the store{why}"),
        )
    } else if SharedCredentials::find(&admin.settings, &admin.directory).leave_nobody() {
        let status =
            "not ready: ownership.stamp is off and tenants share a credential, so nobody can be served";
        (StatusCode::SERVICE_UNAVAILABLE, status.to_owned())
    } else if is_stopped(&admin) {
        let why = budget_trouble(&admin).unwrap_or_default();
        (StatusCode::SERVICE_UNAVAILABLE, why)
    } else if let Some(trouble) = trouble(&admin) {
        (StatusCode::OK, format!("degraded: {trouble}"))
    } else {
        (StatusCode::OK, "ready".to_owned())
    };
    report(code, &json!({ "status": status }))
}

/// What is not as it should be although most requests can be answered.
fn trouble(admin: &Admin) -> Option<String> {
    if let Some(problem) = admin.store_health.problem() {
        return Some(format!("{problem}, known keys go on"));
    }
    if let Some(trouble) = budget_trouble(admin) {
        return Some(trouble);
    }
    match SharedCredentials::find(&admin.settings, &admin.directory).count() {
        0 => {}
        count => {
            return Some(format!(
                "ownership.stamp is off and {count} tenants share a credential"
            ));
        }
    }
    let is_configured = |plan: &str| admin.settings.plans.contains_key(plan);
    match admin.directory.count_outside(is_configured) {
        0 => None,
        1 => Some("1 tenant is on a plan that is not configured".to_owned()),
        count => Some(format!("{count} tenants are on plans that are not configured")),
    }
}

/// What is wrong with a budget that replicas share, the worst first.
fn budget_trouble(admin: &Admin) -> Option<String> {
    let expected = admin.settings.quota.replicas;
    let budgets = || sharing_of_budgets(admin);
    let stopped = budgets().find(|(_, sharing)| sharing.is_stopped);
    let cut_off = || budgets().find(|(_, sharing)| sharing.is_cut_off);
    let surplus = || budgets().find(|(_, sharing)| sharing.replicas > i64::from(expected));
    let seatless = || budgets().find(|(_, sharing)| !sharing.has_seat);
    Some(if let Some((budget, _)) = stopped {
        format!(
            "nothing goes up: Redis does not answer, and this replica may spend nothing of the budget {budget} alone"
        )
    } else if let Some((budget, _)) = cut_off() {
        format!("Redis does not answer, the budget {budget} goes by this replica's share")
    } else if let Some((budget, sharing)) = surplus() {
        let replicas = sharing.replicas;
        format!("{replicas} replicas spend the budget {budget}, quota.replicas is {expected}")
    } else if let Some((budget, _)) = seatless() {
        format!("no seat in the budget {budget} is free, without Redis this replica would send nothing")
    } else {
        return None;
    })
}

/// Whether no request can go up here that spends some budget.
fn is_stopped(admin: &Admin) -> bool {
    sharing_of_budgets(admin).any(|(_, sharing)| sharing.is_stopped)
}

fn sharing_of_budgets(admin: &Admin) -> impl Iterator<Item = (&String, BudgetSharing)> {
    let budgets = admin.settings.budgets.keys();
    budgets.map(|budget| (budget, admin.metrics.budget_sharing(budget)))
}

fn report(code: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (code, headers, body.to_string()).into_response()
}
