//! Whether the environment that would result is one that the caller's plan allows.

use super::exchange::Exchange;
use super::locks::{KeyedLock, KeyedLocks};
use super::ownership::OwnershipKey;
use super::shared_reads::Freshness;
use crate::contract::{ApiError, Operation};
use crate::environment::EnvironmentId;
use crate::tenancy::{Policy, UpdateRejection, read_stored};

impl Exchange<'_> {
    /// Judges what a create or an update would give, by the policy of the caller's plan. What an update
    /// leaves out stays as it is stored, so that is read first; the same read tells whose the environment is.
    /// The lock is to be kept until the reply is here.
    pub(super) async fn check_policy(&mut self, policy: &Policy) -> Result<Option<UpdateLock>, ApiError> {
        let (target, body) = (&self.head.target, &self.document.value);
        match (target.operation, &target.environment) {
            (Operation::Create, _) => {
                policy.judge_create(body).map_err(ApiError::Policy)?;
                Ok(None)
            }
            (Operation::Update, Some(id)) => {
                // Together with everything else that this update has to wait for.
                let key = OwnershipKey::new(self.upstream.scope(), id);
                let lock = self.gateway.update_locks.lock(key);
                let lock = self.upstream.wait(lock, ApiError::EnvironmentBusy).await?;
                let stored = self.retrieve_own(id, Freshness::NEW).await?;
                self.upstream.log.judge_reply();
                let stored = read_stored(&stored).map_err(ApiError::Policy)?;
                policy
                    .judge_update(&stored, body)
                    .map_err(|rejection| match rejection {
                        UpdateRejection::Invalid(error) => ApiError::InvalidChange(error),
                        UpdateRejection::Policy(violations) => ApiError::Policy(violations),
                    })?;
                Ok(Some(lock))
            }
            _ => self.check_owner().await.map(|()| None),
        }
    }

    /// Judges what did result. A breach means that somebody wrote past the gateway, or that the upstream
    /// understands something otherwise; it has happened, so the operator is told and the tenant gets its
    /// answer.
    pub(super) fn judge_result(&mut self, policy: &Policy, reply: &[u8]) {
        let target = &self.head.target;
        if !matches!(target.operation, Operation::Create | Operation::Update) {
            return;
        }
        let Err(violations) = read_stored(reply).and_then(|resulting| policy.judge(&resulting)) else {
            return;
        };
        self.gateway.metrics.policy_breaches.inc();
        self.audit.breaks_policy = true;
        tracing::error!(
            request_id = self.upstream.log.request_id(),
            tenant = self.head.caller.tenant.name.as_str(),
            environment = target.environment.as_ref().map(EnvironmentId::as_str),
            violation = violations
                .told
                .first()
                .map(|violation| violation.pointer.as_str()),
            "an environment breaks the policy of its plan although the request did not"
        );
    }
}

/// One update at a time for each environment of a plan with a policy: between the look at what is stored and
/// the reply nobody else of this gateway changes it.
pub(super) type UpdateLocks = KeyedLocks<OwnershipKey>;

/// Nobody else updates the environment, until this is dropped.
pub(super) type UpdateLock = KeyedLock;
