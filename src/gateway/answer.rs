use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use tokio::time::timeout;

use super::head;
use super::record::Record;
use super::reply::Accepted;
use super::state::Gateway;
use crate::contract::{Answer, ApiError, Dialect, REQUEST_ID, Warnings};
use crate::quota::RateLimitStatus;

/// Pointers to what was let through although it breaks the schema.
const WARNING: HeaderName = HeaderName::from_static("envgate-warning");

/// A tenant's own limit of requests, how much of it is left, and when all of it will be there again.
const RATE_LIMIT: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("anthropic-ratelimit-requests-reset");

/// How long an idle downstream connection is kept, in seconds. Pingora's own default is for ever.
const KEEPALIVE_SECONDS: u64 = 30;
/// A body that nobody read is read and dropped, or the client sees a reset instead of its answer, and official
/// clients repeat a reset. Up to this size the connection lives on afterwards.
const CHEAP_TO_DRAIN: usize = 64 * 1024;
const DRAIN_BYTES: usize = 32 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Turns an error into its answer, with the request's id in the body and in the header.
pub(super) fn of_error(error: &ApiError, dialect: &Dialect, request_id: &str) -> Answer {
    let mut answer = error.answer(dialect, request_id);
    answer.headers.push(request_id_header(request_id));
    answer
}

/// The answer to an operation that succeeded.
pub(super) fn of_success(accepted: Accepted, warnings: &Warnings, request_id: &str) -> Answer {
    let Accepted {
        status,
        mut headers,
        body,
        ..
    } = accepted;
    headers.push((CONTENT_TYPE, HeaderValue::from_static("application/json")));
    headers.push(request_id_header(request_id));
    if let Some(pointers) = warnings.header_value() {
        headers.push((WARNING, pointers));
    }
    Answer {
        status,
        headers,
        body,
    }
}

/// Adds where a tenant stands in its own limit of requests, under the names of the upstream's API.
fn add_rate_limit_headers(answer: &mut Answer, status: &RateLimitStatus, now: Timestamp) {
    answer.headers.push((RATE_LIMIT, HeaderValue::from(status.limit)));
    answer
        .headers
        .push((RATE_REMAINING, HeaderValue::from(status.remaining)));
    let reset = now.checked_add(status.reset).unwrap_or(now);
    // Rounded up: who comes too early comes in vain.
    let to_second = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Ceil);
    let reset = reset.round(to_second).unwrap_or(reset).to_string();
    if let Ok(reset) = HeaderValue::try_from(reset) {
        answer.headers.push((RATE_RESET, reset));
    }
}

impl Gateway {
    /// The answer to a request that failed, in the dialect of its caller's plan where that is known.
    pub(super) fn answer_to(&self, error: &ApiError, record: &mut Record) -> Answer {
        let dialect = record.dialect.unwrap_or(self.dialect);
        of_error(error, dialect, record.request_id())
    }

    /// Tells a caller where it stands in its own limit of requests, if its plan has one.
    pub(super) fn add_rate_limit_headers(&self, answer: &mut Answer, record: &Record) {
        let Some(tenant) = record.caller.as_ref().map(|caller| &caller.tenant) else {
            return;
        };
        let served = self.plans.of(tenant).ok();
        if let Some(status) =
            served.and_then(|served| served.budget.rate_limit_status(&served.tenant_quota(tenant)))
        {
            add_rate_limit_headers(answer, &status, Timestamp::now());
        }
    }
}

fn request_id_header(request_id: &str) -> (HeaderName, HeaderValue) {
    let value = HeaderValue::try_from(request_id).unwrap_or(HeaderValue::from_static("req_unnamed"));
    (REQUEST_ID, value)
}

/// Writes an answer, and sees to it that the client can read it.
pub(super) async fn write(
    session: &mut ServerSession,
    answer: Answer,
    is_stopping: bool,
) -> pingora::Result<()> {
    let unread = Unread::of(session);
    if is_stopping || matches!(unread, Unread::Much | Unread::NotAskedFor) {
        session.set_keepalive(None);
    } else if session.get_keepalive().is_some() {
        session.set_keepalive(Some(KEEPALIVE_SECONDS));
    }
    // What little is unread, Pingora drains before it reuses the connection, if it is told not to close it.
    session.set_close_on_response_before_downstream_finish(false);
    session.set_total_drain_timeout(Some(DRAIN_TIMEOUT));

    let mut header = ResponseHeader::build_no_case(answer.status, Some(answer.headers.len() + 4))?;
    for (name, value) in answer.headers {
        header.append_header(name, value)?;
    }
    header.insert_header(CONTENT_LENGTH, answer.body.len())?;
    session.write_response_header(Box::new(header)).await?;
    session.write_response_body(answer.body, true).await?;
    if matches!(unread, Unread::Much) {
        drain(session).await;
    }
    Ok(())
}

/// What of the request body has not been read when the answer is ready.
enum Unread {
    Nothing,
    /// So little that reading it is cheaper than a new connection.
    Little,
    Much,
    /// The client waits for `100 Continue` and will not send it.
    NotAskedFor,
}

impl Unread {
    fn of(session: &mut ServerSession) -> Self {
        if session.is_body_done() {
            return Self::Nothing;
        }
        let headers = &session.req_header().headers;
        if head::expects_continue(headers) && session.response_written().is_none() {
            return Self::NotAskedFor;
        }
        match head::announced_length(headers) {
            Some(length) if length <= CHEAP_TO_DRAIN => Self::Little,
            _ => Self::Much,
        }
    }
}

async fn drain(session: &mut ServerSession) {
    let reading = async {
        let mut left = DRAIN_BYTES;
        while let Ok(Some(chunk)) = session.read_request_body().await {
            let Some(rest) = left.checked_sub(chunk.len()) else {
                return;
            };
            left = rest;
        }
    };
    // Whatever is left after that, the client has had its time to stop.
    let _ = timeout(DRAIN_TIMEOUT, reading).await;
}
