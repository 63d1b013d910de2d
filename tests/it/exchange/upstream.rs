//! What the upstream is sent.

use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually};
use crate::common::upstream::{Then, Upstream};

#[test]
fn the_upstream_sees_the_operators_credential_and_the_clients_own_bytes() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    let body = "{ \"metadata\" : {\"k\":null,\"\\u0065\":\"\"},\n\t\"description\":\"Größe ✓\" }";
    let response = envgate
        .request("POST", "/v1/environments/env%5F1?beta=true&debug=1")
        .header("x-api-key", &envgate.key)
        .header("anthropic-version", "2026-10-21")
        .header(
            "anthropic-beta",
            "files-api-2025-04-14, managed-agents-2026-04-01",
        )
        .header("anthropic-beta", "managed-agents-2026-04-01,custom")
        .header("user-agent", "Anthropic/Python 2.12.0")
        .header("x-stainless-lang", "python")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("accept-encoding", "gzip, deflate")
        .header("cookie", "session=1")
        .header("anthropic-workspace-id", "wrkspc_1")
        .header("x-forwarded-for", "10.1.1.1")
        .body(body)
        .send();
    assert_eq!(response.status, 200, "{}", response.text());

    let seen = upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /v1/environments/env_1?beta=true HTTP/1.1");
    assert_eq!(seen[0].body, body.as_bytes(), "byte for byte");
    let mut headers = seen[0].headers.clone();
    headers.sort();
    let expected = [
        ("accept", "application/json".to_owned()),
        ("accept-encoding", "identity".to_owned()),
        (
            "anthropic-beta",
            "files-api-2025-04-14,managed-agents-2026-04-01,custom".to_owned(),
        ),
        ("anthropic-version", "2026-10-21".to_owned()),
        ("content-length", body.len().to_string()),
        ("content-type", "application/json".to_owned()),
        ("host", upstream.address.to_string()),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        ),
        ("user-agent", "Anthropic/Python 2.12.0".to_owned()),
        ("via", "1.1 envgate".to_owned()),
        ("x-api-key", OPERATOR_KEY.to_owned()),
        ("x-stainless-lang", "python".to_owned()),
    ];
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(headers, expected, "these headers and no others");
}

#[test]
fn a_client_that_says_nothing_of_versions_and_betas_gets_the_defaults() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    assert_eq!(envgate.get("/v1/environments/env_1").status, 200);
    let seen = &upstream.seen()[0];
    assert_eq!(seen.all("anthropic-version"), ["2023-06-01"]);
    assert_eq!(seen.all("anthropic-beta"), ["managed-agents-2026-04-01"]);
    assert_eq!(seen.line, "GET /v1/environments/env_1 HTTP/1.1");
    assert!(
        seen.all("content-type").is_empty(),
        "a read has no body to describe"
    );
}

#[test]
fn lists_are_asked_for_with_what_was_understood_of_the_query() {
    let upstream = Upstream::always(Then::respond("200 OK", &[], r#"{"data":[],"next_page":null}"#));
    let envgate = Envgate::in_front_of(upstream.address);
    assert_eq!(
        envgate
            .get("/v1/environments?page=page_MjAyNQ%3D%3D&x=1&limit=2&include_archived=true")
            .status,
        200
    );
    assert_eq!(envgate.get("/v1/environments").status, 200);
    let lines: Vec<_> = upstream.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(
        lines,
        [
            "GET /v1/environments?include_archived=true&limit=2&page=page_MjAyNQ%3D%3D HTTP/1.1",
            "GET /v1/environments HTTP/1.1"
        ]
    );
    envgate.expect_metric("envgate_query_names_dropped_total", 1.0);
}

#[test]
fn upstream_connections_are_used_again() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_SERVER__THREADS", "1")
        .start();
    for _ in 0..5 {
        assert_eq!(envgate.get("/v1/environments/env_1").status, 200);
    }
    let established = || {
        let output = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let port = format!("0100007F:{:04X} 01 ", upstream.address.port());
        output.lines().filter(|line| line.contains(&port)).count()
    };
    eventually("one connection is left open", || established() == 1);
}
