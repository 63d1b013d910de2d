//! RFC 9110, HTTP semantics: what methods, fields and statuses mean.

use super::probe::{Case, Probe, Section, answered, get, last, post};
use crate::common::client::{Connection, Request, Response};
use crate::common::envgate::Envgate;

/// All tables, by section.
pub const SECTIONS: [Section; 4] = [
    ("7.8 upgrade", upgrade),
    ("8.4 content-encoding", content_encoding),
    ("9 methods", methods),
    ("10.1.1 expect", expect),
];

fn upgrade() -> Vec<Case> {
    let to = |protocol: &str| format!("connection: upgrade\r\nupgrade: {protocol}\r\n");
    let h2c =
        "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n";
    let websocket =
        "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    vec![
        answered("h2c, as Java sends it", 200, get(h2c)),
        answered(
            "h2c with a body",
            200,
            post(&format!("{h2c}content-length: 2\r\n"), "{}"),
        ),
        answered("TLS, as Apache's client sends it", 200, get(&to("TLS/1.2"))),
        answered(
            "TLS with chunks",
            200,
            post(
                &format!("{}transfer-encoding: chunked\r\n", to("TLS/1.2")),
                "2\r\n{}\r\n0\r\n\r\n",
            ),
        ),
        answered(
            "a version of WebSocket",
            200,
            get(&format!("{websocket}sec-websocket-version: 13\r\n")),
        ),
        answered(
            "an unknown version of WebSocket",
            200,
            get(&format!("{websocket}sec-websocket-version: 99\r\n")),
        ),
        answered("without Connection", 200, get("upgrade: h2c\r\n")),
        last(
            "with close",
            200,
            get("connection: upgrade, close\r\nupgrade: h2c\r\n"),
        ),
    ]
}

fn content_encoding() -> Vec<Case> {
    let coded = |coding: &str| {
        post(
            &format!("content-encoding: {coding}\r\ncontent-length: 2\r\n"),
            "{}",
        )
    };
    vec![
        answered("identity", 200, coded("identity")),
        answered("Identity", 200, coded("Identity")),
        answered("gzip", 415, coded("gzip")),
        answered("unknown", 415, coded("x")),
        answered("identity and more", 415, coded("identity, br")),
    ]
}

fn methods() -> Vec<Case> {
    let of = |method: &str| get("").replace("GET", method);
    vec![
        answered("HEAD", 200, of("HEAD")),
        answered(
            "HEAD of a path that does not have it",
            405,
            of("HEAD").replace("{path}", "{path}/archive"),
        ),
        answered("HEAD without a key", 401, of("HEAD").replace("{auth}", "")),
        answered("OPTIONS", 204, of("OPTIONS")),
        answered("OPTIONS without a key", 204, of("OPTIONS").replace("{auth}", "")),
        answered(
            "OPTIONS of an unknown path",
            404,
            of("OPTIONS").replace("{path}", "/v1/sessions"),
        ),
        answered("PUT", 405, of("PUT")),
        answered("PATCH", 405, of("PATCH")),
    ]
}

fn expect() -> Vec<Case> {
    let expecting = |what: &str| post(&format!("expect: {what}\r\ncontent-length: 2\r\n"), "{}");
    vec![
        answered("100-continue", 200, expecting("100-continue")),
        answered("100-continue in another case", 200, expecting("100-Continue")),
        answered("without a body", 200, get("expect: 100-continue\r\n")),
        answered("something else", 417, expecting("x")),
        answered("something else besides", 417, expecting("100-continue, x")),
        answered(
            "something else in HTTP/1.1 without a body",
            417,
            get("expect: x\r\n"),
        ),
        last(
            "something else in HTTP/1.0",
            200,
            "POST {path} HTTP/1.0\r\n{auth}expect: x\r\ncontent-length: 2\r\n\r\n{}",
        ),
    ]
}

const EXAMPLE: &str = "/v1/environments/env_1";

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn request(probe: &Probe, method: &str) -> Request {
    probe.envgate.request(method, EXAMPLE)
}

#[test]
fn section_7_6_1_what_connection_names_goes_no_further() {
    let probe = Probe::start();
    let sent = request(&probe, "GET")
        .header("x-stainless-lang", "a")
        .header("x-stainless-os", "b")
        .header("traceparent", CALLER)
        .header("user-agent", "d")
        .header("connection", "keep-alive, X-Stainless-Lang")
        .header("connection", "traceparent,, content-length, host");
    assert_eq!(sent.send().status, 200);
    let seen = &probe.upstream.seen()[0];
    assert!(seen.all("x-stainless-lang").is_empty());
    assert_ne!(seen.all("traceparent"), [CALLER], "another trace begins here");
    assert_eq!(
        (seen.all("x-stainless-os"), seen.all("user-agent")),
        (vec!["b"], vec!["d"])
    );
    assert!(seen.all("connection").is_empty());

    // How the message is framed cannot be taken out of it.
    let body = request(&probe, "POST")
        .header("connection", "content-length")
        .body("{}");
    assert_eq!(body.send().status, 200);
    assert_eq!(probe.upstream.seen()[1].body, b"{}");
}

#[test]
fn section_7_6_3_every_message_says_that_it_came_through_here() {
    let probe = Probe::start();
    assert_eq!(request(&probe, "GET").send().header("via"), Some("1.1 envgate"));
    let proxied = request(&probe, "DELETE").header("via", "1.0 fred");
    proxied.header("via", "1.1 p.example.net (x)").send();
    let seen = probe.upstream.seen();
    assert_eq!(seen[0].all("via"), ["1.1 envgate"]);
    assert_eq!(
        seen[1].all("via"),
        ["1.0 fred", "1.1 p.example.net (x)", "1.1 envgate"]
    );
}

#[test]
fn section_7_8_an_upgrade_is_passed_over() {
    let probe = Probe::start();
    probe.run(&upgrade());
    assert!(
        probe
            .upstream
            .seen()
            .iter()
            .all(|seen| seen.all("upgrade").is_empty())
    );
}

#[test]
fn section_8_4_a_coded_body_is_told_what_is_taken() {
    let probe = Probe::start();
    probe.run(&content_encoding());
    let coded = request(&probe, "POST")
        .header("content-encoding", "gzip")
        .body("{}");
    let answer = coded.send();
    answer.expect_error(415, "invalid_request");
    assert_eq!(answer.header("accept-encoding"), Some("identity"));
}

#[test]
fn section_8_6_a_post_without_a_body_goes_up_with_a_length() {
    let probe = Probe::start();
    let archive = probe.envgate.request("POST", "/v1/environments/env_1/archive");
    assert_eq!(archive.send().status, 200);
    assert_eq!(probe.upstream.seen()[0].all("content-length"), ["0"]);
}

#[test]
fn section_9_methods_do_what_allow_says() {
    let probe = Probe::start();
    probe.run(&methods());
    let answer = request(&probe, "PATCH").send();
    answer.expect_error(405, "invalid_request");
    assert_eq!(answer.header("allow"), Some("DELETE, GET, HEAD, OPTIONS, POST"));
}

/// The answer to a HEAD, and whether nothing came after its header but the answer to a GET.
fn head(envgate: &Envgate, path: &str) -> (Response, Response) {
    let mut connection = Connection::open(envgate.gateway);
    let request = |method: &str| String::from_utf8(envgate.request(method, path).bytes()).unwrap();
    connection.write((request("HEAD") + &request("GET")).as_bytes());
    (connection.read_head(), connection.read_response())
}

#[test]
fn section_9_3_2_head_is_get_without_the_body() {
    let probe = Probe::start();
    for path in [
        EXAMPLE,
        "/v1/environments?limit=3",
        "/v1/environments/not.an.id",
        "/nowhere",
    ] {
        let (head, get) = head(&probe.envgate, path);
        assert_eq!(head.status, get.status, "{path}");
        if get.status == 200 {
            assert_eq!(
                head.header("content-length").unwrap(),
                get.body.len().to_string(),
                "{path}"
            );
        }
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
    let lines: Vec<_> = probe.upstream.seen().into_iter().map(|seen| seen.line).collect();
    assert!(lines.iter().all(|line| line.starts_with("GET ")), "{lines:?}");
    assert_eq!(
        lines.iter().filter(|line| line.contains("env_1 ")).count(),
        1,
        "the GET shares its reply"
    );
}

#[test]
fn section_9_3_7_options_tells_what_a_path_has_to_whoever_asks() {
    let probe = Probe::start();
    for (path, methods) in [
        ("/v1/environments", "GET, HEAD, OPTIONS, POST"),
        (EXAMPLE, "DELETE, GET, HEAD, OPTIONS, POST"),
        ("/v1/environments/env_1/archive", "OPTIONS, POST"),
        ("*", "DELETE, GET, HEAD, OPTIONS, POST"),
    ] {
        let answer = Request::new(probe.envgate.gateway, "OPTIONS", path).send();
        assert_eq!(
            (answer.status, answer.header("allow")),
            (204, Some(methods)),
            "{path}"
        );
        assert_eq!(answer.header("content-length"), None, "a 204 has none");
        assert!(answer.header("request-id").is_some());
    }
    for path in [
        "/",
        "/v1/environments/",
        "/v1/environments/not.an.id",
        "/v1/environments/env_1/work",
    ] {
        let answer = Request::new(probe.envgate.gateway, "OPTIONS", path).send();
        answer.expect_error(404, "not_found");
    }
}

#[test]
fn section_10_1_1_a_body_that_is_wanted_is_asked_for_once() {
    let probe = Probe::start();
    probe.run(&expect());
    let expecting = |key: &str, version: &str| {
        format!(
            "POST {EXAMPLE} HTTP/{version}\r\nhost: a\r\nx-api-key: {key}\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
        )
    };
    let mut connection = Connection::open(probe.envgate.gateway);
    connection.write(expecting(&probe.envgate.key, "1.1").as_bytes());
    assert_eq!(connection.read_any_response().unwrap().status, 100);
    connection.write(b"{}");
    assert_eq!(connection.read_any_response().unwrap().status, 200);

    let mut stranger = Connection::open(probe.envgate.gateway);
    stranger.write(expecting("sk-eg-x", "1.1").as_bytes());
    assert_eq!(
        stranger.read_any_response().unwrap().status,
        401,
        "its body is not wanted"
    );
    assert!(stranger.is_closed());

    let mut old = Connection::open(probe.envgate.gateway);
    old.write(expecting(&probe.envgate.key, "1.0").as_bytes());
    old.write(b"{}");
    assert_eq!(
        old.read_any_response().unwrap().status,
        200,
        "HTTP/1.0 has no interim answers"
    );
}

#[test]
fn section_11_6_1_a_401_says_how_to_ask_and_which_header_is_at_fault() {
    let probe = Probe::start();
    let anonymous = || Request::new(probe.envgate.gateway, "GET", EXAMPLE);
    let unknown = "sk-eg-00000000000000000000";
    for (request, named, challenge) in [
        (
            anonymous(),
            "Authorization: Bearer or as X-Api-Key",
            "Bearer realm=\"envgate\"",
        ),
        (
            anonymous().header("x-api-key", unknown),
            "(in X-Api-Key)",
            "Bearer realm=\"envgate\", error=\"invalid_token\"",
        ),
        (
            anonymous().header("authorization", &format!("Bearer {unknown}")),
            "(in Authorization)",
            "Bearer realm=\"envgate\", error=\"invalid_token\"",
        ),
        (
            anonymous().header("authorization", "Basic eDp5"),
            "the Authorization header must be",
            "Bearer realm=\"envgate\", error=\"invalid_token\"",
        ),
        (
            anonymous()
                .header("x-api-key", unknown)
                .header("x-api-key", unknown),
            "the X-Api-Key header came twice",
            "Bearer realm=\"envgate\", error=\"invalid_token\"",
        ),
    ] {
        let answer = request.send();
        let error = answer.expect_error(401, "authentication_error");
        assert!(error["message"].as_str().unwrap().contains(named), "{error}");
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
    }
}
