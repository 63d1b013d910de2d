//! The upstream as one exchange sees it: with a slot in the budget, and within one deadline.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::Gateway;
use super::delivery::Delivery;
use super::ownership::OwnerScope;
use super::plans::ResolvedPlan;
use super::received_reply::ReceivedReply;
use super::request_log::RequestLog;
use super::response;
use super::shared_reads::{Progress, ReadKey, Subject};
use crate::contract::{
    ApiError, BetaRules, Operation, OperatorFault, ReplyError, RequestQuery, SentTexts, Target,
    UpstreamErrorBody,
};
use crate::quota::{BudgetRejection, InFlightSlot, Kind, LimitedBy};
use crate::telemetry::Step;
use crate::tenancy::{Caller, Tenant};
use crate::upstream::{Client, Deadline, ProxyError, Reply, SendError, Sender, UpstreamHeader, WriteSent};

/// Who asks the upstream, for all of one exchange: a caller, by which plan and credential, with which header,
/// translated, and by when. From its first request on it has a slot in flight, and keeps it for all that it
/// needs.
pub(super) struct UpstreamSession<'a> {
    pub(super) log: &'a mut RequestLog,
    gateway: &'a Gateway,
    caller: &'a Caller,
    plan: &'a ResolvedPlan,
    header: UpstreamHeader,
    write_sent: &'a WriteSent,
    /// What comes back for its requests.
    progress: Progress,
    deadline: Option<Deadline>,
    slot: Option<InFlightSlot>,
    /// What its requests go up with, where the upstream has refused the plan's own credential and there is another
    /// by now.
    renewed: Option<Arc<Client>>,
}

impl<'a> UpstreamSession<'a> {
    /// For a request of `caller` that goes up with `header`. Where a write of it is sent, `write_sent` is
    /// told.
    pub(super) fn new(
        gateway: &'a Gateway,
        caller: &'a Caller,
        plan: &'a ResolvedPlan,
        header: UpstreamHeader,
        write_sent: &'a WriteSent,
        log: &'a mut RequestLog,
    ) -> Self {
        Self {
            log,
            gateway,
            caller,
            plan,
            header,
            write_sent,
            progress: Progress::default(),
            deadline: None,
            slot: None,
            renewed: None,
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
        self.log.enter(Step::Wait);
        let waited = timeout_at(until, waiting).await;
        self.log.resume(Step::Judge);
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
            version: self.header.version.clone(),
            betas: BetaRules::sorted(&self.header.betas),
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
    ) -> Result<ReceivedReply, ApiError> {
        let renewed = self.renewed.clone();
        let upstream = renewed.as_deref().unwrap_or(&self.plan.upstream);
        let operation = target.operation;
        let path_and_query = path_and_query(target, query);
        let sent_body = body.clone();
        let deadline = self.deadline();
        let header = &self.header;
        let request = |body| upstream.request(operation, &path_and_query, header, body);
        let first = request(body).map_err(|_| ApiError::Internal)?;
        let delivery = Delivery {
            upstream,
            sender: Sender::Tenant(&self.caller.tenant.id),
            operation,
            deadline,
            write_sent: self.write_sent,
            progress: &self.progress,
        };
        let (kind, until) = (Kind::from(operation), delivery.deadline.waiting);
        if operation.is_write() && Instant::now() >= until {
            // What went before took so long that nobody might live to see how the write ends.
            return Err(ApiError::UpstreamTimeout { after_write: false });
        }
        self.log.has_asked_budget = true;
        self.log.enter(Step::Wait);
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
        let again = || request(Bytes::new()).ok();
        // On the heap, because it is large, and several futures around it would have a place for it each.
        let outcome = Box::pin(delivery.send_at_most_twice(first, again, token, self.log)).await;
        let outcome = match outcome {
            Ok(refused) if refused.status == StatusCode::UNAUTHORIZED && self.plan.has_credential_file => {
                let sending = self.send_with_another_key(refused, operation, &path_and_query, &sent_body);
                Box::pin(sending).await
            }
            outcome => outcome,
        };
        self.log.resume(Step::Answer);
        let reply = outcome.map_err(|error| {
            tracing::warn!(operation = operation.name(), %error, "no reply from the upstream");
            error_of(&error, operation.is_write())
        })?;
        let received = ReceivedReply::observed(self.gateway, operation, reply);
        let reply = &received.reply;
        let (kind, now) = (Kind::from(operation), SystemTime::now());
        let budget = &self.plan.budget;
        budget.answered(kind, reply.status, &reply.headers, now);
        if let Some(request_id) = response::request_id(reply) {
            self.log.name_as_upstream(request_id);
        }
        match operator_fault(reply, &sent_body, &self.header, &self.plan.plan.betas.required) {
            Some(fault) => {
                let operation = operation.name();
                tracing::error!(operation, %fault, "the upstream refuses requests for the operator's fault");
                Err(ApiError::UpstreamCredential)
            }
            None => Ok(received),
        }
    }
}

impl UpstreamSession<'_> {
    /// A 401 proves that nothing was done. Where the file of the credential holds another key by now, the request
    /// goes up once more, for another rate token; else the refusal stands.
    async fn send_with_another_key(
        &mut self,
        refused: Reply,
        operation: Operation,
        path_and_query: &str,
        body: &Bytes,
    ) -> Result<Reply, SendError> {
        self.log.enter(Step::Wait);
        let deadline = self.deadline();
        let Some(client) = self.find_another_key(deadline.waiting).await else {
            return Ok(refused);
        };
        let (kind, now) = (Kind::from(operation), SystemTime::now());
        let (headers_of, budget) = (&refused.headers, &self.plan.budget);
        budget.answered(kind, refused.status, headers_of, now);
        // What else this exchange asks for goes up with it too.
        let client = &**self.renewed.insert(client);
        let header = &self.header;
        let request = || client.request(operation, path_and_query, header, body.clone());
        let Some(slot) = &mut self.slot else {
            return Ok(refused);
        };
        let (Ok(first), Ok(token)) = (request(), slot.token(kind, deadline.waiting).await) else {
            return Ok(refused);
        };
        if operation.is_write() && Instant::now() >= deadline.waiting {
            return Ok(refused);
        }
        tracing::warn!(
            operation = operation.name(),
            "the upstream refused the credential; the request goes up once more with the one that its file holds now"
        );
        client.metrics().resent.inc();
        let delivery = Delivery {
            upstream: client,
            sender: Sender::Tenant(&self.caller.tenant.id),
            operation,
            deadline,
            write_sent: self.write_sent,
            progress: &self.progress,
        };
        let again = || request().ok();
        delivery.send_at_most_twice(first, again, token, self.log).await
    }

    /// What the tenant sees of the upstream by now, where that is another part than it was when the request began.
    pub(super) fn access_by_now(&self) -> Option<Arc<str>> {
        let plans = &self.gateway.current.load().plans;
        let access = &plans.of(&self.caller.tenant).ok()?.access;
        (*access != self.plan.access).then(|| Arc::clone(access))
    }

    /// What requests of the plan go up with by now, if that is another key than this exchange has used.
    async fn find_another_key(&self, until: Instant) -> Option<Arc<Client>> {
        let used = self.renewed.as_ref().unwrap_or(&self.plan.upstream);
        let find = || {
            let plans = &self.gateway.current.load().plans;
            plans.renewed(&self.caller.tenant, self.plan, used)
        };
        if let Some(client) = find() {
            return Some(client);
        }
        self.gateway.credential_watch.next_look(until).await;
        find()
    }
}

/// What a 400 blames the operator for, although the status blames the request. `body` and `header` are what
/// the request has told the upstream of its client's.
fn operator_fault(
    reply: &Reply,
    body: &[u8],
    header: &UpstreamHeader,
    required_beta: &HeaderValue,
) -> Option<OperatorFault> {
    if reply.status != StatusCode::BAD_REQUEST {
        return None;
    }
    UpstreamErrorBody::read(&reply.body).operator_fault(|message| {
        let mut texts = SentTexts::default();
        texts.add_body(body);
        for value in header
            .client_values()
            .filter_map(|value| str::from_utf8(value).ok())
        {
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
