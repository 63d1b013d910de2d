use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

use super::*;
use crate::config::{Source, UpstreamUrl, load};
use crate::telemetry::{Metrics, TRACEPARENT, Timeline};

const KEPT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_KEPT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn settings(lines: &str) -> Telemetry {
    let text = format!("[telemetry]\ntraces_endpoint = \"http://127.0.0.1:1\"\n{lines}\n");
    load(&Source::new("envgate.toml", text, [])).unwrap().telemetry
}

fn tracer(settings: &Telemetry) -> Tracer {
    Tracer::new(settings, Metrics::new().unwrap().spans)
}

fn called(traceparent: &'static str) -> TraceContext {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, HeaderValue::from_static(traceparent));
    TraceContext::of_request(&headers)
}

fn request(trace: TraceContext) -> RequestSpans {
    let mut timeline = Timeline::start(Instant::now());
    timeline.end(Instant::now());
    RequestSpans {
        trace,
        tracestate: String::new(),
        timeline,
        ended_at: SystemTime::now(),
        method: Method::GET,
        is_tls: false,
        version: Version::HTTP_11,
        target: None,
        status: StatusCode::OK,
        error: None,
        client: None,
        tenant: None,
        request_id: "req_1".to_owned(),
        upstream: Arc::new(UpstreamUrl::parse("https://a").unwrap()),
    }
}

#[test]
fn a_caller_decides_whether_its_trace_is_kept_but_not_without_bounds() {
    let settings = settings("sample_ratio = 0\nclient_sampled_per_second = 3");
    let (tracer, sampler) = (tracer(&settings), Sampler::new(&settings));
    let decide = |text| tracer.decide(&sampler, called(text));
    let is_kept = |text| tracer.keep_for_tenant(&sampler, decide(text)).is_recorded();
    assert!(!is_kept(NOT_KEPT));
    assert!(
        (0..1000).all(|_| !decide(KEPT).is_recorded()),
        "before anybody knows who calls"
    );
    // A second may end meanwhile.
    let kept = (0..1000).filter(|_| is_kept(KEPT)).count();
    assert!((3..=12).contains(&kept), "{kept}");
    assert!(!tracer.decide(&sampler, TraceContext::root()).is_recorded());
}

#[test]
fn a_caller_that_does_not_keep_its_trace_is_heeded_whatever_the_share() {
    let settings = settings("sample_ratio = 1\nclient_sampled_per_second = 0");
    let (tracer, sampler) = (tracer(&settings), Sampler::new(&settings));
    assert!(!tracer.decide(&sampler, called(NOT_KEPT)).is_recorded());
    assert!(
        tracer.decide(&sampler, called(KEPT)).is_recorded(),
        "by the share"
    );
    assert!(tracer.decide(&sampler, TraceContext::root()).is_recorded());
}

#[test]
fn a_share_of_traces_is_kept_by_their_ids() {
    let settings = settings("sample_ratio = 0.25\nclient_sampled_per_second = 0");
    let (tracer, sampler) = (tracer(&settings), Sampler::new(&settings));
    let kept = (0..4000).filter(|_| tracer.decide(&sampler, TraceContext::root()).is_recorded());
    let kept = kept.count();
    assert!((800..1200).contains(&kept), "{kept}");
}

#[test]
fn no_request_becomes_a_span_where_spans_go_nowhere() {
    let settings = load(&Source::new("envgate.toml", "telemetry.sample_ratio = 1", []))
        .unwrap()
        .telemetry;
    let (tracer, sampler) = (tracer(&settings), Sampler::new(&settings));
    let decided = tracer.decide(&sampler, called(KEPT));
    assert!(!tracer.keep_for_tenant(&sampler, decided).is_recorded());
}

#[test]
fn what_finds_no_room_is_counted_and_what_did_is_taken_in_batches() {
    let settings = settings("max_queued_spans = 64\nmax_batch_spans = 10");
    let tracer = tracer(&settings);
    for _ in 0..100 {
        tracer.leave(request(TraceContext::root().recorded(true)));
    }
    assert_eq!(tracer.metrics.queue_full.get(), 36);
    let batches: Vec<_> =
        std::iter::from_fn(|| Some(tracer.take_batch().len()).filter(|taken| *taken > 0)).collect();
    assert_eq!(batches, [10, 10, 10, 10, 10, 10, 4]);
    tracer.leave(request(TraceContext::root().recorded(true)));
    assert_eq!(tracer.take_batch().len(), 1, "there is room again");
}
