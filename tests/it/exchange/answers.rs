//! What clients are answered.

use crate::common::EXAMPLE;
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};

#[test]
fn replies_keep_their_order_their_numbers_and_fields_that_nobody_knows() {
    let reply = r#"{ "zeta":1, "id":"env_1","type":"environment","state":{"x":[1e400,12345678901234567890123]},
        "config":{"type":"cloud","networking":{"type":"unrestricted","new":true},"packages":{"pip":["a"]}},"scope":"account","metadata":{"scope":"kept"} }"#;
    let upstream = Upstream::always(Then::respond(
        "200 OK",
        &[("content-type", "application/json")],
        reply,
    ));

    let native = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_CONTRACT__DIALECT", "anthropic")
        .start();
    assert_eq!(
        native.get("/v1/environments/env_1").text(),
        reply,
        "the native dialect leaves replies alone"
    );

    let facade = Envgate::in_front_of(upstream.address);
    let text = facade.get("/v1/environments/env_1").text();
    assert!(
        text.starts_with(
            r#"{ "zeta":1, "id":"env_1","type":"environment","state":{"x":[1e400,12345678901234567890123]},"#
        ),
        "{text}"
    );
    assert!(
        text.contains(r#""networking":{"type":"unrestricted","new":true}"#),
        "{text}"
    );
    assert!(text.contains(r#""metadata":{"scope":"kept"} }"#), "{text}");
    assert!(!text.contains("account"), "{text}");
    for list in ["apt", "cargo", "gem", "go", "npm"] {
        assert!(
            text.contains(&format!(r#""{list}":[]"#)),
            "{list} is missing: {text}"
        );
    }
    assert!(text.contains(r#""type":"packages""#), "{text}");
}

#[test]
fn the_native_dialect_takes_scope_and_names_errors_as_the_upstream_does() {
    let envgate = Setup::new().set("ENVGATE_CONTRACT__DIALECT", "anthropic").start();
    let updated = envgate.post(EXAMPLE, r#"{"scope":"account"}"#);
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert_eq!(updated.json()["scope"], "account");
    envgate
        .get("/v1/environments/env_unknown")
        .expect_error(404, "not_found_error");
    envgate
        .post(EXAMPLE, r#"{"nme":"x"}"#)
        .expect_error(400, "invalid_request_error");
}

#[test]
fn answers_carry_nothing_of_the_upstreams_that_is_not_for_tenants() {
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("request-id", "req_011CZ"),
        ("set-cookie", "a=b"),
        ("server", "upstream"),
        ("via", "1.1 x"),
        ("anthropic-organization-id", "org-secret"),
        ("anthropic-ratelimit-requests-remaining", "7"),
        ("retry-after", "3"),
    ];
    let upstream = Upstream::always(Then::respond("200 OK", &headers, ENVIRONMENT));
    let envgate = Envgate::in_front_of(upstream.address);
    let response = envgate.get("/v1/environments/env_1");
    let mut names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "cache-control",
            "connection",
            "content-length",
            "content-type",
            "date",
            "envgate-cache",
            "request-id",
            "retry-after",
            "vary",
            "via"
        ]
    );
    assert_eq!(
        response.header("via"),
        Some("1.1 envgate"),
        "not what the upstream has there"
    );
    assert_eq!(
        response.header("request-id"),
        Some("req_011CZ"),
        "the upstream's name for the request"
    );
}

#[test]
fn relaxed_rules_let_a_request_through_with_a_warning() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_CONTRACT__UNKNOWN_FIELD", "warn")
        .set("ENVGATE_CONTRACT__HOST_FORMAT", "allow")
        .start();
    let body = r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["https://a.com"],"new é":1}}}"#;
    let response = envgate.post("/v1/environments/env_1", body);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(
        response.header("envgate-warning"),
        Some("/config/networking/new%20%C3%A9")
    );
    assert_eq!(upstream.seen()[0].body, body.as_bytes());
    let counted = r#"envgate_warnings_total{keyword="additionalProperties"}"#;
    envgate.expect_metric(counted, 1.0);
    envgate
        .post("/v1/environments/env_1", r#"{"x":1,"name":7}"#)
        .expect_error(400, "invalid_request");
}
