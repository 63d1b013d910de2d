//! The proof that the upstream takes a credential: a list of one environment, the cheapest request that needs one.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use tokio::time::Instant;

use super::output::CommandError;
use crate::config::{Access, Settings, UpstreamService};
use crate::contract::{Operation, OperatorFault, UpstreamErrorBody};
use crate::telemetry::Metrics;
use crate::upstream::{Client, InvalidTarget, Origin, Reply, Reuse, SendError, Sender, request_headers};

/// What the upstream has said.
pub(super) struct Answer {
    pub(super) status: http::StatusCode,
    /// What it blames the operator for, if it does.
    pub(super) fault: Option<OperatorFault>,
    message: Option<String>,
    /// Its `Date`.
    pub(super) date: Option<Timestamp>,
    /// Between which moments it was said.
    pub(super) between: (Timestamp, Timestamp),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProofError {
    #[error(transparent)]
    SetUp(#[from] crate::upstream::SetUpError),
    #[error(transparent)]
    Path(#[from] InvalidTarget),
    #[error(transparent)]
    Send(#[from] SendError),
}

impl From<ProofError> for CommandError {
    fn from(error: ProofError) -> Self {
        match error {
            ProofError::SetUp(error) => Self::SetUp(error),
            other => Self::Upstream(other.to_string()),
        }
    }
}

/// The upstream, of which nothing is looked up and nothing connected yet.
pub(super) fn prepare(settings: &Settings, service: &UpstreamService) -> Result<Arc<Origin>, CommandError> {
    let upstream = &settings.upstream;
    let metrics = Arc::new(Metrics::new()?);
    let origin = Origin::new(service.url.clone(), &upstream.route, upstream.circuit, metrics)?;
    Ok(Arc::new(origin))
}

/// Every access that a plan has, each once.
pub(super) fn accesses(settings: &Settings) -> Vec<Access<'_>> {
    let mut accesses: Vec<Access<'_>> = Vec::new();
    for plan in settings.plans.values() {
        let access = settings.access(plan);
        if !accesses.contains(&access) {
            accesses.push(access);
        }
    }
    accesses
}

/// Asks once, on a connection of its own.
pub(super) async fn ask(
    settings: &Settings,
    service: &UpstreamService,
    origin: Arc<Origin>,
    access: Access<'_>,
) -> Result<Answer, ProofError> {
    let limits = &settings.upstream;
    origin.resolve().await;
    let client = Client::new(
        origin,
        access
            .credential
            .and_then(|name| settings.credentials.get(name))
            .map_or(&service.credential, |credential| &credential.key),
        limits.timeout,
        limits.max_response_bytes,
    )?;
    let headers = request_headers(&HeaderMap::new(), limits.beta.clone(), access.workspace_id, None);
    let request = client.request(
        Operation::List,
        "/v1/environments?limit=1",
        &headers,
        Bytes::new(),
    )?;
    let before = Timestamp::now();
    let deadline = Instant::now() + limits.timeout;
    let sending = client.send(Sender::Probe, request, Reuse::No, deadline, |_| {});
    Ok(Answer::read(&sending.await?, before))
}

impl Answer {
    fn read(reply: &Reply, before: Timestamp) -> Self {
        let body = UpstreamErrorBody::read(&reply.body);
        let date = reply.headers.get(http::header::DATE);
        let date = date
            .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
            .and_then(|date| Timestamp::try_from(date).ok());
        Self {
            status: reply.status,
            // It was told nothing that could come back.
            fault: body.operator_fault(|_| false),
            message: body.message().map(str::to_owned),
            date,
            between: (before, Timestamp::now()),
        }
    }

    /// What it said after its status, after a colon; nothing where it said nothing.
    pub(super) fn said(&self) -> String {
        let message = self.message.as_deref();
        message.map_or(String::new(), |message| format!(": {message}"))
    }
}
