use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::version::{TLS12, TLS13};

use crate::common::EXAMPLE;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Setup, eventually};
use crate::common::tls::{Authority, TlsClient, with_tls};

const FAILED: &str = "envgate_tls_handshakes_failed_total{address=\"listen\"}";

#[test]
fn tenants_connect_with_tls_and_are_answered_as_ever() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority).start();
    assert!(envgate.said.contains("gateway   https://"), "{}", envgate.said);
    assert!(envgate.said.contains("curl -X POST https://"), "{}", envgate.said);
    for version in [&TLS12, &TLS13] {
        let client = TlsClient::with_versions(&authority, &[version]);
        let mut connection = Connection::over_tls(client.connect(envgate.gateway));
        for _ in 0..3 {
            connection.write(&envgate.request("GET", EXAMPLE).bytes());
            let response = connection.read_response();
            assert_eq!(response.status, 200, "{}", response.text());
        }
        let unknown = envgate.request("GET", EXAMPLE).without("authorization");
        client
            .send(envgate.gateway, &unknown)
            .expect_error(401, "authentication_error");
    }
}

#[test]
fn plain_http_is_not_spoken_where_tls_is() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority).start();
    let mut plain = TcpStream::connect(envgate.gateway).unwrap();
    plain.write_all(&envgate.request("GET", EXAMPLE).bytes()).unwrap();
    let mut came = Vec::new();
    let _ = plain.read_to_end(&mut came);
    assert!(!came.starts_with(b"HTTP"), "{came:?}");
    envgate.expect_metric(FAILED, 1.0);
}

#[test]
fn an_old_version_is_spoken_only_if_the_settings_say_so() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority)
        .set("ENVGATE_LISTEN__TLS__MIN_VERSION", "1.3")
        .start();
    let request = envgate.request("GET", EXAMPLE);
    let old = TlsClient::with_versions(&authority, &[&TLS12]);
    assert!(!old.is_let_in(envgate.gateway, &request));
    let new = TlsClient::with_versions(&authority, &[&TLS13]);
    assert_eq!(new.send(envgate.gateway, &request).status, 200);
}

#[test]
fn each_name_has_its_certificate_and_the_first_is_for_all_others() {
    let authority = Authority::new();
    let setup = with_tls(Setup::new(), &authority);
    authority.issue("*.gateway.example").write(setup.path(), "other");
    let setup =
        setup.file("[listen.tls]\ncertificates = [{ certificate = \"other.crt\", key = \"other.key\" }]\n");
    let envgate = setup.start();
    let request = envgate.request("GET", EXAMPLE);
    for name in ["localhost", "eu.gateway.example"] {
        let client = TlsClient::new(&authority).for_name(name);
        assert_eq!(client.send(envgate.gateway, &request).status, 200, "{name}");
    }
    let other = TlsClient::new(&authority).for_name("elsewhere.example");
    let error = other.try_connect(envgate.gateway).unwrap_err().to_string();
    assert!(
        error.contains("localhost"),
        "the first certificate was shown: {error}"
    );
}

#[test]
fn a_client_that_shakes_no_hands_is_counted_and_closed() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority)
        .set("ENVGATE_LISTEN__HEADER_TIMEOUT", "300ms")
        .start();
    let mut silent = TcpStream::connect(envgate.gateway).unwrap();
    eventually("it is counted", || {
        envgate.metric("envgate_connections_open{address=\"listen\"}") >= 1.0
    });
    assert_eq!(silent.read(&mut [0; 8]).unwrap(), 0, "closed without a word");
    envgate.expect_metric(FAILED, 1.0);
}

#[test]
fn a_client_that_shakes_no_hands_makes_room() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority)
        .set("ENVGATE_LISTEN__MAX_CONNECTIONS", "1")
        .start();
    let mut silent = TcpStream::connect(envgate.gateway).unwrap();
    silent.write_all(&[0x16, 3, 1]).unwrap();
    eventually("it is counted", || {
        envgate.metric("envgate_connections_open{address=\"listen\"}") >= 1.0
    });
    let client = TlsClient::new(&authority);
    assert_eq!(
        client
            .send(envgate.gateway, &envgate.request("GET", EXAMPLE))
            .status,
        200
    );
    assert_eq!(silent.read(&mut [0; 8]).unwrap_or(0), 0);
}

#[test]
fn header_and_body_leave_in_one_record() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority).start();
    let mut stream = TlsClient::with_versions(&authority, &[&TLS12]).connect(envgate.gateway);
    stream
        .write_all(&envgate.request("GET", EXAMPLE).bytes())
        .unwrap();
    stream.flush().unwrap();
    let mut head = [0; 5];
    stream.sock.read_exact(&mut head).unwrap();
    assert_eq!(head[0], 23, "application data");
    let mut record = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.sock.read_exact(&mut record).unwrap();
    stream
        .conn
        .read_tls(&mut [&head[..], &record].concat().as_slice())
        .unwrap();
    stream.conn.process_new_packets().unwrap();
    let mut answer = vec![0; 16 * 1024];
    let length = stream.conn.reader().read(&mut answer).unwrap();
    let answer = String::from_utf8(answer[..length].to_vec()).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Length: {}", body.len())), "{answer}");
}

#[test]
fn the_admin_address_speaks_tls_too() {
    let authority = Authority::new();
    let setup = Setup::new();
    authority.issue("localhost").write(setup.path(), "admin");
    let envgate = setup
        .set("ENVGATE_ADMIN__TLS__CERTIFICATE", "admin.crt")
        .set("ENVGATE_ADMIN__TLS__KEY", "admin.key")
        .set("ENVGATE_LISTEN__HEADER_TIMEOUT", "2s")
        .admin_client(TlsClient::new(&authority))
        .start();
    assert!(envgate.said.contains("admin     https://"), "{}", envgate.said);
    assert_eq!(envgate.admin_get("/healthz").status, 200);
    assert_eq!(envgate.get(EXAMPLE).status, 200, "tenants connect as before");
    let mut silent = TcpStream::connect(envgate.admin).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(silent.read(&mut [0; 8]).unwrap(), 0);
    envgate.expect_metric("envgate_tls_handshakes_failed_total{address=\"admin\"}", 1.0);
    let mut plain = TcpStream::connect(envgate.admin).unwrap();
    let request = Request::new(envgate.admin, "GET", "/healthz");
    plain.write_all(&request.bytes()).unwrap();
    let mut came = Vec::new();
    let _ = plain.read_to_end(&mut came);
    assert!(!came.starts_with(b"HTTP"), "{came:?}");
}

#[test]
fn a_connection_that_ends_says_so() {
    let authority = Authority::new();
    let envgate = with_tls(Setup::new(), &authority)
        .set("ENVGATE_LISTEN__KEEPALIVE_TIMEOUT", "300ms")
        .start();
    let mut idle = TlsClient::new(&authority)
        .speaking(&["http/1.1"])
        .connect(envgate.gateway);
    idle.write_all(&envgate.request("GET", EXAMPLE).bytes()).unwrap();
    let mut came = Vec::new();
    // An end that nobody has announced would be an error.
    idle.read_to_end(&mut came).unwrap();
    assert!(came.starts_with(b"HTTP/1.1 200"), "{came:?}");
}
