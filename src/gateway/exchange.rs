//! The way of a request: each step, in order.
//!
//! ```text
//! operation   method and path → operation and id         judge_head, before a byte of the body is asked for
//! caller      key → tenant and plan
//! right       may this tenant, with this key, do this?
//! body        under a size limit and a deadline          request::read_body
//! document    strict parse, schema, precise violations   judge_body
//! owner       is this environment the tenant's?          Exchange::carry_out, while the client is watched
//! reply       a cached or shared read ends here
//! policy      is what would result allowed?
//! answer      a slot in the budget, send
//! reply       the dialect's resource or error
//! record      metrics, access log, audit                 answer_request
//! ```

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use pingora::protocols::http::ServerSession;
use tokio::time::timeout_at;

use super::Gateway;
use super::audit::{AuditDraft, RequestGuard};
use super::client_address::client_address;
use super::configuration::Configuration;
use super::in_flight::InFlight;
use super::judge::{Document, JudgedHead, judge_body, judge_head};
use super::ownership::Epoch;
use super::pace::{Pace, WriteError};
use super::panics::without_panic;
use super::response::{self, Accepted, ReadReply};
use super::shared_reads::{AskError, Freshness, Reader, Writing};
use super::spans::leave_spans;
use super::upstream_session::UpstreamSession;
use super::{client_disconnect, cors, health, request, server_timing, write};
use crate::contract::{Answer, ApiError, Dialect, Operation, RequestQuery, Target, allowed_methods};
use crate::telemetry::{Step, TraceContext};
use crate::tenancy::ClientCertificate;
use crate::upstream::WriteSent;

/// When a tenant may try again whose clients have not taken their answers.
const UNREAD_RETRY: Duration = Duration::from_secs(1);

/// Answers one request, with what it comes to or the error that it fails with, and records it.
///
/// All of it goes by one `configuration`, the one that held when it began, whatever is read meanwhile.
/// `connection` is whose connection it came on; trusted proxies say in a header whose request it is.
/// `certificate` is the one that the client has shown.
pub(super) async fn answer_request(
    gateway: &Gateway,
    configuration: &Configuration,
    session: &mut ServerSession,
    connection: IpAddr,
    certificate: Option<&ClientCertificate>,
) -> Result<(), WriteError> {
    // Before anything that may be full: a balancer has to know all the same.
    if let Some(answer) = health::answer(gateway, configuration, session.req_header()) {
        let pace = Pace::new(&configuration.listen, &gateway.is_stopping);
        return write::answer(session, answer, &pace).await;
    }
    let in_flight = InFlight::enter(&gateway.metrics.in_flight, configuration.max_in_flight);
    let write_sent = WriteSent::default();
    let client = client_address(&configuration.listen, connection, &session.req_header().headers);
    // Before any step, because none may trust a field that was for this connection alone.
    request::drop_connection_fields(session);
    let trace = TraceContext::of_request(&session.req_header().headers);
    let trace = gateway.tracer.decide(&configuration.sampler, trace);
    let mut guard = RequestGuard::new(gateway.audit.as_ref(), &write_sent, client, trace);

    let outcome = match &in_flight {
        Some(_) => {
            let responding = respond(gateway, configuration, certificate, session, &mut guard);
            without_panic(responding, &gateway.metrics.panics).await
        }
        None => Err(ApiError::TooManyInFlight),
    };
    let RequestGuard { identity, log, .. } = &mut guard;
    log.resume(Step::Answer);
    let (outcome, _unread) = gateway.unread_answers.count_answer(outcome, identity);
    let (mut answer, error) = match outcome {
        Ok(answer) => (answer, None),
        Err(error) => {
            let dialect = identity
                .plan
                .map_or(configuration.dialect, |resolved| resolved.plan.dialect);
            (response::of_error(&error, dialect, log.request_id()), Some(error))
        }
    };
    // What was refused before it came near the budget says nothing of it, and takes no lock for it.
    if (error.is_none() || log.has_asked_budget)
        && let (Some(plan), Some(caller)) = (identity.plan, &identity.caller)
        && let Some(limit) = plan.budget.rate_limit_status(&plan.tenant_quota(&caller.tenant))
    {
        response::add_rate_limit_headers(&mut answer, &limit);
    }
    if let Some(cors) = &configuration.cors {
        cors::add_headers(cors, &session.req_header().headers, &mut answer);
    }

    let status = answer.status;
    // Before the answer is written: a client that does not take it has written all the same.
    guard.record_write(status, error.as_ref());
    guard.log.enter(Step::Write);
    if guard
        .identity
        .plan
        .is_some_and(|resolved| resolved.plan.tells_timing)
    {
        answer
            .headers
            .extend(server_timing::header(guard.log.timeline(), guard.log.read_source));
    }
    let pace = Pace::new(&configuration.listen, &gateway.is_stopping);
    let written = write::answer(session, answer, &pace).await;
    let not_taken = matches!(written, Err(WriteError::TooSlow)).then_some(ApiError::AnswerNotTaken);
    let error = error.or(not_taken);
    let RequestGuard { identity, log, .. } = &mut guard;
    log.finish(gateway, configuration, identity, status, error.as_ref());
    leave_spans(
        gateway,
        configuration,
        session.req_header(),
        &mut guard,
        status,
        error.as_ref(),
    );
    written
}

/// One request, from its header to an answer that is ready to be written.
///
/// Nothing reaches the upstream before everything that can be judged here has been: its budget is the scarce
/// thing.
async fn respond<'g>(
    gateway: &'g Gateway,
    configuration: &'g Configuration,
    certificate: Option<&ClientCertificate>,
    session: &mut ServerSession,
    guard: &mut RequestGuard<'g>,
) -> Result<Answer, ApiError> {
    request::check_expectation(session)?;
    if session.req_header().method == Method::OPTIONS {
        // Whoever asks what there is need not be known, a browser least of all.
        let methods = allowed_methods(session.req_header().uri.path())?;
        let mut answer = response::of_options(methods, guard.log.request_id());
        if let Some(cors) = &configuration.cors {
            cors::add_preflight_headers(cors, &session.req_header().headers, methods, &mut answer);
        }
        return Ok(answer);
    }
    let head = judge_head(
        gateway,
        configuration,
        certificate,
        session.req_header(),
        &mut guard.identity,
    )?;
    guard.log.keep_for_tenant(&gateway.tracer, &configuration.sampler);
    gateway
        .metrics
        .query_names_dropped
        .inc_by(head.dropped_query_names);

    // An answer that its client does not take is in flight as well.
    let unread = gateway.unread_answers.count(&head.caller.tenant.id);
    if !head.plan.has_slot_beside(unread) {
        return Err(ApiError::TenantLimit {
            retry_after: UNREAD_RETRY,
        });
    }

    if !session.is_body_empty() {
        guard.log.enter(Step::Body);
    }
    let body = request::read_body(session, configuration.limits).await?;
    guard.log.resume(Step::Judge);
    let document = judge_body(gateway, &head, body)?;
    for warning in document.warnings.told() {
        gateway.metrics.record_warning(warning.keyword);
    }

    let write_sent = guard.write_sent;
    let exchange = Exchange::new(
        gateway,
        configuration,
        &head,
        &document,
        &session.req_header().headers,
        guard,
    );
    // What follows waits for others and needs the client no more, so the client can be watched meanwhile. On
    // the heap, for those who come so far: in here it would make every future around it larger, several times
    // over.
    let carrying_out = Box::pin(exchange.carry_out());
    client_disconnect::unless_gone(
        session,
        configuration.listen.probe_half_closed,
        write_sent,
        carrying_out,
    )
    .await
}

/// A request that was judged as far as that goes without asking anybody, and all that carrying it out needs.
/// Further steps of it stand in `ownership`, `policy` and `list`.
pub(super) struct Exchange<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) configuration: &'a Configuration,
    pub(super) head: &'a JudgedHead<'a>,
    pub(super) document: &'a Document,
    pub(super) upstream: UpstreamSession<'a>,
    pub(super) audit: &'a mut AuditDraft,
    /// How new the replies to its reads have to be.
    pub(super) freshness: Freshness,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        configuration: &'a Configuration,
        head: &'a JudgedHead<'a>,
        document: &'a Document,
        headers: &HeaderMap,
        guard: &'a mut RequestGuard<'_>,
    ) -> Self {
        let (write_sent, log) = (guard.write_sent, &mut guard.log);
        let upstream_headers = head
            .plan
            .upstream_headers(headers, head.betas.clone(), Some(log.trace()));
        Self {
            gateway,
            configuration,
            head,
            document,
            upstream: UpstreamSession::new(
                gateway,
                &head.caller,
                head.plan,
                upstream_headers,
                write_sent,
                log,
            ),
            audit: &mut guard.draft,
            freshness: Freshness::from_cache_control(headers),
        }
    }

    /// The dialect of the caller's plan.
    pub(super) fn dialect(&self) -> &'static Dialect {
        self.head.plan.plan.dialect
    }

    /// All that needs the upstream, with one slot in flight.
    pub(super) async fn carry_out(mut self) -> Result<Answer, ApiError> {
        let operation = self.head.target.operation;
        // Before anything is changed: another tenant's environment is as good as none, and what would result
        // must be what the plan allows. Nobody else updates it before the reply is here.
        let _lock = match &self.head.plan.plan.policy {
            Some(policy) => self.check_policy(policy).await?,
            None => {
                self.check_owner().await?;
                None
            }
        };

        let accepted = match operation {
            Operation::List if self.gateway.owners.is_filtering(&self.head.caller) => self.list_own().await?,
            _ => self.carry_through().await?,
        };
        Ok(self.answer(accepted))
    }

    /// What the client gets for what was accepted.
    pub(super) fn answer(self, mut accepted: Accepted) -> Answer {
        let operation = self.head.target.operation;
        if let (Operation::Retrieve | Operation::List, Some(source)) =
            (operation, self.upstream.log.read_source)
        {
            accepted.headers.extend(source.headers());
        }
        accepted.answer(&self.document.warnings, self.upstream.log.request_id())
    }

    /// Sends the request up, and settles with its reply whose the environment is.
    async fn carry_through(&mut self) -> Result<Accepted, ApiError> {
        let (gateway, head, scope) = (self.gateway, self.head, self.upstream.scope());
        let (owners, target) = (&gateway.owners, &head.target);
        let asked_at = owners.epoch();
        let mut writing = None;
        let reply = if target.operation.is_write() {
            let body = owners.stamp(target.operation, &head.caller, self.document.bytes.clone())?;
            writing = Some(gateway.reads.write(scope.access, target.environment.as_ref()));
            let sent = self.upstream.send(target, &head.query, body).await;
            // Under settings that hold by now somebody may have read meanwhile.
            if let Some(access) = self.upstream.access_by_now() {
                drop(gateway.reads.write(&access, None));
            }
            let reply = sent?;
            ReadReply::new(reply, target.operation, self.dialect(), &owners.stamp_key)
        } else {
            self.read(target, &head.query, self.freshness).await?
        };
        self.take_reply(reply, asked_at, writing)
    }

    /// Judges the reply, and settles whose the environment is; `asked_at` is the epoch from before it was asked for,
    /// `writing` says so to those who read.
    pub(super) fn take_reply(
        &mut self,
        reply: ReadReply,
        asked_at: Epoch,
        mut writing: Option<Writing<'_>>,
    ) -> Result<Accepted, ApiError> {
        let (gateway, head, scope) = (self.gateway, self.head, self.upstream.scope());
        let (owners, target) = (&gateway.owners, &head.target);
        if reply.reply.status.is_success() {
            self.audit.succeed(target.operation, &reply.reply.body);
            if let Some(policy) = &head.plan.plan.policy {
                self.judge_result(policy, &reply.reply.body);
            }
        } else {
            self.record_refusal(&reply.reply);
        }
        let outcome = reply.accept(target, self.dialect());
        if let (Operation::Create, Ok(accepted)) = (target.operation, &outcome)
            && let Some(id) = accepted.environment()
        {
            self.audit.environment = Some(id.clone());
            gateway.unfinished_lists.forget(&head.caller.tenant.id);
            if let Some(writing) = &mut writing {
                writing.made(id);
            }
        }
        let settled = owners.settle(target, scope, asked_at, outcome);
        settled.map_err(|error| owners.explain(error, self.document.metadata_pairs()))
    }

    /// The upstream's reply to a retrieve or to a list, which may be one that somebody else asked for.
    pub(super) async fn read(
        &mut self,
        target: &Target,
        query: &RequestQuery,
        freshness: Freshness,
    ) -> Result<ReadReply, ApiError> {
        let (gateway, dialect) = (self.gateway, self.dialect());
        let stamp_key = &gateway.owners.stamp_key;
        let is_page = target.operation == Operation::List && gateway.owners.is_filtering(&self.head.caller);
        let key = self.upstream.read_key(target, query, is_page);
        let progress = self.upstream.progress();
        let reader = Reader {
            tenant: &self.head.caller.tenant.id,
            freshness,
            may_wait: !self.upstream.has_slot(),
            progress: &progress,
        };
        let until = self.upstream.deadline().total;
        self.upstream.log.enter(Step::Wait);
        let ask = async {
            let reply = self.upstream.send(target, query, Bytes::new()).await;
            let reply = reply.map_err(|error| AskError {
                error,
                may_wait: !self.upstream.has_slot(),
            })?;
            Ok(match is_page {
                true => ReadReply::page(reply, stamp_key),
                false => ReadReply::new(reply, target.operation, dialect, stamp_key),
            })
        };
        let shared = timeout_at(until, gateway.reads.read(key, reader, ask)).await;
        self.upstream.log.resume(Step::Answer);
        let shared = shared.map_err(|_elapsed| ApiError::UpstreamTimeout { after_write: false })??;
        gateway.metrics.record_read(shared.source.name());
        let source = &mut self.upstream.log.read_source;
        *source = Some(match *source {
            Some(earlier) => earlier.and(shared.source),
            None => shared.source,
        });
        Ok(shared.reply)
    }
}
