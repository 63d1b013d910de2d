use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::identity::identity;
use super::planned_budgets::PlannedBudgets;
use crate::config::{self, Access, Secret, Settings};
use crate::contract::ApiError;
use crate::quota::{Budget, LiveBudget, TenantLimits, TenantQuota};
use crate::telemetry::{Metrics, TraceContext};
use crate::tenancy::{Plan, Tenant};
use crate::upstream::{Client, Origin, SetUpError, UpstreamHeader, request_headers};

/// All plans by name, made once.
pub(super) struct Plans {
    by_name: HashMap<String, ResolvedPlan>,
    /// One for each credential, whatever its names, so that its plans share its connections.
    clients: Vec<Arc<Client>>,
    budgets: PlannedBudgets,
}

/// A plan, and the client that its requests go up with.
pub(super) struct ResolvedPlan {
    pub(super) plan: Plan,
    /// One for each credential, so that plans with the same one share its connections.
    pub(super) upstream: Arc<Client>,
    /// What all that is remembered belongs to: two plans with one access see the same environments.
    pub(super) access: Arc<str>,
    /// The access by the names of the settings, for the operator.
    pub(super) access_name: String,
    /// The name of the credential; none for the upstream's own.
    credential: Option<String>,
    /// Whether it is in a file that may have another one by now.
    pub(super) has_credential_file: bool,
    /// The names of the plans with this access, its own among them.
    pub(super) sharing: Arc<[String]>,
    /// What its requests spend, together with those of all plans of the organisation.
    pub(super) budget: Arc<Budget>,
    limits: TenantLimits,
}

impl ResolvedPlan {
    /// A client's header as it goes up, with these betas and as part of this trace.
    pub(super) fn upstream_headers(
        &self,
        client: &HeaderMap,
        betas: HeaderValue,
        trace: Option<&TraceContext>,
    ) -> UpstreamHeader {
        let workspace_id = self.plan.workspace_id.as_ref();
        request_headers(client, betas, workspace_id, trace)
    }

    /// The header of a request of the gateway's own.
    pub(super) fn own_headers(&self) -> UpstreamHeader {
        self.upstream_headers(&HeaderMap::new(), self.plan.betas.required.clone(), None)
    }

    /// Whether a tenant of the plan may have one more request in flight beside so many.
    pub(super) fn has_slot_beside(&self, in_flight: usize) -> bool {
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        self.limits.concurrent.is_none_or(|limit| in_flight < limit)
    }

    /// A tenant of the plan, as its budget sees it.
    pub(super) fn tenant_quota<'a>(&self, tenant: &'a Tenant) -> TenantQuota<'a> {
        TenantQuota {
            tenant: &tenant.id,
            limits: self.limits,
        }
    }
}

impl Plans {
    /// The plans of the settings, with what `before` has of the same upstream, credentials and budgets. Of
    /// those budgets nothing changes before the plans are [put in force](Self::put_in_force).
    pub(super) fn new(
        settings: &Settings,
        own_credential: &Secret,
        origin: &Arc<Origin>,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Result<Self, SetUpError> {
        let mut clients = Clients {
            settings,
            origin,
            before: before.map_or(&[], |before| before.clients.as_slice()),
            made: Vec::new(),
        };
        let own = clients.client(own_credential)?;
        let named = settings
            .credentials
            .iter()
            .map(|(name, credential)| Ok((name, (clients.client(&credential.key)?, credential))))
            .collect::<Result<HashMap<_, _>, SetUpError>>()?;
        let mut budgets = PlannedBudgets::new(settings, metrics, before.map(|before| &before.budgets));
        let mut resolve = |(name, plan): (&String, &config::Plan)| {
            let credential = plan.credential.as_ref().and_then(|name| named.get(name));
            let (upstream, budget, key) = match credential {
                Some((upstream, credential)) => (upstream, &credential.budget, &credential.key),
                None => (&own, &settings.upstream.budget, own_credential),
            };
            let access = identity(settings, key, plan.workspace_id.as_ref());
            let resolved = ResolvedPlan {
                plan: Plan::new(name, plan),
                upstream: Arc::clone(upstream),
                budget: budgets.spend(budget, &access)?,
                access,
                access_name: name_of(settings.access(plan)),
                has_credential_file: settings
                    .credential_files
                    .iter()
                    .any(|file| file.name == plan.credential),
                credential: plan.credential.clone(),
                sharing: sharing(settings, plan),
                limits: TenantLimits::from(plan),
            };
            Some((name.clone(), resolved))
        };
        Ok(Self {
            // The settings name no budget that is not there.
            by_name: settings.plans.iter().filter_map(&mut resolve).collect(),
            clients: clients.made,
            budgets,
        })
    }

    /// A plan for each way to ask the upstream: for each credential and workspace.
    pub(super) fn one_of_each_access(&self) -> impl Iterator<Item = &ResolvedPlan> {
        let plans = self.by_name.iter();
        // The first of those that share an access stands for them.
        let firsts = plans.filter(|(name, plan)| plan.sharing.first() == Some(name));
        firsts.map(|(_, plan)| plan)
    }

    /// The clients of all credentials.
    pub(super) fn clients(&self) -> impl Iterator<Item = &Arc<Client>> {
        self.clients.iter()
    }

    /// All budgets that are configured.
    pub(super) fn budgets(&self) -> impl Iterator<Item = &LiveBudget> {
        self.budgets.iter()
    }

    /// From now on the budgets are what these plans' settings say.
    pub(super) fn put_in_force(&self, before: &Self) {
        self.budgets.put_in_force(&before.budgets);
    }

    /// Tells the log what each budget may let up.
    pub(super) fn tell_budgets(&self) {
        self.budgets.tell();
    }

    /// The plan of a tenant.
    pub(super) fn of(&self, tenant: &Tenant) -> Result<&ResolvedPlan, ApiError> {
        self.by_name.get(&tenant.plan).ok_or(ApiError::PlanNotConfigured)
    }

    /// The client that requests of a tenant go up with from now on, where theirs was `used` and their plan
    /// `plan`: the credential of the same name at the same upstream, if that is another key by now.
    pub(super) fn renewed(&self, tenant: &Tenant, plan: &ResolvedPlan, used: &Client) -> Option<Arc<Client>> {
        let now = self.by_name.get(&tenant.plan)?;
        let is_renewed = now.credential == plan.credential
            && now.plan.workspace_id == plan.plan.workspace_id
            && now.upstream.has_origin_of(used)
            && !now.upstream.is_same(used);
        is_renewed.then(|| Arc::clone(&now.upstream))
    }
}

/// Makes one client for each credential, or goes on with the one from before.
struct Clients<'a> {
    settings: &'a Settings,
    origin: &'a Arc<Origin>,
    before: &'a [Arc<Client>],
    made: Vec<Arc<Client>>,
}

impl Clients<'_> {
    fn client(&mut self, credential: &Secret) -> Result<Arc<Client>, SetUpError> {
        let is_it = |client: &&Arc<Client>| client.is_of(self.origin, credential);
        if let Some(made) = self.made.iter().find(is_it) {
            return Ok(Arc::clone(made));
        }
        let limits = &self.settings.upstream;
        let (timeout, max_response_bytes) = (limits.timeout, limits.max_response_bytes);
        let client = match self.before.iter().find(is_it) {
            Some(known) => known.with_limits(timeout, max_response_bytes),
            None => Client::new(Arc::clone(self.origin), credential, timeout, max_response_bytes)?,
        };
        let client = Arc::new(client);
        self.made.push(Arc::clone(&client));
        Ok(client)
    }
}

/// Credential and workspace as the settings call them.
fn name_of(access: Access<'_>) -> String {
    let credential = access.credential.unwrap_or("upstream.credential");
    match access.workspace_id {
        Some(workspace) => format!("{credential} {}", String::from_utf8_lossy(workspace.as_bytes())),
        None => credential.to_owned(),
    }
}

/// The names of the plans that see what `plan` sees.
fn sharing(settings: &Settings, plan: &config::Plan) -> Arc<[String]> {
    let access = settings.access(plan);
    let plans = settings.plans.iter();
    plans
        .filter(|(_, other)| settings.access(other) == access)
        .map(|(name, _)| name.clone())
        .collect()
}
