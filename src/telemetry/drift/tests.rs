use std::convert::Infallible;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::*;
use crate::contract::FindingKind;
use crate::telemetry::Metrics;

fn watch() -> DriftWatch {
    DriftWatch::new(ReplySchemas::built_in().unwrap(), Metrics::new().unwrap().drift)
}

/// A reply to a delete, which is the shortest.
fn reply(more: Value) -> UpstreamReply {
    let mut body = json!({"id": "env_1", "type": "environment_deleted"});
    body.as_object_mut()
        .unwrap()
        .append(&mut more.as_object().unwrap().clone());
    UpstreamReply {
        operation: Operation::Delete,
        status: StatusCode::OK,
        is_encoded: false,
        body: Bytes::from(body.to_string()),
    }
}

fn observe(watch: &DriftWatch, reply: &UpstreamReply) {
    let text = reply.text().unwrap_or_default();
    let layout = Layout::of(text);
    watch.observe(reply, layout.as_ref().and_then(|layout| layout.root(text)));
}

/// What is written by now, and how often each was seen.
async fn write(watch: &DriftWatch) -> Vec<(String, u64)> {
    let mut written = Vec::new();
    let writing = watch.write_pending(async |pending| {
        written = pending
            .iter()
            .map(|one| (one.finding.pointer.clone(), one.count))
            .collect();
        Ok::<_, Infallible>(Vec::new())
    });
    let Ok(_) = writing.await;
    written.sort();
    written
}

fn counts(watch: &DriftWatch) -> [u64; 3] {
    let metrics = watch.metrics();
    [&metrics.known_shape, &metrics.measured, &metrics.unmeasured].map(|counter| counter.get())
}

#[tokio::test]
async fn a_shape_is_measured_once_and_counted_from_then_on() {
    let watch = watch();
    for _ in 0..3 {
        observe(&watch, &reply(json!({"state": "a"})));
    }
    watch.measure_waiting();
    assert_eq!(counts(&watch), [0, 3, 0], "they waited together");
    assert_eq!(write(&watch).await, [("/state".to_owned(), 3)]);
    for state in ["b", "c"] {
        observe(&watch, &reply(json!({"state": state})));
    }
    observe(&watch, &reply(json!({})));
    watch.measure_waiting();
    assert_eq!(counts(&watch), [2, 4, 0]);
    assert_eq!(write(&watch).await, [("/state".to_owned(), 2)]);
    assert_eq!(write(&watch).await, []);
}

#[tokio::test]
async fn what_could_not_be_written_waits_for_the_next_time() {
    let watch = watch();
    observe(&watch, &reply(json!({"state": "a"})));
    watch.measure_waiting();
    let away = watch.write_pending(async |_| Err::<Vec<String>, _>("away"));
    assert_eq!(away.await, Err("away"));
    observe(&watch, &reply(json!({"state": "a"})));
    watch.measure_waiting();
    assert_eq!(write(&watch).await, [("/state".to_owned(), 2)]);
}

#[tokio::test]
async fn a_flood_of_names_leaves_room_for_what_comes_again() {
    let watch = watch();
    for number in 0..2000 {
        observe(&watch, &reply(json!({ format!("f{number}"): 1 })));
        if number % 100 == 0 {
            watch.measure_waiting();
        }
    }
    for _ in 0..3 {
        for name in ["state", "region"] {
            observe(&watch, &reply(json!({ name: 1, format!("x{name}"): true })));
            watch.measure_waiting();
        }
    }
    let written = write(&watch).await;
    assert!(written.len() <= 64 + 1, "{}", written.len());
    for name in ["/state", "/region"] {
        assert!(written.iter().any(|(pointer, _)| pointer == name), "{name}");
    }
    let remainder = written.iter().find(|(pointer, _)| pointer.is_empty()).unwrap();
    assert!((1900..2000).contains(&remainder.1), "{remainder:?}");
}

#[tokio::test]
async fn a_reply_with_a_hundred_thousand_names_is_measured_within_bounds() {
    let watch = watch();
    let names: serde_json::Map<_, _> = (0..100_000)
        .map(|number| (format!("f{number}"), json!(number)))
        .collect();
    observe(&watch, &reply(Value::Object(names)));
    watch.measure_waiting();
    let written = write(&watch).await;
    assert_eq!(written.len(), 32 + 1);
    assert_eq!(written[0], (String::new(), 100_000 - 32), "the remainder");
    observe(&watch, &reply(json!({"state": 1})));
    watch.measure_waiting();
    assert_eq!(
        write(&watch).await,
        [("/state".to_owned(), 1)],
        "there is room for others"
    );
}

#[test]
fn what_waits_is_bounded_and_the_rest_counted() {
    let watch = watch();
    for number in 0..1000 {
        observe(&watch, &reply(json!({ format!("f{number}"): 1 })));
    }
    assert_eq!(counts(&watch), [0, 0, 1000 - 256]);
    watch.measure_waiting();
    assert_eq!(counts(&watch), [0, 256, 1000 - 256]);
    let page = UpstreamReply {
        operation: Operation::List,
        body: Bytes::from(format!(
            "{{\"data\":[],\"next_page\":\"{}\"}}",
            "x".repeat(100_000)
        )),
        ..reply(json!({}))
    };
    observe(&watch, &page);
    watch.measure_waiting();
    observe(&watch, &page);
    watch.measure_waiting();
    assert_eq!(
        counts(&watch),
        [1, 257, 1000 - 256],
        "a large one is looked at beside the requests, and known then"
    );
}

#[tokio::test]
async fn the_log_is_told_of_each_once_and_of_those_that_others_know_never() {
    let watch = watch();
    observe(&watch, &reply(json!({"state": 1})));
    watch.measure_waiting();
    let tell = async |new: bool| {
        let writing = watch.write_pending(async |pending| {
            let ids = pending.iter().map(|one| one.id.clone()).filter(|_| new);
            Ok::<_, Infallible>(ids.collect())
        });
        let Ok(_) = writing.await;
    };
    tell(true).await;
    let findings = || watch.findings.lock().take_untold(|_| true);
    assert_eq!(findings(), []);
    observe(&watch, &reply(json!({"region": 1})));
    watch.measure_waiting();
    tell(false).await;
    assert_eq!(findings(), [], "another gateway has told of it");
    observe(&watch, &reply(json!({"zone": 1})));
    watch.measure_waiting();
    assert_eq!(
        findings().first().map(|finding| finding.kind),
        Some(FindingKind::UnknownField)
    );
}
