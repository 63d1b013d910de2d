//! What happens now, for whoever looks at one gateway, such as `envgate top`.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::parameters::Parameters;
use super::problem::Problem;
use super::{Admin, answer};
use crate::contract::Operation;
use crate::telemetry::{BudgetTraffic, ErrorTraffic, SlowRequest};
use crate::tenancy::{RateTime, Tenant, TenantId, TenantTraffic};
use crate::text::{format_timestamp, milliseconds};

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/traffic", get(traffic))
}

const LIMIT: &str = "limit";
const ORDER: &str = "order";
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 1000;

/// What tenants are listed by, the most of it first.
#[derive(Clone, Copy)]
enum Order {
    Requests,
    Waiting,
    Refused,
}

impl Order {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "requests" => Ok(Self::Requests),
            "waiting" => Ok(Self::Waiting),
            "refused" => Ok(Self::Refused),
            _ => Err("expected requests, waiting or refused".to_owned()),
        }
    }
}

async fn traffic(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut parameters = Parameters::read(query.as_deref(), &[LIMIT, ORDER])?;
    let limit = parameters.parsed(LIMIT, parse_limit)?.unwrap_or(DEFAULT_LIMIT);
    let order = parameters.parsed(ORDER, Order::parse)?.unwrap_or(Order::Requests);
    let (metrics, now) = (&admin.metrics, Instant::now());
    let budgets = admin.gateway.budgets();
    let mut waiting: HashMap<TenantId, usize> = HashMap::new();
    for (tenant, count) in budgets.iter().flat_map(|live| live.budget().waiting_by_tenant()) {
        *waiting.entry(tenant).or_default() += count;
    }
    let asked = metrics.traffic.tenants();
    let rates = metrics.traffic.rates(&asked, now);
    let tenants = TenantLine::ranked(&asked, &waiting, metrics.traffic.time(now), order);
    let slowest = metrics.traffic.slowest(now);
    let content = json!({
        "at": format_timestamp(Timestamp::now()),
        "since": format_timestamp(metrics.traffic.since()),
        "requests": {
            "total": metrics.request_count(),
            "in_flight": metrics.in_flight.get(),
            "per_second_10s": rounded(rates.per_second_10s),
            "per_second_60s": rounded(rates.per_second_60s),
        },
        "refusals": refusals(metrics.error_traffic(now)),
        "tenants_seen": asked.len(),
        "tenants": tenants.iter().take(limit).map(TenantLine::to_json).collect::<Vec<_>>(),
        "budgets": budgets.iter().map(|live| {
            let name = live.budget().name();
            budget(name, &metrics.budget_traffic(name))
        }).collect::<Vec<_>>(),
        "slowest": slowest.iter().take(limit).map(slow_request).collect::<Vec<_>>(),
    });
    Ok(answer(StatusCode::OK, &content))
}

fn parse_limit(text: &str) -> Result<usize, String> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("expected a whole number from 1 to {MAX_LIMIT}"))
}

/// A tenant, and what it asks for.
struct TenantLine<'t> {
    name: &'t str,
    by_class: [u64; 5],
    waiting: usize,
    per_second_10s: f64,
    per_second_60s: f64,
    refused_per_second_60s: f64,
}

impl<'t> TenantLine<'t> {
    fn ranked(
        asked: &'t [(Arc<Tenant>, Arc<TenantTraffic>)],
        waiting: &HashMap<TenantId, usize>,
        now: RateTime,
        order: Order,
    ) -> Vec<Self> {
        let mut lines: Vec<_> = asked
            .iter()
            .map(|(tenant, traffic)| Self {
                name: &tenant.name,
                by_class: traffic.by_class(),
                waiting: waiting.get(&tenant.id).copied().unwrap_or_default(),
                per_second_10s: traffic.requests().per_second_10s(now),
                per_second_60s: traffic.requests().per_second_60s(now),
                refused_per_second_60s: traffic.refused().per_second_60s(now),
            })
            .collect();
        lines.sort_by(|one, other| {
            let by_order = match order {
                Order::Requests => other.per_second_60s.total_cmp(&one.per_second_60s),
                Order::Waiting => other.waiting.cmp(&one.waiting),
                Order::Refused => other
                    .refused_per_second_60s
                    .total_cmp(&one.refused_per_second_60s),
            };
            let by_total = || Reverse(one.requests()).cmp(&Reverse(other.requests()));
            by_order
                .then_with(by_total)
                .then_with(|| one.name.cmp(other.name))
        });
        lines
    }

    fn requests(&self) -> u64 {
        self.by_class.iter().sum()
    }

    fn to_json(&self) -> Value {
        let [.., refused, failed] = self.by_class;
        json!({
            "tenant": self.name,
            "requests": self.requests(),
            "refused": refused,
            "failed": failed,
            "waiting": self.waiting,
            "per_second_10s": rounded(self.per_second_10s),
            "per_second_60s": rounded(self.per_second_60s),
            "refused_per_second_60s": rounded(self.refused_per_second_60s),
        })
    }
}

fn refusals(mut by_error: Vec<ErrorTraffic>) -> Vec<Value> {
    by_error.sort_by(|one, other| {
        let by_rate = other.rates.per_second_60s.total_cmp(&one.rates.per_second_60s);
        by_rate.then_with(|| other.total.cmp(&one.total))
    });
    let to_json = |told: &ErrorTraffic| {
        json!({
            "error": told.error,
            "total": told.total,
            "per_second_10s": rounded(told.rates.per_second_10s),
            "per_second_60s": rounded(told.rates.per_second_60s),
        })
    };
    by_error.iter().map(to_json).collect()
}

fn budget(name: &str, traffic: &BudgetTraffic) -> Value {
    let object = |pairs: &[(&'static str, i64)]| {
        let pairs = pairs
            .iter()
            .map(|(limit, value)| ((*limit).to_owned(), json!(value)));
        Value::Object(pairs.collect::<Map<_, _>>())
    };
    let requests_left = traffic.left.iter().find(|(limit, _)| *limit == "requests");
    json!({
        "budget": name,
        "limits": object(&traffic.limits),
        "learned": object(&traffic.learned),
        "left": object(&traffic.left),
        "remaining": requests_left.map(|(_, left)| left),
        "in_flight": traffic.in_flight,
        "queued": traffic.queued,
        "paused": traffic.is_paused,
        "admitted": traffic.admitted,
        "refused": traffic.refused,
    })
}

fn slow_request(slow: &SlowRequest) -> Value {
    let steps = slow.steps.iter();
    let steps = steps.map(|(step, took)| (step.name().to_owned(), json!(milliseconds(*took))));
    json!({
        "at": format_timestamp(slow.at),
        "operation": slow.operation.map(Operation::name),
        "tenant": slow.tenant.as_ref().map(|tenant| &tenant.name),
        "status": slow.status,
        "error": slow.error,
        "duration_ms": milliseconds(slow.total),
        "own_ms": milliseconds(slow.own),
        "steps_ms": Value::Object(steps.collect()),
        "request_id": slow.request_id,
        "trace_id": slow.trace_id.to_hex().as_str(),
    })
}

/// With three digits after the point.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
