use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn of(traceparent: &str) -> TraceContext {
    TraceContext::of_request(&headers(&[(TRACEPARENT, traceparent)]))
}

fn up(context: &TraceContext) -> String {
    String::from_utf8(context.traceparent().unwrap().to_vec()).unwrap()
}

fn state(traceparent: &str, states: &[&str]) -> String {
    let states = states.iter().map(|state| (TRACESTATE, *state));
    let fields: Vec<_> = [(TRACEPARENT, traceparent)].into_iter().chain(states).collect();
    let headers = headers(&fields);
    let context = TraceContext::of_request(&headers);
    context.tracestate(&headers).collect::<Vec<_>>().join(",")
}

#[test]
fn a_request_belongs_to_the_trace_that_its_caller_names() {
    let context = of(PARENT).recorded(true);
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    assert_eq!(context.trace_id().to_hex().as_str(), trace_id);
    assert_eq!(context.parent().unwrap().to_hex().as_str(), "b7ad6b7169203331");
    assert_eq!(context.is_sampled_by_caller(), Some(true));
    let own = context.span_id().to_hex();
    assert_eq!(up(&context), format!("00-{trace_id}-{own}-01"));
    assert_eq!(up(&context.recorded(false)), format!("00-{trace_id}-{own}-00"));
    assert_eq!(up(&context)[TraceContext::span_at()..][..16], *own.as_str());
}

#[test]
fn the_callers_own_span_goes_on_where_the_gateway_makes_none() {
    assert_eq!(up(&of(PARENT)), PARENT, "nobody could find another");
    let root = TraceContext::root();
    assert_eq!(
        up(&root),
        format!("00-{}-{}-02", root.trace_id().to_hex(), root.span_id().to_hex()),
        "its own id is random, and nobody keeps it"
    );
}

#[test]
fn what_is_no_traceparent_begins_a_new_trace() {
    for text in [
        "",
        "00",
        // Zero is no id.
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        // Upper case, another length, other characters.
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
        "0--0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        // This version has nothing more.
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        // There is no such version, and the next ones begin as this one.
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
    ] {
        let context = of(text);
        assert_eq!(context.parent(), None, "{text}");
        assert_ne!(context.trace_id(), of(PARENT).trace_id());
    }
    let two = [(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)];
    assert_eq!(TraceContext::of_request(&headers(&two)).parent(), None);
}

#[test]
fn later_versions_are_read_as_far_as_this_one_goes() {
    for text in [
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes",
    ] {
        let context = of(text);
        assert_eq!(context.is_sampled_by_caller(), Some(true), "{text}");
        assert_eq!(up(&context), PARENT, "sent as the version that is known here");
    }
}

#[test]
fn flags_that_nobody_knows_go_no_further() {
    let context = of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-fe");
    assert_eq!(context.is_sampled_by_caller(), Some(false));
    assert!(up(&context).ends_with("-02"));
}

#[test]
fn tracestate_goes_on_whole_members_only_and_with_its_traceparent_alone() {
    assert_eq!(state(PARENT, &["a=1,\tb@c=x y"]), "a=1,b@c=x y");
    assert_eq!(state(PARENT, &["a=1", "b=2,,"]), "a=1,b=2");
    assert_eq!(state("00", &["a=1"]), "");
    for malformed in [
        "a",
        "A=1",
        "a=",
        "=1",
        "a=1,b=\u{e9}",
        "a@b@c=1",
        "a b=1",
        "a=b=c",
    ] {
        assert_eq!(state(PARENT, &[malformed]), "", "{malformed}");
    }
    let many: Vec<_> = (0..33).map(|number| format!("k{number}=1")).collect();
    assert_eq!(state(PARENT, &[&many[..32].join(",")]), many[..32].join(","));
    assert_eq!(state(PARENT, &[&many.join(",")]), "");
    let long = format!("a={0},b={0},c={0}", "x".repeat(250));
    assert_eq!(state(PARENT, &[&long]), long[..505], "512 characters at most");
}

#[test]
fn ids_are_written_as_everybody_writes_them() {
    assert_eq!(
        SpanId([0, 1, 2, 0xab, 0xff, 5, 6, 7]).to_hex().as_str(),
        "000102abff050607"
    );
    assert_ne!(SpanId::new(), SpanId::new());
}

proptest! {
    #[test]
    fn whatever_comes_is_sent_up_as_a_valid_context(text in "\\PC{0,80}", state in "\\PC{0,80}") {
        let mut headers = HeaderMap::new();
        for (name, text) in [(TRACEPARENT, text), (TRACESTATE, state)] {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.append(name, value);
            }
        }
        let context = TraceContext::of_request(&headers);
        prop_assert!(parse_traceparent(&context.traceparent().unwrap()).is_some());
        prop_assert!(context.tracestate(&headers).all(is_member));
    }

    #[test]
    fn a_valid_context_is_read_as_it_was_written(
        trace_id in any::<[u8; 16]>(), span_id in any::<[u8; 8]>(), flags in any::<u8>(), tail in "(-[!-~]{0,9})?",
        version in 1_u8..0xff,
    ) {
        prop_assume!(trace_id != [0; 16] && span_id != [0; 8]);
        let (trace_id, span_id) = (TraceId(trace_id), SpanId(span_id));
        let rest = format!("{}-{}-{flags:02x}", trace_id.to_hex(), span_id.to_hex());
        for text in [format!("00-{rest}"), format!("{version:02x}-{rest}{tail}")] {
            let (read, caller) = parse_traceparent(text.as_bytes()).unwrap();
            prop_assert_eq!((read, caller.span_id), (trace_id, span_id));
            prop_assert_eq!(caller.flags & SAMPLED, flags & SAMPLED);
        }
    }

    #[test]
    fn one_changed_byte_is_never_read_as_the_same_context(at in 0_usize..55, byte in any::<u8>()) {
        let mut text = PARENT.as_bytes().to_vec();
        prop_assume!(text[at] != byte);
        text[at] = byte;
        let same = parse_traceparent(PARENT.as_bytes()).unwrap();
        if let Some((trace_id, caller)) = parse_traceparent(&text) {
            // Another version, or a flag that nobody knows.
            prop_assert!((trace_id, caller) != same || !(2..53).contains(&at));
        }
    }
}
