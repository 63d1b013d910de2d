use super::Gateway;
use super::response;
use crate::contract::{Operation, UpstreamReply};
use crate::telemetry::DriftWatch;
use crate::upstream::Reply;

/// What the upstream has replied to the requests of one exchange, until its answer is written and somebody may look
/// whether it still is what the contract says. An update under a policy has two; of what a list needs more, each makes room
/// for the next.
#[derive(Default)]
pub(super) struct ReceivedReplies {
    first: Option<UpstreamReply>,
    last: Option<UpstreamReply>,
}

impl ReceivedReplies {
    /// Keeps a reply to `operation`, where anybody watches.
    pub(super) fn keep(&mut self, watch: Option<&DriftWatch>, operation: Operation, reply: &Reply) {
        let Some(watch) = watch else { return };
        let received = received(operation, reply);
        if self.first.is_none() {
            self.first = Some(received);
        } else if let Some(earlier) = self.last.replace(received) {
            watch.observe(&earlier);
        }
    }

    /// Lets them be looked at.
    pub(super) fn release(&mut self, watch: Option<&DriftWatch>) {
        let Some(watch) = watch else { return };
        for reply in [self.first.take(), self.last.take()].into_iter().flatten() {
            watch.observe(&reply);
        }
    }
}

/// Lets a reply to a request of the gateway's own be looked at.
pub(super) fn observe(gateway: &Gateway, operation: Operation, reply: &Reply) {
    if let Some(watch) = gateway.drift() {
        watch.observe(&received(operation, reply));
    }
}

fn received(operation: Operation, reply: &Reply) -> UpstreamReply {
    UpstreamReply {
        operation,
        status: reply.status,
        is_encoded: response::is_encoded(&reply.headers),
        body: reply.body.clone(),
    }
}
