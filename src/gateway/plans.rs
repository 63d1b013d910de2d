use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Access, Secret, Settings};
use crate::contract::ApiError;
use crate::tenancy::{Plan, Tenant};
use crate::upstream::{Client, Origin, SetUpError};

/// All plans by name, made once.
pub(super) struct Plans(HashMap<String, Served>);

/// A plan, and the client that its requests go up with.
pub(super) struct Served {
    pub(super) plan: Plan,
    /// One for each credential, so that plans with the same one share its connections.
    pub(super) upstream: Arc<Client>,
    /// The names of the credential and of the workspace: two plans with one access see the same environments.
    pub(super) access: Arc<str>,
    /// The names of the plans with this access, its own among them.
    pub(super) sharing: Arc<[String]>,
}

impl Plans {
    pub(super) fn new(
        settings: &Settings,
        credential: &Secret,
        origin: &Arc<Origin>,
    ) -> Result<Self, SetUpError> {
        let client = |credential: &Secret| {
            let limits = &settings.upstream;
            Client::new(
                Arc::clone(origin),
                credential,
                limits.timeout,
                limits.max_response_bytes,
            )
            .map(Arc::new)
        };
        let own = client(credential)?;
        let named = settings
            .credentials
            .iter()
            .map(|(name, credential)| Ok((name, client(credential)?)))
            .collect::<Result<HashMap<_, _>, SetUpError>>()?;
        let serve = |(name, plan): (&String, &_)| {
            let plan: &crate::config::Plan = plan;
            let upstream = plan.credential.as_ref().and_then(|name| named.get(name));
            let served = Served {
                plan: Plan::new(name, plan),
                upstream: Arc::clone(upstream.unwrap_or(&own)),
                access: name_of(settings.access(plan)),
                sharing: sharing(settings, plan),
            };
            (name.clone(), served)
        };
        Ok(Self(settings.plans.iter().map(serve).collect()))
    }

    /// The plan of a tenant.
    pub(super) fn of(&self, tenant: &Tenant) -> Result<&Served, ApiError> {
        self.0.get(&tenant.plan).ok_or(ApiError::PlanNotConfigured)
    }
}

/// A credential's name and a workspace's id have no space in them, so no two accesses have one name.
fn name_of(access: Access<'_>) -> Arc<str> {
    let credential = access.credential.unwrap_or_default();
    let workspace = access
        .workspace_id
        .map(http::HeaderValue::as_bytes)
        .unwrap_or_default();
    format!("{credential} {}", String::from_utf8_lossy(workspace)).into()
}

/// The names of the plans that see what `plan` sees.
fn sharing(settings: &Settings, plan: &crate::config::Plan) -> Arc<[String]> {
    let access = settings.access(plan);
    let plans = settings.plans.iter();
    plans
        .filter(|(_, other)| settings.access(other) == access)
        .map(|(name, _)| name.clone())
        .collect()
}
