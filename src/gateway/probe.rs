//! Requests of the gateway's own: whether the upstream answers at all, and whether it takes the credentials.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::Gateway;
use super::plans::ResolvedPlan;
use super::received_reply::ReceivedReply;
use crate::contract::{Operation, UpstreamErrorBody};
use crate::quota::{BudgetRejection, Kind, TenantLimits, TenantQuota};
use crate::tenancy::TenantId;
use crate::upstream::{InvalidTarget, Origin, Reply, Reuse, SendError, Sender};

/// The cheapest request that a credential is needed for.
const PATH: &str = "/v1/environments?limit=1";
/// How long the answer to a probe may take, and its turn before that. Until then the circuit stays as it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// How often idle upstream connections are looked after: that costs no system call, and what was closed up
/// there is not kept here.
const REAP_INTERVAL: Duration = Duration::from_secs(1);

/// Why a request of the gateway's own has no reply.
#[derive(Debug, thiserror::Error)]
enum ProbeError {
    #[error("no turn in the budget: {0}")]
    NoTurn(#[from] BudgetRejection),
    #[error("{0}")]
    NotSent(#[from] SendError),
    #[error("the path cannot be asked for: {0}")]
    BadPath(#[from] InvalidTarget),
}

/// What the upstream needs beside the requests, for as long as it is polled: its name and certificates are
/// followed, its idle connections are looked after, and where the circuit wants a probe one is sent.
pub async fn attend_upstream(gateway: &Gateway) {
    let mut swapped = gateway.swapped.subscribe();
    let attending = async {
        loop {
            swapped.mark_unchanged();
            let origin = Arc::clone(&gateway.current.load().origin);
            let moved_on = async {
                while Arc::ptr_eq(&origin, &gateway.current.load().origin) {
                    // The sender is the gateway's own.
                    let _ = swapped.changed().await;
                }
            };
            tokio::select! {
                () = moved_on => {}
                () = attend(gateway, &origin) => {}
            }
            // Requests that began before may wait for the first answer of DNS.
            tokio::spawn(async move { origin.resolve_first().await });
        }
    };
    tokio::join!(attending, reap_connections(gateway));
}

/// Follows one upstream. Does not end.
async fn attend(gateway: &Gateway, origin: &Origin) {
    tokio::join!(
        origin.follow_name(),
        origin.follow_files(),
        probe_when_wanted(gateway, origin),
    );
}

/// Lists once with each credential, so that a wrong one is in the log before a tenant finds out. Nobody waits
/// for it.
pub async fn check_credentials(gateway: &Gateway) {
    let configuration = gateway.configuration();
    for plan in configuration.plans.one_of_each_access() {
        let access = plan.access_name.as_str();
        match list_one(plan, plan.upstream.timeout()).await {
            Ok(reply) => {
                let received = ReceivedReply::observed(gateway, Operation::List, reply);
                report(&received.reply, access);
            }
            Err(error) => tracing::warn!(%error, access, "the upstream could not be asked for a first list"),
        }
    }
}

async fn reap_connections(gateway: &Gateway) {
    loop {
        sleep(REAP_INTERVAL).await;
        for client in gateway.current.load().plans.clients() {
            client.reap_idle();
        }
    }
}

/// Any credential will do: the circuit is the same for all of them, and any answer is a sign of life.
async fn probe_when_wanted(gateway: &Gateway, origin: &Origin) {
    loop {
        origin.probe_wanted().await;
        let configuration = gateway.configuration();
        let Some(plan) = configuration.plans.one_of_each_access().next() else {
            return;
        };
        match list_one(plan, PROBE_TIMEOUT.min(plan.upstream.timeout())).await {
            Ok(reply) => {
                let received = ReceivedReply::observed(gateway, Operation::List, reply);
                tracing::info!(status = received.reply.status.as_u16(), "the upstream was probed");
            }
            Err(error) => tracing::warn!(%error, "the upstream was probed, in vain"),
        }
    }
}

/// Lists one environment, for a token of the budget's as every request.
async fn list_one(plan: &ResolvedPlan, within: Duration) -> Result<Reply, ProbeError> {
    let nobody = TenantId("gateway".to_owned());
    let quota = TenantQuota {
        tenant: &nobody,
        limits: TenantLimits {
            requests: None,
            concurrent: None,
            weight: NonZeroU16::MIN,
        },
    };
    let upstream = &plan.upstream;
    let headers = plan.own_headers();
    let request = upstream.request(Operation::List, PATH, &headers, Bytes::new())?;
    let waiting = Instant::now() + within;
    let mut slot = plan.budget.enter(&quota, Kind::Read, waiting).await?;
    let mut token = slot.token(Kind::Read, waiting).await?;
    let deadline = Instant::now() + within;
    // On a new connection: that an old one is dead says nothing.
    let sending = upstream.send(Sender::Probe, request, Reuse::No, deadline, |_| token.sent());
    let reply = sending.await.map_err(|error| match error {
        SendError::Timeout(_) => SendError::Timeout(within),
        other => other,
    })?;
    plan.budget
        .answered(Kind::Read, reply.status, &reply.headers, SystemTime::now());
    Ok(reply)
}

/// Says what the first list means for the operator.
fn report(reply: &Reply, access: &str) {
    let status = reply.status.as_u16();
    let body = UpstreamErrorBody::read(&reply.body);
    let message = body.message().unwrap_or_default();
    // It told the upstream nothing that could come back.
    if let (StatusCode::BAD_REQUEST, Some(fault)) = (reply.status, body.operator_fault(|_| false)) {
        tracing::error!(access, status, message, %fault, "the upstream refuses all requests for the operator's fault");
        return;
    }
    match reply.status {
        status if status.is_success() => tracing::info!(access, "the upstream takes the credential"),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => tracing::error!(
            access,
            status,
            message,
            "the upstream refuses the credential: every request will fail until it is right"
        ),
        StatusCode::NOT_FOUND => tracing::error!(
            access,
            status,
            message,
            "the upstream knows no environments there: see whether upstream.url and the workspace are right"
        ),
        _ => tracing::warn!(
            access,
            status,
            message,
            "the upstream did not answer a first list"
        ),
    }
}
