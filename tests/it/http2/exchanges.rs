use std::io::{Read, Write};
use std::time::Duration;

use crate::common::EXAMPLE;
use crate::common::client::Connection;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::http2::{
    CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, Http2,
    RST_STREAM, Taken, block,
};
use crate::common::tls::{Authority, TlsClient, with_tls};
use crate::common::upstream::{Gate, Then, Upstream};

pub fn start(setup: Setup) -> (Envgate, TlsClient) {
    let authority = Authority::new();
    let client = TlsClient::new(&authority);
    (with_tls(setup, &authority).start(), client)
}

/// The same before an environment with a name of so many bytes, with little time for whoever does not read.
pub fn start_with_long_name(bytes: usize) -> (Upstream, Envgate, TlsClient) {
    let long = "x".repeat(bytes);
    let body = crate::common::upstream::ENVIRONMENT.replace("\"n\"", &format!("\"{long}\""));
    let upstream = Upstream::always(Then::respond("200 OK", &[], &body));
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_LISTEN__WRITE_TIMEOUT", "1s");
    let (envgate, client) = start(setup);
    (upstream, envgate, client)
}

/// The fields of a request with the tenant's key.
pub fn fields<'a>(bearer: &'a str, method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        (":method", method),
        (":scheme", "https"),
        (":path", path),
        (":authority", "localhost"),
        ("authorization", bearer),
    ]
}

pub fn bearer(envgate: &Envgate) -> String {
    format!("Bearer {}", envgate.key)
}

/// The body of the answer on a stream whose head has come.
fn read_body(http2: &mut Http2, stream: u32) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let frame = http2.read_until(DATA);
        assert_eq!(frame.stream, stream);
        body.extend(frame.payload);
        if frame.flags & END_STREAM != 0 {
            return body;
        }
    }
}

#[test]
fn both_versions_are_answered_alike() {
    let (envgate, client) = start(Setup::new());
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.request(1, &fields(&bearer, "GET", EXAMPLE));
    assert_eq!(http2.taken(1), Taken::Answered(200));
    let body = read_body(&mut http2, 1);
    let http1 = client.send(envgate.gateway, &envgate.request("GET", EXAMPLE));
    assert_eq!(body, http1.body);
    for (stream, fields, status, kind) in [
        (
            3,
            fields("Bearer nobody", "GET", EXAMPLE),
            401,
            "authentication_error",
        ),
        (5, fields(&bearer, "GET", "/nowhere"), 404, "not_found"),
        (7, fields(&bearer, "PUT", EXAMPLE), 405, "invalid_request"),
    ] {
        http2.request(stream, &fields);
        assert_eq!(http2.taken(stream), Taken::Answered(status));
        let body: serde_json::Value = serde_json::from_slice(&read_body(&mut http2, stream)).unwrap();
        assert_eq!(body["error"]["type"], kind, "{body}");
        assert!(body["request_id"].as_str().unwrap().starts_with("req_"), "{body}");
    }
}

#[test]
fn http_1_1_is_spoken_with_those_who_want_nothing_else() {
    let (envgate, client) = start(Setup::new());
    for protocols in [&["http/1.1"][..], &[]] {
        let client = client.clone().speaking(protocols);
        assert_eq!(
            client
                .send(envgate.gateway, &envgate.request("GET", EXAMPLE))
                .status,
            200
        );
    }
    let unknown = client.clone().speaking(&["h3"]);
    assert!(
        unknown.try_connect(envgate.gateway).is_err(),
        "no protocol in common"
    );
}

#[test]
fn without_tls_there_is_no_http_2() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    let response = connection.read_response();
    assert_eq!(response.status, 505, "{response:?}");
}

#[test]
fn a_body_is_judged_and_sent_up_as_it_came() {
    let upstream = Upstream::always(Then::environment());
    let (envgate, client) = start(Setup::new().upstream(upstream.address));
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    let body = br#"{"name": "n", "metadata":{ "a" : "b"}}"#;
    http2.write_frame(
        HEADERS,
        END_HEADERS,
        1,
        &block(&fields(&bearer, "POST", "/v1/environments/env_1")),
    );
    for part in body.chunks(7) {
        http2.write_frame(DATA, 0, 1, part);
    }
    http2.write_frame(DATA, END_STREAM, 1, &[]);
    assert_eq!(http2.taken(1), Taken::Answered(200));
    assert_eq!(upstream.seen()[0].body, body);
}

#[test]
fn a_body_has_the_same_limits_of_size_and_time() {
    let upstream = Upstream::always(Then::environment());
    let setup = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_LISTEN__MAX_BODY_BYTES", "1024")
        .set("ENVGATE_LISTEN__BODY_TIMEOUT", "300ms");
    let (envgate, client) = start(setup);
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    let post = fields(&bearer, "POST", "/v1/environments/env_1");
    let mut announced = post.clone();
    announced.push(("content-length", "1025"));
    http2.write_frame(HEADERS, END_HEADERS, 1, &block(&announced));
    assert_eq!(http2.taken(1), Taken::Answered(413));
    http2.write_frame(HEADERS, END_HEADERS, 3, &block(&post));
    http2.write_frame(DATA, 0, 3, &[b' '; 1025]);
    assert_eq!(http2.taken(3), Taken::Answered(413));
    http2.write_frame(HEADERS, END_HEADERS, 5, &block(&post));
    http2.write_frame(DATA, 0, 5, b"{");
    assert_eq!(
        http2.taken(5),
        Taken::Answered(408),
        "the library has no timeout of its own"
    );
    assert!(upstream.seen().is_empty());
}

#[test]
fn a_large_head_is_answered_in_the_envelope() {
    let (envgate, client) = start(Setup::new());
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    let long = "x".repeat(15 * 1024);
    let mut fields = fields(&bearer, "GET", EXAMPLE);
    fields.extend([("x-a", long.as_str()), ("x-b", &long), ("x-c", &long)]);
    let whole = block(&fields);
    let (first, rest) = whole.split_at(16 * 1024);
    let (second, third) = rest.split_at(16 * 1024);
    http2.write_frame(HEADERS, END_STREAM, 1, first);
    http2.write_frame(CONTINUATION, 0, 1, second);
    http2.write_frame(CONTINUATION, END_HEADERS, 1, third);
    assert_eq!(http2.taken(1), Taken::Answered(431));
    let body: serde_json::Value = serde_json::from_slice(&read_body(&mut http2, 1)).unwrap();
    assert!(
        body["error"]["message"].as_str().unwrap().contains("32768"),
        "{body}"
    );
    envgate.expect_metric(
        r#"envgate_requests_total{error="header_too_large",operation="none",status="4xx"}"#,
        1.0,
    );
}

#[test]
fn a_client_that_gives_its_stream_up_gives_its_slot_back() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let (envgate, client) = start(Setup::new().upstream(upstream.address));
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.request(1, &fields(&bearer, "GET", "/v1/environments/env_1"));
    eventually("it is asked", || upstream.seen().len() == 1);
    envgate.expect_metric("envgate_requests_in_flight", 1.0);
    http2.write_frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
    http2.expect_alive();
    gate.open();
    http2.request(3, &fields(&bearer, "GET", "/v1/environments/env_2"));
    assert_eq!(http2.taken(3), Taken::Answered(200));
}

#[test]
fn a_write_on_its_way_is_seen_through_whoever_hears_of_it() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let (envgate, client) = start(Setup::new().upstream(upstream.address));
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    let mut post = fields(&bearer, "POST", "/v1/environments/env_1");
    post.push(("content-length", "2"));
    http2.write_frame(HEADERS, END_HEADERS, 1, &block(&post));
    http2.write_frame(DATA, END_STREAM, 1, b"{}");
    eventually("it is asked", || upstream.seen().len() == 1);
    drop(http2);
    gate.open();
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
    envgate.expect_metric(
        r#"envgate_requests_total{error="none",operation="update",status="2xx"}"#,
        1.0,
    );
}

#[test]
fn a_client_that_opens_no_window_is_given_up_and_others_are_not() {
    let long_bytes = 200 * 1024;
    let (_upstream, envgate, client) = start_with_long_name(long_bytes);
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.request(1, &fields(&bearer, "GET", "/v1/environments/env_1"));
    assert_eq!(http2.taken(1), Taken::Answered(200));
    let reset = http2.read_until(RST_STREAM);
    assert_eq!((reset.stream, reset.payload), (1, CANCEL.to_be_bytes().to_vec()));
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
    http2.expect_alive();
    let other = client.send(envgate.gateway, &envgate.request("GET", "/v1/environments/env_1"));
    assert!(other.body.len() > long_bytes);
}

#[test]
fn a_connection_that_is_idle_says_goodbye() {
    let setup = Setup::new().set("ENVGATE_LISTEN__KEEPALIVE_TIMEOUT", "400ms");
    let (envgate, client) = start(setup);
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.request(1, &fields(&bearer, "GET", EXAMPLE));
    assert_eq!(http2.taken(1), Taken::Answered(200));
    assert_eq!(http2.end(), Some(0), "GOAWAY without an error");
}

#[test]
fn a_connection_that_asks_for_nothing_is_closed_under_the_deadline_of_a_head() {
    let setup = Setup::new().set("ENVGATE_LISTEN__HEADER_TIMEOUT", "1s");
    let (envgate, client) = start(setup);
    let mut begun = Http2::open(&client, &envgate);
    let mut silent = Http2::open_silent(&client, &envgate);
    assert_eq!(begun.end(), Some(0));
    assert_eq!(silent.end(), None);
    let mut unfinished = Http2::open(&client, &envgate);
    unfinished.write_frame(HEADERS, 0, 1, &block(&[(":method", "GET")]));
    assert_eq!(
        unfinished.end(),
        Some(ENHANCE_YOUR_CALM),
        "a head that does not end"
    );
    envgate.expect_metric(
        r#"envgate_http2_connections_given_up_total{reason="slow_head"}"#,
        1.0,
    );
}

#[test]
fn what_is_in_flight_is_answered_when_the_gateway_stops() {
    let gate = Gate::default();
    let upstream = Upstream::always(Then::environment().behind(&gate));
    let (mut envgate, client) = start(Setup::new().upstream(upstream.address));
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.request(1, &fields(&bearer, "GET", "/v1/environments/env_1"));
    eventually("it is asked", || upstream.seen().len() == 1);
    envgate.signal("TERM");
    let goodbye = http2.read_until(GOAWAY);
    assert_eq!(&goodbye.payload[4..8], [0; 4]);
    gate.open();
    assert_eq!(http2.taken(1), Taken::Answered(200));
    let status = envgate.wait(Duration::from_secs(20));
    assert!(status.success(), "{status}");
}

#[test]
fn a_connection_that_is_idle_makes_room_for_one_that_comes() {
    let (envgate, client) = start(Setup::new().set("ENVGATE_LISTEN__MAX_CONNECTIONS", "1"));
    let bearer = bearer(&envgate);
    let mut idle = Http2::open(&client, &envgate);
    idle.request(1, &fields(&bearer, "GET", EXAMPLE));
    assert_eq!(idle.taken(1), Taken::Answered(200));
    let response = client.send(envgate.gateway, &envgate.request("GET", EXAMPLE));
    assert_eq!(response.status, 200);
    assert_eq!(idle.end(), Some(0));
}

#[test]
fn a_stream_that_was_answered_too_early_is_not_reset_under_a_client_that_still_sends() {
    let (envgate, client) = start(Setup::new());
    let mut http2 = Http2::open(&client, &envgate);
    let mut post = fields("Bearer nobody", "POST", EXAMPLE);
    post.push(("content-length", "20"));
    http2.write_frame(HEADERS, END_HEADERS, 1, &block(&post));
    assert_eq!(http2.taken(1), Taken::Answered(401));
    read_body(&mut http2, 1);
    http2.write_frame(DATA, END_STREAM, 1, &[b' '; 20]);
    http2.request(3, &fields("Bearer nobody", "GET", EXAMPLE));
    loop {
        let frame = http2.read_frame().expect("the connection stays");
        assert_ne!(frame.kind, RST_STREAM, "{frame:?}");
        if frame.kind == HEADERS && frame.stream == 3 {
            break;
        }
    }
}

#[test]
fn the_bytes_of_http_1_1_are_nothing_to_http_2() {
    let (envgate, client) = start(Setup::new());
    let mut stream = client.speaking(&["h2"]).connect(envgate.gateway);
    stream
        .write_all(&envgate.request("GET", EXAMPLE).bytes())
        .unwrap();
    let mut came = Vec::new();
    let _ = stream.read_to_end(&mut came);
    assert!(!came.windows(4).any(|part| part == b"HTTP"), "{came:?}");
}

#[test]
fn a_connection_that_has_had_its_requests_says_goodbye() {
    let setup = Setup::new().set("ENVGATE_LISTEN__MAX_REQUESTS_PER_CONNECTION", "2");
    let (envgate, client) = start(setup);
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    for stream in [1, 3] {
        http2.request(stream, &fields(&bearer, "GET", EXAMPLE));
        assert_eq!(http2.taken(stream), Taken::Answered(200));
    }
    assert_eq!(http2.end(), Some(0));
    envgate.expect_metric("envgate_connections_retired_total{reason=\"requests\"}", 1.0);
}

#[test]
fn the_answer_to_head_has_no_body() {
    let (envgate, client) = start(Setup::new());
    let bearer = bearer(&envgate);
    let mut http2 = Http2::open(&client, &envgate);
    http2.request(1, &fields(&bearer, "HEAD", EXAMPLE));
    assert_eq!(http2.taken(1), Taken::Answered(200));
    assert!(read_body(&mut http2, 1).is_empty());
}
