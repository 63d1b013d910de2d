//! The upstream as one exchange sees it: with a slot in the budget, and within one deadline.

use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::ownership::OwnerScope;
use super::plans::ResolvedPlan;
use super::request_log::{RequestLog, WaitingFor};
use super::response;
use super::shared_reads::{Progress, ReadKey, Subject};
use crate::contract::{
    ApiError, BETA, BetaRules, Operation, OperatorFault, ReplyError, RequestQuery, SentTexts, Target,
    UpstreamErrorBody,
};
use crate::quota::{BudgetRejection, InFlightSlot, Kind, LimitedBy, Token};
use crate::tenancy::{Caller, Tenant};
use crate::upstream::{
    Client, Deadline, ProxyError, ReceivedBytes, Reply, Reuse, SendError, Sender, UpstreamRequest, VERSION,
    WriteSent, client_values,
};

/// Who asks the upstream, for all of one exchange: a caller, by which plan and credential, with which header,
/// translated, and by when. From its first request on it has a slot in flight, and keeps it for all that it
/// needs.
pub(super) struct UpstreamSession<'a> {
    pub(super) log: &'a mut RequestLog,
    caller: &'a Caller,
    plan: &'a ResolvedPlan,
    headers: HeaderMap,
    write_sent: &'a WriteSent,
    /// What comes back for its requests.
    progress: Progress,
    deadline: Option<Deadline>,
    slot: Option<InFlightSlot>,
}

impl<'a> UpstreamSession<'a> {
    /// For a request of `caller` that goes up with `headers`. Where a write of it is sent, `write_sent` is
    /// told.
    pub(super) fn new(
        caller: &'a Caller,
        plan: &'a ResolvedPlan,
        headers: HeaderMap,
        write_sent: &'a WriteSent,
        log: &'a mut RequestLog,
    ) -> Self {
        Self {
            log,
            caller,
            plan,
            headers,
            write_sent,
            progress: Progress::default(),
            deadline: None,
            slot: None,
        }
    }

    /// When all must be over, counted from the first time that anybody asks.
    pub(super) fn deadline(&mut self) -> Deadline {
        *self
            .deadline
            .get_or_insert_with(|| Deadline::from_now(self.plan.upstream.timeout()))
    }

    /// Waits for something before anything is sent, as long as the deadline allows.
    pub(super) async fn wait<T>(
        &mut self,
        waiting: impl Future<Output = T>,
        otherwise: ApiError,
    ) -> Result<T, ApiError> {
        let until = self.deadline().waiting;
        self.log.begin_waiting(WaitingFor::Others);
        let waited = timeout_at(until, waiting).await;
        self.log.end_waiting();
        waited.map_err(|_elapsed| otherwise)
    }

    /// What comes back for its requests, for who waits for them too.
    pub(super) fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Whether it has its slot in flight.
    pub(super) const fn has_slot(&self) -> bool {
        self.slot.is_some()
    }

    /// All that the reply to a retrieve, a list or a page of everybody's environments depends on.
    pub(super) fn read_key(&self, target: &Target, query: &RequestQuery, is_page: bool) -> ReadKey {
        let subject = match &target.environment {
            Some(id) => Subject::Environment(id.clone(), self.caller.tenant.id.clone()),
            None if is_page => Subject::Page,
            None => Subject::List,
        };
        ReadKey {
            subject,
            access: Arc::clone(&self.plan.access),
            dialect: self.plan.plan.dialect.name,
            version: self.headers.get(VERSION).cloned(),
            betas: self.headers.get(BETA).map(BetaRules::sorted),
            // Older clients say `beta=true` with every request, which parts nobody's replies.
            path_and_query: path_and_query(
                target,
                &RequestQuery {
                    beta: false,
                    ..query.clone()
                },
            ),
        }
    }

    pub(super) const fn scope(&self) -> OwnerScope<'a> {
        OwnerScope {
            caller: self.caller,
            access: &self.plan.access,
        }
    }

    /// Sends one request up and waits for the whole reply. The answer's request id becomes the upstream's.
    pub(super) async fn send(
        &mut self,
        target: &Target,
        query: &RequestQuery,
        body: Bytes,
    ) -> Result<Reply, ApiError> {
        let upstream = &*self.plan.upstream;
        let operation = target.operation;
        let path_and_query = path_and_query(target, query);
        let sent_body = body.clone();
        // Those of a read stay here.
        let taken = operation.is_write().then(|| client_values(&self.headers));
        // A write is the last thing that anybody asks for.
        let headers = match operation.is_write() {
            true => mem::take(&mut self.headers),
            false => self.headers.clone(),
        };
        let request = |headers, body| {
            let request = upstream.request(operation, &path_and_query, headers, body);
            request.map_err(|_| ApiError::Internal)
        };
        let first = request(headers, body)?;
        let delivery = Delivery {
            upstream,
            sender: Sender::Tenant(&self.caller.tenant.id),
            operation,
            deadline: self.deadline(),
            write_sent: self.write_sent,
            progress: &self.progress,
        };
        let (kind, until) = (Kind::from(operation), delivery.deadline.waiting);
        if operation.is_write() && Instant::now() >= until {
            // What went before took so long that nobody might live to see how the write ends.
            return Err(ApiError::UpstreamTimeout { after_write: false });
        }
        self.log.has_asked_budget = true;
        self.log.begin_waiting(WaitingFor::Others);
        let slot = match &mut self.slot {
            Some(slot) => {
                // A list may cost any number of them.
                if operation == Operation::List {
                    slot.count_next().map_err(refusal)?;
                }
                slot
            }
            none => none.insert(enter(self.plan, &self.caller.tenant, kind, until).await?),
        };
        let token = slot.token(kind, until).await.map_err(refusal)?;
        self.log.begin_waiting(WaitingFor::Upstream);
        let again = || request(self.headers.clone(), Bytes::new()).ok();
        // On the heap, because it is large, and several futures around it would have a place for it each.
        let outcome = Box::pin(delivery.send_at_most_twice(first, again, token)).await;
        self.log.end_waiting();
        let reply = outcome.map_err(|error| {
            tracing::warn!(operation = operation.name(), %error, "no reply from the upstream");
            error_of(&error, operation.is_write())
        })?;
        let (kind, now) = (Kind::from(operation), SystemTime::now());
        let budget = &self.plan.budget;
        budget.answered(kind, reply.status, &reply.headers, now);
        if let Some(request_id) = response::request_id(&reply) {
            self.log.name_as_upstream(request_id);
        }
        let headers = || taken.unwrap_or_else(|| client_values(&self.headers));
        match operator_fault(&reply, &sent_body, headers, &self.plan.plan.betas.required) {
            Some(fault) => {
                let operation = operation.name();
                tracing::error!(operation, %fault, "the upstream refuses requests for the operator's fault");
                Err(ApiError::UpstreamCredential)
            }
            None => Ok(reply),
        }
    }
}

/// What a 400 blames the operator for, although the status blames the request. `body` and `headers` are what
/// the request has told the upstream of its client's.
fn operator_fault(
    reply: &Reply,
    body: &[u8],
    headers: impl FnOnce() -> Vec<HeaderValue>,
    required_beta: &HeaderValue,
) -> Option<OperatorFault> {
    if reply.status != StatusCode::BAD_REQUEST {
        return None;
    }
    UpstreamErrorBody::read(&reply.body).operator_fault(|message| {
        let mut texts = SentTexts::default();
        texts.add_body(body);
        for value in headers().iter().filter_map(|value| value.to_str().ok()) {
            texts.add_header(value);
        }
        // The gateway asks for it, whoever else does.
        texts.remove(required_beta.to_str().unwrap_or_default());
        texts.is_in(message)
    })
}

/// Waits for a slot in flight.
async fn enter(
    plan: &ResolvedPlan,
    tenant: &Tenant,
    kind: Kind,
    until: Instant,
) -> Result<InFlightSlot, ApiError> {
    // Who would find the upstream left alone need not wait for that.
    let circuit = plan.upstream.check_circuit();
    circuit.map_err(|error| error_of(&error, false))?;
    let slot = plan.budget.enter(&plan.tenant_quota(tenant), kind, until).await;
    slot.map_err(refusal)
}

/// One request on its way up, which may have to be sent twice.
struct Delivery<'a> {
    upstream: &'a Client,
    sender: Sender<'a>,
    operation: Operation,
    deadline: Deadline,
    write_sent: &'a WriteSent,
    progress: &'a Progress,
}

impl Delivery<'_> {
    /// A request that never started is sent again, once; so is a read that died on a connection that had been
    /// idle, where the budget has another token for it: it may have been counted up there. Nothing else is,
    /// ever.
    async fn send_at_most_twice(
        &self,
        request: UpstreamRequest,
        again: impl FnOnce() -> Option<UpstreamRequest>,
        mut token: Token<'_>,
    ) -> Result<Reply, SendError> {
        let (request, mut token) = match self.send(request, Reuse::Allowed, &mut token).await {
            Err(SendError::NotStarted(request)) => (*request, token),
            Err(silent @ SendError::DiedIdle(_)) if !self.operation.is_write() => {
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
        self.send(request, Reuse::No, &mut token).await
    }

    async fn send(
        &self,
        request: UpstreamRequest,
        reuse: Reuse,
        token: &mut Token<'_>,
    ) -> Result<Reply, SendError> {
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
        if let Err(SendError::NotStarted(_)) = &outcome {
            token.unsent();
        }
        outcome
    }
}

/// What a refusal means for the client; nothing of this request was sent.
fn refusal(refused: BudgetRejection) -> ApiError {
    tracing::debug!(%refused, "a request may not go up");
    let retry_after = refused.retry_after;
    match refused.limited_by {
        LimitedBy::Tenant => ApiError::TenantLimit { retry_after },
        LimitedBy::Upstream => ApiError::UpstreamLimit { retry_after },
    }
}

/// The canonical path, and a query made anew from what was understood of the client's.
fn path_and_query(target: &Target, query: &RequestQuery) -> String {
    let (path, query) = (target.path(), query.to_query_string());
    if query.is_empty() {
        path
    } else {
        format!("{path}?{query}")
    }
}

/// What a missing reply means for the client.
const fn error_of(error: &SendError, after_write: bool) -> ApiError {
    match error {
        SendError::Proxy(ProxyError::UpstreamUnreachable(_)) => ApiError::UpstreamUnreachable,
        SendError::Proxy(_) => ApiError::UpstreamProxy,
        SendError::CircuitOpen(retry_after) => ApiError::CircuitOpen {
            retry_after: *retry_after,
        },
        SendError::Unreachable(_) | SendError::NotStarted(_) => ApiError::UpstreamUnreachable,
        SendError::OutOfResources(_) => ApiError::OutOfResources,
        SendError::ConnectTimeout(_) => ApiError::UpstreamConnectTimeout,
        SendError::Timeout(_) => ApiError::UpstreamTimeout { after_write },
        SendError::Broken(_) | SendError::DiedIdle(_) | SendError::Malformed(_) => {
            ApiError::UpstreamBroken { after_write }
        }
        SendError::TooLarge => ApiError::UpstreamReply {
            reason: ReplyError::TooLarge,
            after_write,
        },
    }
}
