use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, timeout};

use super::adoption_jobs::AdoptionJob;
use super::body::Fields;
use super::problem::Problem;
use super::tenants::check_configured;
use super::{Actor, Admin, Named, answer, in_time};
use crate::environment::EnvironmentId;
use crate::gateway;
use crate::store::{Operator, Store};
use crate::tenancy::{Adoption, AdoptionRefusal, Tenant};

/// How many environments one request can name: each costs the upstream's budget two requests.
pub const MOST_ADOPTED_AT_ONCE: usize = 100;
/// How long whoever asks for an adoption waits for its end. Later they ask how far it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Environments are adopted one after the other, but for those that take longer than this.
const SLOW: Duration = Duration::from_secs(2);
/// How many slow ones are waited for at once.
const MAX_SLOW: usize = 8;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/tenants/{name}/environments", post(adopt))
        .route("/api/v1/adoptions/{id}", get(progress))
}

async fn adopt(
    State(admin): State<Admin>,
    Named(tenant): Named,
    actor: Actor,
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
    if !admin.settings.load().ownership.is_stamping {
        return Err(Problem::NothingToAdopt);
    }
    let store = admin.store()?.clone();
    let tenant = Arc::new(in_time(store.tenant(&tenant)).await?);
    check_configured(&admin, &tenant.plan)?;

    let jobs = admin.adoptions.clone();
    // Whoever asked may go away at any time; what was begun is finished all the same.
    let job = jobs.start(tenant.name.clone(), ids.clone(), |job| {
        let adopter = Adopter {
            admin,
            store,
            tenant,
            is_forced,
            operator: actor.into(),
        };
        run(adopter, job, ids)
    })?;
    let status = match timeout(ANSWER_WITHIN, job.finished()).await {
        Ok(()) => StatusCode::OK,
        Err(_elapsed) => StatusCode::ACCEPTED,
    };
    let mut response = answer(status, &job.to_json());
    if let Ok(path) = HeaderValue::from_str(&job.path()) {
        response.headers_mut().insert(LOCATION, path);
    }
    Ok(response)
}

async fn progress(State(admin): State<Admin>, Named(id): Named) -> Result<Response, Problem> {
    let job = admin.adoptions.get(&id).ok_or(Problem::NoSuchAdoption)?;
    Ok(answer(StatusCode::OK, &job.to_json()))
}

/// Adopts one environment after the other, and where they are slow several at once. After its time, or where
/// the gateway stops, no further one is begun.
async fn run(adopter: Adopter, job: Arc<AdoptionJob>, ids: Vec<EnvironmentId>) {
    let admin = &adopter.admin;
    let deadline = Instant::now() + admin.settings.load().ownership.adoption_timeout;
    let mut running = FuturesUnordered::new();
    for (index, id) in ids.iter().enumerate() {
        if Instant::now() >= deadline || admin.adoptions.is_stopping() {
            break;
        }
        job.begin(index);
        let adoption = adopter.adopt(id);
        running.push(async move { (index, adoption.await) });
        let mut is_slow = pin!(sleep(SLOW));
        while !running.is_empty() {
            tokio::select! {
                Some((index, adoption)) = running.next() => job.finish(index, adoption),
                () = &mut is_slow, if running.len() < MAX_SLOW => break,
            }
        }
    }
    while let Some((index, adoption)) = running.next().await {
        job.finish(index, adoption);
    }
}

/// What environments are adopted with, and for whom.
struct Adopter {
    admin: Admin,
    store: Store,
    tenant: Arc<Tenant>,
    is_forced: bool,
    /// Whoever asked for it.
    operator: Operator,
}

impl Adopter {
    async fn adopt(&self, id: &EnvironmentId) -> Adoption {
        let tenant = Arc::clone(&self.tenant);
        let operator = self.operator.clone();
        let adoption = gateway::adopt(&self.admin.gateway, tenant, id, self.is_forced, operator).await;
        tracing::info!(
            tenant = self.tenant.name,
            environment = id.as_str(),
            is_forced = self.is_forced,
            client = self.operator.client_address.map(tracing::field::display),
            by = self.operator.name,
            outcome = adoption.name(),
            "the admin API was asked to adopt an environment"
        );
        record_adoption(&self.store, id, &adoption).await;
        adoption
    }
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
