//! The main job: an update by a tenant reaches the upstream and comes back as the facade promises.

use std::time::Duration;

use crate::common::EXAMPLE;
use crate::common::client::{Connection, Request};
use crate::common::envgate::{Envgate, OPERATOR_KEY, Setup, eventually, pause};
use crate::common::upstream::{ENVIRONMENT, Then, Upstream};
use serde_json::{Value, json};

/// The body of the facade's own document.
const DOCUMENTED_UPDATE: &str = r#"{
    "config": {
      "type": "cloud",
      "packages": { "type": "packages", "pip": ["pandas", "numpy", "scikit-learn"] }
    }
  }"#;

#[test]
fn the_documented_curl_updates_the_example_environment() {
    let envgate = Envgate::start();
    let response = envgate.post(EXAMPLE, DOCUMENTED_UPDATE);
    let environment = response.json();
    assert_eq!(response.status, 200, "{environment}");
    assert_eq!(
        environment["config"],
        json!({
            "type": "cloud",
            "networking": {
                "type": "limited",
                "allowed_hosts": ["api.example.com"],
                "allow_mcp_servers": false,
                "allow_package_managers": true
            },
            "packages": {
                "type": "packages",
                "apt": [], "cargo": [], "gem": [], "go": [], "npm": [],
                "pip": ["pandas", "numpy", "scikit-learn"]
            }
        }),
        "only the list that was sent has changed"
    );
    assert_eq!(environment["name"], "python-data-analysis");
    assert_eq!(environment["created_at"], "2026-05-29T10:00:00Z");
    assert!(
        environment.get("scope").is_none(),
        "scope is no part of this dialect: {environment}"
    );
    assert!(response.header("request-id").unwrap().starts_with("req_"));
}

#[test]
fn the_printed_curl_works_as_it_is_printed() {
    let envgate = Envgate::start();
    let start = envgate.said.find("curl").expect("a curl is printed");
    let script = format!(
        "{} --silent --show-error --fail-with-body",
        envgate.said[start..].trim_end()
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let environment: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        environment["config"]["packages"]["pip"],
        json!(["pandas", "numpy", "scikit-learn"])
    );
}

#[test]
fn all_six_operations_work_with_either_credential_header() {
    let envgate = Envgate::start();
    let with_api_key = |method: &str, path: &str| {
        Request::new(envgate.gateway, method, path).header("x-api-key", &envgate.key)
    };
    let created = with_api_key("POST", "/v1/environments")
        .body(r#"{"name":"one"}"#)
        .send();
    assert_eq!(created.status, 200, "{}", created.text());
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/environments/{id}");

    assert_eq!(envgate.get(&path).json(), created.json());
    let updated = envgate.post(&path, r#"{"description":"two"}"#).json();
    assert_eq!(updated["description"], "two");
    let listed = envgate.get("/v1/environments?limit=1").json();
    assert_eq!(listed["data"][0]["id"], id.as_str(), "the newest comes first");
    let archived = with_api_key("POST", &format!("{path}/archive")).send().json();
    assert!(archived["archived_at"].is_string(), "{archived}");
    let deleted = envgate.request("DELETE", &path).send();
    assert_eq!(deleted.json(), json!({"id": id, "type": "environment_deleted"}));
    envgate.get(&path).expect_error(404, "not_found");
}

#[test]
fn lists_page_through_everything_once() {
    let envgate = Envgate::start();
    for number in 0..5 {
        assert_eq!(
            envgate
                .post("/v1/environments", &format!(r#"{{"name":"env {number}"}}"#))
                .status,
            200
        );
    }
    let mut names = Vec::new();
    let mut page = String::new();
    loop {
        let listed = envgate.get(&format!("/v1/environments?limit=2{page}")).json();
        names.extend(
            listed["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["name"].as_str().unwrap().to_owned()),
        );
        let Some(next) = listed["next_page"].as_str() else {
            break;
        };
        page = format!("&page={next}");
    }
    assert_eq!(
        names,
        [
            "env 4",
            "env 3",
            "env 2",
            "env 1",
            "env 0",
            "python-data-analysis"
        ]
    );
}

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
fn bodies_around_64_kib_and_of_1_mib_behave_alike() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    let sizes = [65_535, 65_536, 65_537, 1_048_576];
    for size in sizes {
        let body = body_of(size);
        let response = envgate.post("/v1/environments/env_1", &body);
        assert_eq!(response.status, 200, "{size}: {}", response.text());
        assert_eq!(
            upstream.seen().last().unwrap().body,
            body.as_bytes(),
            "{size}, with a length"
        );

        let chunked: Vec<u8> = body
            .as_bytes()
            .chunks(10_000)
            .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
            .chain(*b"0\r\n\r\n")
            .collect();
        let request = envgate
            .request("POST", "/v1/environments/env_1")
            .header("transfer-encoding", "chunked");
        let response = request.body(chunked).send();
        assert_eq!(response.status, 200, "{size}: {}", response.text());
        assert_eq!(
            upstream.seen().last().unwrap().body,
            body.as_bytes(),
            "{size}, in chunks"
        );
    }
    assert_eq!(upstream.seen().len(), sizes.len() * 2);
}

/// A valid update of exactly so many bytes.
fn body_of(size: usize) -> String {
    let empty = r#"{"config":{"type":"cloud","packages":{"pip":[""]}}}"#;
    empty.replace(r#"[""]"#, &format!("[\"{}\"]", "x".repeat(size - empty.len())))
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let envgate = Envgate::start();
    let request = envgate
        .request("POST", EXAMPLE)
        .header("expect", "100-continue")
        .body(DOCUMENTED_UPDATE);
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&request.head_bytes());
    let interim = connection.read_any_response().unwrap();
    assert_eq!(interim.status, 100);
    connection.write(DOCUMENTED_UPDATE.as_bytes());
    assert_eq!(connection.read_response().status, 200);
}

#[test]
fn one_connection_serves_many_requests_good_and_bad() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    let good = envgate.request("GET", EXAMPLE).bytes();
    let bad = envgate.request("POST", EXAMPLE).body(r#"{"nme":"x"}"#).bytes();
    let unknown = envgate
        .request("POST", EXAMPLE)
        .without("authorization")
        .body(DOCUMENTED_UPDATE)
        .bytes();
    for _ in 0..3 {
        for (request, status) in [(&good, 200), (&bad, 400), (&unknown, 401)] {
            connection.write(request);
            let response = connection.read_response();
            assert_eq!(response.status, status, "{}", response.text());
            assert_eq!(response.header("connection"), Some("keep-alive"));
        }
    }
}

#[test]
fn a_body_that_arrives_byte_by_byte_is_read_whole() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    let request = envgate
        .request("POST", EXAMPLE)
        .body(r#"{"name":"slow"}"#)
        .bytes();
    for byte in request {
        connection.write(&[byte]);
        pause(Duration::from_millis(1));
    }
    let response = connection.read_response();
    assert_eq!(response.json()["name"], "slow");
}

#[test]
fn a_client_that_half_closes_still_gets_its_answer() {
    let envgate = Envgate::start();
    let mut connection = Connection::open(envgate.gateway);
    connection.write(&envgate.request("GET", EXAMPLE).bytes());
    connection.half_close();
    assert_eq!(connection.read_response().status, 200);
}

#[test]
fn replies_keep_their_order_their_numbers_and_fields_that_nobody_knows() {
    let reply = r#"{ "zeta":1, "id":"env_1","type":"environment","state":{"x":[1e400,12345678901234567890123]},
        "config":{"type":"cloud","networking":{"type":"unrestricted","new":true},"packages":{"pip":["a"]}},"scope":"account","metadata":{"scope":"kept"} }"#;
    let upstream = Upstream::always(Then::respond(
        "200 OK",
        &[("content-type", "application/json")],
        reply,
    ));

    let native = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_CONTRACT__DIALECT", "anthropic")
        .start();
    assert_eq!(
        native.get("/v1/environments/env_1").text(),
        reply,
        "the native dialect leaves replies alone"
    );

    let facade = Envgate::in_front_of(upstream.address);
    let text = facade.get("/v1/environments/env_1").text();
    assert!(
        text.starts_with(
            r#"{ "zeta":1, "id":"env_1","type":"environment","state":{"x":[1e400,12345678901234567890123]},"#
        ),
        "{text}"
    );
    assert!(
        text.contains(r#""networking":{"type":"unrestricted","new":true}"#),
        "{text}"
    );
    assert!(text.contains(r#""metadata":{"scope":"kept"} }"#), "{text}");
    assert!(!text.contains("account"), "{text}");
    for list in ["apt", "cargo", "gem", "go", "npm"] {
        assert!(
            text.contains(&format!(r#""{list}":[]"#)),
            "{list} is missing: {text}"
        );
    }
    assert!(text.contains(r#""type":"packages""#), "{text}");
}

#[test]
fn the_native_dialect_takes_scope_and_names_errors_as_the_upstream_does() {
    let envgate = Setup::new().set("ENVGATE_CONTRACT__DIALECT", "anthropic").start();
    let updated = envgate.post(EXAMPLE, r#"{"scope":"account"}"#);
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert_eq!(updated.json()["scope"], "account");
    envgate
        .get("/v1/environments/env_unknown")
        .expect_error(404, "not_found_error");
    envgate
        .post(EXAMPLE, r#"{"nme":"x"}"#)
        .expect_error(400, "invalid_request_error");
}

#[test]
fn answers_carry_nothing_of_the_upstreams_that_is_not_for_tenants() {
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("request-id", "req_011CZ"),
        ("set-cookie", "a=b"),
        ("server", "upstream"),
        ("via", "1.1 x"),
        ("anthropic-organization-id", "org-secret"),
        ("anthropic-ratelimit-requests-remaining", "7"),
        ("retry-after", "3"),
    ];
    let upstream = Upstream::always(Then::respond("200 OK", &headers, ENVIRONMENT));
    let envgate = Envgate::in_front_of(upstream.address);
    let response = envgate.get("/v1/environments/env_1");
    let mut names: Vec<_> = response.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "connection",
            "content-length",
            "content-type",
            "date",
            "envgate-cache",
            "request-id",
            "retry-after"
        ]
    );
    assert_eq!(
        response.header("request-id"),
        Some("req_011CZ"),
        "the upstream's name for the request"
    );
}

#[test]
fn relaxed_rules_let_a_request_through_with_a_warning() {
    let upstream = Upstream::always(Then::environment());
    let envgate = Setup::new()
        .upstream(upstream.address)
        .set("ENVGATE_CONTRACT__UNKNOWN_FIELD", "warn")
        .set("ENVGATE_CONTRACT__HOST_FORMAT", "allow")
        .start();
    let body = r#"{"config":{"type":"cloud","networking":{"type":"limited","allowed_hosts":["https://a.com"],"new é":1}}}"#;
    let response = envgate.post("/v1/environments/env_1", body);
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(
        response.header("envgate-warning"),
        Some("/config/networking/new%20%C3%A9")
    );
    assert_eq!(upstream.seen()[0].body, body.as_bytes());
    let counted = r#"envgate_warnings_total{keyword="additionalProperties"}"#;
    envgate.expect_metric(counted, 1.0);
    envgate
        .post("/v1/environments/env_1", r#"{"x":1,"name":7}"#)
        .expect_error(400, "invalid_request");
}

#[test]
fn two_updates_at_once_are_both_there_afterwards() {
    let envgate = Envgate::start();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let envgate = &envgate;
            scope.spawn(move || {
                let body = format!(r#"{{"metadata":{{"k{number}":"v"}}}}"#);
                assert_eq!(envgate.post(EXAMPLE, &body).status, 200);
            });
        }
    });
    let metadata = envgate.get(EXAMPLE).json()["metadata"].clone();
    assert_eq!(metadata.as_object().unwrap().len(), 16, "{metadata}");
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
