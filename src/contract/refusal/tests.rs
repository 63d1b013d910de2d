use super::*;
use crate::contract::Dialect;

fn envelope(error_type: &str, details: &str) -> String {
    format!(
        r#"{{"type":"error","error":{{"type":"{error_type}","message":"theirs"{details}}},"request_id":"req_1"}}"#
    )
}

#[track_caller]
fn passed(status: u16, body: &str) -> UpstreamRefusal {
    match refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes(), true).error {
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
        let refused = refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes(), false);
        assert_eq!(
            refused.upstream_message.as_deref(),
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
            let refused = refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes(), false);
            assert!(
                matches!(refused.error, ApiError::UpstreamCredential),
                "{status} {body}"
            );
        }
    }
    assert_eq!(
        passed(403, &envelope("x", r#","details":{"error_code":"c"}"#)).message,
        "theirs"
    );
}

#[test]
fn a_redirect_is_not_passed_on() {
    for after_write in [true, false] {
        let refused = refusal(StatusCode::FOUND, b"", after_write);
        assert!(matches!(
            refused.error,
            ApiError::UpstreamReply { reason: RefusedReply::Redirect, after_write: told } if told == after_write
        ));
    }
}

#[test]
fn a_status_that_nobody_knows_is_a_bad_reply() {
    let error = refusal(StatusCode::from_u16(799).unwrap(), b"", true).error;
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
            let status = StatusCode::from_u16(status).unwrap();
            let refused = refusal(status, body, false);
            assert_eq!(refused.upstream_message, None);
            let ApiError::Upstream(refusal) = refused.error else {
                panic!("{status} {body:?}");
            };
            assert_eq!(refusal.error_type, error_type);
            assert!(!refusal.message.is_empty() && refusal.details.is_none());
        }
    }
}

#[test]
fn the_facade_has_its_own_names_for_what_the_upstream_refuses() {
    for (status, theirs, ours) in [
        (400, "invalid_request_error", "invalid_request"),
        (404, "not_found_error", "not_found"),
        (409, "conflict_error", "conflict"),
        (413, "request_too_large", "request_too_large"),
        (400, "novel_error", "novel_error"),
    ] {
        let error = refusal(
            StatusCode::from_u16(status).unwrap(),
            envelope(theirs, "").as_bytes(),
            false,
        )
        .error;
        let answer = error.answer(&Dialect::SANDBASE, "req_1");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["error"]["type"], ours);
        assert_eq!(body["error"]["message"], "theirs");
    }
}
