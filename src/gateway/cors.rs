//! What lets a page in a browser read answers, where the operator wants that. Nobody is let in by it: a key has
//! to come with every request, and never by itself, as a cookie would.

use http::HeaderValue;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, ORIGIN,
    VARY,
};

use crate::config::{AllowedOrigins, Cors};
use crate::contract::Answer;

/// What a page sees of an answer besides its body and type.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "request-id, retry-after, retry-after-ms, x-should-retry, envgate-warning, envgate-cache, age, server-timing, \
     anthropic-ratelimit-requests-limit, anthropic-ratelimit-requests-remaining, anthropic-ratelimit-requests-reset",
);
/// The star does not stand for `Authorization` (Fetch §3.3.3).
const TAKEN: HeaderValue = HeaderValue::from_static("authorization, *");

/// Tells a browser whether the page that asked may read the answer.
pub(super) fn add_headers(cors: &Cors, request: &HeaderMap, answer: &mut Answer) {
    let mut add = |name, value| answer.headers.push((name, value));
    if cors.origins != AllowedOrigins::Any {
        add(VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = allowed_origin(cors, request) {
        add(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        add(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// Tells a browser what a page may send, if that is what it asks.
pub(super) fn add_preflight_headers(
    cors: &Cors,
    request: &HeaderMap,
    methods: &'static str,
    answer: &mut Answer,
) {
    if !request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) || allowed_origin(cors, request).is_none() {
        return;
    }
    answer.headers.extend([
        (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods)),
        (ACCESS_CONTROL_ALLOW_HEADERS, TAKEN),
        (ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age.as_secs())),
    ]);
}

fn allowed_origin(cors: &Cors, request: &HeaderMap) -> Option<HeaderValue> {
    let mut origins = request.get_all(ORIGIN).iter();
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return None;
    };
    match &cors.origins {
        AllowedOrigins::Any => Some(HeaderValue::from_static("*")),
        AllowedOrigins::Listed(origins) => origins.iter().find(|listed| *listed == origin).cloned(),
    }
}
