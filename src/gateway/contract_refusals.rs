//! What the upstream refuses although it was let pass here: the contract may have become another.

use super::exchange::Exchange;
use crate::contract::UpstreamErrorBody;
use crate::upstream::Reply;

impl Exchange<'_> {
    /// Counts a write that the upstream refuses for what it says, by the place that its message names. Nothing else of
    /// the message is kept: it may repeat what the tenant has sent.
    pub(super) fn record_refusal(&self, reply: &Reply) {
        let operation = self.head.target.operation;
        let body = UpstreamErrorBody::read(&reply.body);
        if !operation.is_write() || !body.refuses_request(reply.status) {
            return;
        }
        let message = body.message().unwrap_or_default();
        let place = self.head.plan.plan.place_in_message(operation, message);
        self.gateway.metrics.record_contract_refusal(operation, &place);
        if let Some(drift) = self.gateway.drift() {
            drift.record_refusal(operation, place);
        }
    }
}
