//! Environments from before the gateway, or of another tenant, become a tenant's.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::ownership::{is_metadata_refused, is_not_found};
use super::record::Record;
use super::reply;
use super::shared_reads::Freshness;
use super::state::Gateway;
use super::upstream_session::UpstreamSession;
use crate::contract::{ApiError, ListQuery, Object, Operation, Target};
use crate::environment::EnvironmentId;
use crate::tenancy::{Adoption, AdoptionRefusal, Caller, Tenant};
use crate::upstream::WriteSent;

impl Gateway {
    /// Stamps an environment for a tenant, unless it bears another's stamp; `is_forced` takes it even then. The
    /// tenant's own plan says with which credential. Nothing but the stamp is written.
    ///
    /// Of two that adopt one environment through this gateway the second finds the first one's stamp.
    pub async fn adopt(&self, tenant: Arc<Tenant>, id: &EnvironmentId, is_forced: bool) -> Adoption {
        let _turn = self.adopting.lock().await;
        let mut record = Record::start();
        let write_sent = WriteSent::default();
        let stamped = self.stamp_stored(Arc::clone(&tenant), id, is_forced, &write_sent, &mut record);
        let adoption = match stamped.await {
            Err(error) if is_not_found(&error) => Ok(Adoption::Refused(AdoptionRefusal::NotFound)),
            outcome => outcome,
        };
        self.note_adoption(&mut record, tenant, id, &write_sent, &adoption);
        adoption.unwrap_or_else(|error| Adoption::Refused(AdoptionRefusal::Upstream(error.to_string())))
    }

    /// Forgets whose these environments are, for every tenant.
    pub fn forget_owners(&self, ids: &[EnvironmentId]) {
        // First, so that no reply from before brings back what is forgotten then.
        ids.iter().for_each(|id| self.reads.outdate(id));
        self.ownership.forget(ids);
    }

    async fn stamp_stored(
        &self,
        tenant: Arc<Tenant>,
        id: &EnvironmentId,
        is_forced: bool,
        write_sent: &WriteSent,
        record: &mut Record,
    ) -> Result<Adoption, ApiError> {
        let served = self.plans.of(&tenant)?;
        let caller = Caller::operator(tenant);
        let headers = served.translated(&HeaderMap::new());
        let mut upstream = UpstreamSession::new(&caller, served, headers, Freshness::NEW, write_sent);

        let target = |operation| Target {
            operation,
            environment: Some(id.clone()),
        };
        let retrieve = target(Operation::Retrieve);
        let stored = upstream
            .send(&retrieve, &ListQuery::default(), Bytes::new(), record)
            .await?;
        let stored = reply::success(retrieve.operation, stored)?.body;
        match self.stamp_of(&stored) {
            Some(stamp) if stamp == caller.tenant.id.0 => {
                self.ownership.forget(std::slice::from_ref(id));
                return Ok(Adoption::AlreadyOwn);
            }
            Some(_) if !is_forced => return Ok(Adoption::Refused(AdoptionRefusal::AnothersOwn)),
            _ => {}
        }

        record.trail.before = Some(stored);
        // Metadata is merged by key, so a body with the stamp alone changes nothing else.
        let stamp = self.ownership.stamp_key.insert("{}", &caller.tenant.id.0);
        let body = stamp.ok_or(ApiError::Internal)?.into();
        let update = target(Operation::Update);
        let writing = self.reads.write(upstream.claimant().access, Some(id));
        let reply = upstream.send(&update, &ListQuery::default(), body, record).await;
        // Whatever came of it, it may have been written.
        drop(writing);
        self.ownership.forget(std::slice::from_ref(id));
        let changed = match reply::success(update.operation, reply?) {
            // The only metadata that was sent is the stamp, which is well-formed: what is wrong with it can only be that
            // it is one pair too many.
            Err(ApiError::Upstream(refusal)) if is_metadata_refused(&refusal) => {
                return Ok(Adoption::Refused(AdoptionRefusal::MetadataFull(refusal.message)));
            }
            outcome => outcome?.body,
        };
        record.trail.succeed(&update, &changed);
        Ok(match self.stamp_of(&changed) {
            Some(stamp) if stamp == caller.tenant.id.0 => Adoption::Adopted,
            _ => Adoption::Refused(AdoptionRefusal::NotKept),
        })
    }

    /// The stamp of an environment as the upstream tells it.
    fn stamp_of(&self, environment: &[u8]) -> Option<String> {
        let object = Object::read(std::str::from_utf8(environment).ok()?)?;
        Some(self.ownership.stamp_key.read(&object)?.into_owned())
    }
}
