use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::page::PageQuery;
use super::problem::Problem;
use super::{Admin, Named, answer, in_time};
use crate::config::{Install, PackageRule, Plan, Policy};
use crate::contract::{Operation, Rule};
use crate::environment::PackageName;

const LIST: &str = "plans";

/// Plans are written in the settings; here they can be read.
pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/plans", get(list))
        .route("/api/v1/plans/{name}", get(retrieve))
}

async fn list(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = PageQuery::parse(query.as_deref())?;
    let after = match query.after::<String>(LIST)? {
        Some(after) => Bound::Excluded(after),
        None => Bound::Unbounded,
    };
    let tenants = in_time(admin.store()?.tenants_by_plan()).await?;
    let settings = admin.settings.load();
    let plans: Vec<_> = settings
        .plans
        .range((after, Bound::Unbounded))
        .take(query.fetch_limit().into())
        .collect();
    let show = |(name, plan): &(&String, &Plan)| to_json(name, plan, &tenants);
    query.answer(LIST, &plans, |(name, _)| (*name).clone(), show)
}

async fn retrieve(State(admin): State<Admin>, Named(name): Named) -> Result<Response, Problem> {
    let settings = admin.settings.load();
    let Some(plan) = settings.plans.get(&name) else {
        return Err(Problem::NoSuchPlan(name.chars().take(64).collect()));
    };
    let tenants = in_time(admin.store()?.tenants_by_plan()).await?;
    Ok(answer(StatusCode::OK, &to_json(&name, plan, &tenants)))
}

fn to_json(name: &str, plan: &Plan, tenants: &HashMap<String, i64>) -> Value {
    let operations = plan.operations.iter().copied().map(Operation::name);
    json!({
        "name": name,
        "tenants": tenants.get(name).copied().unwrap_or_default(),
        "operations": operations.collect::<Vec<_>>(),
        "dialect": plan.dialect.name,
        "unknown_field": rule(plan.strictness.unknown_field),
        "host_format": rule(plan.strictness.host_format),
        "workspace_id": plan.workspace_id.as_ref().and_then(|id| id.to_str().ok()),
        "credential": plan.credential,
        "requests_per_minute": plan.requests_per_minute,
        "concurrent_requests": plan.concurrent_requests,
        "weight": plan.weight,
        "betas": plan.betas.allowed,
        "force_delete": plan.may_force_delete,
        "server_timing": plan.tells_timing,
        "policy": plan.policy.as_ref().map(policy),
    })
}

fn policy(policy: &Policy) -> Value {
    let hosts = policy.allowed_hosts.as_ref();
    let packages: Map<_, _> = policy
        .packages
        .iter()
        .map(|(manager, rule)| (manager.name().to_owned(), package_rule(rule)))
        .collect();
    json!({
        "networking": if policy.needs_limited_network { "limited" } else { "any" },
        "allowed_hosts": hosts.map(|hosts| hosts.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "hosts": if policy.needs_public_hosts { "public" } else { "any" },
        "package_managers": policy.allows_package_managers,
        "mcp_servers": policy.allows_mcp_servers,
        "config_types": policy.config_types,
        "scopes": policy.scopes,
        "packages": packages,
    })
}

fn package_rule(rule: &PackageRule) -> Value {
    let names = |names: &BTreeSet<PackageName>| -> Vec<String> {
        names.iter().map(|name| name.as_str().to_owned()).collect()
    };
    json!({
        "install": match rule.install {
            Install::Any => "any",
            Install::Pinned => "pinned",
            Install::Off => "off",
        },
        "allow": rule.allow.as_ref().map(names),
        "deny": names(&rule.deny),
    })
}

const fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::Reject => "reject",
        Rule::Warn => "warn",
        Rule::Allow => "allow",
    }
}
