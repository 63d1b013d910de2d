//! Bodies that are too much or do not come, and messages with two meanings.

use super::{Guarded, PATH};
use crate::common::client::{Connection, Request};

#[test]
fn a_body_that_announces_too_much_is_answered_before_it_is_read() {
    let guarded = Guarded::start();
    let mut connection = Connection::open(guarded.envgate.gateway);
    let request = guarded
        .envgate
        .request("POST", PATH)
        .header("content-length", "1048577");
    connection.write(&request.bytes());
    let response = connection.read_response();
    response.expect_error(413, "request_too_large");
    assert_eq!(response.header("connection"), Some("close"));

    let mut connection = Connection::open(guarded.envgate.gateway);
    connection.write(&request.header("expect", "100-continue").bytes());
    connection
        .read_any_response()
        .unwrap()
        .expect_error(413, "request_too_large");
    assert!(connection.is_closed());
}

#[test]
fn a_client_that_sends_too_much_all_the_same_reads_its_413_and_no_reset() {
    let guarded = Guarded::start();
    let body = vec![b' '; 8 * 1024 * 1024];
    guarded
        .envgate
        .request("POST", PATH)
        .body(&body)
        .send()
        .expect_error(413, "request_too_large");
    let unknown = Request::new(guarded.envgate.gateway, "POST", PATH)
        .header("x-api-key", "sk-eg-x")
        .body(&body);
    unknown.send().expect_error(401, "authentication_error");
    let chunks: Vec<u8> = body
        .chunks(65_536)
        .flat_map(|chunk| [b"10000\r\n", chunk, b"\r\n"].concat())
        .chain(*b"0\r\n\r\n")
        .collect();
    let chunked = guarded
        .envgate
        .request("POST", PATH)
        .header("transfer-encoding", "chunked")
        .body(chunks);
    chunked.send().expect_error(413, "request_too_large");
}

#[test]
fn a_body_that_does_not_arrive_is_408() {
    let guarded = Guarded::with(|setup| setup.set("ENVGATE_LISTEN__BODY_TIMEOUT", "300ms"));
    let request = guarded
        .envgate
        .request("POST", PATH)
        .header("content-length", "10");
    let mut connection = Connection::open(guarded.envgate.gateway);
    connection.write(&request.bytes());
    connection.write(b"{");
    connection.read_response().expect_error(408, "timeout_error");
}

#[test]
fn framing_with_two_meanings_is_400_and_closes() {
    let guarded = Guarded::start();
    let request = || {
        guarded
            .envgate
            .request("POST", PATH)
            .header("transfer-encoding", "chunked")
    };
    let both = request()
        .header("content-length", "2")
        .body("2\r\n{}\r\n0\r\n\r\n");
    let bad_chunk = request().body("zz\r\n{}\r\n0\r\n\r\n");
    for request in [both, bad_chunk] {
        let mut connection = Connection::open(guarded.envgate.gateway);
        connection.write(&request.bytes());
        let response = connection.read_response();
        response.expect_error(400, "invalid_request");
        assert_eq!(response.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
}

#[test]
fn a_large_header_is_refused() {
    let guarded = Guarded::start();
    let request = guarded.envgate.request("GET", PATH);
    request
        .header("x-large", &"x".repeat(40_000))
        .send()
        .expect_error(431, "invalid_request");
}
