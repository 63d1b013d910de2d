//! What is at the admin address: nobody, a gateway, or something else.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::admin_client::AdminClient;
use super::admin_tls;
use crate::config::{self, AdminEndpoint};

/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Who is there.
pub(super) enum AtAdmin {
    /// Nobody answers, and why.
    Nobody(String),
    /// Somebody answers who is no gateway.
    Stranger,
    /// A gateway.
    Gateway(RunningGateway),
}

/// What a gateway says of itself to anybody.
pub(super) struct RunningGateway {
    pub(super) is_ready: bool,
    /// What `/readyz` says, in as many words as it has.
    pub(super) status: String,
    /// None where its metrics want a token.
    pub(super) version: Option<String>,
}

/// Asks what anybody may ask; with settings also what their token is good for.
pub(super) async fn look(endpoint: &AdminEndpoint, settings: Option<&config::Admin>) -> AtAdmin {
    match timeout(TIMEOUT, ask(endpoint, settings)).await {
        Ok(found) => found,
        Err(_elapsed) => AtAdmin::Nobody("it took too long".to_owned()),
    }
}

async fn ask(endpoint: &AdminEndpoint, settings: Option<&config::Admin>) -> AtAdmin {
    let tls = match endpoint.is_tls {
        true => admin_tls::unverified_config(endpoint.client.as_ref()).map(Some),
        false => Ok(None),
    };
    let client = tls
        .map_err(|error| error.to_string())
        .and_then(|tls| AdminClient::without_token(endpoint.address, tls).map_err(|error| error.to_string()));
    let client = match client {
        Ok(client) => client,
        Err(reason) => return AtAdmin::Nobody(reason),
    };
    let health = match client.look_at("/healthz").await {
        Ok((status, body)) => status.is_success().then_some(body),
        Err(error) => return AtAdmin::Nobody(error.to_string()),
    };
    if health.and_then(|body| said(&body)).as_deref() != Some("ok") {
        return AtAdmin::Stranger;
    }
    let (is_ready, word) = match client.look_at("/readyz").await {
        Ok((status, body)) => (status.is_success(), said(&body).unwrap_or_default()),
        Err(error) => (false, error.to_string()),
    };
    // Without a token these are answered to this machine alone, or not at all.
    let trusted = settings.and_then(|settings| AdminClient::new(settings, None).ok());
    let client = trusted.unwrap_or(client);
    let detail = match client.look_at("/api/v1/readiness").await {
        Ok((status, body)) if status.is_success() => detail(&body),
        _ => None,
    };
    let version = match client.look_at("/metrics").await {
        Ok((status, body)) if status.is_success() => version(&body),
        _ => None,
    };
    AtAdmin::Gateway(RunningGateway {
        is_ready,
        status: detail.unwrap_or(word),
        version,
    })
}

fn detail(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("detail").and_then(Value::as_str).map(str::to_owned)
}

/// The status in an answer, as JSON or as it is.
fn said(body: &[u8]) -> Option<String> {
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) => answer.get("status").and_then(Value::as_str).map(str::to_owned),
        Err(_) => std::str::from_utf8(body).ok().map(|text| text.trim().to_owned()),
    }
}

fn version(metrics: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(metrics).ok()?;
    let (_, after) = text.split_once("envgate_build_info{version=\"")?;
    after.split('"').next().map(str::to_owned)
}
