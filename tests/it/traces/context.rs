//! The context of a trace, from the client to the upstream.

use super::{CALLER, Collector, EXPORTED, KEPT, TRACE_ID, exporting_to, kept};
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{Then, Upstream};

const PATH: &str = "/v1/environments/env_1";

/// The parts of the one `traceparent` that the upstream has seen with its last request.
fn seen(upstream: &Upstream) -> [String; 4] {
    let seen = upstream.seen();
    let [traceparent] = seen.last().unwrap().all("traceparent")[..] else {
        panic!("not one traceparent");
    };
    let parts: Vec<_> = traceparent.split('-').map(str::to_owned).collect();
    parts.try_into().unwrap()
}

#[test]
fn the_upstream_is_called_by_the_span_that_the_collector_gets() {
    let upstream = Upstream::always(Then::environment());
    let collector = Collector::start();
    let envgate = exporting_to(&collector, Setup::new().upstream(upstream.address)).start();
    let update = kept(&envgate, "POST", PATH)
        .header("tracestate", "a=1, b=2")
        .body("{}");
    assert_eq!(update.send().status, 200);
    let [version, trace_id, span_id, flags] = seen(&upstream);
    assert_eq!(
        (version.as_str(), trace_id.as_str(), flags.as_str()),
        ("00", TRACE_ID, "01")
    );
    assert_eq!(upstream.seen()[0].all("tracestate"), ["a=1,b=2"]);
    let spans = collector.expect_spans(3);
    let attempt = spans
        .iter()
        .find(|span| span["kind"] == "SPAN_KIND_CLIENT")
        .unwrap();
    assert_eq!(attempt["span_id"], span_id);
}

#[test]
fn what_nobody_keeps_goes_on_unkept_and_makes_no_span() {
    let upstream = Upstream::always(Then::environment());
    let collector = Collector::start();
    let envgate = exporting_to(&collector, Setup::new().upstream(upstream.address)).start();
    assert_eq!(envgate.post(PATH, "{}").status, 200);
    let [_, trace_id, _, flags] = seen(&upstream);
    assert_eq!(flags, "02", "its id is random, and it is not kept");
    let again = envgate.post(PATH, "{}");
    assert_eq!(again.status, 200);
    assert_ne!(
        seen(&upstream)[1],
        trace_id,
        "each request without a caller is a trace of its own"
    );
    let unkept = KEPT.replace("-01", "-00");
    let unkept = envgate
        .request("POST", PATH)
        .header("traceparent", &unkept)
        .body("{}");
    assert_eq!(unkept.send().status, 200);
    let [_, trace_id, span_id, flags] = seen(&upstream);
    assert_eq!((trace_id.as_str(), flags.as_str()), (TRACE_ID, "00"));
    assert_ne!(span_id, CALLER);
    // The spans of one that is kept come after those of all others.
    assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    let spans = collector.expect_spans(3);
    envgate.expect_metric(EXPORTED, 3.0);
    assert_eq!(spans.len(), 3);
}

#[test]
fn without_a_collector_the_callers_own_context_goes_on() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    assert_eq!(kept(&envgate, "POST", PATH).body("{}").send().status, 200);
    assert_eq!(seen(&upstream).join("-"), KEPT, "no other span could be found");
    let malformed = envgate
        .request("POST", PATH)
        .header("traceparent", "Bearer sk-eg-1");
    let malformed = malformed.header("tracestate", "a=1").body("{}");
    assert_eq!(malformed.send().status, 200);
    let [version, trace_id, ..] = seen(&upstream);
    assert_eq!((version.as_str(), trace_id.len()), ("00", 32));
    assert_ne!(trace_id, TRACE_ID);
    assert!(upstream.seen()[1].all("tracestate").is_empty());
}
