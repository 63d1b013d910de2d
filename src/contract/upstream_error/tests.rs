use super::*;
use crate::contract::Dialect;

fn status_of(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap()
}

fn error_of(status: u16, body: impl AsRef<[u8]>, operation: Operation) -> ApiError {
    UpstreamErrorBody::read(body.as_ref()).error(status_of(status), operation)
}

fn envelope(error_type: &str, details: &str) -> String {
    format!(
        r#"{{"type":"error","error":{{"type":"{error_type}","message":"theirs"{details}}},"request_id":"req_1"}}"#
    )
}

#[track_caller]
fn passed(status: u16, body: &str) -> UpstreamError {
    match error_of(status, body, Operation::Update) {
        ApiError::Upstream(refusal) => *refusal,
        other => panic!("{status} became {other:?}"),
    }
}

#[test]
fn what_is_about_the_request_passes_with_message_and_details() {
    let details = r#","details":{ "error_code":"environment_archived", "n":1.0 }"#;
    for status in [400, 403, 404, 409, 412, 413, 422] {
        let refusal = passed(status, &envelope("some_new_error", details));
        assert_eq!(refusal.status, status);
        assert_eq!(refusal.message, "theirs");
        assert_eq!(
            refusal.error_type, "some_new_error",
            "a type that nobody knows passes"
        );
        assert_eq!(
            refusal.details.unwrap().get(),
            r#"{ "error_code":"environment_archived", "n":1.0 }"#
        );
    }
}

#[test]
fn limits_and_faults_of_the_upstream_are_told_in_our_words() {
    for (status, message) in [
        (429, "the upstream's rate limit is reached; try again later"),
        (500, "the upstream failed with status 500"),
        (504, "the upstream did not answer in time"),
        (529, "the upstream is overloaded; try again later"),
        (418, "the upstream refused the request with status 418"),
    ] {
        let body = envelope("overloaded_error", r#","details":{"error_code":"x"}"#);
        assert_eq!(
            UpstreamErrorBody::read(body.as_bytes()).message(),
            Some("theirs"),
            "the log has it"
        );
        let refusal = passed(status, &body);
        assert_eq!(refusal.message, message);
        assert_eq!(refusal.error_type, "overloaded_error");
        assert!(refusal.details.is_none());
    }
}

#[test]
fn a_refused_credential_is_the_operators_trouble() {
    for status in [401, 402, 403] {
        for body in [
            "",
            &envelope("permission_error", ""),
            &envelope("x", r#","details":{"error_code":null}"#),
        ] {
            let error = error_of(status, body, Operation::Retrieve);
            assert!(matches!(error, ApiError::UpstreamCredential), "{status} {body}");
        }
    }
    assert_eq!(
        passed(403, &envelope("x", r#","details":{"error_code":"c"}"#)).message,
        "theirs"
    );
}

#[test]
fn a_redirect_is_not_passed_on() {
    for (operation, after_write) in [(Operation::Update, true), (Operation::Retrieve, false)] {
        let error = error_of(302, "", operation);
        assert!(matches!(
            error,
            ApiError::UpstreamReply { reason: ReplyError::Redirect, after_write: told } if told == after_write
        ));
    }
}

#[test]
fn a_status_that_nobody_knows_is_a_bad_reply() {
    let error = error_of(799, "", Operation::Update);
    assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
}

#[test]
fn garbage_still_makes_a_good_error() {
    for body in [
        &b""[..],
        b"<html>",
        b"null",
        b"[]",
        b"{\"error\":\"x\"}",
        b"{\"error\":{\"type\":7,\"message\":[],\"details\":[]}}",
        b"{\"error\":{\"type\":\"<b>\\u0000\",\"message\":\" \"}}",
        b"\xff\xfe",
    ] {
        for (status, error_type) in [
            (400, "invalid_request_error"),
            (404, "not_found_error"),
            (409, "conflict_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (503, "api_error"),
            (529, "overloaded_error"),
        ] {
            assert_eq!(UpstreamErrorBody::read(body).message(), None);
            let ApiError::Upstream(refusal) = error_of(status, body, Operation::Retrieve) else {
                panic!("{status} {body:?}");
            };
            assert_eq!(refusal.error_type, error_type);
            assert!(!refusal.message.is_empty() && refusal.details.is_none());
        }
    }
}

/// The type and the message that a client of the dialect is told.
fn told(error: &ApiError, dialect: &Dialect) -> (String, String) {
    let answer = error.answer(dialect, "req_1");
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (text("type"), text("message"))
}

#[test]
fn the_facade_names_errors_by_status_and_type_together() {
    for (status, theirs, ours) in [
        (400, "invalid_request_error", "invalid_request"),
        (404, "not_found_error", "not_found"),
        (404, "invalid_request_error", "not_found"),
        (409, "conflict_error", "conflict"),
        (409, "invalid_request_error", "conflict"),
        (413, "request_too_large", "request_too_large"),
        (422, "invalid_request_error", "invalid_request"),
        (400, "novel_error", "novel_error"),
        (409, "novel_error", "novel_error"),
    ] {
        let error = error_of(status, envelope(theirs, ""), Operation::Update);
        let expected = |name: &str| (name.to_owned(), "theirs".to_owned());
        assert_eq!(told(&error, &Dialect::SANDBASE), expected(ours));
        assert_eq!(
            told(&error, &Dialect::ANTHROPIC),
            expected(theirs),
            "the native dialect names them as the upstream does"
        );
    }
}

#[test]
fn what_a_create_conflicts_with_may_be_anothers_and_is_not_told() {
    let details = r#","details":{"error_code":"name_taken","environment_id":"env_of_another"}"#;
    let body = envelope("invalid_request_error", details);
    let error = error_of(409, &body, Operation::Create);
    let (error_type, message) = told(&error, &Dialect::SANDBASE);
    assert_eq!(error_type, "conflict");
    assert!(!message.contains("theirs"), "{message}");
    let ApiError::Upstream(refusal) = error else {
        panic!("{error:?}");
    };
    assert!(refusal.details.is_none());
}

#[test]
fn a_delete_that_conflicts_says_that_the_environment_is_in_use_where_the_upstream_says_nothing() {
    let (_, message) = told(&error_of(409, "", Operation::Delete), &Dialect::SANDBASE);
    assert!(message.contains("in use"), "{message}");
    let body = envelope("invalid_request_error", "");
    let (_, message) = told(&error_of(409, body, Operation::Delete), &Dialect::SANDBASE);
    assert_eq!(message, "theirs");
}
