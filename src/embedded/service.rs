use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::refusal::{Refusal, error_response};
use super::{body, headers};
use crate::config::Secret;
use crate::contract::{
    ApiError, Operation, REQUEST_ID, RequestQuery, Target, allowed_methods, check_media_type,
};
use crate::environment::{Environment, EnvironmentId};
use crate::store::{ListPosition, PageRequest, Store};
use crate::text::{CursorSealer, random_base58};

/// The size of a page where the query names none.
const DEFAULT_LIMIT: u16 = 20;
/// What page cursors of this service are good for.
const CURSOR_SCOPE: &str = "environments";
const BAD_CURSOR: ApiError = ApiError::BadQuery {
    name: "page",
    problem: "is not one that this service has given",
};

/// What every request needs.
pub(super) struct Service {
    pub(super) store: Store,
    pub(super) credential: Secret,
}

/// Answers a request, whatever it is, and names it in `request-id`.
pub(super) async fn handle(State(service): State<Arc<Service>>, request: Request<Body>) -> Response<Body> {
    // Without random numbers the id says nothing, which is no reason not to answer.
    let request_id = format!("req_01{}", random_base58().unwrap_or_default());
    let outcome = match *request.method() {
        Method::OPTIONS => options_response(request.uri().path()),
        _ => service.perform(request).await.map(json_response),
    };
    let mut response = outcome.unwrap_or_else(|refusal| error_response(&refusal, &request_id));
    tracing::debug!(request_id, status = response.status().as_u16(), "answered");
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

impl Service {
    /// Does what a request asks; the JSON of the answer.
    async fn perform(&self, request: Request<Body>) -> Result<Bytes, Refusal> {
        let (parts, body) = request.into_parts();
        let target = Target::find(&parts.method, parts.uri.path())?;
        headers::check(&parts.headers, &self.credential)?;
        if target.operation.takes_body() {
            check_media_type(&parts.headers)?;
        }
        let bytes = body::read(body).await?;
        match (target.operation, &target.environment) {
            (Operation::Create, _) => self.create(&bytes).await,
            (Operation::Update, Some(id)) => self.update(id, &bytes).await,
            (operation, id) => {
                body::refuse_any(&bytes)?;
                match (operation, id) {
                    (Operation::List, _) => self.list(&parts.uri).await,
                    (Operation::Retrieve, Some(id)) => document(&self.store.environment(id).await?),
                    (Operation::Archive, Some(id)) => self.archive(id).await,
                    (Operation::Delete, Some(id)) => self.delete(id, &parts.uri).await,
                    _ => Err(ApiError::UnknownPath.into()),
                }
            }
        }
    }

    async fn create(&self, bytes: &[u8]) -> Result<Bytes, Refusal> {
        let params = body::params(Operation::Create, bytes)?;
        let id = EnvironmentId::generate().map_err(|_| ApiError::Internal)?;
        let environment = Environment::create(params, id, Timestamp::now())?;
        self.store.insert_environment(&environment).await?;
        document(&environment)
    }

    async fn update(&self, id: &EnvironmentId, bytes: &[u8]) -> Result<Bytes, Refusal> {
        let params = body::params(Operation::Update, bytes)?;
        let now = Timestamp::now();
        let merge = |stored: &Environment| stored.merge(&params, now).map_err(Refusal::from);
        document(&self.store.update_environment(id, merge).await?)
    }

    async fn archive(&self, id: &EnvironmentId) -> Result<Bytes, Refusal> {
        let now = Timestamp::now();
        let archive = |stored: &Environment| Ok::<_, Refusal>(stored.archive(now));
        document(&self.store.update_environment(id, archive).await?)
    }

    /// Nothing is ever queued here, so `force=true` is taken and changes nothing.
    async fn delete(&self, id: &EnvironmentId, uri: &axum::http::Uri) -> Result<Bytes, Refusal> {
        RequestQuery::parse(Operation::Delete, uri.query())?;
        self.store.delete_environment(id).await?;
        document(&json!({"id": id, "type": "environment_deleted"}))
    }

    async fn list(&self, uri: &axum::http::Uri) -> Result<Bytes, Refusal> {
        let (query, _unknown_names) = RequestQuery::parse(Operation::List, uri.query())?;
        // There is nothing secret about a position in this list.
        let sealer = CursorSealer::without_secret().map_err(|_| ApiError::Internal)?;
        let open = |cursor: &String| {
            sealer
                .open::<ListPosition>(cursor, &[CURSOR_SCOPE])
                .ok_or(BAD_CURSOR)
        };
        let request = PageRequest {
            include_archived: query.include_archived.unwrap_or_default(),
            limit: query.limit.unwrap_or(DEFAULT_LIMIT),
            after: query.page.as_ref().map(open).transpose()?,
        };
        let page = self.store.environments(&request).await?;
        let next = page.next.map(|position| sealer.seal(&position, &[CURSOR_SCOPE]));
        let next = next.transpose().map_err(|_| ApiError::Internal)?;
        document(&json!({"data": page.environments, "next_page": next}))
    }
}

fn document(content: &impl Serialize) -> Result<Bytes, Refusal> {
    let text = serde_json::to_vec(content).map_err(|_| ApiError::Internal)?;
    Ok(text.into())
}

/// What a path has, which anybody may know.
fn options_response(path: &str) -> Result<Response<Body>, Refusal> {
    let methods = allowed_methods(path)?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    Ok(response)
}

fn json_response(document: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(document));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
