//! Who asked: in the access log and in the audit, from behind proxies too.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use crate::common::EXAMPLE;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, Setup, eventually, pause};
use crate::common::tls::{Authority, TlsClient, with_tls};
use crate::common::upstream::{Then, Upstream};

const TOKEN: &str = "an-operators-token";
const UPDATE: &str = r#"{"description":"d"}"#;

fn setup() -> Setup {
    Setup::new().set("ENVGATE_ADMIN__TOKEN", TOKEN)
}

/// Waits until so many writes are in the audit, and gives back from where they were asked, the first one
/// first.
#[track_caller]
fn audited(envgate: &Envgate, count: usize) -> Vec<Value> {
    let read = || {
        let audit = Request::new(envgate.admin, "GET", "/api/v1/audit?operation=update")
            .header("authorization", &format!("Bearer {TOKEN}"))
            .send();
        audit.json()["data"].as_array().unwrap().clone()
    };
    eventually("the writes are recorded", || read().len() >= count);
    let mut records = read();
    assert_eq!(records.len(), count, "{records:#?}");
    records.reverse();
    let actor = envgate.key[..14].to_owned();
    for record in &records {
        assert_eq!(record["actor"], actor, "{record}");
    }
    records
        .into_iter()
        .map(|record| record["client_address"].clone())
        .collect()
}

fn update(envgate: &Envgate) -> Request {
    envgate
        .request("POST", EXAMPLE)
        .header("content-type", "application/json")
        .body(UPDATE)
}

#[test]
fn the_address_of_a_connection_is_in_the_log_and_in_the_audit() {
    let envgate = setup().start();
    let response = update(&envgate).send_from(9);
    assert_eq!(response.status, 200);
    assert_eq!(audited(&envgate, 1), ["127.0.0.9"]);
    let id = response.header("request-id").unwrap();
    eventually("its line is written", || {
        let log = envgate.log();
        log.lines()
            .any(|line| line.contains(id) && line.contains("client=127.0.0.9"))
    });
    let mut malformed = Connection::open_from(8, envgate.gateway);
    malformed.write(b"no request\r\n\r\n");
    assert_eq!(malformed.read_response().status, 400);
    envgate.expect_log("client=127.0.0.8");
}

#[test]
fn a_header_of_a_trusted_proxy_says_who_asked() {
    let envgate = setup()
        .set("ENVGATE_LISTEN__TRUSTED_NETWORKS", "127.0.0.1, 10.0.0.0/8")
        .set("ENVGATE_LISTEN__CLIENT_ADDRESS_HEADER", "x-forwarded-for")
        .start();
    let told = update(&envgate)
        .header("x-forwarded-for", "198.51.100.9, 192.0.2.1")
        .header("x-forwarded-for", "10.0.0.2");
    assert_eq!(told.send().status, 200);
    assert_eq!(told.send_from(2).status, 200);
    let other_header = update(&envgate).header("forwarded", "for=192.0.2.2");
    assert_eq!(other_header.send().status, 200);
    assert_eq!(audited(&envgate, 3), ["192.0.2.1", "127.0.0.2", "127.0.0.1"]);
}

#[test]
fn forwarded_says_it_where_that_is_the_header() {
    let envgate = setup()
        .set("ENVGATE_LISTEN__CLIENT_ADDRESS_HEADER", "forwarded")
        .start();
    let told = update(&envgate).header(
        "forwarded",
        "for=\"[2001:db8::1]:4711\";proto=https, for=127.0.0.7",
    );
    assert_eq!(told.send().status, 200);
    assert_eq!(audited(&envgate, 1), ["2001:db8::1"]);
}

#[test]
fn no_header_is_believed_unless_it_is_named_and_none_goes_up() {
    let upstream = Upstream::start(|_, _| Then::environment());
    let envgate = setup().upstream(upstream.address).start();
    let told = update(&envgate)
        .header("x-forwarded-for", "192.0.2.1")
        .header("forwarded", "for=192.0.2.1")
        .header("x-real-ip", "192.0.2.1");
    assert_eq!(told.send().status, 200);
    assert_eq!(audited(&envgate, 1), ["127.0.0.1"]);
    let seen = upstream.seen();
    let headers = &seen.last().unwrap().headers;
    assert!(
        headers.iter().all(|(_, value)| !value.contains("192.0.2.1")),
        "{headers:?}"
    );
}

#[test]
fn unknown_keys_count_for_the_client_and_not_for_the_proxy() {
    let envgate = setup()
        .set("ENVGATE_LISTEN__CLIENT_ADDRESS_HEADER", "x-forwarded-for")
        .set("ENVGATE_LISTEN__UNKNOWN_KEYS_PER_MINUTE", "1")
        .start();
    let unknown = |client: &str| {
        Request::new(envgate.gateway, "GET", EXAMPLE)
            .header("x-api-key", "sk-eg-nobody-has-this")
            .header("x-forwarded-for", client)
            .send()
            .status
    };
    assert_eq!([unknown("192.0.2.1"), unknown("192.0.2.1")], [401, 429]);
    assert_eq!(unknown("192.0.2.2"), 401);
}

const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, client: [u8; 4]) -> Vec<u8> {
    let addresses = [&client[..], &[203, 0, 113, 1], &[0x11, 0x11, 0x01, 0xbb]].concat();
    [V2_SIGNATURE, &[0x20 | command, 0x11, 0, 12], &addresses].concat()
}

fn v1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 203.0.113.1 4369 443\r\n").into_bytes()
}

fn behind_balancer() -> Setup {
    setup().set("ENVGATE_LISTEN__PROXY_PROTOCOL", "true")
}

fn refused(reason: &str) -> String {
    format!(r#"envgate_proxy_headers_refused_total{{reason="{reason}"}}"#)
}

#[test]
fn a_balancer_says_before_the_first_request_whose_all_of_a_connection_are() {
    let envgate = behind_balancer().start();
    let request = update(&envgate).bytes();
    for header in [v1("192.0.2.1"), v2(1, [192, 0, 2, 1])] {
        let mut connection = Connection::open(envgate.gateway);
        // In one piece with the first request.
        connection.write(&[header, request.clone()].concat());
        assert_eq!(connection.read_response().status, 200);
        connection.write(&request);
        assert_eq!(connection.read_response().status, 200);
    }
    assert_eq!(audited(&envgate, 4), ["192.0.2.1"; 4]);
    envgate.expect_log("client=192.0.2.1");
}

#[test]
fn a_header_that_comes_in_pieces_is_one_all_the_same() {
    let envgate = behind_balancer().start();
    for header in [v1("192.0.2.1"), v2(1, [192, 0, 2, 2])] {
        let mut connection = Connection::open(envgate.gateway);
        for piece in header.chunks(5) {
            connection.write(piece);
            pause(Duration::from_millis(5));
        }
        connection.write(&update(&envgate).bytes());
        assert_eq!(connection.read_response().status, 200);
    }
    assert_eq!(audited(&envgate, 2), ["192.0.2.1", "192.0.2.2"]);
}

#[test]
fn a_balancer_that_speaks_for_itself_is_who_asks() {
    let envgate = behind_balancer().start();
    for header in [b"PROXY UNKNOWN\r\n".to_vec(), v2(0, [192, 0, 2, 1])] {
        let mut connection = Connection::open_from(5, envgate.gateway);
        connection.write(&[header, update(&envgate).bytes()].concat());
        assert_eq!(connection.read_response().status, 200);
    }
    assert_eq!(audited(&envgate, 2), ["127.0.0.5"; 2]);
}

#[test]
fn without_a_header_a_connection_is_closed_and_not_answered() {
    let envgate = behind_balancer().start();
    let too_long = [v2(1, [192, 0, 2, 1]), vec![0; 5000]].concat();
    for (count, bytes) in [1.0, 2.0, 3.0, 4.0].into_iter().zip([
        update(&envgate).bytes(),
        b"PROXY TCP4 192.0.2.1 nonsense 1 2\r\n".to_vec(),
        [b"PROXY UNKNOWN ", &[b'x'; 200][..], b"\r\n"].concat(),
        [V2_SIGNATURE, &[0x21, 0x11, 0xff, 0xff], &too_long].concat(),
    ]) {
        let mut connection = Connection::open(envgate.gateway);
        connection.write(&bytes);
        assert!(connection.read_any_response().is_none(), "{:?}", bytes.get(..40));
        envgate.expect_metric(&refused("malformed"), count);
    }
    assert_eq!(envgate.metric("envgate_requests_in_flight"), 0.0);
}

#[test]
fn a_header_that_comes_too_late_is_none() {
    let envgate = behind_balancer()
        .set("ENVGATE_LISTEN__HEADER_TIMEOUT", "300ms")
        .start();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(b"PROXY TCP4 192.0.2.1");
    assert!(connection.read_any_response().is_none());
    envgate.expect_metric(&refused("late"), 1.0);
    // Of one deadline for both, little is left for a head.
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&[v1("192.0.2.1"), b"GET / HTTP/1.1\r\n".to_vec()].concat());
    assert_eq!(connection.read_response().status, 408);
}

#[test]
fn nobody_but_trusted_networks_may_say_who_they_are() {
    let envgate = behind_balancer()
        .set("ENVGATE_LISTEN__TRUSTED_NETWORKS", "127.0.0.1")
        .start();
    let mut stranger = Connection::open_from(2, envgate.gateway);
    stranger.write(&[v1("192.0.2.1"), update(&envgate).bytes()].concat());
    assert!(stranger.read_any_response().is_none());
    envgate.expect_metric(&refused("untrusted"), 1.0);
    let mut balancer = Connection::open(envgate.gateway);
    balancer.write(&[v1("192.0.2.1"), update(&envgate).bytes()].concat());
    assert_eq!(balancer.read_response().status, 200);
}

#[test]
fn behind_a_balancer_each_client_has_its_own_part_of_the_connections() {
    let envgate = behind_balancer()
        .set("ENVGATE_LISTEN__MAX_CONNECTIONS_PER_ADDRESS", "2")
        .start();
    let request = envgate.request("GET", EXAMPLE).bytes();
    let open = |client: &str| {
        let mut connection = Connection::open(envgate.gateway);
        connection.write(&[v1(client), request.clone()].concat());
        assert_eq!(connection.read_response().status, 200);
        connection
    };
    let mut other = open("192.0.2.9");
    let own = ["192.0.2.1"; 3].map(open);
    let older = r#"envgate_connections_closed_for_client_total{address="listen",which="older"}"#;
    envgate.expect_metric(older, 1.0);
    let is_answered = |connection: &mut Connection| {
        connection.write(&request);
        let response = connection.read_any_response();
        response.is_some_and(|response| response.status == 200)
    };
    assert!(is_answered(&mut other), "what others have stays");
    let answered = own.map(|mut connection| is_answered(&mut connection));
    let count = answered.iter().filter(|is_answered| **is_answered).count();
    assert_eq!(count, 2, "one of its own made room: {answered:?}");
}

#[test]
fn the_header_comes_before_the_handshake_of_tls() {
    let authority = Authority::new();
    let envgate = with_tls(behind_balancer(), &authority).start();
    let mut socket = TcpStream::connect(envgate.gateway).unwrap();
    socket.write_all(&v1("192.0.2.1")).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(TlsClient::new(&authority).config(), name).unwrap();
    let mut connection = Connection::over_tls(StreamOwned::new(session, socket));
    connection.write(&update(&envgate).bytes());
    assert_eq!(connection.read_response().status, 200);
    assert_eq!(audited(&envgate, 1), ["192.0.2.1"]);
}
