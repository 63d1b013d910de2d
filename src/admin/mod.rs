//! Health, metrics and the admin API over HTTP, on an address of their own.
//!
//! The API stands under `/api/v1`; its answers are JSON, its refusals problem details (RFC 9457). What
//! changes tenants and keys is written to the store, which the gateway's own directory follows.

mod access;
mod actor;
mod adoption;
mod adoption_jobs;
mod audit;
mod body;
mod drift;
mod health;
mod keys;
mod log;
mod page;
mod parameters;
mod plans;
mod problem;
mod refused_tokens;
mod reload;
mod reload_outcome;
mod scrape;
mod tenants;
mod traffic;
mod vitals;

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde_json::Value;
use tokio::time::timeout;

pub use adoption::MOST_ADOPTED_AT_ONCE;
pub use adoption_jobs::AdoptionJobs;
pub use reload::{ReloadRequest, Reloads};
pub use reload_outcome::{Reload, ReloadRejection};
pub use vitals::Vitals;

use crate::config::CurrentSettings;
use crate::gateway::Gateway;
use crate::server::{self, ConnectionLimits, Connections, TlsListener};
use crate::store::{Store, StoreError};
use crate::telemetry::{Metrics, RunningLog};
use access::Guard;
use actor::Actor;
use problem::Problem;
use refused_tokens::RefusedTokens;

/// What the admin endpoints look at.
#[derive(Clone)]
pub struct Admin {
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// The plans, the token, and whether environments are stamped, as they are in force.
    pub settings: CurrentSettings,
    /// Where tenants and keys are kept; empty until it could be opened.
    pub store: Arc<OnceLock<Store>>,
    /// What makes an environment a tenant's.
    pub gateway: Arc<Gateway>,
    /// The adoptions that go on, or have ended not long ago.
    pub adoptions: AdoptionJobs,
    /// What `/readyz` looks at.
    pub vitals: Vitals,
    /// Where the settings are read again.
    pub reloads: Reloads,
    /// What is logged.
    pub log: Arc<RunningLog>,
}

/// How many connections may be open.
const MAX_CONNECTIONS: usize = 256;
/// How long the store may take for one request.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves until `shutdown` is done, in TLS if there is any.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<TlsListener>>,
    admin: Admin,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let settings = admin.settings.load();
    let listen = &settings.listen;
    let limits = ConnectionLimits::new(MAX_CONNECTIONS, None, listen.trusted_networks.clone());
    let connections = Connections::new(limits, Some(admin.metrics.connections("admin")));
    let header_timeout = listen.header_timeout;
    server::serve(
        listener,
        tls,
        router(admin),
        connections,
        header_timeout,
        shutdown,
    )
    .await
}

/// The admin endpoints: `/metrics`, `/healthz`, `/readyz`, and the API under `/api/v1`.
pub fn router(admin: Admin) -> Router {
    let guard = Guard {
        refused: Arc::new(RefusedTokens::new(admin.metrics.admin_unauthorized.clone())),
        admin: admin.clone(),
    };
    // Outermost, so that every refusal becomes a problem, whoever made it.
    let guarded = api(&guard)
        .merge(scrape::routes(&guard))
        .layer(middleware::from_fn(problem::render));
    Router::new()
        .merge(health::routes())
        .merge(guarded)
        .with_state(admin)
}

fn api(guard: &Guard) -> Router<Admin> {
    Router::new()
        .merge(tenants::routes())
        .merge(keys::routes())
        .merge(plans::routes())
        .merge(adoption::routes())
        .merge(audit::routes())
        .merge(drift::routes())
        .merge(health::detail_routes())
        .merge(reload::routes())
        .merge(traffic::routes())
        .merge(log::routes())
        .route("/api", any(no_such_path))
        .route("/api/", any(no_such_path))
        .route("/api/{*rest}", any(no_such_path))
        .method_not_allowed_fallback(async || Problem::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(guard.clone(), access::admit))
}

async fn no_such_path() -> Problem {
    Problem::UnknownPath
}

impl Admin {
    fn store(&self) -> Result<&Store, Problem> {
        self.store.get().ok_or(Problem::NotReady)
    }

    /// The store, whose changes are recorded as those of `actor`.
    fn store_for(&self, actor: Actor) -> Result<Store, Problem> {
        let store = self.store()?;
        Ok(match self.gateway.audit() {
            Some(audit) => store.operated_by(actor.into(), Some(audit.clone())),
            None => store.clone(),
        })
    }
}

/// What the store says, within a time: one that went away silently would be waited for without end.
async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, Problem> {
    match timeout(STORE_TIMEOUT, answer).await {
        Ok(outcome) => Ok(outcome?),
        Err(_elapsed) => Err(Problem::StoreAway("the store does not answer")),
    }
}

fn answer(status: StatusCode, content: &Value) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, content.to_string()).into_response()
}

/// An object with one more member.
fn with(mut object: Value, name: &str, value: impl Into<Value>) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.insert(name.to_owned(), value.into());
    }
    object
}

/// The one segment of a path that names something.
struct Named(String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        let Ok(Path(name)) = named else {
            return Err(Problem::UnknownPath);
        };
        // No name has one, and PostgreSQL cannot even be asked for NUL.
        if name.contains(char::is_control) {
            return Err(Problem::UnknownPath);
        }
        Ok(Self(name))
    }
}
