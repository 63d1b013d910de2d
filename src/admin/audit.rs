use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use jiff::Timestamp;
use serde_json::json;

use super::page::PageQuery;
use super::parameters::Parameters;
use super::problem::Problem;
use super::{Admin, in_time};
use crate::contract::ApiError;
use crate::environment::EnvironmentId;
use crate::store::{AuditOperation, AuditOutcome, AuditQuery, AuditRecord};
use crate::tenancy::AdoptionRefusal;
use crate::text::nearest_name;

const LIST: &str = "audit";
const KNOWN: [&str; 9] = [
    "tenant",
    "actor",
    "environment",
    "operation",
    "outcome",
    "from",
    "until",
    PageQuery::LIMIT,
    PageQuery::PAGE,
];

pub(super) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/audit", get(list))
}

async fn list(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut parameters = Parameters::read(query.as_deref(), &KNOWN)?;
    let page = PageQuery::take(&mut parameters)?;
    let before = page.after(LIST)?;
    let query = AuditQuery {
        before,
        limit: page.fetch_limit(),
        ..filters(&mut parameters)?
    };
    let records = in_time(admin.store()?.audit(&query)).await?;
    let position = |record: &AuditRecord| record.id.clone();
    page.answer(LIST, &records, position, |record| json!(record))
}

fn filters(parameters: &mut Parameters) -> Result<AuditQuery, Problem> {
    let query = AuditQuery {
        tenant: parameters.parsed("tenant", parse_tenant)?,
        actor: parameters.parsed("actor", parse_actor)?,
        environment: parameters.parsed("environment", parse_environment)?,
        operation: parameters.parsed("operation", parse_operation)?,
        outcome: parameters.parsed("outcome", parse_outcome)?,
        from: parameters.parsed("from", parse_time)?,
        until: parameters.parsed("until", parse_time)?,
        ..AuditQuery::default()
    };
    match (query.from, query.until) {
        (Some(from), Some(until)) if until <= from => Err(Problem::bad_query("until", "is not after from")),
        _ => Ok(query),
    }
}

/// Whether there is such a tenant does not matter: records outlive tenants.
fn parse_tenant(text: &str) -> Result<String, String> {
    // No name has one, and PostgreSQL cannot even be asked for NUL.
    if text.is_empty() || text.contains(char::is_control) {
        return Err("expected the name or the id of a tenant".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_actor(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err("expected the name of an actor, as records have it".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_environment(text: &str) -> Result<String, String> {
    EnvironmentId::parse(text)
        .map(String::from)
        .map_err(|error| error.to_string())
}

fn parse_operation(text: &str) -> Result<String, String> {
    let names = AuditOperation::ALL.map(AuditOperation::name);
    parse_one_of(&names, text, &names.join(", "))
}

/// An outcome, or the kind of error that one had.
fn parse_outcome(text: &str) -> Result<String, String> {
    let names = AuditOutcome::ALL.map(AuditOutcome::name);
    let expected = format!(
        "{}, or the error of a record, such as policy_violation",
        names.join(", ")
    );
    let errors = [
        &ApiError::KINDS[..],
        &AdoptionRefusal::CODES,
        &[AuditOutcome::CUT_OFF],
    ];
    parse_one_of(&[&names[..], &errors.concat()].concat(), text, &expected)
}

fn parse_one_of(known: &[&str], text: &str, expected: &str) -> Result<String, String> {
    if known.contains(&text) {
        return Ok(text.to_owned());
    }
    let hint = nearest_name(text, known.iter().copied());
    let hint = hint.map_or(String::new(), |name| format!("; did you mean {name}?"));
    Err(format!("expected one of {expected}{hint}"))
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| {
        "expected a date and time such as 2026-12-31T18:00:00Z; the + of an offset is written %2B".to_owned()
    })
}
