//! What a write leaves for the audit on its way.

use bytes::Bytes;

use crate::contract::{ApiError, Operation, Target};
use crate::environment::EnvironmentId;
use crate::store::AuditOutcome;

/// What is known of a write so far. A read leaves nothing.
#[derive(Default)]
pub(super) struct Trail {
    pub(super) environment: Option<EnvironmentId>,
    /// The environment as it was, where owner or policy had to know.
    pub(super) before: Option<Bytes>,
    pub(super) after: Option<Bytes>,
    /// Whether the upstream said that it has done it.
    is_done: bool,
    /// Whether the reply breaks the policy of the plan.
    pub(super) breaks_policy: bool,
}

impl Trail {
    /// A caller who is known asks for something.
    pub(super) fn begin(&mut self, target: &Target) {
        if target.operation.is_write() {
            self.environment.clone_from(&target.environment);
        }
    }

    /// The upstream answered with a success.
    pub(super) fn succeed(&mut self, target: &Target, reply: &Bytes) {
        self.is_done = true;
        if target.operation.is_write() && target.operation != Operation::Delete {
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
    use crate::contract::UpstreamRefusal;

    fn archive() -> Target {
        Target {
            operation: Operation::Archive,
            environment: EnvironmentId::parse("env_1").ok(),
        }
    }

    fn outcome_of(was_sent: bool, error: &ApiError) -> AuditOutcome {
        let mut trail = Trail::default();
        trail.begin(&archive());
        trail.outcome(was_sent, Some(error))
    }

    fn upstream(status: u16) -> ApiError {
        ApiError::Upstream(Box::new(UpstreamRefusal {
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
        let mut done = Trail::default();
        done.begin(&archive());
        done.succeed(&archive(), &Bytes::from_static(b"{}"));
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
