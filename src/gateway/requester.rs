use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::time::{Instant, timeout_at};

use super::ownership::Claimant;
use super::plans::Served;
use super::record::{Record, WaitingFor};
use super::reply;
use super::shared_reads::{Freshness, ReadKey, Subject};
use crate::contract::{ApiError, ListQuery, Operation, RefusedReply, Target};
use crate::quota::{self, Kind, LimitedBy, Place, Refused, Token};
use crate::tenancy::{Caller, Plan};
use crate::upstream::{BETA, Deadline, Failure, Reply, SendPermit, Underway, VERSION};

/// Who asks the upstream, for all of one exchange: a caller, by which plan and credential, with which header, translated,
/// and by when. From its first request on it has a place in flight, and keeps it for all that it needs.
pub(super) struct Requester<'a> {
    pub(super) caller: &'a Caller,
    served: &'a Served,
    headers: HeaderMap,
    /// How new the replies to its reads have to be.
    pub(super) freshness: Freshness,
    underway: &'a Underway,
    deadline: Option<Deadline>,
    place: Option<Place>,
}

impl<'a> Requester<'a> {
    pub(super) const fn new(
        caller: &'a Caller,
        served: &'a Served,
        headers: HeaderMap,
        freshness: Freshness,
        underway: &'a Underway,
    ) -> Self {
        Self {
            caller,
            served,
            headers,
            freshness,
            underway,
            deadline: None,
            place: None,
        }
    }

    /// When all must be over, counted from the first time that anybody asks.
    pub(super) fn deadline(&mut self) -> Deadline {
        *self
            .deadline
            .get_or_insert_with(|| Deadline::from_now(self.served.upstream.timeout()))
    }

    /// Waits for something before anything is sent, as long as the deadline allows.
    pub(super) async fn wait<T>(
        &mut self,
        waiting: impl Future<Output = T>,
        otherwise: ApiError,
        record: &mut Record,
    ) -> Result<T, ApiError> {
        let until = self.deadline().waiting;
        record.begin_waiting(WaitingFor::Others);
        let waited = timeout_at(until, waiting).await;
        record.end_waiting();
        waited.map_err(|_elapsed| otherwise)
    }

    /// Whether it has its place in flight.
    pub(super) const fn has_place(&self) -> bool {
        self.place.is_some()
    }

    pub(super) const fn plan(&self) -> &'a Plan {
        &self.served.plan
    }

    /// All that the reply to a read depends on; none for what is no read.
    pub(super) fn read_key(&self, target: &Target, query: &ListQuery) -> Option<ReadKey> {
        let subject = match (target.operation, &target.environment) {
            (Operation::List, _) => Subject::List,
            (Operation::Retrieve, Some(id)) => {
                Subject::Environment(id.clone(), self.caller.tenant.id.clone())
            }
            _ => return None,
        };
        Some(ReadKey {
            subject,
            access: Arc::clone(&self.served.access),
            dialect: self.plan().dialect.name,
            version: self.headers.get(VERSION).cloned(),
            betas: self.headers.get(BETA).cloned(),
            path_and_query: path_and_query(target, query),
        })
    }

    pub(super) const fn claimant(&self) -> Claimant<'a> {
        Claimant {
            caller: self.caller,
            access: &self.served.access,
        }
    }

    /// Sends one request up and waits for the whole reply. The answer's request id becomes the upstream's.
    pub(super) async fn ask(
        &mut self,
        target: &Target,
        query: &ListQuery,
        body: Bytes,
        record: &mut Record,
    ) -> Result<Reply, ApiError> {
        let served = self.served;
        let (upstream, underway) = (&served.upstream, self.underway);
        let operation = target.operation;
        // A write is the last thing that anybody asks for.
        let headers = match operation.is_write() {
            true => mem::take(&mut self.headers),
            false => self.headers.clone(),
        };
        let deadline = self.deadline();
        record.begin_waiting(WaitingFor::Others);
        let token = self.token(operation, deadline).await;
        record.end_waiting();
        let permit = SendPermit {
            token: token?,
            deadline,
            underway,
        };
        record.begin_waiting(WaitingFor::Upstream);
        let path_and_query = path_and_query(target, query);
        // On the heap, because it is large, and several futures around it would have a place for it each.
        let sending = Box::pin(upstream.send(operation, &path_and_query, headers, body, permit));
        let outcome = sending.await;
        record.end_waiting();
        let reply = outcome.map_err(|failure| {
            tracing::warn!(operation = operation.name(), %failure, "no reply from the upstream");
            error_of(&failure, operation.is_write())
        })?;
        if reply.status == StatusCode::TOO_MANY_REQUESTS
            && let Some(silence) = quota::silence(&reply.headers, SystemTime::now())
        {
            served.budget.close_for(silence);
        }
        if let Some(request_id) = reply::request_id(&reply) {
            record.name_as_upstream(request_id);
        }
        if reply.status.is_success() {
            return Ok(reply);
        }
        Ok(Reply {
            body: upstream.redact(reply.body),
            ..reply
        })
    }

    /// Waits for permission to send one request, and for a place with the first.
    async fn token(&mut self, operation: Operation, deadline: Deadline) -> Result<Token<'_>, ApiError> {
        let kind = Kind::from(operation);
        if operation.is_write() && Instant::now() >= deadline.waiting {
            // What went before took so long that nobody might live to see how the write ends.
            return Err(ApiError::UpstreamTimeout { after_write: false });
        }
        let place = match &mut self.place {
            Some(place) => place,
            none => {
                let entrant = self.served.entrant(&self.caller.tenant);
                // Who would find the upstream left alone need not wait for that.
                self.served
                    .upstream
                    .look()
                    .map_err(|failure| error_of(&failure, false))?;
                let entering = self.served.budget.enter(&entrant, kind, deadline.waiting);
                none.insert(entering.await.map_err(refusal)?)
            }
        };
        place.token(kind, deadline.waiting).await.map_err(refusal)
    }
}

/// What a refusal means for the client; nothing of this request was sent.
fn refusal(refused: Refused) -> ApiError {
    tracing::debug!(%refused, "a request may not go up");
    let retry_after = refused.retry_after;
    match refused.limited_by {
        LimitedBy::Tenant => ApiError::TenantLimit { retry_after },
        LimitedBy::Upstream => ApiError::UpstreamLimit { retry_after },
    }
}

/// The canonical path, and a query made anew from what was understood of the client's.
fn path_and_query(target: &Target, query: &ListQuery) -> String {
    let (path, query) = (target.path(), query.to_query_string());
    if query.is_empty() {
        path
    } else {
        format!("{path}?{query}")
    }
}

/// What a missing reply means for the client.
const fn error_of(failure: &Failure, after_write: bool) -> ApiError {
    match failure {
        Failure::LeftAlone(retry_after) => ApiError::UpstreamLeftAlone {
            retry_after: *retry_after,
        },
        Failure::Unreachable(_) => ApiError::UpstreamUnreachable,
        Failure::ConnectTimeout(_) => ApiError::UpstreamConnectTimeout,
        Failure::Timeout(_) => ApiError::UpstreamTimeout { after_write },
        Failure::Broken(_) => ApiError::UpstreamBroken { after_write },
        Failure::TooLarge => ApiError::UpstreamReply {
            reason: RefusedReply::TooLarge,
            after_write,
        },
    }
}
