//! What a write leaves for the audit, and the one place where it is handed over.

use std::mem;
use std::net::IpAddr;

use bytes::Bytes;
use http::StatusCode;
use jiff::Timestamp;

use super::request_log::{Identity, RequestLog};
use crate::contract::{ApiError, Operation};
use crate::environment::EnvironmentId;
use crate::store::{Audit, AuditEntry, AuditOperation, AuditOutcome, Documents, Operator};
use crate::telemetry::TraceContext;
use crate::tenancy::Caller;
use crate::upstream::WriteSent;

/// What is known of a write so far. A read leaves nothing.
#[derive(Default)]
pub(super) struct AuditDraft {
    /// The address of whoever asked.
    client: Option<IpAddr>,
    /// Who asked, where that is not told by a key.
    actor: Option<String>,
    /// Which environment, where the request did not name it.
    pub(super) environment: Option<EnvironmentId>,
    /// The environment as it was, where owner or policy had to know.
    pub(super) before: Option<Bytes>,
    after: Option<Bytes>,
    /// Whether the upstream said that it has done it.
    is_done: bool,
    /// Whether the reply breaks the policy of the plan.
    pub(super) breaks_policy: bool,
}

/// How a write ended, what the client got, and with which kind of error.
pub(super) struct Ending {
    pub(super) outcome: AuditOutcome,
    pub(super) status: Option<StatusCode>,
    pub(super) error: Option<&'static str>,
}

impl AuditDraft {
    pub(super) fn asked_by(operator: Operator) -> Self {
        Self {
            client: operator.client_address,
            actor: Some(operator.name),
            ..Self::default()
        }
    }

    /// The upstream answered with a success.
    pub(super) fn succeed(&mut self, operation: Operation, reply: &Bytes) {
        self.is_done = true;
        if operation.is_write() && operation != Operation::Delete {
            self.after = Some(reply.clone());
        }
    }

    /// How a write ended that was sent, or was not.
    pub(super) fn outcome(&self, was_sent: bool, error: Option<&ApiError>) -> AuditOutcome {
        match error {
            _ if self.breaks_policy => AuditOutcome::PolicyBreach,
            None => AuditOutcome::Ok,
            Some(_) if !was_sent => AuditOutcome::Refused,
            Some(error) if !self.is_done && is_answer(error) => AuditOutcome::Refused,
            Some(_) => AuditOutcome::Unknown,
        }
    }

    /// Hands a write over to the audit: `operation` of `environment`, where the request named it, by
    /// `caller`.
    pub(super) fn hand_over(
        self,
        audit: &Audit,
        operation: AuditOperation,
        environment: Option<EnvironmentId>,
        caller: &Caller,
        log: &mut RequestLog,
        ending: Ending,
    ) {
        let documents = match ending.outcome {
            AuditOutcome::Refused => Documents::default(),
            _ => Documents::new(self.before, self.after),
        };
        audit.note(AuditEntry {
            at: Timestamp::now(),
            tenant: caller.tenant.clone(),
            key: caller.key,
            actor: self.actor,
            client_address: self.client,
            operation,
            environment: self.environment.or(environment),
            outcome: ending.outcome,
            status: ending.status,
            error: ending.error,
            request_id: log.request_id().to_owned(),
            documents,
            change: None,
            repeats: 1,
        });
    }
}

/// What is to be known of a request when it ends. Where its task is dropped before there is an answer,
/// because the process stops, a write that had gone up is recorded all the same.
pub(super) struct RequestGuard<'g> {
    audit: Option<&'g Audit>,
    pub(super) write_sent: &'g WriteSent,
    pub(super) identity: Identity<'g>,
    pub(super) log: RequestLog,
    pub(super) draft: AuditDraft,
    is_recorded: bool,
}

impl<'g> RequestGuard<'g> {
    /// Of a request from `client`, part of a trace, whose write, if it is one, tells `write_sent` when it goes.
    pub(super) fn new(
        audit: Option<&'g Audit>,
        write_sent: &'g WriteSent,
        client: IpAddr,
        trace: TraceContext,
    ) -> Self {
        Self {
            audit,
            write_sent,
            identity: Identity::of_client(client),
            log: RequestLog::start(trace),
            draft: AuditDraft::default(),
            is_recorded: false,
        }
    }

    /// Hands a write of a known caller over to the audit, whatever became of it.
    pub(super) fn record_write(&mut self, status: StatusCode, error: Option<&ApiError>) {
        self.record(Ending {
            outcome: self.draft.outcome(self.write_sent.is_set(), error),
            status: Some(status),
            error: error.map(ApiError::kind),
        });
    }

    fn record(&mut self, ending: Ending) {
        self.is_recorded = true;
        let identity = &self.identity;
        let operation = identity.operation.filter(|operation| operation.is_write());
        if let (Some(audit), Some(operation), Some(caller)) = (self.audit, operation, &identity.caller) {
            let (mut draft, environment) = (mem::take(&mut self.draft), identity.environment.clone());
            draft.client = identity.client;
            let operation = match identity.is_forced {
                true => AuditOperation::ForceDelete,
                false => AuditOperation::Write(operation),
            };
            draft.hand_over(audit, operation, environment, caller, &mut self.log, ending);
        }
    }
}

impl Drop for RequestGuard<'_> {
    fn drop(&mut self) {
        if !self.is_recorded && self.write_sent.is_set() {
            self.record(Ending {
                outcome: AuditOutcome::Unknown,
                status: None,
                error: Some(AuditOutcome::CUT_OFF),
            });
        }
    }
}

/// Whether an error that came after a write was sent says that it was not done.
fn is_answer(error: &ApiError) -> bool {
    match error {
        ApiError::UpstreamTimeout { after_write }
        | ApiError::UpstreamBroken { after_write }
        | ApiError::UpstreamReply { after_write, .. } => !after_write,
        ApiError::Internal => false,
        // Others come from whatever stands between, or from a service that failed half-way.
        ApiError::Upstream(refusal) => {
            let status = refusal.status;
            !status.is_server_error() || matches!(status.as_u16(), 503 | 529)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;
    use crate::contract::UpstreamError;

    fn outcome_of(was_sent: bool, error: &ApiError) -> AuditOutcome {
        AuditDraft::default().outcome(was_sent, Some(error))
    }

    fn upstream(status: u16) -> ApiError {
        ApiError::Upstream(Box::new(UpstreamError {
            status: StatusCode::from_u16(status).unwrap(),
            error_type: "api_error".into(),
            message: String::new(),
            details: None,
            headers: Vec::new(),
        }))
    }

    #[test]
    fn a_write_that_never_went_up_was_refused() {
        for error in [
            ApiError::UpstreamTimeout { after_write: false },
            ApiError::UpstreamBroken { after_write: false },
            ApiError::ClientGone,
            ApiError::Internal,
            upstream(500),
        ] {
            assert_eq!(outcome_of(false, &error), AuditOutcome::Refused, "{error}");
        }
    }

    #[test]
    fn a_write_that_went_up_is_refused_only_where_the_upstream_said_so() {
        for (error, expected) in [
            (
                ApiError::UpstreamTimeout { after_write: true },
                AuditOutcome::Unknown,
            ),
            (
                ApiError::UpstreamBroken { after_write: true },
                AuditOutcome::Unknown,
            ),
            (ApiError::Internal, AuditOutcome::Unknown),
            (ApiError::UpstreamUnreachable, AuditOutcome::Refused),
            (ApiError::EnvironmentNotFound, AuditOutcome::Refused),
            (upstream(409), AuditOutcome::Refused),
            (upstream(500), AuditOutcome::Unknown),
            (upstream(503), AuditOutcome::Refused),
            (upstream(524), AuditOutcome::Unknown),
            (upstream(529), AuditOutcome::Refused),
        ] {
            assert_eq!(outcome_of(true, &error), expected, "{error:?}");
        }
    }

    #[test]
    fn what_the_upstream_has_done_is_never_called_refused() {
        let mut done = AuditDraft::default();
        done.succeed(Operation::Archive, &Bytes::from_static(b"{}"));
        assert_eq!(
            done.outcome(true, Some(&ApiError::EnvironmentNotFound)),
            AuditOutcome::Unknown,
            "it was done, to whatever it was by then"
        );
        assert_eq!(done.outcome(true, None), AuditOutcome::Ok);
        done.breaks_policy = true;
        assert_eq!(done.outcome(true, None), AuditOutcome::PolicyBreach);
    }
}
