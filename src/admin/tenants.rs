use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::body::Fields;
use super::page::PageQuery;
use super::problem::Problem;
use super::{Actor, Admin, Named, answer, in_time};
use crate::tenancy::{StampRequired, Tenant};
use crate::text::nearest_name;

const LIST: &str = "tenants";

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/tenants", get(list).post(create))
        .route(
            "/api/v1/tenants/{name}",
            get(retrieve).patch(change).delete(delete),
        )
}

async fn list(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = PageQuery::parse(query.as_deref())?;
    let after: String = query.after(LIST)?.unwrap_or_default();
    let tenants = in_time(admin.store()?.tenants_after(&after, query.fetch_limit())).await?;
    query.answer(LIST, &tenants, |tenant| tenant.name.clone(), to_json)
}

async fn create(State(admin): State<Admin>, actor: Actor, request: Request) -> Result<Response, Problem> {
    let mut fields = Fields::read(request, &["name", "plan"]).await?;
    let name = fields.required_text("name");
    let plan = fields.text("plan");
    fields.finish()?;
    let plan = plan.as_deref().unwrap_or(Tenant::DEFAULT_PLAN);
    let by = actor.name.clone();
    let store = admin.store_for(actor)?;
    check_configured(&admin, plan)?;
    let settings = admin.settings.load();
    let rule = StampRequired::rule(&settings, &name, plan);
    let tenant = in_time(store.create_tenant_under(rule.as_deref(), &name, plan)).await?;
    tracing::info!(tenant = name, plan, by, "the admin API created a tenant");
    let encoded = utf8_percent_encode(&name, NON_ALPHANUMERIC);
    let location = [(LOCATION, format!("/api/v1/tenants/{encoded}"))];
    Ok((location, answer(StatusCode::CREATED, &to_json(&tenant))).into_response())
}

async fn retrieve(State(admin): State<Admin>, Named(name): Named) -> Result<Response, Problem> {
    let tenant = in_time(admin.store()?.tenant(&name)).await?;
    Ok(answer(StatusCode::OK, &to_json(&tenant)))
}

async fn change(
    State(admin): State<Admin>,
    Named(name): Named,
    actor: Actor,
    request: Request,
) -> Result<Response, Problem> {
    let mut fields = Fields::read(request, &["plan", "suspended"]).await?;
    let plan = fields.text("plan");
    let is_suspended = fields.boolean("suspended");
    fields.finish()?;
    let by = actor.name.clone();
    let store = admin.store_for(actor)?;
    let settings = admin.settings.load();
    let mut rule = None;
    if let Some(plan) = &plan {
        check_configured(&admin, plan)?;
        rule = StampRequired::rule(&settings, &name, plan);
    }
    let tenant = in_time(store.change_tenant(rule.as_deref(), &name, plan.as_deref(), is_suspended)).await?;
    let state = tenant.is_suspended;
    tracing::info!(
        tenant = name,
        plan = tenant.plan,
        suspended = state,
        by,
        "the admin API changed a tenant"
    );
    Ok(answer(StatusCode::OK, &to_json(&tenant)))
}

async fn delete(State(admin): State<Admin>, Named(name): Named, actor: Actor) -> Result<Response, Problem> {
    let by = actor.name.clone();
    let id = in_time(admin.store_for(actor)?.delete_tenant(&name)).await?;
    tracing::info!(
        tenant = name,
        id = id.0,
        by,
        "the admin API deleted a tenant and its keys"
    );
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn to_json(tenant: &Tenant) -> Value {
    json!({
        "id": tenant.id.0,
        "name": tenant.name,
        "plan": tenant.plan,
        "suspended": tenant.is_suspended,
        "created_at": tenant.created_at,
    })
}

/// Refuses a plan that this gateway does not have.
pub(super) fn check_configured(admin: &Admin, plan: &str) -> Result<(), Problem> {
    let settings = admin.settings.load();
    let plans = &settings.plans;
    if plans.contains_key(plan) {
        return Ok(());
    }
    let nearest = nearest_name(plan, plans.keys().map(String::as_str));
    Err(Problem::PlanNotConfigured {
        plan: plan.chars().take(64).collect(),
        hint: nearest.map_or(String::new(), |name| format!("; did you mean {name}?")),
    })
}
