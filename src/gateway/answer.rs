use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

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
