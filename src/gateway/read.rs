//! Reading from the upstream by way of what others read at the same time or just before.

use bytes::Bytes;
use tokio::time::timeout_at;

use super::record::{Record, WaitingFor};
use super::shared_reads::{Freshness, Reader};
use super::state::Gateway;
use super::upstream_session::UpstreamSession;
use crate::contract::{ApiError, ListQuery, Target};
use crate::upstream::Reply;

impl Gateway {
    /// The upstream's reply to a retrieve or to a page of a list, which may be one that somebody else asked for.
    pub(super) async fn read(
        &self,
        target: &Target,
        query: &ListQuery,
        upstream: &mut UpstreamSession<'_>,
        freshness: Freshness,
        record: &mut Record,
    ) -> Result<Reply, ApiError> {
        let Some(key) = upstream.read_key(target, query) else {
            return upstream.send(target, query, Bytes::new(), record).await;
        };
        let reader = Reader {
            tenant: &upstream.caller.tenant.id,
            freshness,
            may_wait: !upstream.has_slot(),
        };
        let until = upstream.deadline().total;
        record.begin_waiting(WaitingFor::Others);
        let ask = upstream.send(target, query, Bytes::new(), record);
        let shared = timeout_at(until, self.reads.read(key, reader, ask)).await;
        record.end_waiting();
        let shared = shared.map_err(|_elapsed| ApiError::UpstreamTimeout { after_write: false })??;
        self.metrics.record_read(shared.source.name());
        record.read_source = Some(match record.read_source {
            Some(earlier) => earlier.and(shared.source),
            None => shared.source,
        });
        Ok(shared.reply)
    }
}
