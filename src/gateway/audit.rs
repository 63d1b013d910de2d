//! What a write leaves for the audit on its way, and the one place where it is handed over.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;

use super::exchange::Gateway;
use super::record::Record;
use crate::contract::{ApiError, Operation, Target};
use crate::environment::EnvironmentId;
use crate::store::{AuditEntry, AuditOperation, AuditOutcome, Documents};
use crate::tenancy::{Adoption, AdoptionRefusal, Caller, Tenant};

/// What is known of a write so far. A read leaves nothing.
#[derive(Default)]
pub(super) struct Trail {
    pub(super) environment: Option<EnvironmentId>,
    /// The environment as it was, where owner or policy had to know.
    pub(super) before: Option<Bytes>,
    after: Option<Bytes>,
    progress: Progress,
    /// Whether the reply breaks the policy of the plan.
    pub(super) breaks_policy: bool,
}

/// How far a write came.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    NotSent,
    Sent,
    /// The upstream said that it has done it.
    Done,
}

impl Trail {
    /// A caller who is known asks for something.
    pub(super) fn begin(&mut self, target: &Target) {
        if target.operation.is_write() {
            self.environment.clone_from(&target.environment);
        }
    }

    /// The request itself goes up, after all that had to be read for it.
    pub(super) fn send(&mut self) {
        self.progress = Progress::Sent;
    }

    /// The upstream answered with a success.
    pub(super) fn succeed(&mut self, target: &Target, reply: &Bytes) {
        self.progress = Progress::Done;
        if target.operation.is_write() && target.operation != Operation::Delete {
            self.after = Some(reply.clone());
        }
    }

    fn outcome(&self, error: Option<&ApiError>) -> AuditOutcome {
        match (error, self.progress) {
            _ if self.breaks_policy => AuditOutcome::PolicyBreach,
            (None, _) => AuditOutcome::Ok,
            (Some(_), Progress::NotSent) => AuditOutcome::Refused,
            (Some(error), Progress::Sent) if is_answer(error) => AuditOutcome::Refused,
            (Some(_), Progress::Sent | Progress::Done) => AuditOutcome::Unknown,
        }
    }
}

/// Whether an error that came after a write was sent says that it was not done.
fn is_answer(error: &ApiError) -> bool {
    match error {
        ApiError::UpstreamTimeout { .. }
        | ApiError::UpstreamBroken { .. }
        | ApiError::UpstreamReply { .. }
        | ApiError::Internal => false,
        // These come from whatever stands between, or from a service that failed half-way.
        ApiError::Upstream(refusal) => !matches!(
            refusal.status,
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
        ),
        _ => true,
    }
}

/// The record of a request that is being answered. Where its task is dropped before there is an answer, because the
/// process stops, a write that had gone up is recorded all the same.
pub(super) struct UnderWay<'a> {
    gateway: &'a Gateway,
    pub(super) record: Record,
}

impl<'a> UnderWay<'a> {
    pub(super) fn start(gateway: &'a Gateway) -> Self {
        Self {
            gateway,
            record: Record::start(),
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        // A trail that was handed over is a new one.
        if self.record.trail.progress != Progress::NotSent {
            let cut_off = (AuditOutcome::Unknown, None, Some(AuditOutcome::CUT_OFF));
            self.gateway.note(&mut self.record, cut_off);
        }
    }
}

/// How a write ended, what the client got, and with which kind of error.
type Ending = (AuditOutcome, Option<StatusCode>, Option<&'static str>);

impl Gateway {
    /// Hands a write of a known caller over to the audit, whatever became of it.
    pub(super) fn note_write(&self, record: &mut Record, status: StatusCode, error: Option<&ApiError>) {
        let outcome = record.trail.outcome(error);
        self.note(record, (outcome, Some(status), error.map(ApiError::kind)));
    }

    /// Hands an adoption over to the audit, unless the environment was the tenant's before.
    pub(super) fn note_adoption(
        &self,
        record: &mut Record,
        tenant: Arc<Tenant>,
        id: &EnvironmentId,
        adoption: &Result<Adoption, ApiError>,
    ) {
        let (outcome, error) = match adoption {
            Ok(Adoption::AlreadyOwn) => return,
            Ok(Adoption::Adopted) => (AuditOutcome::Ok, None),
            // The upstream said that it has done it.
            Ok(Adoption::Refused(refusal @ AdoptionRefusal::NotKept)) => {
                (AuditOutcome::Unknown, Some(refusal.code()))
            }
            Ok(Adoption::Refused(refusal)) => (AuditOutcome::Refused, Some(refusal.code())),
            Err(error) => (record.trail.outcome(Some(error)), Some(error.kind())),
        };
        record.caller = Some(Caller::operator(tenant));
        record.trail.environment = Some(id.clone());
        self.hand_over(record, AuditOperation::Adopt, (outcome, None, error));
    }

    fn note(&self, record: &mut Record, ending: Ending) {
        match record.operation.filter(|operation| operation.is_write()) {
            Some(operation) => self.hand_over(record, AuditOperation::Write(operation), ending),
            None => record.trail = Trail::default(),
        }
    }

    fn hand_over(&self, record: &mut Record, operation: AuditOperation, (outcome, status, error): Ending) {
        let trail = std::mem::take(&mut record.trail);
        let Some(audit) = &self.audit else { return };
        let Some((tenant, key)) = record
            .caller
            .as_ref()
            .map(|caller| (caller.tenant.clone(), caller.key))
        else {
            return;
        };
        let documents = match outcome {
            AuditOutcome::Refused => Documents::default(),
            _ => Documents::new(trail.before, trail.after),
        };
        audit.note(AuditEntry {
            at: Timestamp::now(),
            tenant,
            key,
            operation,
            environment: trail.environment,
            outcome,
            status,
            error,
            request_id: record.request_id().to_owned(),
            documents,
            repeats: 1,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(target: &Target) -> Trail {
        let mut trail = Trail::default();
        trail.begin(target);
        trail.send();
        trail
    }

    #[test]
    fn a_write_that_went_up_is_refused_only_where_the_upstream_said_so() {
        let target = Target {
            operation: Operation::Archive,
            environment: EnvironmentId::parse("env_1").ok(),
        };
        let timeout = ApiError::UpstreamTimeout { after_write: true };
        assert_eq!(
            Trail::default().outcome(Some(&timeout)),
            AuditOutcome::Refused,
            "that was a read before it"
        );
        assert_eq!(sent(&target).outcome(Some(&timeout)), AuditOutcome::Unknown);
        assert_eq!(
            sent(&target).outcome(Some(&ApiError::UpstreamUnreachable)),
            AuditOutcome::Refused
        );
        let mut done = sent(&target);
        done.succeed(&target, &Bytes::from_static(b"{}"));
        assert_eq!(
            done.outcome(Some(&ApiError::EnvironmentNotFound)),
            AuditOutcome::Unknown,
            "it was done, to whatever it was by then"
        );
        assert_eq!(done.outcome(None), AuditOutcome::Ok);
        done.breaks_policy = true;
        assert_eq!(done.outcome(None), AuditOutcome::PolicyBreach);
    }
}
