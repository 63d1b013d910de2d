//! Writes that keep every schema here and that the upstream refuses all the same: counted by the place that its message
//! names, and by nothing that a tenant has sent.

use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{Then, Upstream};

fn refusing(status: &'static str, error: &'static str) -> (Upstream, Envgate) {
    let body = format!(r#"{{"type":"error","error":{error}}}"#);
    let upstream = Upstream::always(Then::respond(
        status,
        &[("content-type", "application/json")],
        &body,
    ));
    let envgate = Setup::new().upstream(upstream.address).start();
    (upstream, envgate)
}

fn metric(operation: &str, pointer: &str) -> String {
    format!(r#"envgate_contract_refusals_total{{operation="{operation}",pointer="{pointer}"}}"#)
}

#[test]
fn a_refusal_is_counted_by_operation_and_by_the_place_that_its_message_names() {
    let (_upstream, envgate) = refusing(
        "400 Bad Request",
        r#"{"type":"invalid_request_error","message":"config.networking.allowed_hosts[0]: \"hunter2.example.com\" is reserved"}"#,
    );
    let body = r#"{"name":"n","config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["hunter2.example.com"]}}}"#;
    for path in [
        "/v1/environments",
        "/v1/environments/env_1",
        "/v1/environments/env_1",
    ] {
        let error = envgate.post(path, body).expect_error(400, "invalid_request");
        assert!(
            error["message"].as_str().unwrap().contains("is reserved"),
            "the tenant hears why: {error}"
        );
    }
    envgate.expect_metric(&metric("create", "/config/networking/allowed_hosts/*"), 1.0);
    envgate.expect_metric(&metric("update", "/config/networking/allowed_hosts/*"), 2.0);
    assert!(!envgate.admin_get("/metrics").text().contains("hunter2"));
}

#[test]
fn a_message_without_a_place_of_the_schema_counts_without_one() {
    let (_upstream, envgate) = refusing(
        "422 Unprocessable Content",
        r#"{"type":"unprocessable","message":"config.hunter2: extra inputs are not permitted"}"#,
    );
    envgate
        .post("/v1/environments", r#"{"name":"n"}"#)
        .expect_error(422, "unprocessable");
    envgate.expect_metric(&metric("create", ""), 1.0);
    assert!(!envgate.admin_get("/metrics").text().contains("hunter2"));
}

#[test]
fn what_the_operator_or_the_stored_environment_is_to_blame_for_is_not_counted() {
    for (status, error) in [
        (
            "400 Bad Request",
            r#"{"type":"invalid_request_error","message":"This organization has been disabled."}"#,
        ),
        (
            "400 Bad Request",
            r#"{"type":"invalid_request_error","message":"no","details":{"error_code":"environment_archived"}}"#,
        ),
        (
            "401 Unauthorized",
            r#"{"type":"authentication_error","message":"name: no"}"#,
        ),
        (
            "409 Conflict",
            r#"{"type":"invalid_request_error","message":"name: taken"}"#,
        ),
        (
            "500 Internal Server Error",
            r#"{"type":"api_error","message":"name: no"}"#,
        ),
    ] {
        let (_upstream, envgate) = refusing(status, error);
        assert!(envgate.post("/v1/environments", r#"{"name":"n"}"#).status >= 400);
        assert!(envgate.get("/v1/environments/env_1").status >= 400);
        let told = envgate.admin_get("/metrics").text();
        assert!(
            !told.contains("envgate_contract_refusals_total{"),
            "{status} {error}"
        );
    }
    let (_upstream, envgate) = refusing(
        "400 Bad Request",
        r#"{"type":"invalid_request_error","message":"page: no such cursor"}"#,
    );
    assert!(envgate.get("/v1/environments/env_1").status >= 400);
    let told = envgate.admin_get("/metrics").text();
    assert!(
        !told.contains("envgate_contract_refusals_total{"),
        "a read says nothing that a schema judges"
    );
}
