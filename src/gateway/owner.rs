//! Whether an environment is the caller's, before anything is done to it.

use bytes::Bytes;

use super::ownership::Standing;
use super::record::Record;
use super::reply;
use super::shared_reads::Freshness;
use super::state::Gateway;
use super::upstream_session::UpstreamSession;
use crate::contract::{ApiError, ListQuery, Operation, Target};
use crate::environment::EnvironmentId;

impl Gateway {
    /// Refuses an environment that is not the caller's, from memory where that knows. Where it does not, a retrieve
    /// will see from its own reply; for what would change something one retrieve goes ahead.
    pub(super) async fn check_owner(
        &self,
        target: &Target,
        upstream: &mut UpstreamSession<'_>,
        record: &mut Record,
    ) -> Result<(), ApiError> {
        let Some(id) = target
            .environment
            .as_ref()
            .filter(|_| self.ownership.is_stamping())
        else {
            return Ok(());
        };
        match (self.ownership.standing(upstream.claimant(), id), target.operation) {
            (Some(Standing::NotOwned), _) => Err(ApiError::EnvironmentNotFound),
            (Some(Standing::Owned), _) | (None, Operation::Retrieve) => Ok(()),
            (None, _) => {
                let stored = self.retrieve_own(id, upstream, Freshness::ANY, record).await;
                stored.map(drop)
            }
        }
    }

    /// Retrieves an environment of the caller's as it is stored, and remembers whose it is.
    pub(super) async fn retrieve_own(
        &self,
        id: &EnvironmentId,
        upstream: &mut UpstreamSession<'_>,
        freshness: Freshness,
        record: &mut Record,
    ) -> Result<Bytes, ApiError> {
        if self.ownership.standing(upstream.claimant(), id) == Some(Standing::NotOwned) {
            return Err(ApiError::EnvironmentNotFound);
        }
        let retrieve = Target {
            operation: Operation::Retrieve,
            environment: Some(id.clone()),
        };
        let asked_at = self.ownership.moment();
        let reply = self
            .read(&retrieve, &ListQuery::default(), upstream, freshness, record)
            .await?;
        let stored = reply.body.clone();
        let outcome = reply::accept(
            upstream.plan().dialect,
            &self.ownership.stamp_key,
            &retrieve,
            reply,
        );
        self.ownership
            .settle(&retrieve, upstream.claimant(), asked_at, outcome)?;
        record.trail.before = Some(stored.clone());
        Ok(stored)
    }
}
