//! The lines of requests: which have one, what stands in it, and who hears of the time of each step.

use std::time::Duration;

use serde_json::Value;

use crate::common::client::Request;
use crate::common::envgate::{Envgate, Setup, eventually};
use crate::common::upstream::{Then, Upstream};

const ENVIRONMENT: &str = "/v1/environments/env_1";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The lines of a target so far.
fn lines(envgate: &Envgate, target: &str) -> Vec<Value> {
    let log = envgate.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &Value| line["target"] == target).collect()
}

fn access(envgate: &Envgate) -> Vec<Value> {
    lines(envgate, "envgate::access")
}

fn json() -> Setup {
    Setup::new().set("ENVGATE_LOG__FORMAT", "json")
}

#[test]
fn a_line_names_the_trace_and_who_asked() {
    let upstream = Upstream::always(Then::environment());
    let envgate = json().upstream(upstream.address).start();
    let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-00");
    envgate
        .request("GET", ENVIRONMENT)
        .header("traceparent", &traceparent)
        .send();
    envgate.get("/v1/environments/env_2");
    eventually("both have lines", || access(&envgate).len() == 2);
    let lines = access(&envgate);
    assert_eq!(lines[0]["trace_id"], TRACE);
    assert_eq!(lines[0]["client"], "127.0.0.1");
    assert_eq!(lines[0].get("sample_ratio"), None, "all have one");
    let own = lines[1]["trace_id"].as_str().unwrap();
    assert!(own.len() == 32 && own != TRACE, "{own}");
    let times =
        ["upstream_ms", "waited_ms", "client_ms", "own_ms"].map(|name| lines[0][name].as_f64().unwrap());
    let total = lines[0]["duration_ms"].as_f64().unwrap();
    assert!((times.iter().sum::<f64>() - total).abs() < 0.01, "{}", lines[0]);
}

#[test]
fn of_successes_the_trace_id_decides_which_have_a_line_and_errors_always_have() {
    let upstream = Upstream::always(Then::environment());
    let envgate = json()
        .upstream(upstream.address)
        .set("ENVGATE_LOG__SUCCESS_RATIO", "0.25")
        .start();
    let ask = |path: &str, low: &str| {
        let traceparent = format!("00-0af7651916cd43dd{low}-00f067aa0ba902b7-00");
        let request = envgate.request("GET", path);
        request.header("traceparent", &traceparent).send().status
    };
    let (within, beyond) = ("3fffffffffffffff", "4000000000000000");
    assert_eq!(ask("/v1/environments/env_1", beyond), 200);
    assert_eq!(ask("/v1/nowhere", beyond), 404);
    assert_eq!(ask("/v1/environments/env_1", within), 200);
    eventually("two have lines", || access(&envgate).len() >= 2);
    let told: Vec<_> = access(&envgate)
        .iter()
        .map(|line| (line["status"].clone(), line.get("sample_ratio").cloned()))
        .collect();
    assert_eq!(told, [(404.into(), None), (200.into(), Some(0.25.into()))]);
    envgate.expect_metric(
        r#"envgate_requests_total{error="none",operation="retrieve",status="2xx"}"#,
        2.0,
    );
}

#[test]
fn a_slow_request_has_a_line_with_the_time_of_each_step() {
    let Then::Reply(environment) = Then::environment() else {
        panic!("an environment is a reply");
    };
    let upstream = Upstream::always(Then::Late(Duration::from_millis(300), environment));
    let envgate = json()
        .upstream(upstream.address)
        .set("ENVGATE_LOG__SLOW_REQUEST", "200ms")
        .start();
    let answer = envgate.get(ENVIRONMENT);
    envgate.get("/v1/nowhere");
    eventually("it has a line", || !lines(&envgate, "envgate::slow").is_empty());
    let slow = lines(&envgate, "envgate::slow");
    assert_eq!(slow.len(), 1, "the other was not slow");
    let line = &slow[0];
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["request_id"].as_str(), answer.header("request-id"));
    assert_eq!(line["tenant"], "demo");
    assert_eq!(line["attempts"], 1);
    assert!(line["upstream_ms"].as_f64().unwrap() >= 300.0, "{line}");
    for step in ["judge_ms", "body_ms", "wait_ms", "answer_ms", "write_ms"] {
        assert!(line[step].as_f64().is_some(), "{step}: {line}");
    }
    let trace_id = &line["trace_id"];
    assert_eq!(access(&envgate)[0]["trace_id"], *trace_id);
}

#[test]
fn answers_tell_the_time_of_each_step_where_the_plan_allows_it_and_to_nobody_unknown() {
    let setup = Setup::new().file("[plans.open]\nserver_timing = true\n");
    let key = setup.tenant("timed", "open");
    let other = setup.tenant("other", "default");
    let envgate = setup.start_for(&key);
    let ask = |key: &str, method: &str, path: &str, body: &str| {
        let request = Request::new(envgate.gateway, method, path).header("x-api-key", key);
        request
            .header("content-type", "application/json")
            .body(body)
            .send()
    };
    let created = ask(&key, "POST", "/v1/environments", r#"{"name":"n"}"#);
    let path = format!("/v1/environments/{}", created.json()["id"].as_str().unwrap());
    let timing = |key: &str, method: &str| {
        let answer = ask(key, method, &path, "");
        answer.header("server-timing").map(str::to_owned)
    };
    let first = timing(&key, "GET").unwrap();
    assert!(
        first.starts_with("judge;dur=") && first.contains("upstream;dur="),
        "{first}"
    );
    assert!(!first.contains("write") && !first.contains("cache"), "{first}");
    let second = timing(&key, "GET").unwrap();
    assert!(
        second.contains("cache;desc=\"hit\"") && !second.contains("upstream"),
        "{second}"
    );
    let refused = timing(&key, "POST").unwrap();
    assert!(refused.starts_with("judge;dur="), "{refused}");
    assert_eq!(timing(&other, "GET"), None, "the default plan does not");
    assert_eq!(timing("sk-eg-nobodys", "GET"), None);
}
