use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use crate::config::{self, Access, Secret, Settings};
use crate::contract::ApiError;
use crate::quota::{Allowance, Budget, Limits, TenantLimits, TenantQuota};
use crate::telemetry::Metrics;
use crate::tenancy::{Plan, Tenant};
use crate::upstream::{Client, Origin, SetUpError, request_headers};

/// All plans by name, made once.
pub(super) struct Plans {
    by_name: HashMap<String, ResolvedPlan>,
    budgets: HashMap<String, Arc<Budget>>,
}

/// A plan, and the client that its requests go up with.
pub(super) struct ResolvedPlan {
    pub(super) plan: Plan,
    /// One for each credential, so that plans with the same one share its connections.
    pub(super) upstream: Arc<Client>,
    /// The names of the credential and of the workspace: two plans with one access see the same environments.
    pub(super) access: Arc<str>,
    /// The names of the plans with this access, its own among them.
    pub(super) sharing: Arc<[String]>,
    /// What its requests spend, together with those of all plans of the organisation.
    pub(super) budget: Arc<Budget>,
    limits: TenantLimits,
}

impl ResolvedPlan {
    /// A client's header as it goes up, with these betas.
    pub(super) fn upstream_headers(&self, client: &HeaderMap, betas: HeaderValue) -> HeaderMap {
        let workspace_id = self.plan.workspace_id.as_ref();
        request_headers(client, betas, workspace_id, self.upstream.translation())
    }

    /// The header of a request of the gateway's own.
    pub(super) fn own_headers(&self) -> HeaderMap {
        self.upstream_headers(&HeaderMap::new(), self.plan.betas.required.clone())
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
    pub(super) fn new(
        settings: &Settings,
        credential: &Secret,
        origin: &Arc<Origin>,
        metrics: &Metrics,
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
            .map(|(name, credential)| Ok((name, (client(&credential.key)?, &credential.budget))))
            .collect::<Result<HashMap<_, _>, SetUpError>>()?;
        let budgets: HashMap<_, _> = settings
            .budgets
            .iter()
            .map(|(name, limits)| (name.clone(), budget(name, limits, &settings.quota, metrics)))
            .collect();
        let resolve = |(name, plan): (&String, &_)| {
            let plan: &config::Plan = plan;
            let credential = plan.credential.as_ref().and_then(|name| named.get(name));
            let (upstream, budget) = match credential {
                Some((upstream, budget)) => (upstream, *budget),
                None => (&own, &settings.upstream.budget),
            };
            let resolved = ResolvedPlan {
                plan: Plan::new(name, plan),
                upstream: Arc::clone(upstream),
                access: name_of(settings.access(plan)),
                sharing: sharing(settings, plan),
                budget: Arc::clone(budgets.get(budget)?),
                limits: TenantLimits::from(plan),
            };
            Some((name.clone(), resolved))
        };
        Ok(Self {
            // The settings name no budget that is not there.
            by_name: settings.plans.iter().filter_map(resolve).collect(),
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

    /// All budgets that are configured.
    pub(super) fn budgets(&self) -> impl Iterator<Item = &Arc<Budget>> {
        self.budgets.values()
    }

    /// The plan of a tenant.
    pub(super) fn of(&self, tenant: &Tenant) -> Result<&ResolvedPlan, ApiError> {
        self.by_name.get(&tenant.plan).ok_or(ApiError::PlanNotConfigured)
    }
}

fn budget(name: &str, limits: &config::Budget, quota: &config::Quota, metrics: &Metrics) -> Arc<Budget> {
    let in_words = |limit: Option<u32>| limit.map_or("unlimited".to_owned(), |limit| limit.to_string());
    tracing::info!(
        budget = name,
        requests_per_minute = in_words(limits.requests_per_minute),
        concurrent_requests = in_words(limits.concurrent_requests),
        creates_per_minute = in_words(limits.creates_per_minute),
        writes_per_minute = in_words(limits.writes_per_minute),
        reads_per_minute = in_words(limits.reads_per_minute),
        learn = limits.learn,
        replicas = quota.replicas,
        counted = if quota.redis.is_some() { "in Redis" } else { "here" },
        "what may go up"
    );
    let metrics = metrics.budget(name, limits.requests_per_minute.is_some());
    let allowed = Limits::from(limits);
    let allowance = Allowance {
        limits: match quota.redis {
            Some(_) => allowed,
            // Nobody knows what the others do.
            None => allowed.share(quota.replicas),
        },
        replicas: quota.replicas,
        learn: limits.learn,
        span: quota.window,
    };
    Budget::new(name, allowance, metrics)
}

/// A credential's name and a workspace's id have no space in them, so no two accesses have one name.
fn name_of(access: Access<'_>) -> Arc<str> {
    let credential = access.credential.unwrap_or_default();
    let workspace = access.workspace_id.map(HeaderValue::as_bytes).unwrap_or_default();
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
