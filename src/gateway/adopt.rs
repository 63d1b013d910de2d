//! Environments from before the gateway, or of another tenant, become a tenant's.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::Gateway;
use super::audit::{AuditDraft, Ending};
use super::ownership::{is_metadata_refused, is_not_found};
use super::request_log::RequestLog;
use super::response;
use super::upstream_session::UpstreamSession;
use crate::contract::{ApiError, Layout, Operation, RequestQuery, Target};
use crate::environment::EnvironmentId;
use crate::store::{Audit, AuditOperation, AuditOutcome, Operator};
use crate::telemetry::TraceContext;
use crate::tenancy::{Adoption, AdoptionRefusal, Caller, Tenant};
use crate::upstream::WriteSent;

/// Stamps an environment for a tenant, unless it bears another's stamp; `is_forced` takes it even then. The
/// tenant's own plan says with which credential. Nothing but the stamp is written.
///
/// `operator` is whoever asked for it.
///
/// Of two that adopt one environment through this gateway the second finds the first one's stamp.
pub async fn adopt(
    gateway: &Gateway,
    tenant: Arc<Tenant>,
    id: &EnvironmentId,
    is_forced: bool,
    operator: Operator,
) -> Adoption {
    let _one_at_a_time = gateway.adoption_locks.lock(id.clone()).await;
    let write_sent = WriteSent::default();
    let mut guard = AdoptionGuard {
        audit: gateway.audit.as_ref(),
        caller: Caller::operator(tenant),
        environment: id,
        write_sent: &write_sent,
        log: RequestLog::start(TraceContext::root()),
        draft: AuditDraft::asked_by(operator),
        is_recorded: false,
    };
    let adoption = match stamp_stored(gateway, &mut guard, is_forced).await {
        Err(error) if is_not_found(&error) => Ok(Adoption::Refused(AdoptionRefusal::NotFound)),
        outcome => outcome,
    };
    guard.record(ending(&guard.draft, &write_sent, &adoption));
    adoption.unwrap_or_else(|error| Adoption::Refused(AdoptionRefusal::Upstream(error.to_string())))
}

/// What is to be known of an adoption when it ends. Where it is dropped before there is an answer, because
/// the process stops, a stamp that had gone up is recorded all the same.
struct AdoptionGuard<'a> {
    audit: Option<&'a Audit>,
    caller: Caller,
    environment: &'a EnvironmentId,
    write_sent: &'a WriteSent,
    log: RequestLog,
    draft: AuditDraft,
    is_recorded: bool,
}

impl AdoptionGuard<'_> {
    /// None leaves nothing to record.
    fn record(&mut self, ending: Option<Ending>) {
        self.is_recorded = true;
        let (Some(audit), Some(ending)) = (self.audit, ending) else {
            return;
        };
        let (draft, environment) = (mem::take(&mut self.draft), Some(self.environment.clone()));
        let operation = AuditOperation::Adopt;
        draft.hand_over(audit, operation, environment, &self.caller, &mut self.log, ending);
    }
}

impl Drop for AdoptionGuard<'_> {
    fn drop(&mut self) {
        if !self.is_recorded && self.write_sent.is_set() {
            self.record(Some(Ending {
                outcome: AuditOutcome::Unknown,
                status: None,
                error: Some(AuditOutcome::CUT_OFF),
            }));
        }
    }
}

/// Forgets whose these environments are, for every tenant.
pub fn forget_owners(gateway: &Gateway, ids: &[EnvironmentId]) {
    // First, so that no reply from before brings back what is forgotten then.
    ids.iter().for_each(|id| gateway.reads.outdate(id));
    gateway.owners.forget(ids);
}

/// How an adoption ended; none where the environment was the tenant's before, which leaves nothing to record.
fn ending(
    draft: &AuditDraft,
    write_sent: &WriteSent,
    adoption: &Result<Adoption, ApiError>,
) -> Option<Ending> {
    let (outcome, error) = match adoption {
        Ok(Adoption::AlreadyOwn) => return None,
        Ok(Adoption::Adopted) => (AuditOutcome::Ok, None),
        // The upstream said that it has done it.
        Ok(Adoption::Refused(refusal @ AdoptionRefusal::NotKept)) => {
            (AuditOutcome::Unknown, Some(refusal.code()))
        }
        Ok(Adoption::Refused(refusal)) => (AuditOutcome::Refused, Some(refusal.code())),
        Err(error) => {
            let outcome = draft.outcome(write_sent.is_set(), Some(error));
            (outcome, Some(error.kind()))
        }
    };
    Some(Ending {
        outcome,
        status: None,
        error,
    })
}

async fn stamp_stored(
    gateway: &Gateway,
    guard: &mut AdoptionGuard<'_>,
    is_forced: bool,
) -> Result<Adoption, ApiError> {
    let (owners, id) = (&gateway.owners, guard.environment);
    let own_id = guard.caller.tenant.id.0.as_str();
    let configuration = gateway.configuration();
    let plan = configuration.plans.of(&guard.caller.tenant)?;
    let draft = &mut guard.draft;
    let mut upstream = UpstreamSession::new(
        gateway,
        &guard.caller,
        plan,
        plan.own_headers(),
        guard.write_sent,
        &mut guard.log,
    );

    let target = |operation| Target {
        operation,
        environment: Some(id.clone()),
    };
    let retrieve = target(Operation::Retrieve);
    let stored = upstream
        .send(&retrieve, &RequestQuery::default(), Bytes::new())
        .await?
        .reply;
    let stored = response::success(retrieve.operation, stored)?.body;
    match stamp_of(gateway, &stored) {
        Some(stamp) if stamp == own_id => {
            owners.forget(std::slice::from_ref(id));
            return Ok(Adoption::AlreadyOwn);
        }
        Some(_) if !is_forced => return Ok(Adoption::Refused(AdoptionRefusal::AnothersOwn)),
        _ => {}
    }

    draft.before = Some(stored);
    // Metadata is merged by key, so a body with the stamp alone changes nothing else.
    let stamp = owners.stamp_key.insert("{}", own_id);
    let body = stamp.ok_or(ApiError::Internal)?.into();
    let update = target(Operation::Update);
    let writing = gateway.reads.write(&plan.access, Some(id));
    let reply = upstream.send(&update, &RequestQuery::default(), body).await;
    // Whatever came of it, it may have been written.
    drop(writing);
    owners.forget(std::slice::from_ref(id));
    let changed = match response::success(update.operation, reply?.reply) {
        // The only metadata that was sent is the stamp, which is well-formed: what is wrong with it can only
        // be that it is one pair too many.
        Err(ApiError::Upstream(refusal)) if is_metadata_refused(&refusal) => {
            return Ok(Adoption::Refused(AdoptionRefusal::MetadataFull(refusal.message)));
        }
        outcome => outcome?.body,
    };
    draft.succeed(update.operation, &changed);
    Ok(match stamp_of(gateway, &changed) {
        Some(stamp) if stamp == own_id => {
            gateway.unfinished_lists.forget(&guard.caller.tenant.id);
            Adoption::Adopted
        }
        _ => Adoption::Refused(AdoptionRefusal::NotKept),
    })
}

/// The stamp of an environment as the upstream tells it.
fn stamp_of(gateway: &Gateway, environment: &[u8]) -> Option<String> {
    let text = str::from_utf8(environment).ok()?;
    let layout = Layout::of(text)?;
    Some(gateway.owners.stamp_key.read(layout.object(text)?)?.into_owned())
}
