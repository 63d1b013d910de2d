//! What a tenant gets when the upstream misbehaves, and what the upstream sees of it: what `faults.rs` has no cell for.

use crate::common::client::Response;
use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup};
use crate::common::upstream::{Then, Upstream};

const PATH: &str = "/v1/environments/env_1";

/// One retrieve and one update against an upstream that always does the same.
fn retrieve_and_update(then: Then) -> (Envgate, Upstream, Response, Response) {
    let upstream = Upstream::always(then);
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__TIMEOUT", "500ms")
        .start();
    let retrieved = envgate.get(PATH);
    let updated = envgate.post(PATH, r#"{"name":"n"}"#);
    (envgate, upstream, retrieved, updated)
}

fn refused(status: &str, body: &str) -> (Envgate, Upstream, Response, Response) {
    retrieve_and_update(Then::respond(
        status,
        &[("content-type", "application/json")],
        body,
    ))
}

fn error(kind: &str, message: &str) -> String {
    format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_x"}}"#)
}

#[test]
fn a_success_that_is_no_json_object_is_502() {
    for body in ["<html>", "[]", "\"x\"", r#"{"id":"env_1"} x"#, r#"{"id":"#, ""] {
        let (.., retrieved, updated) = refused("200 OK", body);
        retrieved.expect_error(502, "api_error");
        updated.expect_error(502, "api_error");
        assert_eq!(updated.header("x-should-retry"), Some("false"), "{body}");
    }
}

#[test]
fn a_redirect_is_502_and_never_followed() {
    let elsewhere = Upstream::always(Then::environment());
    let location = format!("http://{}/v1/environments/env_1", elsewhere.address);
    let then = Then::respond("307 Temporary Redirect", &[("location", &location)], "");
    let (_envgate, upstream, retrieved, updated) = retrieve_and_update(then);
    retrieved.expect_error(502, "api_error");
    updated.expect_error(502, "api_error");
    assert_eq!(retrieved.header("location"), None);
    assert_eq!(upstream.seen().len(), 2);
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn more_reply_than_allowed_is_502() {
    let large = format!(r#"{{"id":"env_1","name":"{}"}}"#, "x".repeat(1024));
    let upstream = Upstream::always(Then::respond("200 OK", &[], &large));
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_UPSTREAM__MAX_RESPONSE_BYTES", "1024")
        .start();
    envgate.get(PATH).expect_error(502, "api_error");
}

#[test]
fn an_overload_goes_down_with_its_advice() {
    let body = error("overloaded_error", "cluster 7 is on fire");
    let headers = [
        ("retry-after", "7"),
        ("retry-after-ms", "7000"),
        ("x-should-retry", "true"),
    ];
    let (envgate, _, retrieved, updated) =
        retrieve_and_update(Then::respond("529 Overloaded", &headers, &body));
    for response in [retrieved, updated] {
        let error = response.expect_error(529, "overloaded_error");
        assert!(
            !error.to_string().contains("cluster 7"),
            "the message is ours: {error}"
        );
        assert_eq!(response.header("retry-after"), Some("7"));
        assert_eq!(response.header("retry-after-ms"), Some("7000"));
        assert_eq!(response.header("x-should-retry"), Some("true"));
    }
    // What the upstream says is for the operator.
    envgate.expect_log("cluster 7 is on fire");
}

#[test]
fn each_status_has_its_type_in_the_dialect_and_passes_on_what_is_for_tenants() {
    for (status, upstream_type, facade_type) in [
        ("400 Bad Request", "invalid_request_error", "invalid_request"),
        ("404 Not Found", "not_found_error", "not_found"),
        ("409 Conflict", "conflict_error", "conflict"),
        (
            "412 Precondition Failed",
            "invalid_request_error",
            "invalid_request",
        ),
        ("413 Too Large", "request_too_large", "request_too_large"),
        ("422 Unprocessable", "new_kind_error", "new_kind_error"),
    ] {
        let body = format!(
            r#"{{"type":"error","error":{{"type":"{upstream_type}","message":"what to do","details":{{"error_code":"c","n":1e400}}}}}}"#
        );
        let (.., retrieved, updated) = refused(status, &body);
        for response in [retrieved, updated] {
            let code: u16 = status[..3].parse().unwrap();
            assert!(
                response
                    .text()
                    .contains(r#""details":{"error_code":"c","n":1e400}"#),
                "{}",
                response.text()
            );
            assert_eq!(response.status, code);
            assert!(response.text().contains(r#""message":"what to do""#));
            assert!(
                response.text().contains(&format!(r#""type":"{facade_type}""#)),
                "{}",
                response.text()
            );
        }
    }
}

#[test]
fn an_empty_error_body_still_gives_a_good_error() {
    for (status, facade_type) in [
        ("404 Not Found", "not_found"),
        ("500 Oops", "api_error"),
        ("429 Slow Down", "rate_limit_error"),
    ] {
        let (.., retrieved, _) = refused(status, "");
        let error = retrieved.expect_error(status[..3].parse().unwrap(), facade_type);
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_operators_own_trouble_is_502_and_counted() {
    for (status, kind) in [
        ("401 Unauthorized", "authentication_error"),
        ("402 Payment Required", "billing_error"),
        ("403 Forbidden", "permission_error"),
    ] {
        let message = format!("invalid x-api-key {OPERATOR_KEY}");
        let (mut envgate, _, retrieved, updated) = refused(status, &error(kind, &message));
        for response in [retrieved, updated] {
            let error = response.expect_error(502, "api_error");
            assert_eq!(response.header("x-should-retry"), Some("false"));
            assert!(!error.to_string().contains(OPERATOR_KEY));
        }
        envgate.expect_metric("envgate_upstream_credential_refused_total", 2.0);
        let log = envgate.stop();
        assert!(
            !log.contains(OPERATOR_KEY),
            "no credential in the log, whoever wrote it: {log}"
        );
    }
}

#[test]
fn a_403_with_a_code_is_for_the_tenant() {
    let body = r#"{"type":"error","error":{"type":"permission_error","message":"not in this workspace","details":{"error_code":"workspace"}}}"#;
    let (.., retrieved, _) = refused("403 Forbidden", body);
    let error = retrieved.expect_error(403, "permission_error");
    assert_eq!(error["message"], "not in this workspace");
    assert_eq!(error["details"]["error_code"], "workspace");
}

#[test]
fn a_delete_without_a_body_is_answered_as_documented() {
    for then in [
        Then::Reply(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        Then::respond("200 OK", &[], ""),
        Then::respond("200 OK", &[], r#"{"id":"env_1","type":"environment_deleted"}"#),
    ] {
        let upstream = Upstream::always(then);
        let envgate = Envgate::in_front_of(upstream.address);
        let response = envgate.request("DELETE", PATH).send();
        assert_eq!(response.status, 200);
        assert_eq!(response.text(), r#"{"id":"env_1","type":"environment_deleted"}"#);
    }
}

#[test]
fn a_read_on_a_connection_that_died_while_idle_is_sent_again_and_a_write_is_not() {
    // Every connection answers one request and dies silently on the next.
    for (method, body, expected) in [("GET", None, 200), ("POST", Some(r#"{"name":"n"}"#), 502)] {
        let upstream = Upstream::start(|number, _| {
            if number == 1 {
                Then::Reset
            } else {
                Then::environment()
            }
        });
        let envgate = Setup::new()
            .upstream(upstream.address)
            .set("ENVGATE_SERVER__THREADS", "1")
            .set("ENVGATE_CACHE__TTL", "off")
            .start();
        assert_eq!(envgate.get(PATH).status, 200);
        let mut request = envgate.request(method, PATH);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send();
        assert_eq!(response.status, expected, "{method}: {}", response.text());
        let again = upstream.seen().len();
        assert_eq!(again, if expected == 200 { 3 } else { 2 }, "{method}");
    }
}

/// How the upstream refuses a conflict: with a type that says only that the request was bad.
fn conflict(headers: &[(&str, &str)]) -> Upstream {
    let body = error(
        "invalid_request_error",
        "the name is taken by environment env_of_another_tenant",
    );
    Upstream::always(Then::respond("409 Conflict", headers, &body))
}

#[test]
fn a_create_that_conflicts_is_told_in_our_words_and_not_to_be_repeated() {
    for headers in [&[][..], &[("x-should-retry", "true"), ("retry-after", "1")]] {
        let upstream = conflict(headers);
        let envgate = Envgate::in_front_of(upstream.address);
        let response = envgate.post("/v1/environments", r#"{"name":"n"}"#);
        let error = response.expect_error(409, "conflict").to_string();
        assert!(!error.contains("env_of_another_tenant"), "{error}");
        assert_eq!(response.header("x-should-retry"), Some("false"));
        assert_eq!(response.header("retry-after"), None);
    }
}

#[test]
fn a_delete_that_conflicts_is_not_to_be_repeated_and_says_why() {
    let silent = Upstream::always(Then::respond("409 Conflict", &[], ""));
    for (upstream, expected) in [(conflict(&[]), "the name is taken"), (silent, "in use")] {
        let envgate = Envgate::in_front_of(upstream.address);
        let response = envgate.request("DELETE", PATH).send();
        let error = response.expect_error(409, "conflict");
        assert!(error["message"].as_str().unwrap().contains(expected), "{error}");
        assert_eq!(response.header("x-should-retry"), Some("false"));
    }
}

#[test]
fn a_reply_that_would_be_no_other_is_not_to_be_asked_for_again() {
    for then in [
        Then::respond("307 Temporary Redirect", &[("location", "/")], ""),
        Then::respond("200 OK", &[("content-encoding", "gzip")], "{}"),
        Then::respond("501 Not Implemented", &[], ""),
    ] {
        let upstream = Upstream::always(then);
        let envgate = Envgate::in_front_of(upstream.address);
        assert_eq!(envgate.get(PATH).header("x-should-retry"), Some("false"));
    }
}
