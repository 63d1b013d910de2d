use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;

use super::body::Fields;
use super::page::PageQuery;
use super::parameters::Parameters;
use super::problem::Problem;
use super::{Actor, Admin, answer, in_time};
use crate::contract::Operation;
use crate::store::{DriftQuery, FindingState, Store, StoreError, StoreFault, StoredFinding};
use crate::text::nearest_name;

const LIST: &str = "drift";
const KNOWN: [&str; 4] = ["operation", "state", PageQuery::LIMIT, PageQuery::PAGE];
/// How many ids can be named at once.
const MAX_IDS: usize = 1000;

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/drift", get(list))
        .route("/api/v1/drift/acknowledge", post(acknowledge))
}

async fn list(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let mut parameters = Parameters::read(query.as_deref(), &KNOWN)?;
    let page = PageQuery::take(&mut parameters)?;
    let query = DriftQuery {
        operation: parameters.parsed("operation", parse_operation)?,
        state: parameters.parsed("state", parse_state)?,
        after: page.after(LIST)?,
        limit: Some(page.fetch_limit()),
    };
    let store = admin.store()?;
    write_pending(&admin, store).await?;
    let findings = in_time(store.drift(&query)).await?;
    let position = |finding: &StoredFinding| finding.id.clone();
    page.answer(LIST, &findings, position, StoredFinding::to_json)
}

async fn acknowledge(
    State(admin): State<Admin>,
    actor: Actor,
    request: Request,
) -> Result<Response, Problem> {
    let mut fields = Fields::read(request, &["ids", "all"]).await?;
    let is_all = fields.boolean("all").unwrap_or_default();
    let is_empty = fields.is_empty_list("ids");
    let ids = fields.list("ids", |id| Ok(id.to_owned()));
    if ids.len() > MAX_IDS {
        fields.fault("ids", &format!("has {} entries, 1000 are the most", ids.len()));
    } else if is_empty || is_all != ids.is_empty() {
        fields.fault(
            "ids",
            "name the findings that are known, or say \"all\": true and no ids",
        );
    }
    fields.finish()?;
    let by = actor.name.clone();
    let store = admin.store_for(actor)?;
    write_pending(&admin, &store).await?;
    let acknowledged = in_time(store.acknowledge_drift((!is_all).then_some(&ids))).await?;
    in_time(store.tell_drift(&admin.metrics.drift)).await?;
    tracing::info!(
        findings = acknowledged,
        by,
        "the admin API acknowledged findings of drift"
    );
    Ok(answer(StatusCode::OK, &json!({ "acknowledged": acknowledged })))
}

/// Whoever asks hears of all that this gateway has seen by now. While the store takes no writes it can be read all the same:
/// what it lacks stays here, and is in the log.
async fn write_pending(admin: &Admin, store: &Store) -> Result<(), Problem> {
    let Some(watch) = admin.gateway.drift() else {
        return Ok(());
    };
    let takes_no_writes =
        |error: &StoreError| matches!(error.fault(), Some(StoreFault::ReadOnly | StoreFault::Full));
    let writing = async {
        match store.write_drift(watch).await {
            Err(error) if takes_no_writes(&error) => Ok(()),
            outcome => outcome.map(drop),
        }
    };
    in_time(writing).await
}

fn parse_operation(text: &str) -> Result<Operation, String> {
    Operation::by_name(text).ok_or_else(|| expected(text, &Operation::NAMES))
}

fn parse_state(text: &str) -> Result<FindingState, String> {
    FindingState::by_name(text).ok_or_else(|| expected(text, &FindingState::ALL.map(FindingState::name)))
}

fn expected(text: &str, names: &[&str]) -> String {
    let hint = nearest_name(text, names.iter().copied());
    let hint = hint.map_or(String::new(), |name| format!("; did you mean {name}?"));
    format!("expected one of {}{hint}", names.join(", "))
}
