use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde_json::{Value, json};

use super::body::Fields;
use super::problem::Problem;
use super::tenants::check_configured;
use super::{Admin, Named, answer, in_time, with};
use crate::environment::EnvironmentId;
use crate::gateway;
use crate::store::Store;
use crate::tenancy::{Adoption, AdoptionRefusal, Tenant};

/// How many environments one request can name: each costs the upstream's budget two requests.
pub const MOST_ADOPTED_AT_ONCE: usize = 100;

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/tenants/{name}/environments", post(adopt))
}

async fn adopt(
    State(admin): State<Admin>,
    Named(tenant): Named,
    request: Request,
) -> Result<Response, Problem> {
    let mut fields = Fields::read(request, &["environments", "force"]).await?;
    let ids = fields.list("environments", |id| {
        EnvironmentId::parse(id).map_err(|error| error.to_string())
    });
    if !(1..=MOST_ADOPTED_AT_ONCE).contains(&ids.len()) {
        fields.fault(
            "environments",
            &format!("expected 1 to {MOST_ADOPTED_AT_ONCE} ids"),
        );
    }
    let is_forced = fields.boolean("force").unwrap_or_default();
    fields.finish()?;
    if !admin.settings.ownership.is_stamping {
        return Err(Problem::NothingToAdopt);
    }
    let tenant = Arc::new(in_time(admin.store()?.tenant(&tenant)).await?);
    check_configured(&admin, &tenant.plan)?;
    let mut outcomes = Vec::new();
    for id in ids {
        // Whoever asked may go away at any time; what was begun is finished all the same.
        let adoption = adopt_one(admin.clone(), Arc::clone(&tenant), id.clone(), is_forced);
        let adoption = tokio::spawn(adoption).await.map_err(|_| Problem::Internal)??;
        outcomes.push(to_json(&id, &adoption));
    }
    Ok(answer(StatusCode::OK, &json!({ "data": outcomes })))
}

async fn adopt_one(
    admin: Admin,
    tenant: Arc<Tenant>,
    id: EnvironmentId,
    is_forced: bool,
) -> Result<Adoption, Problem> {
    let store = admin.store()?;
    let adoption = gateway::adopt(&admin.gateway, Arc::clone(&tenant), &id, is_forced).await;
    tracing::info!(
        tenant = tenant.name,
        environment = id.as_str(),
        is_forced,
        outcome = adoption.name(),
        "the admin API was asked to adopt an environment"
    );
    record_adoption(store, &id, &adoption).await;
    Ok(adoption)
}

/// Tells the gateways that share the store to forget whose the environment was, where that may have changed.
/// One that is not told remembers it for some minutes more, so this is no reason to fail.
async fn record_adoption(store: &Store, id: &EnvironmentId, adoption: &Adoption) {
    if let Adoption::Refused(AdoptionRefusal::NotFound | AdoptionRefusal::AnothersOwn) = adoption {
        return;
    }
    if in_time(store.record_adoption(id)).await.is_err() {
        let environment = id.as_str();
        tracing::warn!(environment, "other gateways could not be told of an adoption");
    }
}

fn to_json(id: &EnvironmentId, adoption: &Adoption) -> Value {
    let content = json!({ "id": id, "outcome": adoption.name() });
    match adoption {
        Adoption::Refused(refusal) => with(
            with(content, "code", refusal.code()),
            "detail",
            refusal.to_string(),
        ),
        _ => content,
    }
}
