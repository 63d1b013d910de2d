//! One request, as a collector gets it.

use std::fmt::Write;

use serde_json::Value;

use super::{CALLER, Collector, EXPORTED, TRACE_ID, attribute, exporting, kept};
use crate::common::envgate::{Envgate, Setup};
use crate::common::tls::Authority;
use crate::common::upstream::{Then, Upstream};

const POLICY: &str = "[plans.default.policy.packages.pip]\ndeny = [\"evil\"]\n";
const COLLECTORS_KEY: &str = "the-collectors-own-key";

/// The spans, each below its parent, with its attributes.
fn drawn(spans: &[Value]) -> String {
    let mut text = String::new();
    let begin = spans
        .iter()
        .map(|span| span["start"].as_u64().unwrap())
        .min()
        .unwrap();
    let mut draw = |span: &Value, depth: usize| {
        let time = |name: &str| (span[name].as_u64().unwrap() - begin) / 1000;
        let (kind, name) = (span["kind"].as_str().unwrap(), span["name"].as_str().unwrap());
        let indent = "    ".repeat(depth);
        let (id, parent) = (&span["span_id"], &span["parent_span_id"]);
        writeln!(
            text,
            "{indent}{name}  {kind}  {}..{} µs  span {id} parent {parent}  status {}  events {}",
            time("start"),
            time("end"),
            span["status"],
            span["events"]
        )
        .unwrap();
        for (name, value) in span["attributes"].as_object().unwrap() {
            writeln!(text, "{indent}      {name} = {value}").unwrap();
        }
    };
    for root in spans.iter().filter(|span| span["kind"] == "SPAN_KIND_SERVER") {
        draw(root, 0);
        let mut children: Vec<_> = spans
            .iter()
            .filter(|span| span["parent_span_id"] == root["span_id"])
            .collect();
        children.sort_by_key(|span| span["start"].as_u64());
        children.iter().for_each(|child| draw(child, 1));
    }
    text
}

/// One update under a policy, which reads what is stored before it writes.
fn assert_update_is_one_trace(protocol: &str, setup: Setup, collector: &Collector, url: &str) {
    let setup = exporting(setup.file(POLICY), url, protocol);
    let headers = format!("authorization=Bearer%20{COLLECTORS_KEY}");
    let envgate = setup.set("ENVGATE_TELEMETRY__HEADERS", &headers).start();
    let made = envgate.post("/v1/environments", r#"{"name":"before"}"#);
    assert_eq!(made.status, 200, "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/environments/{id}");
    let update = kept(&envgate, "POST", &format!("{path}?beta=true"))
        .header("tracestate", "vendor=1")
        .header("user-agent", "a-client-that-tells-something")
        .body(r#"{"description":"told to nobody"}"#)
        .send();
    assert_eq!(update.status, 200, "{}", update.text());

    let spans = collector.expect_spans(4);
    println!("one update under a policy, by {protocol}:\n{}", drawn(&spans));
    assert_one_trace(&spans, &id);
    let batch = &collector.batches()[0];
    assert_eq!(
        batch["headers"]["authorization"],
        format!("Bearer {COLLECTORS_KEY}")
    );
    let told = serde_json::to_string(&spans).unwrap();
    for secret in [
        envgate.key.as_str(),
        COLLECTORS_KEY,
        "told to nobody",
        "beta=true",
        "a-client-that-tells-something",
    ] {
        assert!(!told.contains(secret), "{secret} is told: {told}");
    }
    let count = f64::from(u32::try_from(spans.len()).unwrap());
    envgate.expect_metric(EXPORTED, count);
    assert!(!envgate.log().contains(COLLECTORS_KEY));
}

fn assert_one_trace(spans: &[Value], id: &str) {
    let servers: Vec<_> = spans
        .iter()
        .filter(|span| span["kind"] == "SPAN_KIND_SERVER")
        .collect();
    let [server] = servers[..] else {
        panic!("the caller asked for one, and nobody for the other: {spans:?}");
    };
    assert_eq!(server["name"], "POST /v1/environments/{environment_id}");
    assert_eq!(
        (&server["trace_id"], &server["parent_span_id"]),
        (&TRACE_ID.into(), &CALLER.into())
    );
    assert_eq!(server["resource"]["service.name"], "envgate");
    assert_eq!(server["resource"]["service.version"], env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("http.request.method", "POST".into()),
        ("http.route", "/v1/environments/{environment_id}".into()),
        ("url.path", format!("/v1/environments/{id}").into()),
        ("url.scheme", "http".into()),
        ("http.response.status_code", Value::from(200)),
        ("network.protocol.version", "1.1".into()),
        ("client.address", "127.0.0.1".into()),
        ("envgate.tenant", "demo".into()),
        ("envgate.operation", "update".into()),
    ] {
        assert_eq!(attribute(server, name), &value, "{name}");
    }
    assert!(
        attribute(server, "envgate.request_id")
            .as_str()
            .unwrap()
            .starts_with("req_")
    );
    assert_eq!(
        server["events"],
        serde_json::json!(["judge", "body", "judge", "judge", "judge", "answer", "write"])
    );

    for span in spans {
        assert_eq!(
            (&span["trace_id"], &span["trace_state"]),
            (&TRACE_ID.into(), &"vendor=1".into())
        );
        let within =
            |name: &str| (server["start"].as_u64()..=server["end"].as_u64()).contains(&span[name].as_u64());
        assert!(within("start") && within("end"), "{span}");
    }
    let mut attempts: Vec<_> = spans
        .iter()
        .filter(|span| span["kind"] == "SPAN_KIND_CLIENT")
        .collect();
    attempts.sort_by_key(|span| span["start"].as_u64());
    let names: Vec<_> = attempts
        .iter()
        .map(|span| span["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "GET /v1/environments/{environment_id}",
            "POST /v1/environments/{environment_id}"
        ]
    );
    for attempt in &attempts {
        assert_eq!(attempt["parent_span_id"], server["span_id"]);
        assert_eq!(attribute(attempt, "server.address"), "127.0.0.1");
        assert_eq!(attribute(attempt, "http.response.status_code"), 200);
        let url = attribute(attempt, "url.full").as_str().unwrap();
        assert!(url.ends_with(&format!("/v1/environments/{id}")), "{url}");
    }
    let waits = spans.iter().filter(|span| span["name"] == "wait");
    assert!(waits.clone().count() >= 1, "a turn is waited for before each");
    assert!(
        waits
            .clone()
            .all(|wait| wait["parent_span_id"] == server["span_id"])
    );
}

#[test]
fn an_update_under_a_policy_is_one_trace_by_grpc() {
    let collector = Collector::start();
    let url = format!("http://127.0.0.1:{}", collector.grpc);
    assert_update_is_one_trace("grpc", Setup::new(), &collector, &url);
}

#[test]
fn an_update_under_a_policy_is_one_trace_by_http() {
    let collector = Collector::start();
    let url = format!("http://127.0.0.1:{}/v1/traces", collector.http);
    assert_update_is_one_trace("http/protobuf", Setup::new(), &collector, &url);
}

#[test]
fn collectors_are_spoken_to_in_tls_and_have_to_prove_their_name() {
    let authority = Authority::new();
    for protocol in ["grpc", "http/protobuf"] {
        let setup = Setup::new();
        let (certificate, key) = authority.issue("localhost").write(setup.path(), "collector");
        let collector = Collector::start_at("0", &[&certificate, &key]);
        std::fs::write(setup.path().join("ca.pem"), authority.pem()).unwrap();
        let setup = setup.set("ENVGATE_TELEMETRY__CA_FILE", "ca.pem");
        let url = match protocol {
            "grpc" => format!("https://localhost:{}", collector.grpc),
            _ => format!("https://localhost:{}/v1/traces", collector.http),
        };
        assert_update_is_one_trace(protocol, setup, &collector, &url);
    }
    let setup = Setup::new();
    let (certificate, key) = authority
        .issue("another.example")
        .write(setup.path(), "collector");
    let collector = Collector::start_at("0", &[&certificate, &key]);
    std::fs::write(setup.path().join("ca.pem"), authority.pem()).unwrap();
    let setup = setup.set("ENVGATE_TELEMETRY__CA_FILE", "ca.pem");
    let url = format!("https://localhost:{}", collector.grpc);
    let envgate = exporting(setup, &url, "grpc").start();
    assert_eq!(kept(&envgate, "GET", "/v1/environments").send().status, 200);
    crate::common::envgate::eventually_within(
        "the log says what is wrong",
        std::time::Duration::from_secs(30),
        || envgate.log().contains("the collector does not take spans"),
    );
    assert_eq!(collector.batches().len(), 0);
}

#[test]
fn an_upstream_that_fails_makes_spans_that_say_so() {
    let upstream = Upstream::always(Then::respond("503 Service Unavailable", &[], "{}"));
    let collector = Collector::start();
    let url = format!("http://127.0.0.1:{}", collector.grpc);
    // Of all, since what somebody without a tenant wants kept is not.
    let envgate: Envgate = exporting(Setup::new().upstream(upstream.address), &url, "grpc")
        .set("ENVGATE_TELEMETRY__SAMPLE_RATIO", "1")
        .start();
    let path = "/v1/environments/env_1";
    assert_eq!(kept(&envgate, "POST", path).body("{}").send().status, 503);
    let spans = collector.expect_spans(3);
    let of_kind = |kind: &str| spans.iter().find(|span| span["kind"] == kind).unwrap();
    for span in [of_kind("SPAN_KIND_SERVER"), of_kind("SPAN_KIND_CLIENT")] {
        assert_eq!(span["status"], "STATUS_CODE_ERROR");
        assert_eq!(attribute(span, "http.response.status_code"), 503);
        assert!(attribute(span, "error.type").is_string(), "{span}");
    }
    // What a client writes into a path is nobody's business, whatever it is.
    assert_eq!(kept(&envgate, "GET", "/v2/sk-eg-in-a-path").send().status, 404);
    let spans = collector.expect_spans(4);
    let told = serde_json::to_string(&spans).unwrap();
    assert!(!told.contains("sk-eg-in-a-path"), "{told}");
    let unknown = spans.last().unwrap();
    assert_eq!(
        (unknown["name"].as_str(), unknown["status"].as_str()),
        (Some("GET"), Some("STATUS_CODE_UNSET"))
    );
    assert!(attribute(unknown, "error.type").is_string());
}
