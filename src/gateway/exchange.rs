//! The exchange: each step of a request's way, in their order.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use jiff::Timestamp;
use pingora::protocols::http::ServerSession;
use prometheus::{IntCounter, IntGauge};
use serde_json::{Map, Value};

use super::audit::OpenRecord;
use super::plans::Served;
use super::record::Record;
use super::reply::Accepted;
use super::shared_reads::Freshness;
use super::state::Gateway;
use super::upstream_session::UpstreamSession;
use super::{answer, body, head, reply, watch, write};
use crate::contract::{Answer, ApiError, ListQuery, Operation, Target, Warnings, beta_only, parse_document};
use crate::tenancy::{self, Caller, Plan};
use crate::upstream::WriteSent;

/// A request that was received whole, and judged as far as that goes without asking anybody.
struct Received<'g> {
    target: Target,
    caller: Caller,
    served: &'g Served,
    query: ListQuery,
    document: Document,
    /// The header as it goes up.
    headers: HeaderMap,
    /// How new the replies to its reads have to be.
    freshness: Freshness,
}

/// A request body that may go up: the client's own bytes, what they say, and what was let through with a warning.
#[derive(Default)]
struct Document {
    bytes: Bytes,
    value: Value,
    warnings: Warnings,
}

impl Document {
    /// How many pairs of metadata the client sent.
    fn metadata_pairs(&self) -> usize {
        self.value
            .get("metadata")
            .and_then(Value::as_object)
            .map_or(0, Map::len)
    }
}

impl Gateway {
    /// One request, from its header to an answer that is ready to be written.
    ///
    /// Nothing reaches the upstream before everything that can be judged here has been: its budget is the scarce
    /// thing. `write_sent` is told once a write is on its way.
    pub(super) async fn exchange(
        &self,
        session: &mut ServerSession,
        write_sent: &WriteSent,
        record: &mut Record,
    ) -> Result<Answer, ApiError> {
        let received = self.receive(session, record).await?;
        // What follows waits for others and needs the client no more, so the client can be watched meanwhile.
        // On the heap, for those who come so far: in here it would make every future around it larger, several times over.
        let serving = Box::pin(self.serve(received, write_sent, record));
        watch::unless_gone(session, write_sent, serving).await
    }

    /// All that needs the client.
    async fn receive(
        &self,
        session: &mut ServerSession,
        record: &mut Record,
    ) -> Result<Received<'_>, ApiError> {
        // First, because a header with two meanings must not reach a step that trusts one of them.
        head::check(session)?;

        // Before the caller, so that a wrong path says so whoever asks.
        let target = Target::find(&session.req_header().method, session.req_header().uri.path())?;
        record.operation = Some(target.operation);

        // Before the body, so that nobody without a key can make the gateway read one.
        let key = tenancy::credential(&session.req_header().headers)?;
        let caller = self.directory.caller(key, Timestamp::now())?;
        record.caller = Some(caller.clone());
        record.trail.begin(&target);

        // From here on the plan says what may be done, and everything that follows is done in its way.
        let served = self.plans.of(&caller.tenant)?;
        record.dialect = Some(served.plan.dialect);
        self.ownership.check_alone(&self.directory, &served.sharing)?;

        // Before the body as well: what plan and key may not do is known without it.
        served.plan.may(target.operation)?;
        caller.may(&target)?;

        // Before the body too: a wrong parameter is known without it.
        let query = self.query(target.operation, session.req_header().uri.query())?;

        let document = self.document(session, target.operation, &served.plan).await?;
        let header = &session.req_header().headers;
        Ok(Received {
            target,
            caller,
            served,
            query,
            document,
            headers: served.translated(header),
            freshness: Freshness::asked(header),
        })
    }

    /// All that needs the upstream.
    async fn serve(
        &self,
        received: Received<'_>,
        write_sent: &WriteSent,
        record: &mut Record,
    ) -> Result<Answer, ApiError> {
        let Received {
            target,
            caller,
            served,
            query,
            document,
            headers,
            freshness,
        } = received;
        // One place in flight for all of it.
        let mut upstream = UpstreamSession::new(&caller, served, headers, freshness, write_sent);

        // Before anything is changed: another tenant's environment is as good as none, and what would result must be
        // what the plan allows. Nobody else's turn comes before the reply is here.
        let _turn = match &upstream.plan().policy {
            Some(policy) => {
                let body = &document.value;
                self.check_policy(policy, &target, &mut upstream, body, record)
                    .await?
            }
            None => {
                self.check_owner(&target, &mut upstream, record).await?;
                None
            }
        };

        let mut accepted = if target.operation == Operation::List && self.ownership.is_filtering(&caller) {
            self.list_own(&query, &mut upstream, record).await?
        } else {
            self.carry_out(&target, &query, &mut upstream, &document, record)
                .await?
        };
        if let (Operation::Retrieve | Operation::List, Some(source)) = (target.operation, record.read_source)
        {
            accepted.headers.extend(source.headers());
        }
        Ok(answer::of_success(
            accepted,
            &document.warnings,
            record.request_id(),
        ))
    }

    /// What was understood of a query. Operations other than list know `beta` alone.
    fn query(&self, operation: Operation, query: Option<&str>) -> Result<ListQuery, ApiError> {
        let (query, dropped) = match operation {
            Operation::List => ListQuery::parse(query)?,
            _ => {
                let (beta, dropped) = beta_only(query)?;
                let query = ListQuery {
                    beta,
                    ..ListQuery::default()
                };
                (query, dropped)
            }
        };
        self.metrics
            .query_names_dropped
            .inc_by(u64::try_from(dropped).unwrap_or(u64::MAX));
        Ok(query)
    }

    /// Sends the request up, and settles with its reply whose the environment is.
    async fn carry_out(
        &self,
        target: &Target,
        query: &ListQuery,
        upstream: &mut UpstreamSession<'_>,
        document: &Document,
        record: &mut Record,
    ) -> Result<Accepted, ApiError> {
        let body = self
            .ownership
            .stamp(target.operation, upstream.caller, document.bytes.clone())?;
        let (access, asked_at) = (upstream.claimant().access, self.ownership.moment());
        let mut writing =
            (target.operation.is_write()).then(|| self.reads.write(access, target.environment.as_ref()));
        let reply = match &writing {
            Some(_) => upstream.send(target, query, body, record).await?,
            None => {
                let freshness = upstream.freshness;
                self.read(target, query, upstream, freshness, record).await?
            }
        };
        if reply.status.is_success() {
            record.trail.succeed(target, &reply.body);
        }
        if let (Some(policy), true) = (&upstream.plan().policy, reply.status.is_success()) {
            self.watch_result(policy, target, &reply.body, record);
        }
        let outcome = reply::accept(upstream.plan().dialect, &self.ownership.stamp_key, target, reply);
        if let (Operation::Create, Ok(accepted)) = (target.operation, &outcome) {
            record.trail.environment.clone_from(&accepted.environment);
            if let (Some(writing), Some(id)) = (&mut writing, &accepted.environment) {
                writing.made(id);
            }
        }
        let settled = self
            .ownership
            .settle(target, upstream.claimant(), asked_at, outcome);
        settled.map_err(|error| self.ownership.explain(error, document.metadata_pairs()))
    }

    /// Reads the body and judges it on a parsed copy; the bytes themselves go up as they came.
    async fn document(
        &self,
        session: &mut ServerSession,
        operation: Operation,
        plan: &Plan,
    ) -> Result<Document, ApiError> {
        if operation.takes_body() {
            head::check_content_type(&session.req_header().headers)?;
        }
        let bytes = body::read(session, self.limits).await?;
        if !operation.takes_body() {
            return match bytes.trim_ascii() {
                b"" | b"{}" => Ok(Document::default()),
                _ => Err(ApiError::UnexpectedBody),
            };
        }
        let value = parse_document(&bytes).map_err(ApiError::Document)?;
        let warnings = plan
            .validate(operation, &value)
            .and_then(|warnings| self.ownership.stamp_key.refuse(&value).map(|()| warnings))
            .map_err(ApiError::Violations)?;
        for warning in warnings.told() {
            self.metrics.record_warning(warning.keyword);
        }
        Ok(Document {
            bytes,
            value,
            warnings,
        })
    }
}

/// Answers one request: what it is answered with is what its exchange comes to, or the error that it failed with.
pub(super) async fn answer_request(gateway: &Gateway, session: &mut ServerSession) -> pingora::Result<()> {
    let _in_flight = InFlight::enter(&gateway.metrics.in_flight);
    let write_sent = WriteSent::default();
    let mut open = OpenRecord::start(gateway, &write_sent);

    let exchange = gateway.exchange(session, &write_sent, &mut open.record);
    let outcome = without_panic(exchange, &gateway.metrics.panics).await;
    let (mut answer, error) = match outcome {
        Ok(answer) => (answer, None),
        Err(error) => (gateway.answer_to(&error, &mut open.record), Some(error)),
    };
    gateway.add_rate_limit_headers(&mut answer, &open.record);
    let status = answer.status;
    // Before the answer is written: a client that does not take it has written all the same.
    open.note_write(status, error.as_ref());
    let written = write::answer(session, answer, gateway.is_stopping.load(Ordering::Relaxed)).await;
    open.record.finish(&gateway.metrics, status, error.as_ref());
    written
}

/// The border that no panic crosses: the request fails, the worker and its other connections go on. The panic's own
/// message has gone to standard error by then.
fn without_panic<T>(
    exchange: impl Future<Output = Result<T, ApiError>>,
    panics: &IntCounter,
) -> impl Future<Output = Result<T, ApiError>> {
    AssertUnwindSafe(exchange).catch_unwind().map(|outcome| {
        outcome.unwrap_or_else(|_panic| {
            panics.inc();
            Err(ApiError::Internal)
        })
    })
}

/// Counts a request in, and out again however it ends.
struct InFlight<'a>(&'a IntGauge);

impl<'a> InFlight<'a> {
    fn enter(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Dialect;

    #[tokio::test]
    async fn a_panic_is_counted_and_answered_500_in_the_envelope() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        let error = without_panic::<()>(async { panic!("a fault of the gateway") }, &panics)
            .await
            .unwrap_err();
        assert_eq!(panics.get(), 1);
        let answer = answer::of_error(&error, &Dialect::SANDBASE, "req_1");
        assert_eq!(answer.status, 500);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"]["type"], "api_error");
        assert!(!body.to_string().contains("a fault of the gateway"), "{body}");
        let advice = answer.headers.iter().find(|(name, _)| name == "x-should-retry");
        assert_eq!(advice.unwrap().1, "false", "nobody knows how far it came");
    }

    #[tokio::test]
    async fn what_does_not_panic_passes() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        assert_eq!(without_panic(async { Ok(7) }, &panics).await.unwrap(), 7);
        assert_eq!(panics.get(), 0);
    }
}
