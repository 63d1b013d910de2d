//! What happens below a request: connections, and heads that cannot be read.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use envgate::server::DescriptorLimit;

use crate::common::EXAMPLE;
use crate::common::client::{Connection, Response};
use crate::common::envgate::{Envgate, Setup, eventually, pause};

#[track_caller]
fn expect_rejected(envgate: &Envgate, response: &Response, status: u16, kind: &str) {
    let error_type = match status {
        408 => "timeout_error",
        _ => "invalid_request",
    };
    let error = response.expect_error(status, error_type);
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

/// Opens as many connections that say nothing.
fn open_silent(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    DescriptorLimit::raise().unwrap();
    (0..count).map(|_| TcpStream::connect(address).unwrap()).collect()
}

#[test]
fn silent_connections_take_nothing_from_tenants_and_operators() {
    let envgate = Setup::new().descriptors(1024, 1024).start();
    let silent = open_silent(envgate.gateway, 1000);
    let closed = "envgate_connections_closed_for_room_total{address=\"listen\"}";
    // 1024 without 512 that are kept back, and two for each connection.
    eventually("all but 256 were closed to make room", || {
        envgate.metric(closed) >= 744.0
    });
    let open = "envgate_connections_open{address=\"listen\"}";
    assert!(envgate.metric(open) <= 256.0, "{}", envgate.metric(open));
    assert_eq!(envgate.admin_get("/healthz").status, 200);
    assert_eq!(envgate.get(EXAMPLE).status, 200);
    drop(silent);
    eventually("nothing of them is left", || envgate.metric(open) == 0.0);
}

#[test]
fn silent_connections_to_the_admin_address_close_the_oldest_of_them() {
    let envgate = Envgate::start();
    let silent = open_silent(envgate.admin, 300);
    assert_eq!(envgate.admin_get("/healthz").status, 200);
    let closed = "envgate_connections_closed_for_room_total{address=\"admin\"}";
    assert!(envgate.metric(closed) >= 44.0, "256 may be open");
    drop(silent);
}

#[test]
fn a_connection_that_is_idle_gives_way_to_one_that_comes() {
    let envgate = Setup::new().set("ENVGATE_LISTEN__MAX_CONNECTIONS", "2").start();
    let mut idle = Connection::open(envgate.gateway);
    let request = envgate.request("GET", EXAMPLE);
    idle.write(&request.bytes());
    assert_eq!(idle.read_response().status, 200);
    let mut kept = Connection::open(envgate.gateway);
    kept.write(&request.bytes());
    assert_eq!(kept.read_response().status, 200);
    assert_eq!(request.send().status, 200, "there is room for a third");
    assert!(idle.read_any_response().is_none(), "the longest idle was closed");
    kept.write(&request.bytes());
    assert_eq!(kept.read_response().status, 200);
}

#[test]
fn the_limit_of_descriptors_is_raised_and_said() {
    let envgate = Setup::new().descriptors(256, 2048).start();
    eventually("the limit is told", || {
        let log = envgate.log();
        log.contains("descriptors=2048") && log.contains("descriptors_inherited=256")
    });
    let limits = format!("/proc/{}/limits", envgate.pid());
    let limits = std::fs::read_to_string(limits).unwrap();
    let open_files = limits.lines().find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = open_files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["2048", "2048"]);
}

#[test]
fn a_head_that_drips_has_one_deadline_for_the_whole_of_it() {
    let envgate = Setup::new()
        .set("ENVGATE_LISTEN__HEADER_TIMEOUT", "300ms")
        .start();
    let mut unfinished = Connection::open(envgate.gateway);
    unfinished.write(b"GET /v1/environments HTTP/1.1\r\nhost: a\r\nx-slow: ");
    expect_rejected(&envgate, &unfinished.read_response(), 408, "malformed");
    let mut dripping = TcpStream::connect(envgate.gateway).unwrap();
    while dripping.write_all(b"a").is_ok() {
        pause(Duration::from_millis(20));
    }
}

#[test]
fn a_connection_on_which_nothing_happens_is_closed() {
    let envgate = Setup::new()
        .set("ENVGATE_LISTEN__HEADER_TIMEOUT", "300ms")
        .set("ENVGATE_LISTEN__KEEPALIVE_TIMEOUT", "400ms")
        .start();
    let mut silent = Connection::open(envgate.gateway);
    assert!(
        silent.read_any_response().is_none(),
        "nobody is told anything who said nothing"
    );
    let mut idle = Connection::open(envgate.gateway);
    idle.write(&envgate.request("GET", EXAMPLE).bytes());
    assert_eq!(idle.read_response().status, 200);
    assert!(idle.read_any_response().is_none());
    let mut operator = Connection::open(envgate.admin);
    operator.write(b"GET /healthz HTTP/1.1\r\n");
    assert!(
        operator.read_any_response().is_none(),
        "the admin address has the same deadline"
    );
}

#[test]
fn no_answer_of_the_tenants_address_may_be_kept_by_anybody() {
    let envgate = Envgate::start();
    let mut malformed = Connection::open(envgate.gateway);
    malformed.write(b"no request\r\n\r\n");
    for response in [
        envgate.get(EXAMPLE),
        envgate.get("/v1/environments"),
        envgate.get("/v1/environments/env_nobodys"),
        envgate.get("/nowhere"),
        envgate.request("GET", EXAMPLE).without("authorization").send(),
        envgate.post(EXAMPLE, "{"),
        malformed.read_response(),
    ] {
        assert_eq!(response.header("cache-control"), Some("no-store"), "{response:?}");
        let vary = response.header("vary").unwrap();
        assert!(
            vary.contains("authorization") && vary.contains("x-api-key"),
            "{vary}"
        );
        assert_eq!(response.header("via"), Some("1.1 envgate"));
    }
}

/// Opens as many connections that are answered once and then idle.
fn open_idle(envgate: &Envgate, count: usize) -> Vec<Connection> {
    DescriptorLimit::raise().unwrap();
    let request = envgate.request("GET", EXAMPLE).bytes();
    let open = |_| {
        let mut connection = Connection::open(envgate.gateway);
        connection.write(&request);
        assert_eq!(connection.read_response().status, 200);
        connection
    };
    (0..count).map(open).collect()
}

#[test]
fn idle_connections_cost_little_and_nothing_once_they_are_gone() {
    const COUNT: usize = 1000;
    // The allocator's own constant, which is ten seconds.
    let envgate = Setup::new()
        .set("_RJEM_MALLOC_CONF", "dirty_decay_ms:200,muzzy_decay_ms:0")
        .start();
    drop(open_idle(&envgate, 50));
    let before = envgate.resident_bytes();
    let grown_by = || envgate.resident_bytes().saturating_sub(before);
    let mut waves = Vec::new();
    for _ in 0..2 {
        let connections = open_idle(&envgate, COUNT);
        waves.push(grown_by() / COUNT);
        drop(connections);
        eventually("the memory is given back", || grown_by() < 4 * 1024 * COUNT);
    }
    assert!(
        waves.iter().all(|bytes| *bytes <= 24 * 1024),
        "{waves:?} bytes for each"
    );
}
