use std::path::Path;
use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::contract::Operation;

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.encode().unwrap()).unwrap()
}

#[test]
fn a_request_is_counted_under_its_operation_status_and_error() {
    let metrics = Metrics::new().unwrap();
    let outcome = Outcome {
        operation: Some(Operation::Update),
        status: StatusCode::BAD_REQUEST,
        error: Some("schema_violation"),
        total: Duration::from_millis(3),
        upstream: None,
        waited: Duration::ZERO,
    };
    metrics.record(&outcome);
    metrics.record(&Outcome {
        operation: None,
        status: StatusCode::NOT_FOUND,
        error: Some("unknown_path"),
        ..outcome
    });
    let text = text(&metrics);
    assert!(
        text.contains(
            r#"envgate_requests_total{error="schema_violation",operation="update",status="4xx"} 1"#
        ),
        "{text}"
    );
    assert!(text.contains(r#"envgate_requests_total{error="unknown_path",operation="none",status="4xx"} 1"#));
    assert!(text.contains(r#"envgate_request_duration_seconds_count{operation="update"} 1"#));
    assert!(
        text.contains(r#"envgate_upstream_duration_seconds_count{operation="update"} 0"#),
        "the upstream was not asked"
    );
}

#[test]
fn the_gateways_own_time_is_the_request_less_the_upstream_and_the_wait() {
    let metrics = Metrics::new().unwrap();
    metrics.record(&Outcome {
        operation: Some(Operation::Retrieve),
        status: StatusCode::OK,
        error: None,
        total: Duration::from_secs(2),
        upstream: Some(Duration::from_millis(1500)),
        waited: Duration::from_millis(250),
    });
    let text = text(&metrics);
    assert!(
        text.contains(r#"envgate_overhead_duration_seconds_sum{operation="retrieve"} 0.25"#),
        "{text}"
    );
    assert!(text.contains(r#"envgate_upstream_duration_seconds_sum{operation="retrieve"} 1.5"#));
}

#[test]
fn the_page_on_metrics_shows_every_metric_as_it_is_registered() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let made = Metrics::page().unwrap();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap();
    assert!(
        page == made,
        "docs/metrics.md is made from the code: run this test with WRITE_DOCS=1, or take this:\n\n{made}"
    );
}

#[test]
fn every_metric_that_is_shown_stands_on_its_page() {
    let (metrics, docs) = Metrics::register().unwrap();
    let mut names: Vec<_> = docs.iter().map(|doc| doc.name).collect();
    for family in metrics.registry.gather() {
        assert!(names.contains(&family.name()), "{}", family.name());
    }
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "none is there twice");
}
