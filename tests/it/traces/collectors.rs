//! Collectors that are slow, gone, or come back.

use std::time::Duration;

use super::{Collector, EXPORTED, exporting, exporting_to, kept};
use crate::common::envgate::{Setup, eventually, eventually_within};
use crate::common::upstream::{ClosedPort, Then, Upstream};
use crate::reload;

const PATH: &str = "/v1/environments/env_1";
const QUEUE_FULL: &str = "envgate_spans_dropped_total{reason=\"queue_full\"}";
/// All times between the attempts at a batch, and some.
const PATIENCE: Duration = Duration::from_secs(40);

#[test]
fn a_collector_that_is_not_there_costs_no_request_anything_and_a_counter_tells() {
    let (upstream, nobody) = (Upstream::always(Then::environment()), ClosedPort::new());
    for (protocol, path) in [("grpc", ""), ("http/protobuf", "/v1/traces")] {
        let url = format!("http://{}{path}", nobody.address());
        let setup = exporting(Setup::new().upstream(upstream.address), &url, protocol);
        let mut envgate = setup.set("ENVGATE_TELEMETRY__MAX_QUEUED_SPANS", "64").start();
        for _ in 0..100 {
            assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
        }
        eventually("spans that find no room are counted", || {
            envgate.metric(QUEUE_FULL) > 0.0
        });
        assert!(envgate.metric(EXPORTED).abs() < f64::EPSILON);
        let log = envgate.stop();
        assert!(log.contains("the collector does not take spans"), "{log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[test]
fn a_collector_that_hangs_holds_no_request_up_and_gets_what_waits_when_it_goes_on() {
    let upstream = Upstream::always(Then::environment());
    let mut collector = Collector::start();
    collector.answer("hang");
    let setup = exporting_to(&collector, Setup::new().upstream(upstream.address));
    let envgate = setup.set("ENVGATE_TELEMETRY__MAX_QUEUED_SPANS", "64").start();
    for _ in 0..100 {
        assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    }
    eventually("spans that find no room are counted", || {
        envgate.metric(QUEUE_FULL) > 0.0
    });
    collector.answer("take");
    eventually_within("it gets what waited", PATIENCE, || collector.spans().len() >= 64);
}

#[test]
fn a_collector_that_was_started_anew_gets_the_spans_of_meanwhile() {
    let upstream = Upstream::always(Then::environment());
    let collector = Collector::start();
    let envgate = exporting_to(&collector, Setup::new().upstream(upstream.address)).start();
    assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    collector.expect_spans(3);
    let port = collector.grpc.to_string();
    drop(collector);
    assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    let collector = Collector::start_at(&port, &[]);
    eventually_within("they are sent again", PATIENCE, || {
        // Those of the first attempts may have been given up.
        let _ = kept(&envgate, "POST", PATH).body("{}").send();
        collector.spans().len() >= 3
    });
}

#[test]
fn what_was_answered_last_is_exported_before_the_process_ends() {
    let upstream = Upstream::always(Then::environment());
    let collector = Collector::start();
    let setup = exporting_to(&collector, Setup::new().upstream(upstream.address));
    let mut envgate = setup.set("ENVGATE_TELEMETRY__BATCH_DELAY", "60m").start();
    assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    assert_eq!(collector.batches().len(), 0, "they wait for others to go with");
    let log = envgate.stop();
    assert_eq!(collector.expect_spans(3).len(), 3);
    assert!(!log.contains("spans are lost"), "{log}");
}

#[test]
fn a_reload_turns_traces_on_and_off() {
    let upstream = Upstream::always(Then::environment());
    let collector = Collector::start();
    let envgate = reload::in_front_of(&upstream, "").start();
    assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    let text = format!(
        "[telemetry]\ntraces_endpoint = \"http://127.0.0.1:{}\"\nprotocol = \"grpc\"\nbatch_delay = \"50ms\"\n",
        collector.grpc
    );
    reload::write(&envgate, &text);
    assert_eq!(reload::reload(&envgate).status, 200);
    assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    collector.expect_spans(3);
    reload::write(&envgate, "");
    assert_eq!(reload::reload(&envgate).status, 200);
    assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    envgate.expect_metric(EXPORTED, 3.0);
    assert_eq!(collector.spans().len(), 3);
}
