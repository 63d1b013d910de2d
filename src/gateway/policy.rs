//! Whether the environment that would result is one that the caller's plan allows.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::ownership::Claim;
use super::record::Record;
use super::shared_reads::Freshness;
use super::state::Gateway;
use super::turns::Turn;
use super::upstream_session::UpstreamSession;
use crate::contract::{ApiError, Operation, Target};
use crate::environment::{CreateParams, Environment, EnvironmentId, UpdateParams};
use crate::tenancy::{Policy, read_stored};

/// The fields of a body that make an environment. Where a plan lets unknown ones through, no policy looks at those.
const FIELDS: [&str; 5] = ["config", "description", "metadata", "name", "scope"];

impl Gateway {
    /// Judges what a create or an update would give, by the policy of the caller's plan. What an update leaves out
    /// stays as it is stored, so that is read first; the same read tells whose the environment is. The turn is to be
    /// kept until the reply is here.
    ///
    /// Where the merge itself is refused (an archived environment, another type), the upstream says so better.
    pub(super) async fn check_policy(
        &self,
        policy: &Policy,
        target: &Target,
        upstream: &mut UpstreamSession<'_>,
        body: &Value,
        record: &mut Record,
    ) -> Result<Option<Turn>, ApiError> {
        let now = Timestamp::now();
        match (target.operation, &target.environment) {
            (Operation::Create, _) => {
                let id = EnvironmentId::generate().map_err(|_| ApiError::Internal)?;
                if let Ok(resulting) = Environment::create(params::<CreateParams>(body)?, id, now) {
                    policy.judge(&resulting).map_err(ApiError::Policy)?;
                }
                Ok(None)
            }
            (Operation::Update, Some(id)) => {
                // Together with everything else that this update has to wait for.
                let turn = self.turns.wait(Claim::new(upstream.claimant(), id));
                let turn = upstream.wait(turn, ApiError::EnvironmentBusy, record).await?;
                let stored = self.retrieve_own(id, upstream, Freshness::NEW, record).await?;
                let stored = read_stored(&stored).map_err(ApiError::Policy)?;
                if let Ok(resulting) = stored.merge(&params::<UpdateParams>(body)?, now) {
                    policy.judge(&resulting).map_err(ApiError::Policy)?;
                }
                Ok(Some(turn))
            }
            _ => self.check_owner(target, upstream, record).await.map(|()| None),
        }
    }

    /// Judges what did result. A breach means that somebody wrote past the gateway, or that the upstream understands
    /// something otherwise; it has happened, so the operator is told and the tenant gets its answer.
    pub(super) fn watch_result(&self, policy: &Policy, target: &Target, reply: &[u8], record: &mut Record) {
        if !matches!(target.operation, Operation::Create | Operation::Update) {
            return;
        }
        let Err(violations) = read_stored(reply).and_then(|resulting| policy.judge(&resulting)) else {
            return;
        };
        self.metrics.policy_breaches.inc();
        record.trail.breaks_policy = true;
        let request_id = record.request_id().to_owned();
        tracing::error!(
            request_id,
            tenant = record.caller.as_ref().map(|caller| caller.tenant.name.as_str()),
            environment = target.environment.as_ref().map(EnvironmentId::as_str),
            violation = violations
                .told
                .first()
                .map(|violation| violation.pointer.as_str()),
            "an environment breaks the policy of its plan although the request did not"
        );
    }
}

/// What a body asks for. It has passed its schema, so this fails only where schema and model disagree.
fn params<T: DeserializeOwned>(body: &Value) -> Result<T, ApiError> {
    let fields: Map<String, Value> = body
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| FIELDS.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        tracing::error!(%error, "a body passed its schema and is not understood");
        ApiError::Internal
    })
}
