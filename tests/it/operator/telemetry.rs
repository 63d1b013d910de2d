//! What metrics and the access log tell.

use crate::common::EXAMPLE;
use crate::common::envgate::{Envgate, Setup, eventually};
use serde_json::Value;

#[test]
fn metrics_tell_what_happened() {
    let envgate = Envgate::start();
    envgate.get(EXAMPLE);
    envgate.post(EXAMPLE, r#"{"name":7}"#);
    for (name, value) in [
        (
            r#"envgate_requests_total{error="none",operation="retrieve",status="2xx"}"#,
            1.0,
        ),
        (
            r#"envgate_requests_total{error="schema_violation",operation="update",status="4xx"}"#,
            1.0,
        ),
        (
            r#"envgate_request_duration_seconds_count{operation="retrieve"}"#,
            1.0,
        ),
        (
            r#"envgate_upstream_duration_seconds_count{operation="retrieve"}"#,
            1.0,
        ),
        (
            r#"envgate_upstream_duration_seconds_count{operation="update"}"#,
            0.0,
        ),
        (
            r#"envgate_overhead_duration_seconds_count{operation="update"}"#,
            1.0,
        ),
        ("envgate_requests_in_flight", 0.0),
        (
            concat!("envgate_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
            1.0,
        ),
        ("envgate_store_up", 1.0),
    ] {
        envgate.expect_metric(name, value);
    }
    let content_type = envgate.admin_get("/metrics");
    assert_eq!(
        content_type.header("content-type"),
        Some("text/plain; version=0.0.4")
    );
}

#[test]
fn each_request_has_one_line_in_the_access_log() {
    let envgate = Setup::new().set("ENVGATE_LOG__FORMAT", "json").start();
    let response = envgate.get(&format!("{EXAMPLE}?secret=in-the-query"));
    envgate.post(EXAMPLE, r#"{"nme":1}"#);
    eventually("both lines are written", || {
        envgate.log().matches("envgate::access").count() == 2
    });
    let log = envgate.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["target"] == "envgate::access")
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
    let line = &lines[0];
    assert_eq!(line["request_id"].as_str(), response.header("request-id"));
    assert_eq!(
        (&line["tenant"], &line["operation"], &line["status"]),
        (&"demo".into(), &"retrieve".into(), &200.into())
    );
    assert_eq!(line["key"], envgate.key[..14]);
    for duration in ["duration_ms", "upstream_ms", "own_ms"] {
        assert!(line[duration].as_f64().unwrap() > 0.0, "{line}");
    }
    assert_eq!(lines[1]["error"], "schema_violation");
    assert!(!log.contains("in-the-query"));
}
