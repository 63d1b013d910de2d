//! Requests without a caller, for no operation, or not as their operation wants them.

use super::{Guarded, PATH};
use crate::common::client::{Connection, Request};
use crate::common::envgate::Envgate;
use crate::common::upstream::{Then, Upstream};

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
        ("PATCH", "/v1/environments", "GET, HEAD, OPTIONS, POST"),
        ("PUT", PATH, "DELETE, GET, HEAD, OPTIONS, POST"),
        ("GET", "/v1/environments/env_1/archive", "OPTIONS, POST"),
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
    for content_type in ["application/xml", "multipart/form-data; boundary=b"] {
        request()
            .header("content-type", content_type)
            .send()
            .expect_error(415, "invalid_request");
    }
    let encoded = request().header("content-encoding", "gzip").send();
    encoded.expect_error(415, "invalid_request");
    assert_eq!(encoded.header("accept-encoding"), Some("identity"));
    let latin = guarded
        .envgate
        .request("POST", PATH)
        .header("content-type", "application/json; charset=iso-8859-1")
        .body(b"{\"description\":\"caf\xe9\"}");
    let error = latin.send().expect_error(400, "invalid_request");
    assert_eq!(error["details"]["error_code"], "invalid_utf8", "{error}");
    drop(guarded);
    let upstream = Upstream::always(Then::environment());
    let envgate = Envgate::in_front_of(upstream.address);
    for content_type in [
        "application/x-www-form-urlencoded",
        "text/plain;charset=UTF-8",
        "application/merge-patch+json",
        "application/json; charset=utf8",
        "application/json; charset=iso-8859-1",
    ] {
        let response = envgate
            .request("POST", PATH)
            .header("content-type", content_type)
            .header("content-encoding", "identity")
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
fn no_secret_is_in_the_log_or_the_metrics_after_all_this() {
    let mut guarded = Guarded::with(|setup| {
        setup
            .set("ENVGATE_LOG__LEVEL", "trace")
            .set("ENVGATE_LOG__FORMAT", "json")
    });
    let envgate = &mut guarded.envgate;
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
    let log = envgate.stop();
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
