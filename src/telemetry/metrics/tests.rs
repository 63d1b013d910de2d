use std::path::Path;
use std::time::Duration;

use http::StatusCode;

use super::*;
use crate::contract::Operation;
use crate::telemetry::{AttemptOutcome, Step, Timeline, TraceId};

const UPDATE: Operation = Operation::Update;

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.encode().unwrap()).unwrap()
}

/// A request that spends so many milliseconds with each of these steps.
fn timeline(steps: &[(Step, u64)]) -> Timeline {
    let mut timeline = Timeline::start(Instant::now());
    let mut at = timeline.started();
    for (step, milliseconds) in steps {
        match step {
            Step::Upstream => {
                timeline.begin_attempt(UPDATE, None, at);
                timeline.settle_attempt(AttemptOutcome::Replied(StatusCode::OK));
            }
            own => timeline.enter(*own, at),
        }
        at += Duration::from_millis(*milliseconds);
    }
    timeline.end(at);
    timeline
}

fn outcome(timeline: &Timeline) -> Outcome<'_> {
    Outcome {
        caller: None,
        operation: Some(UPDATE),
        status: StatusCode::OK,
        error: None,
        timeline,
        trace_id: TraceId([0xab; 16]),
    }
}

#[test]
fn a_request_is_counted_under_its_operation_status_and_error() {
    let metrics = Metrics::new().unwrap();
    let timeline = timeline(&[(Step::Judge, 3)]);
    let refused = Outcome {
        status: StatusCode::BAD_REQUEST,
        error: Some("schema_violation"),
        ..outcome(&timeline)
    };
    metrics.record(&refused);
    metrics.record(&Outcome {
        operation: None,
        status: StatusCode::NOT_FOUND,
        error: Some("unknown_path"),
        ..refused
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
    assert_eq!(metrics.request_count(), 2);
    let told: Vec<_> = metrics
        .error_traffic(Instant::now())
        .iter()
        .map(|told| (told.error, told.total))
        .collect();
    assert_eq!(told, [("unknown_path", 1), ("schema_violation", 1)]);
}

#[test]
fn the_gateways_own_time_is_without_the_upstream_the_wait_and_what_the_client_takes() {
    let metrics = Metrics::new().unwrap();
    let steps = [
        (Step::Judge, 125),
        (Step::Body, 7000),
        (Step::Wait, 500),
        (Step::Upstream, 1500),
        (Step::Answer, 125),
        (Step::Write, 9000),
    ];
    metrics.record(&outcome(&timeline(&steps)));
    let text = text(&metrics);
    assert!(
        text.contains(r#"envgate_overhead_duration_seconds_sum{operation="update"} 0.25"#),
        "{text}"
    );
    assert!(text.contains(r#"envgate_upstream_duration_seconds_sum{operation="update"} 1.5"#));
    assert!(text.contains(r#"envgate_request_duration_seconds_sum{operation="update"} 18.25"#));
}

#[test]
fn each_attempt_at_the_upstream_is_counted_by_what_came_of_it() {
    let metrics = Metrics::new().unwrap();
    let mut timeline = Timeline::start(Instant::now());
    let started = timeline.started();
    timeline.begin_attempt(Operation::Retrieve, None, started);
    timeline.settle_attempt(AttemptOutcome::Failed("died_idle"));
    timeline.begin_attempt(Operation::Retrieve, None, started + Duration::from_millis(250));
    timeline.settle_attempt(AttemptOutcome::Replied(StatusCode::SERVICE_UNAVAILABLE));
    timeline.enter(Step::Answer, started + Duration::from_millis(750));
    timeline.begin_attempt(UPDATE, None, started + Duration::from_millis(750));
    timeline.end(started + Duration::from_millis(1750));
    metrics.record(&outcome(&timeline));
    let text = text(&metrics);
    for (labels, sum) in [
        (r#"operation="retrieve",status="none""#, "0.25"),
        (r#"operation="retrieve",status="5xx""#, "0.5"),
        (r#"operation="update",status="none""#, "1"),
    ] {
        let line = format!("envgate_upstream_attempt_duration_seconds_sum{{{labels}}} {sum}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}

#[test]
fn openmetrics_has_the_trace_of_the_last_request_in_each_bucket() {
    let metrics = Metrics::new().unwrap();
    metrics.record(&outcome(&timeline(&[(Step::Judge, 30), (Step::Upstream, 300)])));
    let text = metrics.encode_as(Exposition::OpenMetrics).unwrap();
    for (name, bound, value) in [
        ("envgate_request_duration_seconds", "0.5", "0.33"),
        ("envgate_overhead_duration_seconds", "0.05", "0.03"),
        ("envgate_upstream_duration_seconds", "0.5", "0.3"),
    ] {
        let trace_id = "ab".repeat(16);
        let bucket = format!(
            "{name}_bucket{{operation=\"update\",le=\"{bound}\"}} 1 # {{trace_id=\"{trace_id}\"}} {value} "
        );
        let line = text.lines().find_map(|line| line.strip_prefix(&bucket));
        let at: f64 = line
            .unwrap_or_else(|| panic!("{bucket}\n{text}"))
            .parse()
            .unwrap();
        assert!((at - Timestamp::now().as_duration().as_secs_f64()).abs() < 60.0);
    }
    assert_eq!(text.matches("trace_id").count(), 3);
    assert!(text.ends_with("\n# EOF\n"));
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
