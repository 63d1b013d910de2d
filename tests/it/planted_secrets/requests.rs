//! Everything that tenants and operators can ask for, well or badly.

use std::net::SocketAddr;

use data_encoding::{BASE64, HEXLOWER};

use super::outputs::Outputs;
use super::plants::Plants;
use crate::common::client::{Connection, Request, Response};
use crate::common::envgate::Envgate;
use crate::common::upstream::{ENVIRONMENT, Seen, Then};

/// What stands in a body or a header of a tenant and is no business of a log.
pub const IN_BODIES: &[&str] = &["the value of metadata", "a body that is not JSON"];

const COLLECTION: &str = "/v1/environments";

/// An upstream that quotes the credential wherever it can. What it does is asked for by the environment's id.
pub fn indiscreet(seen: &Seen, cookie: &str) -> Then {
    let key = seen.all("x-api-key").concat();
    let json = serde_json::to_string(&key).unwrap();
    let by_number: String = key.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
    let percent: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let error = |text: &str| {
        format!(r#"{{"type":"error","error":{{"type":"invalid_request_error","message":{text}}}}}"#)
    };
    let headers = [
        ("content-type", "application/json"),
        ("request-id", "req_1"),
        ("set-cookie", cookie),
        ("anthropic-organization-id", cookie),
    ];
    let respond = |status: &str, body: &str| Then::respond(status, &headers, body);
    let id = seen
        .line
        .split(['/', ' ', '?'])
        .find(|part| part.starts_with("env_"));
    match id.unwrap_or_default() {
        "env_400" => respond("400 Bad Request", &error(&json)),
        "env_400n" => respond("400 Bad Request", &error(&format!("\"{by_number}\""))),
        "env_400p" => respond("400 Bad Request", &error(&format!("\"{percent}\""))),
        "env_400b" => respond(
            "400 Bad Request",
            &error(&format!("\"{}\"", BASE64.encode(format!("k:{key}").as_bytes()))),
        ),
        "env_400h" => respond(
            "400 Bad Request",
            &error(&format!("\"{}\"", HEXLOWER.encode(key.as_bytes()))),
        ),
        "env_401" => respond("401 Unauthorized", &error(&json)),
        "env_403" => respond("403 Forbidden", &error(&json)),
        "env_404" => respond("404 Not Found", &error(&json)),
        "env_409" => respond("409 Conflict", &error(&json)),
        "env_429" => respond("429 Too Many Requests", &error(&json)),
        "env_500" => respond("500 Internal Server Error", &error(&json)),
        "env_529" => respond("529 Overloaded", &error(&json)),
        "env_text" => respond("502 Bad Gateway", &format!("no use: X-Api-Key: {key}")),
        "env_garbage" => respond("200 OK", &format!("<html>{key}</html>")),
        "env_echo" => respond("200 OK", &ENVIRONMENT.replace("\"n\"", &json)),
        "env_header" => Then::respond(
            "400 Bad Request",
            &[("retry-after", &key), ("x-quoted", &key)],
            "{}",
        ),
        "env_location" => Then::respond("302 Found", &[("location", &format!("/?{key}"))], ""),
        "env_broken" => Then::ReplyAndClose(format!("HTTP/1.1 2OO {key}\r\n\r\n").into_bytes()),
        "env_short" => {
            Then::ReplyAndClose(format!("HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{key}").into_bytes())
        }
        "env_reset" => Then::Reset,
        _ if seen.line.starts_with("GET /v1/environments?") => {
            respond("200 OK", r#"{"data":[],"next_page":null}"#)
        }
        _ => respond("200 OK", ENVIRONMENT),
    }
}

const IDS: [&str; 21] = [
    "env_1",
    "env_400b",
    "env_400h",
    "env_400",
    "env_400n",
    "env_400p",
    "env_401",
    "env_403",
    "env_404",
    "env_409",
    "env_429",
    "env_500",
    "env_529",
    "env_text",
    "env_garbage",
    "env_echo",
    "env_header",
    "env_location",
    "env_broken",
    "env_short",
    "env_reset",
];

/// All that a tenant can do with a key.
pub fn as_tenant(envgate: &Envgate, key: &str, plants: &Plants, outputs: &Outputs) {
    let with_key = |method: &str, path: &str| {
        Request::new(envgate.gateway, method, path).header("authorization", &format!("Bearer {key}"))
    };
    let value = plants.odd("the value of metadata");
    let metadata = serde_json::json!({ "metadata": { "team": value } }).to_string();
    let named = serde_json::json!({ "name": "n", "metadata": { "team": value } }).to_string();
    for id in IDS {
        let path = format!("{COLLECTION}/{id}");
        outputs.answer(&format!("a read of {id}"), &with_key("GET", &path).send());
        outputs.answer(
            &format!("an update of {id}"),
            &with_key("POST", &path).body(&metadata).send(),
        );
    }
    let query = plants.plain("a key in a path or a query");
    for (name, request) in [
        ("a list", with_key("GET", COLLECTION)),
        ("a create", with_key("POST", COLLECTION).body(&named)),
        ("an archive", with_key("POST", "/v1/environments/env_1/archive")),
        ("a delete", with_key("DELETE", "/v1/environments/env_1")),
        ("a wrong method", with_key("PUT", "/v1/environments/env_1")),
        ("a wrong path", with_key("GET", "/v1/nothing")),
        (
            "a key in the query",
            with_key("GET", &format!("{COLLECTION}?api_key={query}&limit={query}")),
        ),
        (
            "a key for an id",
            with_key("GET", &format!("{COLLECTION}/{query}")),
        ),
        ("work", with_key("GET", "/v1/environments/env_1/work")),
    ] {
        outputs.answer(name, &request.send());
    }

    let not_json = plants.plain("a body that is not JSON");
    for (name, body) in [
        ("an unknown field", metadata.replace("metadata", "metdata")),
        (
            "a wrong type",
            metadata.replace("{\"team\"", "{\"team\":1,\"other\""),
        ),
        (
            "a field twice",
            metadata.replacen('{', "{\"name\":\"n\",\"name\":\"n\",", 1),
        ),
        ("bytes after the end", format!("{{}}{not_json}")),
        ("no JSON", not_json.clone()),
        (
            "half a document",
            format!("{{\"metadata\":{{\"team\":\"{not_json}"),
        ),
        ("a bad escape", format!("{{\"name\":\"\\x{not_json}\"}}")),
    ] {
        let path = "/v1/environments/env_1";
        outputs.answer(name, &with_key("POST", path).body(body).send());
    }
    malformed(envgate.gateway, plants, outputs);
}

/// Keys that are none, and heads that are none.
fn malformed(gateway: SocketAddr, plants: &Plants, outputs: &Outputs) {
    let unknown = plants.plain("an unknown key");
    let header = plants.plain("a header of a malformed head");
    let get = format!("GET {COLLECTION} HTTP/1.1\r\nhost: gateway\r\n");
    for (name, head) in [
        (
            "an unknown key",
            format!("{get}x-api-key: sk-eg-{unknown}\r\n\r\n"),
        ),
        (
            "a key of another kind",
            format!("{get}authorization: Basic {unknown}\r\n\r\n"),
        ),
        (
            "two keys",
            format!("{get}authorization: Bearer {unknown}\r\nx-api-key: {header}\r\n\r\n"),
        ),
        (
            "a key twice",
            format!("{get}x-api-key: {unknown}\r\nx-api-key: {unknown}\r\n\r\n"),
        ),
        (
            "no host",
            format!("GET {COLLECTION} HTTP/1.1\r\nx-api-key: {unknown}\r\n\r\n"),
        ),
        ("a bad header", format!("{get}x-api-key : {unknown}\r\n\r\n")),
        (
            "a header without colon",
            format!("{get}x-api-key {unknown}\r\n\r\n"),
        ),
        (
            "a folded header",
            format!("{get}x-api-key:\r\n {unknown}\r\n\r\n"),
        ),
        (
            "two lengths",
            format!("{get}content-length: 1\r\ncontent-length: 2\r\nauthorization: Bearer {unknown}\r\n\r\n"),
        ),
        ("an expectation", format!("{get}expect: {header}\r\n\r\n")),
        ("a bad version", format!("GET {COLLECTION} HTTP/{header}\r\n\r\n")),
        (
            "a tunnel",
            format!("CONNECT {unknown}:443 HTTP/1.1\r\nproxy-authorization: {header}\r\n\r\n"),
        ),
        (
            "a huge header",
            format!("{get}x-api-key: {unknown}{}\r\n\r\n", "x".repeat(40_000)),
        ),
    ] {
        let mut connection = Connection::open(gateway);
        connection.write(head.as_bytes());
        if let Some(response) = connection.read_any_response() {
            outputs.answer(name, &response);
        }
    }
}

/// All that an operator can do with a token, or without.
pub fn as_operator(
    ask: impl Fn(Option<&str>, &str, &str, &str) -> Response,
    token: &str,
    plants: &Plants,
    outputs: &Outputs,
) {
    let wrong = plants.plain("a wrong admin token");
    let quoted = plants.plain("a value in a request to the admin API");
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/tenants", "/nothing"] {
        for sent in [None, Some(wrong.as_str()), Some(token)] {
            outputs.answer(path, &ask(sent, "GET", path, ""));
        }
    }
    let created = ask(Some(token), "POST", "/api/v1/tenants/demo/keys", "{}").json();
    let key = created["key"].as_str().unwrap().to_owned();
    let key = plants.tenant_key("a key that the admin API made", key);
    let id = created["id"].as_str().unwrap();
    let plain = format!("{{\"name\":\"{quoted}");
    for (method, path, body) in [
        ("GET", "/api/v1/tenants/demo/keys", ""),
        ("GET", "/api/v1/plans", ""),
        ("GET", "/api/v1/readiness", ""),
        ("GET", "/api/v1/nothing", ""),
        ("PUT", "/api/v1/tenants", ""),
        ("GET", "/api/v1/tenants?limit=none", ""),
        ("POST", "/api/v1/tenants", r#"{"name":"beta"}"#),
        ("POST", "/api/v1/tenants", r#"{"name":"beta"}"#),
        ("POST", "/api/v1/tenants", &plain),
        ("PATCH", "/api/v1/tenants/beta", r#"{"suspended":true}"#),
        ("DELETE", "/api/v1/tenants/beta", ""),
        (
            "POST",
            "/api/v1/tenants/demo/environments",
            r#"{"environments":["env_1","env_401"]}"#,
        ),
        ("POST", "/api/v1/reload", ""),
        ("DELETE", &format!("/api/v1/keys/{key}"), ""),
        ("DELETE", &format!("/api/v1/keys/{id}"), ""),
        ("GET", "/api/v1/audit?limit=1000", ""),
        ("GET", "/metrics", ""),
    ] {
        outputs.answer(
            &format!("{method} {}", path.replace(&key, "KEY")),
            &ask(Some(token), method, path, body),
        );
    }
}
