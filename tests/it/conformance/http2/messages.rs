//! Sections 8 and 10: requests.

use std::ops::Deref;

use super::{PATH, Server, expect_refused};
use crate::common::http2::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS,
    PROTOCOL_ERROR, Taken, block, frame,
};

#[test]
fn section_8_1_a_request_does_not_go_on_after_its_trailers() {
    let server = Server::start();
    let post = frame(HEADERS, END_HEADERS, 1, &block(&server.fields("POST")));
    let body = frame(DATA, 0, 1, b"{}");
    let trailers = |flags, fields: &[(&str, &str)]| frame(HEADERS, flags, 1, &block(fields));
    let mut http2 = server.open();
    let unfinished = trailers(END_HEADERS, &[("x-sum", "1")]);
    http2.write(&[post.clone(), body.clone(), unfinished].concat());
    assert_eq!(http2.taken(1), Taken::StreamError(PROTOCOL_ERROR));
    server.expect_nothing_above();
    // What trailers say is nothing to a request: none of it goes up.
    let mut http2 = server.open();
    let more = trailers(END_HEADERS | END_STREAM, &[(":path", "/other"), ("x-sum", "1")]);
    http2.write(&[post, body, more].concat());
    assert_eq!(http2.taken(1), Taken::Answered(200));
    let [seen] = server.upstream.seen().try_into().unwrap();
    assert_eq!(seen.line, format!("POST {PATH} HTTP/1.1"));
    assert!(seen.all("x-sum").is_empty());
}

#[test]
fn section_8_1_1_a_body_has_the_length_that_was_announced() {
    let server = Server::start();
    let mut post = server.fields("POST");
    post.push(("content-length", "3"));
    for parts in [&[&b"{}"[..]][..], &[b"{ }x"], &[b"{", b"    }"], &[b""]] {
        let mut http2 = server.open();
        http2.write_frame(HEADERS, END_HEADERS, 1, &block(&post));
        for (number, part) in parts.iter().enumerate() {
            let flags = if number + 1 == parts.len() { END_STREAM } else { 0 };
            http2.write_frame(DATA, flags, 1, part);
        }
        expect_refused(&http2.taken(1));
        http2.expect_alive();
    }
    expect_refused(&server.taken(&post));
    for lengths in [&["1", "2"][..], &["-1"], &["+1"], &["1, 2"], &["x"]] {
        let mut post = server.fields("POST");
        post.extend(lengths.iter().map(|length| ("content-length", *length)));
        expect_refused(&server.taken(&post));
    }
    server.expect_nothing_above();
}

#[test]
fn section_8_2_1_names_are_lower_case_and_values_without_control_characters() {
    let server = Server::start();
    for field in [
        ("X-Upper", "1"),
        ("x name", "1"),
        ("x-name:", "1"),
        ("", "1"),
        ("x-\u{1}", "1"),
        ("x-value", "a\r\nhost: b"),
        ("x-value", "a\0"),
        ("x-value", "a\n"),
    ] {
        let mut fields = server.fields("GET");
        fields.push(field);
        expect_refused(&server.taken(&fields));
    }
    server.expect_nothing_above();
}

#[test]
fn section_8_2_2_fields_of_a_connection_have_no_place() {
    let server = Server::start();
    for field in [
        ("connection", "close"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("te", "gzip"),
    ] {
        let mut fields = server.fields("GET");
        fields.push(field);
        expect_refused(&server.taken(&fields));
    }
    server.expect_nothing_above();
    let mut fields = server.fields("GET");
    fields.push(("te", "trailers"));
    assert_eq!(server.taken(&fields), Taken::Answered(200));
}

#[test]
fn section_8_3_pseudo_headers_come_first_once_and_are_known() {
    let server = Server::start();
    let mut after = server.fields("GET");
    after.swap(3, 4);
    expect_refused(&server.taken(&after));
    for extra in [
        (":unknown", "1"),
        (":status", "200"),
        (":method", "POST"),
        (":path", "/other"),
        (":scheme", "http"),
    ] {
        let mut fields = server.fields("GET");
        fields.insert(1, extra);
        expect_refused(&server.taken(&fields));
    }
    server.expect_nothing_above();
}

#[test]
fn section_8_3_1_a_request_has_its_method_scheme_and_path() {
    let server = Server::start();
    for missing in [":method", ":scheme", ":path", ":authority"] {
        let mut fields = server.fields("GET");
        fields.retain(|(name, _)| *name != missing);
        expect_refused(&server.taken(&fields));
    }
    for (name, value) in [
        (":path", ""),
        (":path", "v1"),
        (":path", "https://localhost/v1/environments"),
        (":path", "//elsewhere/v1/environments"),
        (":path", "/v1/environments/a b"),
        (":path", "*"),
        (":method", ""),
        (":method", "G T"),
        (":authority", "user@localhost"),
        (":authority", "localhost:port"),
        (":scheme", ""),
    ] {
        let mut fields = server.fields("GET");
        for field in &mut fields {
            if field.0 == name {
                field.1 = value;
            }
        }
        let taken = server.taken(&fields);
        assert_ne!(taken, Taken::Answered(200), "{name} {value:?}");
        expect_refused(&taken);
    }
    let mut two_hosts = server.fields("GET");
    two_hosts.push(("host", "elsewhere"));
    expect_refused(&server.taken(&two_hosts));
    server.expect_nothing_above();
}

#[test]
fn section_8_5_nothing_is_connected_to() {
    let server = Server::start();
    let connect = [
        (":method", "CONNECT"),
        (":authority", "example.com:443"),
        ("authorization", server.bearer.deref()),
    ];
    assert_eq!(server.taken(&connect), Taken::Answered(405));

    let mut extended = server.fields("CONNECT");
    extended.insert(1, (":protocol", "websocket"));
    expect_refused(&server.taken(&extended));
    server.expect_nothing_above();
}

#[test]
fn section_10_5_1_a_head_that_is_far_too_large_costs_the_connection() {
    let server = Server::start();
    let long = "x".repeat(100);
    let many: Vec<_> = (0..4000).map(|_| ("x-long", long.as_str())).collect();
    let whole = [server.good(), block(&many)].concat();
    let mut http2 = server.open();
    let mut parts = whole.chunks(16_384);
    http2.write_frame(HEADERS, END_STREAM, 1, parts.next().unwrap());
    for part in parts {
        http2.write_frame(CONTINUATION, 0, 1, part);
    }
    let end = http2.end();
    assert!(
        [
            None,
            Some(ENHANCE_YOUR_CALM),
            Some(PROTOCOL_ERROR),
            Some(COMPRESSION_ERROR)
        ]
        .contains(&end),
        "{end:?}"
    );
    server.expect_nothing_above();
}
