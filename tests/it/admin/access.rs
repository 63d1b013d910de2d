use std::io::{Read, Write};
use std::net::TcpStream;

use super::api::{TENANTS, TOKEN, expect, expect_problem, get, request, send, setup};
use crate::common::client::{Connection, Request, Response};
use crate::common::envgate::{Envgate, Setup};

/// A request with exactly these header lines.
fn raw(envgate: &Envgate, line: &str, headers: &[&str]) -> Response {
    let mut connection = Connection::open(envgate.admin);
    connection.write(format!("{line} HTTP/1.1\r\n{}\r\n\r\n", headers.join("\r\n")).as_bytes());
    connection.read_response()
}

#[test]
fn with_a_token_every_request_needs_it() {
    let mut envgate = setup().start();
    for path in [
        TENANTS,
        "/api/v1/tenants/demo",
        "/api/v1/plans",
        "/api/v1/audit",
        "/api",
        "/api/v1/nothing",
    ] {
        let bare = Request::new(envgate.admin, "GET", path).send();
        expect_problem(&bare, 401, "unauthorized");
        assert_eq!(bare.header("www-authenticate"), Some("Bearer"));
    }
    let longer = format!("Bearer {TOKEN}x");
    let basic = format!("Basic {TOKEN}");
    for value in ["Bearer wrong", "Bearer ", "Bearer", &longer, &basic, TOKEN] {
        let refused = Request::new(envgate.admin, "GET", TENANTS)
            .header("authorization", value)
            .send();
        expect_problem(&refused, 401, "unauthorized");
    }
    let twice = request(&envgate, "GET", TENANTS)
        .header("authorization", "Bearer wrong")
        .send();
    expect_problem(&twice, 401, "unauthorized");
    expect(&get(&envgate, TENANTS), 200);

    let bearer = format!("authorization: bearer {TOKEN}");
    let elsewhere = raw(
        &envgate,
        &format!("GET {TENANTS}"),
        &["host: admin.internal", &bearer],
    );
    expect(&elsewhere, 200);
    assert_eq!(envgate.admin_get("/readyz").status, 200, "probes need none");
    assert!(!envgate.stop().contains(TOKEN));
}

#[test]
fn without_a_token_nothing_can_be_changed() {
    let envgate = Envgate::start();
    for (method, path) in [
        ("POST", TENANTS),
        ("PATCH", "/api/v1/tenants/demo"),
        ("DELETE", "/api/v1/tenants/demo"),
        ("POST", "/api/v1/tenants/demo/keys"),
        ("POST", "/api/v1/tenants/demo/environments"),
        ("DELETE", "/api/v1/keys/sk-eg-12345678"),
        ("OPTIONS", TENANTS),
    ] {
        let refused = Request::new(envgate.admin, method, path).send();
        let problem = expect_problem(&refused, 401, "unauthorized");
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("set admin.token"), "{method} {path}: {detail}");
    }
    let made_up = send(&envgate, "POST", TENANTS, r#"{"name":"acme"}"#);
    expect_problem(&made_up, 401, "unauthorized");
    expect(&Request::new(envgate.admin, "GET", TENANTS).send(), 200);
}

#[test]
fn without_a_token_only_a_loopback_address_as_host_is_answered() {
    let envgate = Envgate::start();
    let line = format!("GET {TENANTS}");
    let port = envgate.admin.port();
    for host in [
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{port}"),
        "[::1]".to_owned(),
        format!("[::1]:{port}"),
    ] {
        expect(&raw(&envgate, &line, &[&format!("host: {host}")]), 200);
    }
    for headers in [
        &["host: localhost"][..],
        &["host: evil.example"],
        &["host: 127.0.0.1.evil.example"],
        &["host: 192.168.0.1"],
        &["host: "],
        &["host: 127.0.0.1", "host: evil.example"],
    ] {
        let refused = raw(&envgate, &line, headers);
        let problem = expect_problem(&refused, 403, "forbidden");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("loopback"), "{headers:?}: {detail}");
    }
    let whole_url = raw(
        &envgate,
        "GET http://evil.example/api/v1/tenants",
        &["host: 127.0.0.1"],
    );
    expect_problem(&whole_url, 403, "forbidden");
}

#[test]
fn a_page_of_another_origin_changes_nothing_even_with_the_token() {
    let envgate = setup().start();
    let create = |origin: &str, name: &str| {
        request(&envgate, "POST", TENANTS)
            .header("content-type", "application/json")
            .header("origin", origin)
            .body(format!(r#"{{"name":"{name}"}}"#))
            .send()
    };
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        expect_problem(&create(origin, "acme"), 403, "forbidden");
    }
    expect(&create(&format!("http://{}", envgate.admin), "acme"), 201);
}

#[test]
fn head_is_a_read_and_its_refusal_has_no_body() {
    let envgate = Envgate::start();
    for (host, status) in [("127.0.0.1", "200 OK"), ("evil.example", "403 Forbidden")] {
        let mut stream = TcpStream::connect(envgate.admin).unwrap();
        let head = format!("HEAD {TENANTS} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

#[test]
fn a_token_has_16_characters_and_is_not_plain_in_the_file() {
    let short = Setup::new()
        .set("ENVGATE_ADMIN__TOKEN", "fifteen-charact")
        .run(&["check"]);
    assert_eq!(short.status.code(), Some(1));
    let told = String::from_utf8(short.stderr).unwrap();
    assert!(
        told.contains("shorter than 16 characters") && !told.contains("fifteen"),
        "{told}"
    );
    let plain = Setup::new()
        .file("[admin]\ntoken = \"sixteen-characters\"\n")
        .run(&["check"]);
    let told = String::from_utf8(plain.stderr).unwrap();
    assert!(
        told.contains("or set ENVGATE_ADMIN__TOKEN") && !told.contains("sixteen"),
        "{told}"
    );
}
