//! What a monitor is told, and what an operator sees who looks at one gateway.

mod openmetrics;
mod tenants;
mod traffic;

use std::time::Duration;

use crate::common::client::{Connection, Request, Response};
use crate::common::envgate::{Envgate, eventually, pause};

/// An update that breaks its schema in a list, by the name that a client has chosen.
const WRONG: &str = r#"{"config": {"type": "cloud", "packages": {"pip": ["a", 7]}, "their own name": 1}}"#;

fn scrape(envgate: &Envgate, accept: &str) -> Response {
    let request = Request::new(envgate.admin, "GET", "/metrics").header("accept", accept);
    envgate.admin_send(&request)
}

#[test]
fn violations_are_counted_where_the_schema_has_them_and_by_no_name_of_the_clients() {
    let envgate = Envgate::start();
    let answer = envgate.post("/v1/environments/env_1", WRONG);
    assert_eq!(answer.status, 400, "{}", answer.text());
    for labels in [
        r#"keyword="type",pointer="/config/packages/pip/*""#,
        r#"keyword="additionalProperties",pointer="/config/*""#,
    ] {
        envgate.expect_metric(&format!("envgate_violations_total{{{labels}}}"), 1.0);
    }
    assert!(!scrape(&envgate, "*/*").text().contains("their own name"));
}

#[test]
fn what_a_client_takes_to_send_its_body_is_not_the_gateways_own_time() {
    let envgate = Envgate::start();
    let body = r#"{"name": "slow"}"#;
    let request = envgate
        .request("POST", "/v1/environments")
        .header("content-type", "application/json")
        .header("content-length", &body.len().to_string());
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&request.head_bytes());
    pause(Duration::from_millis(600));
    connection.write(body.as_bytes());
    assert_eq!(connection.read_response().status, 200);
    let operation = r#"{operation="create"}"#;
    envgate.expect_metric(&format!("envgate_request_duration_seconds_count{operation}"), 1.0);
    let total = envgate.metric(&format!("envgate_request_duration_seconds_sum{operation}"));
    let own = envgate.metric(&format!("envgate_overhead_duration_seconds_sum{operation}"));
    assert!(total >= 0.6 && own < total - 0.5, "{own} of {total}");
}

#[test]
fn each_attempt_at_the_upstream_the_process_and_its_settings_are_told_of() {
    let envgate = Envgate::start();
    assert_eq!(envgate.get("/v1/environments").status, 200);
    let attempts = r#"envgate_upstream_attempt_duration_seconds_count{operation="list",status="2xx"}"#;
    envgate.expect_metric(attempts, 1.0);
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_threads",
    ] {
        assert!(envgate.metric(name) >= 1.0, "{name}");
    }
    let started = envgate.metric("process_start_time_seconds");
    let read = envgate.metric("envgate_settings_read_timestamp_seconds");
    assert!(
        started > 1.7e9 && (read - started).abs() < 60.0,
        "{started} {read}"
    );
}

#[test]
fn keys_that_are_added_and_revoked_are_events_whoever_does_it() {
    let envgate = Envgate::start();
    assert_eq!(
        envgate.metric(r#"envgate_key_events_total{event="added"}"#),
        0.0,
        "the first was there"
    );
    let key = envgate.run_well(&["keys", "create", "--tenant", "demo", "--quiet"]);
    envgate.expect_metric(r#"envgate_key_events_total{event="added"}"#, 1.0);
    envgate.run_well(&["keys", "revoke", &key[..14]]);
    envgate.expect_metric(r#"envgate_key_events_total{event="revoked"}"#, 1.0);
    assert_eq!(envgate.metric(r#"envgate_key_events_total{event="added"}"#), 1.0);
}

#[test]
fn a_scraper_that_does_not_read_keeps_nobody_from_scraping() {
    let envgate = Envgate::start();
    let ask = Request::new(envgate.admin, "GET", "/metrics").bytes();
    let mut hanging: Vec<_> = (0..20).map(|_| Connection::open(envgate.admin)).collect();
    for connection in &mut hanging {
        // More than fits into the buffers of the socket.
        for _ in 0..50 {
            connection.write(&ask);
        }
    }
    eventually("another is answered", || scrape(&envgate, "*/*").status == 200);
    assert_eq!(envgate.get("/v1/environments").status, 200);
}
