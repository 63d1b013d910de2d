//! Requests however their bytes arrive.

use std::time::Duration;

use super::DOCUMENTED_UPDATE;
use crate::common::EXAMPLE;
use crate::common::client::Connection;
use crate::common::envgate::{Envgate, pause};
use crate::common::upstream::{Then, Upstream};

#[test]
fn bodies_around_64_kib_and_of_1_mib_behave_alike() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    let sizes = [65_535, 65_536, 65_537, 1_048_576];
    for size in sizes {
        let body = body_of(size);
        let response = envgate.post("/v1/environments/env_1", &body);
        assert_eq!(response.status, 200, "{size}: {}", response.text());
        assert_eq!(
            upstream.seen().last().unwrap().body,
            body.as_bytes(),
            "{size}, with a length"
        );

        let chunked: Vec<u8> = body
            .as_bytes()
            .chunks(10_000)
            .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
            .chain(*b"0\r\n\r\n")
            .collect();
        let request = envgate
            .request("POST", "/v1/environments/env_1")
            .header("transfer-encoding", "chunked");
        let response = request.body(chunked).send();
        assert_eq!(response.status, 200, "{size}: {}", response.text());
        assert_eq!(
            upstream.seen().last().unwrap().body,
            body.as_bytes(),
            "{size}, in chunks"
        );
    }
    assert_eq!(upstream.seen().len(), sizes.len() * 2);
}

/// A valid update of exactly so many bytes.
fn body_of(size: usize) -> String {
    let empty = r#"{"config":{"type":"cloud","packages":{"pip":[""]}}}"#;
    empty.replace(r#"[""]"#, &format!("[\"{}\"]", "x".repeat(size - empty.len())))
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let envgate = Envgate::start();
    let request = envgate
        .request("POST", EXAMPLE)
        .header("expect", "100-continue")
        .body(DOCUMENTED_UPDATE);
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&request.head_bytes());
    let interim = connection.read_any_response().unwrap();
    assert_eq!(interim.status, 100);
    connection.write(DOCUMENTED_UPDATE.as_bytes());
    assert_eq!(connection.read_response().status, 200);
}

#[test]
fn one_connection_serves_many_requests_good_and_bad() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    let good = envgate.request("GET", EXAMPLE).bytes();
    let bad = envgate.request("POST", EXAMPLE).body(r#"{"nme":"x"}"#).bytes();
    let unknown = envgate
        .request("POST", EXAMPLE)
        .without("authorization")
        .body(DOCUMENTED_UPDATE)
        .bytes();
    for _ in 0..3 {
        for (request, status) in [(&good, 200), (&bad, 400), (&unknown, 401)] {
            connection.write(request);
            let response = connection.read_response();
            assert_eq!(response.status, status, "{}", response.text());
            assert_eq!(response.header("connection"), Some("keep-alive"));
        }
    }
}

#[test]
fn a_body_that_arrives_byte_by_byte_is_read_whole() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    let request = envgate
        .request("POST", EXAMPLE)
        .body(r#"{"name":"slow"}"#)
        .bytes();
    for byte in request {
        connection.write(&[byte]);
        pause(Duration::from_millis(1));
    }
    let response = connection.read_response();
    assert_eq!(response.json()["name"], "slow");
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&envgate.request("GET", EXAMPLE).bytes());
    connection.half_close();
    assert_eq!(connection.read_response().status, 200);
}
