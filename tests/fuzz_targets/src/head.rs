//! Method and target: whatever comes, an operation with a canonical path, or an error in the envelope.

use envgate::contract::{ApiError, Dialect, Operation, RequestQuery, Target};
use http::Method;
use serde_json::Value;

const METHODS: [Method; 7] = [
    Method::GET,
    Method::POST,
    Method::DELETE,
    Method::HEAD,
    Method::PUT,
    Method::OPTIONS,
    Method::CONNECT,
];

/// The first byte is the method, the rest path and query.
pub(super) fn check(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let method = &METHODS[usize::from(*first) % METHODS.len()];
    let target = String::from_utf8_lossy(rest);
    let (path, query) = target
        .split_once('?')
        .map_or((&*target, None), |(path, query)| (path, Some(query)));
    match Target::find(method, path) {
        Ok(found) => check_target(&found, path, query),
        Err(error) => check_error(&error),
    }
}

fn check_target(found: &Target, path: &str, query: Option<&str>) {
    let canonical = found.path();
    assert!(
        canonical.starts_with("/v1/environments"),
        "{path:?} became {canonical:?}"
    );
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-');
    assert!(canonical.bytes().all(is_plain), "{path:?} became {canonical:?}");
    let again = Target::find(&found.operation.method(), &canonical).unwrap();
    assert_eq!(&again, found, "{path:?}");

    match RequestQuery::parse(found.operation, query) {
        Ok((read, _)) => {
            let written = read.to_query_string();
            assert!(
                written.is_ascii() && !written.contains(['#', ' ', '\r', '\n']),
                "{written:?}"
            );
            let (again, dropped) = RequestQuery::parse(found.operation, Some(&written)).unwrap();
            assert_eq!((again, dropped), (read, 0), "{query:?} became {written:?}");
        }
        Err(error) => check_error(&error),
    }
}

fn check_error(error: &ApiError) {
    for dialect in [&Dialect::SANDBASE, &Dialect::ANTHROPIC] {
        let answer = error.answer(dialect, "req_1");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["type"], "error");
        assert_eq!(body["request_id"], "req_1");
        assert!(answer.status.is_client_error(), "{error}");
    }
    assert!(Operation::NAMES.len() == Operation::ALL.len());
}
