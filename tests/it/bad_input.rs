//! Bad input gets an answer that a person can act on, in the dialect's envelope, and nothing of it reaches the
//! upstream.

use std::time::{Duration, Instant};

use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, Setup};
use crate::common::upstream::{Then, Upstream};
use serde_json::Value;

const PATH: &str = "/v1/environments/env_1";

/// A gateway before an upstream that must see nothing; said again when the test ends.
struct Guarded {
    envgate: Envgate,
    upstream: Upstream,
}

impl Guarded {
    fn start() -> Self {
        Self::with(|setup| setup)
    }

    fn with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Upstream::always(Then::environment());
        let envgate = change(Setup::new().upstream(upstream.address)).start();
        Self { envgate, upstream }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let seen = self.upstream.seen();
            assert!(seen.is_empty(), "the upstream was asked: {seen:?}");
        }
    }
}

fn refused(guarded: &Guarded, path: &str, body: &str) -> Value {
    guarded
        .envgate
        .post(path, body)
        .expect_error(400, "invalid_request")
}

#[test]
fn a_misspelt_field_is_named_with_the_one_that_was_meant() {
    let guarded = Guarded::start();
    let body = r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_host":["a.com"]}}}"#;
    let error = refused(&guarded, PATH, body);
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("config.networking.allowed_host"), "{message}");
    assert!(message.contains("allowed_hosts"), "{message}");
    assert_eq!(error["details"]["error_code"], "schema_violation");
    let violation = &error["details"]["violations"][0];
    assert_eq!(violation["pointer"], "/config/networking/allowed_host");
    assert_eq!(violation["keyword"], "additionalProperties");
    assert!(violation["hint"].as_str().unwrap().contains("allowed_hosts"));
    guarded
        .envgate
        .expect_metric(r#"envgate_violations_total{keyword="additionalProperties"}"#, 1.0);
}

/// Every rule of the contract for request parameters: body, the pointer of its first violation, its keyword.
const UPDATE_VIOLATIONS: &[(&str, &str, &str)] = &[
    ("[]", "", "type"),
    ("null", "", "type"),
    (r#"{"nme":"x"}"#, "/nme", "additionalProperties"),
    (r#"{"name":""}"#, "/name", "minLength"),
    (r#"{"name":7}"#, "/name", "type"),
    (r#"{"description":["x"]}"#, "/description", "type"),
    (r#"{"metadata":null}"#, "/metadata", "type"),
    (r#"{"metadata":{"k":1}}"#, "/metadata/k", "type"),
    (r#"{"scope":"account"}"#, "/scope", "additionalProperties"),
    (r#"{"config":{}}"#, "/config", "required"),
    (r#"{"config":{"packages":{"pip":[]}}}"#, "/config", "required"),
    (r#"{"config":{"type":"clod"}}"#, "/config/type", "enum"),
    (r#"{"config":"cloud"}"#, "/config", "type"),
    (
        r#"{"config":{"type":"self_hosted","packages":{}}}"#,
        "/config/packages",
        "additionalProperties",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{}}}"#,
        "/config/networking",
        "required",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"unrestricted","allowed_hosts":[]}}}"#,
        "/config/networking/allowed_hosts",
        "additionalProperties",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allow_mcp_servers":"yes"}}}"#,
        "/config/networking/allow_mcp_servers",
        "type",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["https://a.com"]}}}"#,
        "/config/networking/allowed_hosts/0",
        "pattern",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["a.com:80"]}}}"#,
        "/config/networking/allowed_hosts/0",
        "pattern",
    ),
    (
        r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["a.com","*.*.a.com"]}}}"#,
        "/config/networking/allowed_hosts/1",
        "pattern",
    ),
    (
        r#"{"config":{"type":"cloud","packages":{"pip":"pandas"}}}"#,
        "/config/packages/pip",
        "type",
    ),
    (
        r#"{"config":{"type":"cloud","packages":{"pip":[1]}}}"#,
        "/config/packages/pip/0",
        "type",
    ),
    (
        r#"{"config":{"type":"cloud","packages":{"type":"package"}}}"#,
        "/config/packages/type",
        "enum",
    ),
    (
        r#"{"config":{"type":"cloud","packages":{"conda":[]}}}"#,
        "/config/packages/conda",
        "additionalProperties",
    ),
];

#[test]
fn every_rule_for_request_parameters_has_its_violation() {
    let guarded = Guarded::start();
    for (body, pointer, keyword) in UPDATE_VIOLATIONS {
        let error = refused(&guarded, PATH, body);
        let violation = &error["details"]["violations"][0];
        assert_eq!(
            (
                violation["pointer"].as_str().unwrap(),
                violation["keyword"].as_str().unwrap()
            ),
            (*pointer, *keyword),
            "{body}: {error}"
        );
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with(violation["message"].as_str().unwrap()),
            "{error}"
        );
    }
    for (body, pointer, keyword) in [
        ("{}", "", "required"),
        (r#"{"name":null}"#, "/name", "type"),
        (r#"{"name":"n","metadata":{"k":null}}"#, "/metadata/k", "type"),
    ] {
        let error = refused(&guarded, "/v1/environments", body);
        let violation = &error["details"]["violations"][0];
        assert_eq!(
            (
                violation["pointer"].as_str().unwrap(),
                violation["keyword"].as_str().unwrap()
            ),
            (pointer, keyword),
            "{body}: {error}"
        );
    }
}

#[test]
fn lengths_count_code_points() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    let name = |count: usize| format!(r#"{{"name":"{}"}}"#, "é".repeat(count));
    assert_eq!(envgate.post(PATH, &name(256)).status, 200);
    envgate
        .post(PATH, &name(257))
        .expect_error(400, "invalid_request");
    let description = |count: usize| format!(r#"{{"description":"{}"}}"#, "✓".repeat(count));
    assert_eq!(envgate.post(PATH, &description(1024)).status, 200);
    envgate
        .post(PATH, &description(1025))
        .expect_error(400, "invalid_request");
}

#[test]
fn all_violations_are_told_up_to_twenty_and_counted_beyond() {
    let guarded = Guarded::start();
    let fields: Vec<String> = (0..30).map(|number| format!(r#""field_{number}":1"#)).collect();
    let error = refused(&guarded, PATH, &format!("{{{}}}", fields.join(",")));
    assert_eq!(error["details"]["violations"].as_array().unwrap().len(), 20);
    assert_eq!(error["details"]["violations_total"], "30");
    let many = format!(
        r#"{{"config":{{"type":"cloud","packages":{{"pip":[{}]}}}}}}"#,
        ["1"; 5000].join(",")
    );
    assert_eq!(
        refused(&guarded, PATH, &many)["details"]["violations_total"],
        "1000+"
    );
}

#[test]
fn metadata_values_and_long_strings_are_not_echoed() {
    let guarded = Guarded::start();
    let secret = "s3cr3t-value";
    let error = refused(
        &guarded,
        PATH,
        &format!(
            r#"{{"metadata":{{"k":["{secret}"]}},"config":"{}"}}"#,
            "y".repeat(65)
        ),
    );
    assert!(!error.to_string().contains(secret), "{error}");
    assert!(!error.to_string().contains(&"y".repeat(65)), "{error}");
}

#[test]
fn what_is_no_json_document_says_where() {
    let guarded = Guarded::start();
    for (body, code, line, column, offset) in [
        (&b"{\"name\":"[..], "invalid_json", 1, 9, 8),
        (b"", "invalid_json", 1, 1, 0),
        (b"{\n \"name\": nope}", "invalid_json", 2, 11, 12),
        (
            b"{\"name\":\"a\",\"na\\u006de\":\"b\"}",
            "duplicate_key",
            1,
            13,
            12,
        ),
        (b"{} x", "trailing_bytes", 1, 4, 3),
        (b"{\"name\":\"\xff\"}", "invalid_utf8", 1, 10, 9),
    ] {
        let response = guarded.envgate.request("POST", PATH).body(body).send();
        let error = response.expect_error(400, "invalid_request");
        let details = &error["details"];
        assert_eq!(details["error_code"], code, "{error}");
        assert_eq!(
            (details["line"].as_u64(), details["byte_offset"].as_u64()),
            (Some(line), Some(offset)),
            "{error}"
        );
        assert_eq!(details["column"].as_u64(), Some(column), "{error}");
    }
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    assert_eq!(
        refused(&guarded, PATH, &deep)["details"]["error_code"],
        "nesting_too_deep"
    );
    let nested = format!(
        r#"{{"metadata":{}"x"{}}}"#,
        "{\"a\":".repeat(100_000),
        "}".repeat(100_000)
    );
    assert_eq!(
        refused(&guarded, PATH, &nested)["details"]["error_code"],
        "nesting_too_deep"
    );
}

#[test]
fn a_request_without_a_caller_is_told_why() {
    let guarded = Guarded::start();
    let envgate = &guarded.envgate;
    let anonymous = || Request::new(envgate.gateway, "GET", PATH);
    let key = &envgate.key;
    let unknown = "sk-eg-unknown";
    let cases: [(Request, &str, &str); 6] = [
        (anonymous(), "no API key", "missing"),
        (
            anonymous().header("authorization", &format!("Bearer {unknown}")),
            "invalid API key",
            "unknown",
        ),
        (
            anonymous().header("x-api-key", unknown),
            "invalid API key",
            "unknown",
        ),
        (
            anonymous().header("authorization", &format!("Basic {key}")),
            "Bearer",
            "malformed",
        ),
        (
            anonymous()
                .header("authorization", &format!("Bearer {key}"))
                .header("x-api-key", unknown),
            "different keys",
            "conflicting",
        ),
        (
            anonymous().header("x-api-key", key).header("x-api-key", key),
            "",
            "malformed",
        ),
    ];
    for (request, message, _) in &cases {
        let error = request.send().expect_error(401, "authentication_error");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert!(
            !error.to_string().contains(unknown) && !error.to_string().contains(key.as_str()),
            "{error}"
        );
    }
    for reason in ["missing", "unknown", "malformed", "conflicting"] {
        let expected = cases.iter().filter(|(.., label)| *label == reason).count();
        let name = format!("envgate_authentication_failures_total{{reason=\"{reason}\"}}");
        envgate.expect_metric(&name, f64::from(u32::try_from(expected).unwrap()));
    }
}

#[test]
fn unknown_paths_and_methods_say_so() {
    let guarded = Guarded::start();
    let envgate = &guarded.envgate;
    for path in [
        "/",
        "/v1/messages",
        "/v1/environments/env_1/work",
        "/v1/environments/env_1/work/poll",
        "/v1/environments/a%2Fb",
        "/v1/environments/a%2F..%2Fb%3Fc%2520d%20%C3%A9",
    ] {
        envgate.get(path).expect_error(404, "not_found");
    }
    let long = format!("/v1/environments/{}", "a".repeat(129));
    envgate.get(&long).expect_error(404, "not_found");
    for (method, path, allow) in [
        ("PATCH", "/v1/environments", "GET, POST"),
        ("PUT", PATH, "DELETE, GET, POST"),
        ("GET", "/v1/environments/env_1/archive", "POST"),
    ] {
        let response = envgate.request(method, path).send();
        response.expect_error(405, "invalid_request");
        assert_eq!(response.header("allow"), Some(allow));
    }
}

#[test]
fn a_wrong_query_parameter_is_named() {
    let guarded = Guarded::start();
    for query in [
        "limit=0",
        "limit=1001",
        "limit=ten",
        "limit=1&limit=2",
        "include_archived=yes",
        "page=a&page=b",
        "beta=true&beta=true",
    ] {
        let error = guarded
            .envgate
            .get(&format!("/v1/environments?{query}"))
            .expect_error(400, "invalid_request");
        let name = query.split('=').next().unwrap();
        assert!(
            error["message"].as_str().unwrap().contains(name),
            "{query}: {error}"
        );
    }
}

#[test]
fn operations_without_a_body_take_none_or_an_empty_object() {
    let guarded = Guarded::start();
    for (method, path) in [
        ("GET", PATH),
        ("DELETE", PATH),
        ("POST", "/v1/environments/env_1/archive"),
        ("GET", "/v1/environments"),
    ] {
        let response = guarded.envgate.request(method, path).body(r#"{"a":1}"#).send();
        response.expect_error(400, "invalid_request");
    }
    drop(guarded);
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    for body in ["", "{}", " {} "] {
        assert_eq!(envgate.post("/v1/environments/env_1/archive", body).status, 200);
    }
    assert!(
        upstream.seen().iter().all(|seen| seen.body.is_empty()),
        "not forwarded"
    );
}

#[test]
fn content_types_and_encodings_that_cannot_be_json_are_415() {
    let guarded = Guarded::start();
    let request = || guarded.envgate.request("POST", PATH).body("{}");
    for content_type in [
        "application/xml",
        "multipart/form-data; boundary=b",
        "application/json; charset=utf-16",
    ] {
        request()
            .header("content-type", content_type)
            .send()
            .expect_error(415, "invalid_request");
    }
    request()
        .header("content-encoding", "gzip")
        .send()
        .expect_error(415, "invalid_request");
    drop(guarded);
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    for content_type in [
        "application/x-www-form-urlencoded",
        "text/plain;charset=UTF-8",
        "application/merge-patch+json",
    ] {
        let response = envgate
            .request("POST", PATH)
            .header("content-type", content_type)
            .body("{}")
            .send();
        assert_eq!(response.status, 200, "{content_type}");
        assert_eq!(
            upstream.seen().last().unwrap().all("content-type"),
            ["application/json"]
        );
    }
}

#[test]
fn a_body_that_announces_too_much_is_answered_before_it_is_read() {
    let guarded = Guarded::start();
    let mut connection = Connection::open(guarded.envgate.gateway);
    let request = guarded
        .envgate
        .request("POST", PATH)
        .header("content-length", "1048577");
    connection.write(&request.bytes());
    let response = connection.read_response();
    response.expect_error(413, "request_too_large");
    assert_eq!(response.header("connection"), Some("close"));

    let mut connection = Connection::open(guarded.envgate.gateway);
    connection.write(&request.header("expect", "100-continue").bytes());
    connection
        .read_any_response()
        .unwrap()
        .expect_error(413, "request_too_large");
    assert!(connection.is_closed());
}

#[test]
fn a_client_that_sends_too_much_all_the_same_reads_its_413_and_no_reset() {
    let guarded = Guarded::start();
    let body = vec![b' '; 8 * 1024 * 1024];
    guarded
        .envgate
        .request("POST", PATH)
        .body(&body)
        .send()
        .expect_error(413, "request_too_large");
    let unknown = Request::new(guarded.envgate.gateway, "POST", PATH)
        .header("x-api-key", "sk-eg-x")
        .body(&body);
    unknown.send().expect_error(401, "authentication_error");
    let chunks: Vec<u8> = body
        .chunks(65_536)
        .flat_map(|chunk| [b"10000\r\n", chunk, b"\r\n"].concat())
        .chain(*b"0\r\n\r\n")
        .collect();
    let chunked = guarded
        .envgate
        .request("POST", PATH)
        .header("transfer-encoding", "chunked")
        .body(chunks);
    chunked.send().expect_error(413, "request_too_large");
}

#[test]
fn a_body_that_does_not_arrive_is_408() {
    let guarded = Guarded::with(|setup| setup.set("ENVGATE_LISTEN__BODY_TIMEOUT", "300ms"));
    let request = guarded
        .envgate
        .request("POST", PATH)
        .header("content-length", "10");
    let mut connection = Connection::open(guarded.envgate.gateway);
    let started = Instant::now();
    connection.write(&request.bytes());
    connection.write(b"{");
    connection.read_response().expect_error(408, "timeout_error");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn framing_with_two_meanings_is_400_and_closes() {
    let guarded = Guarded::start();
    let request = || {
        guarded
            .envgate
            .request("POST", PATH)
            .header("transfer-encoding", "chunked")
    };
    let both = request()
        .header("content-length", "2")
        .body("2\r\n{}\r\n0\r\n\r\n");
    let bad_chunk = request().body("zz\r\n{}\r\n0\r\n\r\n");
    for request in [both, bad_chunk] {
        let mut connection = Connection::open(guarded.envgate.gateway);
        connection.write(&request.bytes());
        let response = connection.read_response();
        response.expect_error(400, "invalid_request");
        assert_eq!(response.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
}

#[test]
fn an_upgrade_and_a_large_header_are_refused() {
    let guarded = Guarded::start();
    let request = || guarded.envgate.request("GET", PATH);
    let upgrade = request()
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    upgrade.send().expect_error(400, "invalid_request");
    request()
        .header("x-large", &"x".repeat(40_000))
        .send()
        .expect_error(431, "invalid_request");
}

#[test]
fn no_secret_is_in_the_log_or_the_metrics_after_all_this() {
    let guarded = Guarded::with(|setup| {
        setup
            .set("ENVGATE_LOG__LEVEL", "trace")
            .set("ENVGATE_LOG__FORMAT", "json")
    });
    let envgate = &guarded.envgate;
    let body_secret = "body-s3cr3t";
    envgate.post(PATH, &format!(r#"{{"name":"{body_secret}","nme":1}}"#));
    envgate.get("/v1/environments?limit=query-s3cr3t");
    Request::new(envgate.gateway, "GET", PATH)
        .header("x-api-key", "sk-eg-unknown-s3cr3t")
        .send();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(
        format!(
            "GET / HTTP/1.1\r\nx-api-key: {}\r\nbroken header\r\n\r\n",
            envgate.key
        )
        .as_bytes(),
    );
    assert_eq!(connection.read_response().status, 400);

    let metrics = envgate.admin_get("/metrics").text();
    let log = envgate.log();
    assert!(log.contains("envgate::access"), "{log}");
    for secret in [
        "s3cr3t",
        envgate.key.as_str(),
        crate::common::envgate::OPERATOR_KEY,
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
        assert!(!metrics.contains(secret), "{secret} is in the metrics");
    }
}
