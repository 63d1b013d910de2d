//! What happens below a request: connections, and heads that cannot be read.

use crate::common::client::{Connection, Response};
use crate::common::envgate::{Envgate, eventually};

#[track_caller]
fn expect_rejected(envgate: &Envgate, response: &Response, status: u16, kind: &str) {
    let error = response.expect_error(status, "invalid_request");
    assert!(!error["message"].as_str().unwrap().is_empty(), "{error}");
    let id = response.header("request-id").expect("a rejection has an id too");
    assert!(id.starts_with("req_"), "{id}");
    assert_eq!(response.json()["request_id"], id);
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(response.header("server"), None);
    let metric = format!(
        r#"envgate_requests_total{{error="{kind}",operation="none",status="{}xx"}}"#,
        status / 100
    );
    envgate.expect_metric(&metric, 1.0);
    eventually("a rejection stands in the access log", || {
        let log = envgate.log();
        log.lines().any(|line| line.contains(id) && line.contains(kind))
    });
}

#[test]
fn a_head_that_is_no_http_is_answered_in_the_envelope() {
    for head in [
        "GET /v1/environments HTTP/1.1\r\nhost: a\r\nbroken header\r\n\r\n",
        "GET /v1/environments HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /v1/environments HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "POST /v1/environments HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n",
        "\u{16}\u{3}\u{1} a handshake of TLS\r\n\r\n",
    ] {
        let envgate = Envgate::start();
        let mut connection = Connection::open(envgate.gateway);
        connection.write(head.as_bytes());
        expect_rejected(&envgate, &connection.read_response(), 400, "malformed");
        assert!(connection.read_any_response().is_none(), "closed after {head:?}");
    }
}

#[test]
fn what_follows_a_malformed_head_does_not_cost_the_client_its_answer() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(b"POST /v1/environments HTTP/1.1\r\nhost: a\r\nbroken header\r\n\r\n");
    connection.write(&vec![b'x'; 4 * 1024 * 1024]);
    expect_rejected(&envgate, &connection.read_response(), 400, "malformed");
}

#[test]
fn connect_is_answered_in_the_envelope() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(b"CONNECT example.com:443 HTTP/1.1\r\nhost: example.com:443\r\n\r\n");
    expect_rejected(&envgate, &connection.read_response(), 405, "malformed");
}

#[test]
fn a_head_that_grows_without_an_end_is_answered_before_it_ends() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(b"GET /v1/environments HTTP/1.1\r\nhost: a\r\nx-long: ");
    connection.write(&vec![b'x'; 40 * 1024]);
    expect_rejected(&envgate, &connection.read_response(), 431, "header_too_large");
}
