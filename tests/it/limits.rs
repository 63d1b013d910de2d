//! What one client can have, and one connection: connections, requests, time, unknown keys.

use std::time::Duration;

use crate::common::EXAMPLE;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, Setup, eventually, pause};
use crate::common::tls::{Authority, with_tls};
use crate::common::upstream::{Gate, Then, Upstream};

/// Nobody is trusted, so that the addresses of this machine are those of clients.
fn setup() -> Setup {
    Setup::new().set("ENVGATE_LISTEN__TRUSTED_NETWORKS", "")
}

const OPEN: &str = r#"envgate_connections_open{address="listen"}"#;

fn closed_for_client(which: &str) -> String {
    format!(r#"envgate_connections_closed_for_client_total{{address="listen",which="{which}"}}"#)
}

/// A connection on which a request is being served: its body is asked for, and does not come.
fn serve_from(last: u8, envgate: &Envgate) -> Connection {
    let head = envgate
        .request("POST", EXAMPLE)
        .header("content-length", "2")
        .header("expect", "100-continue");
    let mut connection = Connection::open_from(last, envgate.gateway);
    connection.write(&head.bytes());
    assert_eq!(connection.read_any_response().unwrap().status, 100);
    connection
}

#[test]
fn one_address_has_a_quarter_of_all_connections_and_makes_room_with_its_own() {
    let envgate = setup().set("ENVGATE_LISTEN__MAX_CONNECTIONS", "16").start();
    let mut other = Connection::open_from(3, envgate.gateway);
    let request = envgate.request("GET", EXAMPLE);
    other.write(&request.bytes());
    assert_eq!(other.read_response().status, 200);
    let mut silent: Vec<_> = (0..20)
        .map(|_| Connection::open_from(2, envgate.gateway))
        .collect();
    eventually("all but four are closed", || {
        envgate.metric(&closed_for_client("older")) == 16.0 && envgate.metric(OPEN) == 5.0
    });
    for closed in &mut silent[..16] {
        assert!(closed.is_closed(), "the oldest of its own are");
    }
    other.write(&request.bytes());
    assert_eq!(other.read_response().status, 200, "what others have stays");
    assert_eq!(request.send_from(2).status, 200, "one that comes is served");
    let room = r#"envgate_connections_closed_for_room_total{address="listen"}"#;
    assert_eq!(envgate.metric(room), 0.0);
}

#[test]
fn an_address_whose_connections_are_all_being_served_gets_no_other() {
    let envgate = setup()
        .set("ENVGATE_LISTEN__MAX_CONNECTIONS_PER_ADDRESS", "2")
        .start();
    let mut served = [serve_from(2, &envgate), serve_from(2, &envgate)];
    assert!(
        Connection::open_from(2, envgate.gateway)
            .read_any_response()
            .is_none()
    );
    envgate.expect_metric(&closed_for_client("new"), 1.0);
    assert_eq!(envgate.get(EXAMPLE).status, 200, "others are as welcome as ever");
    for connection in &mut served {
        connection.write(b"{}");
        assert_eq!(connection.read_response().status, 200);
    }
    assert_eq!(
        envgate.request("GET", EXAMPLE).send_from(2).status,
        200,
        "they are idle now"
    );
}

#[test]
fn trusted_networks_have_as_many_as_there_are() {
    let envgate = Setup::new()
        .set("ENVGATE_LISTEN__MAX_CONNECTIONS_PER_ADDRESS", "2")
        .start();
    let served: Vec<_> = (0..5).map(|_| serve_from(1, &envgate)).collect();
    assert_eq!(envgate.get(EXAMPLE).status, 200);
    drop(served);
}

#[test]
fn a_connection_that_has_not_shaken_hands_counts_like_any_other() {
    let authority = Authority::new();
    let envgate = with_tls(setup(), &authority)
        .set("ENVGATE_LISTEN__MAX_CONNECTIONS_PER_ADDRESS", "4")
        .start();
    let silent: Vec<_> = (0..20)
        .map(|_| Connection::open_from(2, envgate.gateway))
        .collect();
    eventually("all but four are closed", || {
        envgate.metric(&closed_for_client("older")) == 16.0 && envgate.metric(OPEN) == 4.0
    });
    drop(silent);
}

fn retired(reason: &str) -> String {
    format!(r#"envgate_connections_retired_total{{reason="{reason}"}}"#)
}

#[test]
fn a_connection_ends_with_the_answer_to_its_last_request() {
    let envgate = Setup::new()
        .set("ENVGATE_LISTEN__MAX_REQUESTS_PER_CONNECTION", "3")
        .start();
    let mut connection = Connection::open(envgate.gateway);
    let request = envgate.request("GET", EXAMPLE).bytes();
    for is_last in [false, false, true] {
        connection.write(&request);
        let response = connection.read_response();
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header("connection") == Some("close"),
            is_last,
            "{response:?}"
        );
    }
    assert!(connection.is_closed());
    envgate.expect_metric(&retired("requests"), 1.0);
}

#[test]
fn a_connection_that_is_old_ends_with_its_next_answer_and_not_before() {
    let envgate = Setup::new()
        .set("ENVGATE_LISTEN__MAX_CONNECTION_AGE", "1s")
        .start();
    let mut connection = Connection::open(envgate.gateway);
    pause(Duration::from_secs(1));
    connection.write(&envgate.request("GET", EXAMPLE).bytes());
    let response = connection.read_response();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("connection"), Some("close"));
    assert!(connection.is_closed());
    envgate.expect_metric(&retired("age"), 1.0);
}

#[test]
fn a_connection_on_which_nothing_happens_is_counted_when_it_is_closed() {
    let envgate = Setup::new()
        .set("ENVGATE_LISTEN__KEEPALIVE_TIMEOUT", "200ms")
        .start();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&envgate.request("GET", EXAMPLE).bytes());
    assert_eq!(connection.read_response().status, 200);
    assert!(connection.is_closed());
    envgate.expect_metric(&retired("idle"), 1.0);
}

#[test]
fn one_request_more_than_may_be_in_flight_is_answered_503_before_its_body_is_read() {
    let gate = Gate::default();
    let (behind, upstream_gate) = (gate.clone(), gate);
    let upstream = Upstream::start(move |_, _| Then::environment().behind(&behind));
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_LISTEN__MAX_IN_FLIGHT", "1")
        .start();
    let mut first = Connection::open(envgate.gateway);
    first.write(&envgate.request("GET", EXAMPLE).bytes());
    eventually("it went up", || upstream.seen().len() == 1);

    let mut second = Connection::open(envgate.gateway);
    let head = envgate.request("POST", EXAMPLE).header("content-length", "100");
    second.write(&head.bytes());
    let response = second.read_response();
    response.expect_error(503, "api_error");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(response.header("x-should-retry"), Some("true"));
    let refused = r#"envgate_requests_total{error="too_many_in_flight",operation="none",status="5xx"}"#;

    upstream_gate.open();
    assert_eq!(first.read_response().status, 200);
    envgate.expect_metric("envgate_requests_in_flight", 0.0);
    assert_eq!(envgate.get(EXAMPLE).status, 200, "there is room again");
    drop(second);
    envgate.expect_metric(refused, 1.0);
}

/// What the log says of unknown keys that are tried too fast.
const TOO_FAST: &str = "unknown keys are tried faster";

#[test]
fn a_flood_of_unknown_keys_is_429_and_a_good_key_of_the_same_address_is_served() {
    let envgate = setup()
        .set("ENVGATE_LISTEN__UNKNOWN_KEYS_PER_MINUTE", "5")
        .start();
    let unknown = |number: usize| {
        let key = format!("sk-eg-nobody-has-this-one-{number}");
        Request::new(envgate.gateway, "GET", EXAMPLE).header("x-api-key", &key)
    };
    for number in 0..5 {
        unknown(number)
            .send_from(2)
            .expect_error(401, "authentication_error");
    }
    for number in 5..50 {
        let response = unknown(number).send_from(2);
        response.expect_error(429, "rate_limit_error");
        let seconds: u64 = response.header("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        let good = envgate.request("GET", EXAMPLE).send_from(2);
        assert_eq!(good.status, 200, "a good key is always served");
    }
    // No key is no key that somebody tries.
    let without = Request::new(envgate.gateway, "GET", EXAMPLE);
    without.send_from(2).expect_error(401, "authentication_error");
    unknown(0).send_from(3).expect_error(401, "authentication_error");

    let refused =
        r#"envgate_requests_total{error="too_many_unknown_keys",operation="retrieve",status="4xx"}"#;
    envgate.expect_metric(refused, 45.0);
    envgate.expect_log(TOO_FAST);
    let log = envgate.log();
    let told: Vec<_> = log.lines().filter(|line| line.contains(TOO_FAST)).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(told[0].contains("client=127.0.0.2"), "{told:?}");
    assert!(
        !log.contains("too_many_unknown_keys"),
        "none has a line of its own"
    );
}

#[test]
fn unknown_keys_from_trusted_networks_are_never_counted() {
    let envgate = Setup::new()
        .set("ENVGATE_LISTEN__UNKNOWN_KEYS_PER_MINUTE", "1")
        .start();
    for _ in 0..5 {
        let unknown =
            Request::new(envgate.gateway, "GET", EXAMPLE).header("x-api-key", "sk-eg-nobody-has-this");
        unknown.send().expect_error(401, "authentication_error");
    }
}
