use super::request_log::RequestLog;
use super::shared_reads::Progress;
use crate::contract::Operation;
use crate::quota::Token;
use crate::telemetry::{AttemptOutcome, Step};
use crate::upstream::{
    Client, Deadline, ReceivedBytes, Reply, Reuse, SendError, Sender, UpstreamRequest, WriteSent,
};

/// One request on its way up, which may have to be sent twice.
pub(super) struct Delivery<'a> {
    pub(super) upstream: &'a Client,
    pub(super) sender: Sender<'a>,
    pub(super) operation: Operation,
    pub(super) deadline: Deadline,
    pub(super) write_sent: &'a WriteSent,
    pub(super) progress: &'a Progress,
}

impl Delivery<'_> {
    /// A request that never started is sent again, once; so is a read that died on a connection that had been
    /// idle, where the budget has another token for it: it may have been counted up there. Nothing else is,
    /// ever.
    pub(super) async fn send_at_most_twice(
        &self,
        request: UpstreamRequest,
        again: impl FnOnce() -> Option<UpstreamRequest>,
        mut token: Token<'_>,
        log: &mut RequestLog,
    ) -> Result<Reply, SendError> {
        let (request, mut token) = match self.send(request, Reuse::Allowed, &mut token, log).await {
            Err(SendError::NotStarted(request)) => (*request, token),
            Err(silent @ SendError::DiedIdle(_)) if !self.operation.is_write() => {
                log.enter(Step::Wait);
                let Ok(another) = token.another(self.deadline.waiting).await else {
                    return Err(silent);
                };
                let Some(request) = again() else {
                    return Err(silent);
                };
                (request, another)
            }
            outcome => return outcome,
        };
        self.upstream.metrics().resent.inc();
        self.send(request, Reuse::No, &mut token, log).await
    }

    async fn send(
        &self,
        mut request: UpstreamRequest,
        reuse: Reuse,
        token: &mut Token<'_>,
        log: &mut RequestLog,
    ) -> Result<Reply, SendError> {
        if let Some(span_id) = log.begin_attempt(self.operation) {
            request.set_span(span_id);
        }
        let on_sending = |received: &ReceivedBytes| {
            self.progress.follow(received);
            if self.operation.is_write() {
                self.write_sent.set();
            }
            token.sent();
        };
        let sending = self
            .upstream
            .send(self.sender, request, reuse, self.deadline.total, on_sending);
        let outcome = sending.await;
        log.settle_attempt(match &outcome {
            Ok(reply) => AttemptOutcome::Replied(reply.status),
            Err(error) => AttemptOutcome::Failed(error.kind()),
        });
        if let Err(SendError::NotStarted(_)) = &outcome {
            token.unsent();
        }
        outcome
    }
}
