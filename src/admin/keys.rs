use std::time::Duration;

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::body::Fields;
use super::page::PageQuery;
use super::problem::Problem;
use super::{Actor, Admin, Named, answer, in_time, with};
use crate::environment::EnvironmentId;
use crate::store::{IssuedKey, ListedKey, StoreError};
use crate::tenancy::{KeyId, KeyTerms, Restrictions, operation};
use crate::text::{expect_duration, format_timestamp, parse_moment};

/// How long a rotated key goes on where the request does not say: long enough to hand the new one round.
const DEFAULT_GRACE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/api/v1/tenants/{name}/keys", get(list).post(create))
        .route("/api/v1/keys/{id}", axum::routing::delete(revoke))
        .route("/api/v1/keys/{id}/rotate", post(rotate))
}

async fn list(
    State(admin): State<Admin>,
    Named(tenant): Named,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = PageQuery::parse(query.as_deref())?;
    let list = format!("keys {tenant}");
    let after = query.after::<(String, String)>(&list)?;
    let after = after
        .as_ref()
        .map(|(created_at, id)| (created_at.as_str(), id.as_str()));
    let keys = in_time(admin.store()?.keys_after(&tenant, after, query.fetch_limit())).await?;
    let now = Timestamp::now();
    let position = |key: &ListedKey| (key.created_at.clone(), key.id.to_string());
    query.answer(&list, &keys, position, |key| to_json(key, now))
}

async fn create(
    State(admin): State<Admin>,
    Named(tenant): Named,
    actor: Actor,
    request: Request,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let known = ["label", "expires_at", "operations", "environments"];
    let mut fields = Fields::read(request, &known).await?;
    let label = fields.text("label");
    let expires_at = fields.parsed("expires_at", |text| parse_moment(text, now));
    let operations = restricted(&mut fields, "operations", operation);
    let environments = restricted(&mut fields, "environments", |id| {
        EnvironmentId::parse(id).map_err(|error| error.to_string())
    });
    fields.finish()?;
    let terms = KeyTerms {
        label,
        expires_at,
        restrictions: Restrictions::new(&operations, environments),
    };
    let by = actor.name.clone();
    let issued = in_time(admin.store_for(actor)?.issue_key(&tenant, &terms)).await?;
    tracing::info!(
        tenant,
        by,
        key = issued.listed.id.as_str(),
        "the admin API created a key"
    );
    Ok(answer(StatusCode::CREATED, &with_text(&issued, now)))
}

async fn rotate(
    State(admin): State<Admin>,
    Named(id): Named,
    actor: Actor,
    request: Request,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let mut fields = Fields::read(request, &["grace", "expires_at"]).await?;
    let grace = fields.parsed("grace", expect_duration);
    let expires_at = fields.parsed("expires_at", |text| parse_moment(text, now));
    fields.finish()?;
    let id = key_id(&id)?;
    let ends_at = now
        .checked_add(grace.unwrap_or(DEFAULT_GRACE))
        .unwrap_or(Timestamp::MAX);
    let by = actor.name.clone();
    let store = admin.store_for(actor)?;
    let rotation = in_time(store.rotate_key(id.as_str(), ends_at, expires_at)).await?;
    let new = rotation.issued.listed.id;
    tracing::info!(
        key = new.as_str(),
        old = id.as_str(),
        by,
        "the admin API rotated a key"
    );
    let replaced = json!({
        "id": rotation.old.as_str(),
        "expires_at": format_timestamp(rotation.old_expires_at),
    });
    let content = with(with_text(&rotation.issued, now), "replaces", replaced);
    Ok(answer(StatusCode::CREATED, &content))
}

async fn revoke(State(admin): State<Admin>, Named(id): Named, actor: Actor) -> Result<Response, Problem> {
    let id = key_id(&id)?;
    let by = actor.name.clone();
    in_time(admin.store_for(actor)?.revoke_key(id.as_str())).await?;
    tracing::info!(key = id.as_str(), by, "the admin API revoked a key");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A key in a path is named by its visible prefix alone: paths end up in logs.
fn key_id(text: &str) -> Result<KeyId, Problem> {
    KeyId::parse(text).ok_or_else(|| StoreError::NoSuchKey.into())
}

/// The names that a key is restricted to. An empty list would read as «none» and mean «all», so it is
/// refused.
fn restricted<T>(fields: &mut Fields, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
    if fields.is_empty_list(name) {
        fields.fault(
            name,
            "names none; leave it out for a key without that restriction",
        );
    }
    fields.list(name, parse)
}

/// A new key with its text, which no other answer has.
fn with_text(issued: &IssuedKey, now: Timestamp) -> Value {
    with(to_json(&issued.listed, now), "key", issued.text.reveal())
}

fn to_json(key: &ListedKey, now: Timestamp) -> Value {
    let restrictions = key.terms.restrictions.as_ref();
    let operations = restrictions.and_then(Restrictions::operations);
    let operations =
        operations.map(|named| named.iter().map(|operation| operation.name()).collect::<Vec<_>>());
    json!({
        "id": key.id.as_str(),
        "tenant": key.tenant_name,
        "label": key.terms.label,
        "state": key.state(now).name(),
        "operations": operations,
        "environments": restrictions.and_then(Restrictions::environments),
        "created_at": key.created_at,
        "expires_at": key.terms.expires_at.map(format_timestamp),
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at.map(format_timestamp),
    })
}
