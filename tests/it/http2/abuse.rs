//! What costs a client its connection.

use super::exchanges::{bearer, fields, start, start_with_long_name};
use crate::common::EXAMPLE;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::http2::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, Http2,
    INITIAL_WINDOW_SIZE, PING, RST_STREAM, SETTINGS, Taken, WINDOW_UPDATE, block, frame,
};
use crate::common::upstream::{Then, Upstream};

fn given_up(envgate: &Envgate, reason: &str) {
    let metric = format!("envgate_http2_connections_given_up_total{{reason=\"{reason}\"}}");
    envgate.expect_metric(&metric, 1.0);
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
    eventually("the connection is not counted any more", || {
        envgate.metric("envgate_connections_open{address=\"listen\"}") == 0.0
    });
}

/// That the connection is ended for what its client did, and nothing of it is left. What the client has sent and
/// nobody read takes the last word with it, as a rule.
#[track_caller]
fn assert_calmed(http2: &mut Http2, envgate: &Envgate) {
    let reason = http2.end();
    assert!(
        reason.is_none_or(|reason| reason == ENHANCE_YOUR_CALM),
        "{reason:?}"
    );
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
}

#[test]
fn streams_that_are_given_up_again_and_again() {
    let upstream = Upstream::always(Then::environment());
    let (envgate, client) = start(Setup::new().upstream(upstream.address));
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    let request = block(&fields(&bearer, "POST", "/v1/environments/env_1"));
    for number in 0..100_u32 {
        http2.write_frame(HEADERS, END_HEADERS, 2 * number + 1, &request);
        http2.write_frame(RST_STREAM, 0, 2 * number + 1, &CANCEL.to_be_bytes());
        if number % 10 == 9 {
            http2.expect_alive();
        }
    }
    http2.write_frame(HEADERS, END_HEADERS, 201, &request);
    http2.write_frame(RST_STREAM, 0, 201, &CANCEL.to_be_bytes());
    assert_eq!(http2.end(), Some(ENHANCE_YOUR_CALM));
    given_up(&envgate, "resets");
    assert!(upstream.seen().is_empty(), "none of them was whole");
}

#[test]
fn a_burst_of_streams_that_are_given_up_at_once() {
    let (envgate, client) = start(Setup::new());
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    let request = block(&fields(&bearer, "GET", EXAMPLE));
    let burst: Vec<u8> = (0..2000_u32)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            [
                frame(HEADERS, END_HEADERS | END_STREAM, stream, &request),
                frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()),
            ]
            .concat()
        })
        .collect();
    http2.write(&burst);
    assert_calmed(&mut http2, &envgate);
}

#[test]
fn streams_that_have_to_be_refused_again_and_again() {
    let (envgate, client) = start(Setup::new());
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    let mut ambiguous = fields(&bearer, "GET", EXAMPLE);
    ambiguous.push(("host", "elsewhere.example"));
    let request = block(&ambiguous);
    for number in 0..101_u32 {
        let stream = 2 * number + 1;
        http2.write_frame(HEADERS, END_HEADERS | END_STREAM, stream, &request);
        if number < 100 {
            assert_eq!(http2.taken(stream), Taken::Answered(400));
        }
    }
    assert_eq!(http2.end(), Some(ENHANCE_YOUR_CALM));
    given_up(&envgate, "resets");
    envgate.expect_metric(
        r#"envgate_requests_total{error="malformed",operation="none",status="4xx"}"#,
        101.0,
    );
}

#[test]
fn pings_and_settings_without_an_end() {
    for (kind, payload) in [(PING, &[0; 8][..]), (SETTINGS, &[]), (0xfa, &[0; 8])] {
        let (envgate, client) = start(Setup::new());
        let mut http2 = Http2::open(&client, &envgate);
        let flood = frame(kind, 0, 0, payload).repeat(601);
        http2.write(&flood);
        assert_eq!(http2.end(), Some(ENHANCE_YOUR_CALM), "frames of kind {kind}");
        given_up(&envgate, "control_frames");
    }
}

#[test]
fn as_many_pings_as_clients_send_are_answered() {
    let (envgate, client) = start(Setup::new());
    let mut http2 = Http2::open(&client, &envgate);
    for _ in 0..100 {
        http2.expect_alive();
    }
}

#[test]
fn a_head_that_goes_on_and_on() {
    let (envgate, client) = start(Setup::new());
    for payload in [&b""[..], &[0, 1, b'x', 1, b'y'].repeat(3000)] {
        let mut http2 = Http2::open(&client, &envgate);
        http2.write_frame(HEADERS, END_STREAM, 1, &block(&[(":method", "GET")]));
        for _ in 0..100 {
            if http2.try_write(&frame(CONTINUATION, 0, 1, payload)).is_err() {
                break;
            }
        }
        let reason = http2.end();
        assert!(reason.is_none_or(|reason| reason != 0), "{reason:?}");
    }
    eventually("they are closed", || {
        envgate.metric("envgate_connections_open{address=\"listen\"}") == 0.0
    });
    assert_eq!(envgate.metric("envgate_requests_in_flight"), 0.0);
}

#[test]
fn empty_pieces_of_a_body_without_an_end() {
    let (envgate, client) = start(Setup::new());
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.write_frame(HEADERS, END_HEADERS, 1, &block(&fields(&bearer, "POST", EXAMPLE)));
    for _ in 0..200 {
        if http2.try_write(&frame(DATA, 0, 1, &[]).repeat(1000)).is_err() {
            break;
        }
    }
    assert_calmed(&mut http2, &envgate);
}

#[test]
fn answers_that_are_never_read() {
    let (_upstream, envgate, client) = start_with_long_name(1024 * 1024);
    let bearer = bearer(&envgate);
    // Windows without bounds, and nobody who reads: the bytes are stuck below HTTP/2.
    let mut http2 = Http2::open_with(&client, &envgate, &[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]);
    http2.write_frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    let request = block(&fields(&bearer, "GET", "/v1/environments/env_1"));
    for number in 0..40_u32 {
        let sent = http2.try_write(&frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            2 * number + 1,
            &request,
        ));
        if sent.is_err() {
            break;
        }
    }
    let metric = "envgate_http2_connections_given_up_total{reason=\"slow_reader\"}";
    eventually("it is given up", || envgate.metric(metric) > 0.0);
    given_up(&envgate, "slow_reader");
}
